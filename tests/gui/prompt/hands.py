"""A user's mouse and keyboard over the canvas of a viewer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import napari
import napari.layers
import numpy as np
from gui.clicks import WAIT
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication

LEFT, RIGHT, MIDDLE = (
    Qt.MouseButton.LeftButton,
    Qt.MouseButton.RightButton,
    Qt.MouseButton.MiddleButton,
)
NONE, SHIFT, ALT, CTRL = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.AltModifier,
    Qt.KeyboardModifier.ControlModifier,
)


class Hands:
    """Real events, sent to the canvas; places are pixels (row, col) of an image layer.

    Pixel (r, c) is (r, c) here, as in napari, not r + 0.5.
    """

    def __init__(self, viewer: napari.Viewer, qtbot: Any, layer: napari.layers.Layer) -> None:
        self.viewer, self.qtbot, self.layer = viewer, qtbot, layer
        # Tolerated by napari until 0.10; there is no other way to its canvas.
        self.canvas = viewer.window._qt_viewer.canvas
        self.settle()

    def settle(self) -> None:
        """Wait until nothing moves the picture any more, as a dock or controls that come do."""

        def still() -> bool:
            before = self._place()
            self.qtbot.wait(50)
            return min(before[:2]) > 0 and self._place() == before

        self.until(still)

    def _place(self) -> tuple[float, ...]:
        """Size of the canvas, and where two points of the world are on it, px."""
        points = self.canvas.view.scene.transform.map([[0, 0, 0, 1], [1, 1, 0, 1]])
        return (self.native.width(), self.native.height(), *points.ravel().tolist())

    @property
    def native(self) -> Any:
        return self.canvas.native

    def on_screen(self, row: float, col: float) -> QPoint:
        """Where a pixel of the plane in view is on the canvas."""
        world = self.in_world(row, col)
        shown = [world[d] for d in self.viewer.dims.displayed]
        at = self.canvas.view.scene.transform.map([shown[1], shown[0], 0, 1])
        return QPoint(round(at[0] / at[3]), round(at[1] / at[3]))

    def in_world(self, row: float, col: float) -> np.ndarray:
        """Where a pixel of the plane in view is in the world."""
        viewer, layer = self.viewer, self.layer
        data = np.array(layer.world_to_data(viewer.dims.point), float)
        data[-2:] = row, col
        world = np.array(viewer.dims.point, float)
        world[viewer.dims.ndim - layer.ndim :] = layer.data_to_world(data)
        return world

    def move(self, row: float, col: float) -> None:
        self.qtbot.mouseMove(self.native, self.on_screen(row, col))
        # napari looks at the mouse every 5 ms; on a busy machine that may be later.
        shown, pixel = list(self.viewer.dims.displayed), self.layer.scale[-2:].max()
        goal = self.in_world(row, col)[shown]
        self.until(
            lambda: np.abs(np.array(self.viewer.cursor.position)[shown] - goal).max() <= pixel
        )
        self._let()

    def click(self, row: float, col: float, button: Any = LEFT, keys: Any = NONE) -> None:
        at = self.on_screen(row, col)
        self.qtbot.mouseMove(self.native, at)
        self.qtbot.mousePress(self.native, button, keys, at)
        self.qtbot.mouseRelease(self.native, button, keys, at)
        self._let()

    def drag(
        self,
        path: Sequence[tuple[float, float]],
        button: Any = LEFT,
        keys: Any = NONE,
        let_go: bool = True,
    ) -> None:
        points = [self.on_screen(*at) for at in path]
        self.qtbot.mouseMove(self.native, points[0])
        self.qtbot.mousePress(self.native, button, keys, points[0])
        for begin, end in pairwise(points):
            for share in np.linspace(0, 1, 6)[1:]:
                at = QPoint(
                    round(begin.x() + share * (end.x() - begin.x())),
                    round(begin.y() + share * (end.y() - begin.y())),
                )
                self.qtbot.mouseMove(self.native, at)
                # napari looks at the mouse every 5 ms.
                self.qtbot.wait(8)
        if let_go:
            self.qtbot.mouseRelease(self.native, button, keys, points[-1])
        self._let()

    def release(self, row: float, col: float, button: Any = LEFT, keys: Any = NONE) -> None:
        self.qtbot.mouseRelease(self.native, button, keys, self.on_screen(row, col))
        self._let()

    def double_click(self, row: float, col: float) -> None:
        at = self.on_screen(row, col)
        self.qtbot.mouseMove(self.native, at)
        self.qtbot.mousePress(self.native, LEFT, NONE, at)
        self.qtbot.mouseRelease(self.native, LEFT, NONE, at)
        self.qtbot.mouseDClick(self.native, LEFT, NONE, at)
        self.qtbot.mouseRelease(self.native, LEFT, NONE, at)
        self._let()

    def press(self, key: Any, keys: Any = NONE) -> None:
        self.native.setFocus()
        self.qtbot.keyClick(self.native, key, keys)
        self._let()

    def _let(self) -> None:
        QApplication.processEvents()

    def until(self, condition: Any) -> None:
        self.qtbot.waitUntil(condition, timeout=WAIT)
