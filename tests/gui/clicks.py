"""Clicks and keys as a user makes them, and answers to dialogs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtWidgets import QAbstractButton, QApplication, QTreeWidgetItem, QWidget

from napari_instseg.gui.model_tree import ModelTree

#: Long, ms: other work may share the machine.
WAIT = 180_000
LEFT = Qt.MouseButton.LeftButton


def click(qtbot: Any, button: QAbstractButton) -> None:
    # What has just been shown has no size yet.
    qtbot.waitUntil(lambda: button.isVisible() and button.height() > 5, timeout=WAIT)
    assert button.isEnabled()
    qtbot.mouseClick(button, LEFT)


def row_of(models: ModelTree, text: str) -> QTreeWidgetItem:
    found = models.tree.findItems(text, Qt.MatchFlag.MatchExactly | Qt.MatchFlag.MatchRecursive, 0)
    assert len(found) == 1, (text, [item.text(0) for item in found])
    return found[0]


def click_row(qtbot: Any, models: ModelTree, text: str) -> None:
    item = row_of(models, text)
    models.tree.scrollToItem(item)
    place = models.tree.visualItemRect(item).center()
    qtbot.mouseClick(models.tree.viewport(), LEFT, pos=QPoint(place.x(), place.y()))


def in_dialog(answer: Callable[[Any], None], kind: type[QWidget] = QWidget) -> list[QWidget]:
    """Call ``answer`` with the next modal dialog once it is open; return the list it is put on."""
    met: list[QWidget] = []

    def look() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, kind) and dialog.isVisible():
            met.append(dialog)
            timer.stop()
            answer(dialog)

    timer = QTimer(QApplication.instance())
    timer.timeout.connect(look)
    timer.start(20)
    return met


class Heard(list[str]):
    """Texts of the notifications meanwhile."""

    def __enter__(self) -> Heard:
        from napari.utils.notifications import notification_manager

        self._event = notification_manager.notification_ready
        self._event.connect(self._hear)
        return self

    def _hear(self, event: Any) -> None:
        self.append(event.message)

    def __exit__(self, *_: object) -> None:
        self._event.disconnect(self._hear)
