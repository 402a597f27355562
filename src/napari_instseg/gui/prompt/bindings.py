"""The mouse and the keys of a running session, while its dock is seen and its layer is active."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import napari.layers
import napari.viewer
from qtpy.QtWidgets import QWidget

from .controller import Prompting
from .keys import Action, CanvasFilter, Keys
from .mouse import Mouse

CURSOR = "cross"


class Bindings:
    """Binds mouse and keys, and gives them back.

    They work while the image or the layer of its objects is active, in pan/zoom mode: a brush of
    napari's keeps its own.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    prompting : Prompting
    press_class : callable
        Takes the number keys, "1" to "9".
    changed : callable
        Called when they begin or cease to work.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        prompting: Prompting,
        press_class: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self._viewer, self._prompting, self._changed = viewer, prompting, changed
        self._layers = (prompting.ground.layer, prompting.objects.layer)
        self._mouse = Mouse(viewer, prompting)
        self._canvas = CanvasFilter(self._next_candidate, prompting.leave)
        self._keys = Keys(self._actions(press_class))
        self._attached = False

    @property
    def work(self) -> bool:
        """Whether mouse and keys are for prompts now."""
        return self._keys.bound

    def attach(self, window: QWidget | None) -> None:
        """Bind; keys go to the canvas of this window."""
        if self._attached:
            return
        self._attached = True
        for event in self._events():
            # After napari, which sets the cursor.
            event.connect(self._follow, position="last")
        self._mouse.attach()
        self._canvas.attach(window)
        self._follow()

    def detach(self) -> None:
        """Give everything back."""
        if not self._attached:
            return
        self._attached = False
        for event in self._events():
            event.disconnect(self._follow)
        self._mouse.detach()
        self._canvas.detach()
        self._keys.bind(None)
        active = self._viewer.layers.selection.active
        self._viewer.cursor.style = "standard" if active is None else active.cursor

    def _events(self) -> list[Any]:
        viewer = self._viewer
        return [
            viewer.layers.selection.events.active,
            viewer.dims.events.ndisplay,
            viewer.dims.events.order,
            *(layer.events.mode for layer in self._layers),
        ]

    def _follow(self, event: object = None) -> None:
        """Bind keys to the active layer if it is one of ours."""
        listens = self._attached and self._prompting.listens()
        active = self._viewer.layers.selection.active
        self._keys.bind(active if listens else None)
        if listens:
            self._viewer.cursor.style = CURSOR
        elif active is not None:
            self._viewer.cursor.style = active.cursor
        self._changed()

    def _next_candidate(self) -> bool:
        if self._keys.bound:
            self._prompting.next_candidate()
        return self._keys.bound

    def _actions(self, press_class: Callable[[str], None]) -> dict[str, Action]:
        prompting = self._prompting
        named: dict[str, Callable[[], None]] = {
            "Enter": prompting.accept,
            "C": prompting.accept,
            "Tab": prompting.next_candidate,
            "Escape": prompting.clear,
            "Backspace": prompting.take_back,
            "E": prompting.edit,
            "N": prompting.new_object,
            # napari's own, which it offers only while the Labels layer is active.
            "Control-Z": prompting.objects.layer.undo,
            "Control-Shift-Z": prompting.objects.layer.redo,
        }
        actions: dict[str, Action] = {key: _plain(action) for key, action in named.items()}
        for number in "123456789":
            actions[number] = _plain(partial(press_class, number))
        actions["Space"] = self._rest
        return actions

    def _rest(self, layer: napari.layers.Layer) -> Iterator[None]:
        """While the space bar is held the mouse is napari's."""
        self._mouse.resting = True
        yield
        self._mouse.resting = False


def _plain(action: Callable[[], None]) -> Action:
    return lambda layer: action()
