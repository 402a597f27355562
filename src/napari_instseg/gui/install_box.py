"""Detectron2 by a click: what would be done, a button, and how it goes."""

from __future__ import annotations

import importlib
from html import escape

from qtpy.QtCore import Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFrame, QLabel, QPushButton, QVBoxLayout

from ..models.detectron2 import install
from ..models.entry import Report
from ..segmenter import InstsegError
from .task_row import TaskRow, breakable, sentence

WHAT = "This model runs in Detectron2, which is not installed."
HOW = "No compiler is needed, and what is installed keeps its version. The button puts"


class InstallBox(QFrame):
    """Offers to install Detectron2 into the running Python.

    Parameters
    ----------
    what : str
        What the button is for.
    """

    #: It was installed: models that need it can run from now on.
    installed = Signal()

    def __init__(self, what: str = WHAT) -> None:
        super().__init__()
        self._what, self._done = what, False
        self.text = QLabel(what)
        self.text.setWordWrap(True)
        self.button = QPushButton("Install Detectron2")
        self.button.clicked.connect(self.start)
        self.task = TaskRow()
        self.task.ended.connect(self._end)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.text, self.button, self.task):
            column.addWidget(widget)

    @property
    def busy(self) -> bool:
        """Whether it is being installed."""
        return self.task.worker is not None

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Find out what would be done, and whether it can be."""
        super().showEvent(event)
        if self.busy:
            return
        try:
            lines = install.plan()
        except InstsegError as error:
            text = str(error)
            self.task.say(sentence(text))
            self.button.setEnabled(False)
        else:
            self.text.setText(breakable(f"{self._what} {HOW} {lines[0]}."))
            # As HTML, so that long commands are broken into lines.
            self.button.setToolTip("<br>".join(escape(line) for line in lines))
            self.button.setEnabled(True)

    def start(self) -> None:
        """Install it."""
        self.button.setEnabled(False)
        self._done = False
        self.task.start("installing Detectron2", _install, self._succeed)

    def _succeed(self, state: object) -> None:
        # The import system remembers the folders that it has looked into.
        importlib.invalidate_caches()
        self._done = True

    def _end(self) -> None:
        self.button.setEnabled(True)
        if self._done:
            self.installed.emit()


def _install(report: Report) -> object:
    """Run the installer, whose reports are lines, and empty ones to ask whether to go on."""
    last = ""

    def line(text: str) -> None:
        nonlocal last
        last = text.strip() or last
        report(0, 0, last)

    return install.install(line)
