"""A click in the canvas chooses the object under the mouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import napari.layers
import napari.viewer
import numpy as np
from numpy.typing import NDArray

#: A press that moves no further than this before its release is a click, px of the canvas.
CLICK = 4
LEFT = 1


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
