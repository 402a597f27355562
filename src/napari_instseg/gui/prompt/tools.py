"""What a click or a drag says, in each tool."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...instances import Mask
from ...promptable import OFF, ON
from .drafts import Point, Step
from .masks import polygon_mask, thinned

#: Boxes with shorter sides are slips of the hand, px.
SMALLEST_BOX = 2.0


class ClickTool:
    """Clicks on and off the object; a drag is a box."""

    name, title = "click", "Click, box"
    tip = "Click the object (right button: not the object), or drag a box around it"
    hovers = True

    def __init__(self) -> None:
        #: Outlines that are drawn bit by bit.
        self.corners: list[Point] = []

    def click(self, at: Point, label: int, near: float) -> Step | None:
        """What a click says; None: nothing yet. ``near`` is the mouse's precision, px."""
        return Step((at,), label)

    def drag(self, path: Sequence[Point], label: int) -> tuple[Step | None, Sequence[Point]]:
        """What a drag would say if it ended here, and the line to draw."""
        if label == OFF:
            return None, ()
        (top, bottom), (left, right) = (sorted((path[0][i], path[-1][i])) for i in (0, 1))
        outline = ((top, left), (top, right), (bottom, right), (bottom, left), (top, left))
        if min(bottom - top, right - left) < SMALLEST_BOX:
            return None, outline
        return Step(box=(top, left, bottom, right), outline=outline), outline

    def drop(self, path: Sequence[Point], label: int) -> Step | None:
        """What a drag says."""
        return self.drag(path, label)[0]

    def finish(self) -> Step | None:
        """What was drawn bit by bit, closed now; None if there is nothing."""
        return None


class ScribbleTool(ClickTool):
    """Lines over the object, or over what is not."""

    name, title = "scribble", "Scribble"
    tip = "Draw over the object; with the right button over what is not the object"

    def drag(self, path: Sequence[Point], label: int) -> tuple[Step | None, Sequence[Point]]:
        """Points along the way."""
        return Step(thinned(path), label), path


class LassoTool(ClickTool):
    """A line around the object, freehand.

    Parameters
    ----------
    plane_shape : (int, int)
        Height and width of the plane, px.
    combine : callable
        Joins what was drawn with the mask that is shown, or takes it away (`OFF`).
    """

    name, title = "lasso", "Lasso"
    tip = "Draw around the object; with the right button around what is to be left out"

    def __init__(
        self,
        plane_shape: tuple[int, int],
        combine: Callable[[Mask, int], Mask | None],
    ) -> None:
        super().__init__()
        self._shape, self._combine = plane_shape, combine

    def drag(self, path: Sequence[Point], label: int) -> tuple[Step | None, Sequence[Point]]:
        """Only the line: the mask comes when it is closed."""
        return None, (*path, path[0])

    def drop(self, path: Sequence[Point], label: int) -> Step | None:
        """The pixels inside."""
        return self._inside(path, label)

    def _inside(self, corners: Sequence[Point], label: int) -> Step | None:
        drawn = polygon_mask(corners, self._shape)
        mask = None if drawn is None else self._combine(drawn, label)
        if mask is None:
            return None
        return Step(mask=mask, outline=(*corners, corners[0]))


class PolygonTool(LassoTool):
    """Corners around the object, click by click."""

    name, title = "polygon", "Polygon"
    tip = "Click corners around the object; double click, Enter or the first corner closes it"
    hovers = False

    def click(self, at: Point, label: int, near: float) -> Step | None:
        """Add a corner; the first one again closes it; the right button takes one away."""
        if label == OFF:
            del self.corners[-1:]
            return None
        if len(self.corners) > 2 and _distance(at, self.corners[0]) <= 2 * near:
            return self.finish()
        self.corners.append(at)
        return None

    def drag(self, path: Sequence[Point], label: int) -> tuple[Step | None, Sequence[Point]]:
        """A corner is where the button is let go."""
        return None, (*self.corners, path[-1])

    def drop(self, path: Sequence[Point], label: int) -> Step | None:
        """Add a corner at the end."""
        return self.click(path[-1], label, 0)

    def finish(self) -> Step | None:
        """Close it."""
        corners, self.corners = self.corners, []
        return self._inside(corners, ON)


class LabelsTool(ClickTool):
    """An object of a Labels layer.

    Parameters
    ----------
    pick : callable
        Returns the object's pixels at a point, None if there is none.
    """

    name, title = "labels", "From labels"
    tip = "Click an object of a Labels layer: its pixels are the prompt"
    hovers = False

    def __init__(self, pick: Callable[[Point], Mask | None]) -> None:
        super().__init__()
        self._pick = pick

    def click(self, at: Point, label: int, near: float) -> Step | None:
        """The object's pixels."""
        mask = self._pick(at)
        return None if mask is None else Step(mask=mask)

    def drag(self, path: Sequence[Point], label: int) -> tuple[Step | None, Sequence[Point]]:
        """Nothing."""
        return None, ()


Tool = ClickTool


def _distance(a: Point, b: Point) -> float:
    return max(abs(a[0] - b[0]), abs(a[1] - b[1]))
