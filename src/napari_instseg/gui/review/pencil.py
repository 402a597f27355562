"""Lines, clicks and regions drawn over the plane in view, for the edits that need one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...promptable import ON
from ..prompt.keys import Keys
from ..prompt.mouse import Mouse, Position
from ..prompt.overlay import Overlay, Scene
from .session import ReviewSession
from .sheet import Point, Sheet

LINE, CLICKS, REGION = "line", "clicks", "region"
APPLY, LEAVE = "Enter", "Escape"


class Pencil:
    """Hands what is drawn with the mouse to those who asked for it.

    Parameters
    ----------
    session : ReviewSession
    kind : {"line", "clicks", "region"}
    drawn : callable
        Called with the plane, and the points of a line or region once the mouse button is let
        go, or of the clicks at Enter or a double click. Rows and columns, px.
    left : callable
        Called at Escape with nothing drawn.
    """

    def __init__(
        self,
        session: ReviewSession,
        kind: str,
        drawn: Callable[[tuple[int, ...], list[Point]], None],
        left: Callable[[], None],
    ) -> None:
        self.kind, self._session, self._drawn, self._left = kind, session, drawn, left
        self._sheet = Sheet(session.viewer, session.layer, session.places, session.labels.shape)
        self._overlay = Overlay(session.viewer, self._sheet, "drawing")
        self._mouse = Mouse(session.viewer, self)
        self._keys = Keys({APPLY: lambda _: self.apply(), LEAVE: lambda _: self.clear()})
        self._plane: tuple[int, ...] | None = None
        self._points: list[Point] = []

    @property
    def count(self) -> int:
        """Number of clicks so far."""
        return len(self._points)

    def attach(self) -> None:
        """Take the mouse."""
        self._mouse.attach()
        active = self._session.viewer.layers.selection
        active.events.active.connect(self._follow)
        self._follow()

    def detach(self) -> None:
        """Give the mouse back, and forget what was drawn."""
        self._mouse.detach()
        self._session.viewer.layers.selection.events.active.disconnect(self._follow)
        self._keys.bind(None)
        self._points = []
        self._overlay.remove()

    def _follow(self, event: object = None) -> None:
        self._keys.bind(self._session.viewer.layers.selection.active)

    def apply(self) -> None:
        """Hand over the clicks."""
        plane, points = self._plane, self._points
        if self.kind == CLICKS and points and plane is not None:
            self._points = []
            self._show()
            self._drawn(plane, points)

    def clear(self) -> None:
        """Forget the clicks; without any, leave."""
        if not self._points:
            self._left()
            return
        self._points = []
        self._show()

    # ----------------------------------------------------------------------------- the mouse

    def listens(self) -> bool:
        """Whether a plane is in view."""
        return self._sheet.plane() is not None

    def hover(self, at: Position) -> None:
        """Nothing is shown before a press."""

    def click(self, at: Position, label: int, *, another: bool) -> None:
        """Add a click; one with the right button takes the last back."""
        if self.kind != CLICKS:
            return
        plane = self._sheet.plane()
        if plane != self._plane:
            self._points, self._plane = [], plane
        if label == ON:
            self._points.append(self._sheet.point(at))
        else:
            self._points = self._points[:-1]
        self._show()

    def double_click(self, at: Position, label: int, *, another: bool) -> None:
        """The clicks are all there."""
        self.apply()

    def drag(self, path: list[Position], label: int) -> None:
        """Show the way so far."""
        if self.kind == CLICKS:
            return
        self._plane = self._sheet.plane()
        self._show(self._way(path))

    def drop(self, path: list[Position], label: int, *, another: bool) -> None:
        """A line or region is done."""
        plane = self._sheet.plane()
        if self.kind == CLICKS or plane is None:
            return
        self._show()
        self._drawn(plane, self._way(path))

    def _way(self, path: list[Position]) -> list[Point]:
        """Points of a path; those of a region come back to the first."""
        points = [self._sheet.point(at) for at in path]
        return [*points, points[0]] if self.kind == REGION else points

    def _show(self, line: list[Point] | None = None) -> None:
        plane: Any = self._plane or ()
        height, width = self._sheet.plane_shape
        lines = () if line is None else (tuple(_inside(np.array(line), height, width)),)
        dots = tuple((point, ON) for point in self._points)
        self._overlay.show(Scene(plane, dots=dots, lines=lines))


def _inside(points: NDArray[np.float64], height: int, width: int) -> list[Point]:
    """Points moved into the plane, which is all that can be drawn on."""
    moved = np.clip(points, 0, (height, width))
    return [(float(row), float(col)) for row, col in moved]
