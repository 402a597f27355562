"""Clicks and keys as a user makes them, answers to dialogs, and whether the window lives."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
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
    """Beats of the event loop: whether the window stood still meanwhile.

    While others have the processor, more time passes than the process has: the lesser counts.
    """

    def __init__(self) -> None:
        self._beats = [(time.perf_counter(), time.process_time())]
        self._timer = QTimer()
        self._timer.timeout.connect(self.note)
        self._timer.start(10)

    def note(self) -> None:
        self._beats.append((time.perf_counter(), time.process_time()))

    def check(self, until: float | None = None) -> None:
        """Stop, and fail if it stood still for longer than a second, up to a time."""
        self._timer.stop()
        self.note()
        beats = [beat for beat in self._beats if until is None or beat[0] <= until]
        gaps = np.diff(beats, axis=0).min(axis=1)
        print(f"{len(gaps)} beats, median {np.median(gaps):.3f} s, worst {gaps.max():.2f} s")
        if hasattr(os, "getloadavg") and os.getloadavg()[0] > 2 * (os.cpu_count() or 1):
            pytest.skip("the machine is overloaded: its pauses are not the viewer's")
        assert len(gaps) > 10
        assert gaps.max() <= 1.0, f"the event loop stood still for {gaps.max():.2f} s"
