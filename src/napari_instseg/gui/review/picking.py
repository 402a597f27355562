"""A click in the canvas chooses the object under the mouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import napari.layers
import napari.viewer
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .session import ReviewSession

#: A press that moves no further than this before its release is a click, px of the canvas.
CLICK = 4
LEFT = 1


def label_under(session: ReviewSession, event: Any) -> int:
    """Find the object under the mouse; in 3-D the first one on its way into the picture.

    Returns
    -------
    int
        0 if there is none, or it is hidden.
    """
    if len(event.dims_displayed) < 3:
        return label_at(session, event.position)
    found = session.layer.get_value(
        event.position,
        view_direction=event.view_direction,
        dims_displayed=event.dims_displayed,
        world=True,
    )
    # Of a multiscale layer, with its level.
    label = int((found[1] if isinstance(found, tuple) else found) or 0)
    return 0 if label in session.hidden else label


def label_at(session: ReviewSession, world: Sequence[float]) -> int:
    """Find the object at a point of the world, by one pixel of the finest level.

    Returns
    -------
    int
        0 if there is none, or it is hidden. Stuff is found while panoptic is seen.
    """
    pixel = session.places.pixel_at(world)
    if pixel is None:
        return 0
    panoptic = session.layers.get("panoptic")
    seen = panoptic is not None and panoptic.visible
    where = tuple(slice(i, i + 1) for i in pixel)
    for output in ("instances", "panoptic") if seen else ("instances",):
        label = int(session.labels.read(output, where).item())
        if label and label not in session.hidden:
            return label
    return 0


class Picker:
    """Listens to clicks while it is attached and the mouse is for moving around.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    clicked : callable
        Called with the event of a click, and whether Shift was held.
    """

    def __init__(self, viewer: napari.viewer.Viewer, clicked: Callable[[Any, bool], None]) -> None:
        self._viewer, self._clicked = viewer, clicked

    def attach(self) -> None:
        """Listen."""
        if self._press not in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.append(self._press)

    def detach(self) -> None:
        """Listen no more."""
        if self._press in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._press)

    def _press(self, viewer: napari.viewer.Viewer, event: Any) -> Iterator[None]:
        if event.button != LEFT or not is_for_moving(viewer.layers.selection.active):
            return
        start: NDArray[np.float64] = np.array(event.pos)
        moved = False
        yield
        while event.type == "mouse_move":
            moved = moved or bool(np.abs(np.array(event.pos) - start).max() > CLICK)
            yield
        if not moved:
            self._clicked(event, "Shift" in event.modifiers)


def is_for_moving(layer: napari.layers.Layer | None) -> bool:
    """Whether the mouse moves the camera while a layer is active, and does not paint or mark."""
    return layer is None or str(layer.mode) == "pan_zoom"
