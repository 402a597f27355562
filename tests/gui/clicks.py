"""Clicks and keys as a user makes them, answers to dialogs, and whether the window lives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
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


class Beats:
    """Beats of the event loop while something works: none if the window stands still meanwhile.

    They are counted, not timed: on a busy machine both take longer.
    """

    def __init__(self, patch: pytest.MonkeyPatch, owner: type, work: str) -> None:
        self._count, self._meanwhile = 0, list[int]()
        self._timer = QTimer()
        self._timer.timeout.connect(self._beat)
        self._timer.start(10)
        do = getattr(owner, work)

        def watched(*args: Any, **options: Any) -> Any:
            before = self._count
            try:
                return do(*args, **options)
            finally:
                self._meanwhile.append(self._count - before)

        patch.setattr(owner, work, watched)

    def _beat(self) -> None:
        self._count += 1

    def check(self) -> None:
        """Stop, and fail if the window stood still."""
        self._timer.stop()
        assert sum(self._meanwhile) >= 3, f"beats while it worked: {self._meanwhile}"
