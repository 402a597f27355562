"""Keys of the Review dock, in the canvas and in the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import napari.viewer

from ..prompt.keys import Keys
from .picking import is_for_moving
from .session import ReviewSession

UNDO, REDO = "Control-Z", "Control-Shift-Z"


class Shortcuts:
    """Binds keys while a session's layer is active and the mouse moves the camera.

    With a brush in hand, napari's keys are as they were, but those that take edits back: strokes
    are edits, too.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    actions : mapping of str to callable
        By the key, as napari spells it.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, actions: Mapping[str, Callable[[], None]]
    ) -> None:
        self._viewer, self._actions = viewer, dict(actions)
        self._keys = Keys({key: _plain(action) for key, action in actions.items()})
        self._history = Keys({key: _plain(actions[key]) for key in (UNDO, REDO)})
        self._session: ReviewSession | None = None
        self._attached = False

    def attach(self) -> None:
        """Listen."""
        if not self._attached:
            self._attached = True
            self._viewer.layers.selection.events.active.connect(self._follow)
            self._follow()

    def detach(self) -> None:
        """Give the keys back."""
        if self._attached:
            self._attached = False
            self._viewer.layers.selection.events.active.disconnect(self._follow)
            self._follow()

    def set_session(self, session: ReviewSession | None) -> None:
        """Be for another session's layers."""
        if self._session is not None:
            for layer in self._session.layers.values():
                layer.events.mode.disconnect(self._follow)
        self._session = session
        if session is not None:
            for layer in session.layers.values():
                layer.events.mode.connect(self._follow)
        self._follow()

    def _follow(self, event: object = None) -> None:
        active = self._viewer.layers.selection.active
        ours = self._session is not None and active in self._session.layers.values()
        layer = active if self._attached and ours else None
        keys, others = self._keys, self._history
        if not is_for_moving(active):
            keys, others = others, keys
        others.bind(None)
        keys.bind(layer)

    def press(self, key: str) -> None:
        """Do what a key does that was pressed elsewhere."""
        if key in self._actions:
            self._actions[key]()


def _plain(action: Callable[[], None]) -> Callable[[Any], None]:
    return lambda layer: action()
