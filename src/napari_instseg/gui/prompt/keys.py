"""Keys that work while the dock is open and the mouse prompts; then they are as before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import napari.layers
from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QWidget

#: Called with the layer that the key is bound to; a generator goes on when the key is let go.
Action = Callable[[Any], Any]


class Keys:
    """Binds keys to a layer, and gives back those that were bound before.

    napari asks the active layer first; so what is bound to it comes before what the layer's own
    kind does with a key.

    Parameters
    ----------
    actions : mapping of str to callable
        By the key's name, as napari spells it.
    """

    def __init__(self, actions: Mapping[str, Action]) -> None:
        self._actions = {coerce_keybinding(key): action for key, action in actions.items()}
        self._layer: napari.layers.Layer | None = None
        self._before: dict[Any, Any] = {}

    @property
    def bound(self) -> bool:
        """Whether the keys work."""
        return self._layer is not None

    def bind(self, layer: napari.layers.Layer | None) -> None:
        """Bind the keys to this layer alone; None: to none."""
        if layer is self._layer:
            return
        self._release()
        self._layer = layer
        if layer is None:
            return
        self._before = {key: layer.keymap.get(key) for key in self._actions}
        for key, action in self._actions.items():
            layer.bind_key(key, action, overwrite=True)

    def _release(self) -> None:
        layer = self._layer
        if layer is None:
            return
        for key, action in self._actions.items():
            # A user's binding of meanwhile stays.
            if layer.keymap.get(key) is action:
                layer.bind_key(key, self._before[key], overwrite=True)
        self._layer, self._before = None, {}


class CanvasFilter(QObject):
    """Hears what napari does not tell: Tab in the canvas, and that the mouse left it.

    Parameters
    ----------
    tab : callable
        Returns whether it took the key, with which Qt would go to the next field.
    left : callable
    """

    def __init__(self, tab: Callable[[], bool], left: Callable[[], None]) -> None:
        super().__init__()
        self._tab, self._left = tab, left
        self._canvases: list[QWidget] = []

    def attach(self, window: QWidget | None) -> None:
        """Listen to the canvases of a window, and let them have the keys."""
        self._canvases = [] if window is None else list(window.findChildren(QOpenGLWidget))
        for canvas in self._canvases:
            canvas.installEventFilter(self)
            canvas.setFocus(Qt.FocusReason.OtherFocusReason)

    def detach(self) -> None:
        """Listen no more."""
        for canvas in self._canvases:
            canvas.removeEventFilter(self)
        self._canvases = []

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Take Tab; leave the rest."""
        if event is None:
            return False
        if event.type() == QEvent.Type.Leave:
            self._left()
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.KeyPress
            and event.key() == Qt.Key.Key_Tab
            and event.modifiers() == Qt.KeyboardModifier.NoModifier
        ):
            return self._tab()
        return False
