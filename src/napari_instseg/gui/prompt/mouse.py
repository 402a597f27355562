"""The mouse over the canvas, as prompts; what napari does with it otherwise is put back after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import napari.viewer
import numpy as np
from numpy.typing import NDArray

from ...promptable import OFF, ON

#: A press that moves no further than this before its release is a click, px of the canvas.
CLICK = 4
LEFT, RIGHT, MIDDLE = 1, 2, 3
#: What napari does in pan/zoom mode with keys or buttons that prompts need.
IN_THE_WAY = ("drag_to_zoom", "double_click_to_zoom")

#: A position in the world, one number for each dimension of the viewer.
Position = NDArray[np.float64]


class Hand(Protocol):
    """What the mouse works with; positions are in the world."""

    def listens(self) -> bool:
        """Whether prompts are wanted now."""
        ...

    def hover(self, at: Position) -> None:
        """The mouse moved, without a button."""
        ...

    def click(self, at: Position, label: int, *, another: bool) -> None:
        """A click; for ``another`` object if Shift was held."""
        ...

    def drag(self, path: list[Position], label: int) -> None:
        """A button is held, and this is the way so far."""
        ...

    def drop(self, path: list[Position], label: int, *, another: bool) -> None:
        """The button was let go."""
        ...

    def double_click(self, at: Position, label: int, *, another: bool) -> None:
        """The second click of two."""
        ...


class Mouse:
    """Hands the viewer's mouse to prompts while it is attached.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    hand : Hand
    """

    def __init__(self, viewer: napari.viewer.Viewer, hand: Hand) -> None:
        self._viewer, self._hand = viewer, hand
        #: Lists of callbacks, and what was taken out of them, with its place.
        self._removed: list[tuple[list[Any], int, Any]] = []
        self._attached = False
        self._pan_before: bool | None = None
        #: The space bar is held: the mouse is napari's.
        self.resting = False

    def attach(self) -> None:
        """Listen, and keep napari from zooming at Alt and at double clicks."""
        if self._attached:
            return
        self._attached = True
        viewer = self._viewer
        for callbacks in (viewer.mouse_drag_callbacks, viewer.mouse_double_click_callbacks):
            for i, callback in reversed(list(enumerate(callbacks))):
                if getattr(callback, "__name__", "") in IN_THE_WAY:
                    self._removed.append((callbacks, i, callback))
                    callbacks.remove(callback)
        for callbacks, callback in self._own():
            callbacks.append(callback)

    def detach(self) -> None:
        """Listen no more, and put everything back."""
        if not self._attached:
            return
        self._attached = self.resting = False
        self._free_camera()
        for callbacks, callback in self._own():
            if callback in callbacks:
                callbacks.remove(callback)
        for callbacks, i, callback in reversed(self._removed):
            callbacks.insert(i, callback)
        self._removed.clear()

    def _own(self) -> list[tuple[list[Any], Callable[..., Any]]]:
        viewer = self._viewer
        return [
            (viewer.mouse_move_callbacks, self._move),
            (viewer.mouse_drag_callbacks, self._press),
            (viewer.mouse_double_click_callbacks, self._double_click),
        ]

    def _move(self, viewer: napari.viewer.Viewer, event: Any) -> None:
        if self._hand.listens() and not self.resting:
            self._hand.hover(np.array(event.position))

    def _double_click(self, viewer: napari.viewer.Viewer, event: Any) -> None:
        if self._hand.listens() and not self.resting:
            self._hand.double_click(
                np.array(event.position), _label(event), another="Shift" in event.modifiers
            )

    def _press(self, viewer: napari.viewer.Viewer, event: Any) -> Iterator[None]:
        if not self._hand.listens() or self.resting:
            return
        if event.button == MIDDLE or "Control" in event.modifiers:
            yield from self._pan(event)
        elif event.button in (LEFT, RIGHT):
            yield from self._prompt(event)

    def _prompt(self, event: Any) -> Iterator[None]:
        """From press to release: a click, or a way."""
        label, another = _label(event), "Shift" in event.modifiers
        start, path = np.array(event.pos), [np.array(event.position)]
        self._hold_camera()
        moved = False
        yield
        while event.type == "mouse_move":
            moved = moved or np.abs(np.array(event.pos) - start).max() > CLICK
            if moved:
                path.append(np.array(event.position))
                self._hand.drag(path, label)
            yield
        self._free_camera()
        if moved:
            self._hand.drop(path, label, another=another)
        else:
            self._hand.click(path[0], label, another=another)

    def _pan(self, event: Any) -> Iterator[None]:
        """Move the picture along; napari's left button does so, but that one is taken."""
        camera, shown = self._viewer.scene.camera, list(event.dims_displayed)
        start = np.array(event.position)[shown]
        self._hold_camera()
        yield
        while event.type == "mouse_move":
            # The position is that under the camera as it is by now.
            away = start - np.array(event.position)[shown]
            center = np.array(camera.center, float)
            center[-len(shown) :] += away
            camera.center = tuple(center)
            yield
        self._free_camera()

    def _hold_camera(self) -> None:
        camera = self._viewer.scene.camera
        if self._pan_before is None:
            self._pan_before = bool(camera.mouse_pan)
        camera.mouse_pan = False

    def _free_camera(self) -> None:
        if self._pan_before is not None:
            self._viewer.scene.camera.mouse_pan = self._pan_before
            self._pan_before = None


def _label(event: Any) -> int:
    return OFF if event.button == RIGHT or "Alt" in event.modifiers else ON
