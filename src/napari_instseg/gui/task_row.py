"""A task under way: its progress, its last words, and a button to stop it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from napari.utils.notifications import Notification, notification_manager, show_error
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from ..models.entry import Report
from ..segmenter import InstsegError
from .form_rows import text_label
from .tasks import Slots, Task, TaskWorker, let_go, new_worker

#: Longer last words are cut.
LONGEST = 160
#: Words longer than this, such as paths, may be broken, since labels are as wide as a word.
LONG_WORD = re.compile(r"\S{24,}")


class TaskRow(QWidget):
    """Runs one task at a time in a thread of its own; hidden until there is something to say."""

    #: A task has ended, in whatever way.
    ended = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.worker: TaskWorker | None = None
        self._then: Callable[[Any], None] | None = None
        self._wait = True
        self.bar = QProgressBar()
        self.bar.setFormat("%p %")
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.clicked.connect(self.cancel)
        self.text = text_label()
        line = QHBoxLayout()
        line.addWidget(self.bar, 1)
        line.addWidget(self.cancel_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(line)
        column.addWidget(self.text)
        self.hide()

    def start(
        self,
        title: str,
        work: Callable[[Report], Any],
        then: Callable[[Any], None] | None = None,
        *,
        wait: bool = True,
    ) -> None:
        """Start a task.

        Parameters
        ----------
        title : str
            Names it in napari's question when the window is closed meanwhile.
        work : callable
            Takes a `Report`; runs in another thread.
        then : callable, optional
            Called with what it returned.
        wait : bool
            Wait for its end after a cancel, which a network that stalls may hold up.
        """
        worker = new_worker(TaskWorker, self._slots, Task(work, title))
        self.worker, self._then, self._wait = worker, then, wait
        self._report(0, 0, title)
        for widget in (self, self.bar, self.cancel_button):
            widget.setVisible(True)
        self.cancel_button.setEnabled(True)
        worker.start()

    def cancel(self) -> None:
        """Ask the task to stop."""
        worker = self.worker
        if worker is None:
            return
        worker.quit()
        self.cancel_button.setEnabled(False)
        self.say("Cancelling…")
        if not self._wait:
            let_go(self._slots(worker))
            self._abort()
            self._end()

    def _slots(self, worker: TaskWorker) -> Slots:
        return [
            (worker.progress, self._report),
            (worker.returned, self._succeed),
            (worker.aborted, self._abort),
            (worker.errored, self._fail),
            (worker.finished, self._end),
        ]

    def say(self, text: str) -> None:
        """Show a text, "" none."""
        self.text.setText(breakable(text))
        self.setVisible(bool(text))

    def _report(self, done: int, total: int, message: str) -> None:
        if self.worker is not None and not self.worker.cancelled():
            self.bar.setRange(0, total)
            self.bar.setValue(done)
            short = message if len(message) <= LONGEST else f"{message[:LONGEST]}…"
            self.say(sentence(short))

    def _abort(self, result: Any = None) -> None:
        self.say("Cancelled.")

    def _succeed(self, result: Any) -> None:
        self.say("")
        if self._then is not None:
            self._then(result)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, InstsegError):
            self.say(sentence(str(error)))
        else:
            self.say("Failed: see the notification.")
            notify(error)

    def _end(self) -> None:
        self.worker = self._then = None
        self.bar.hide()
        self.cancel_button.hide()
        self.ended.emit()


def breakable(text: str) -> str:
    """Let long words be broken after signs, with marks that are not seen."""
    return LONG_WORD.sub(lambda word: re.sub(r"([/\\._=-])", "\\1\u200b", word[0]), text)


def sentence(text: str) -> str:
    """Begin with a capital letter."""
    return text[:1].upper() + text[1:]


def notify(error: Exception) -> None:
    """Show an error as a notification; ours are plain text, others keep their traceback."""
    if isinstance(error, InstsegError):
        show_error(str(error))
    else:
        notification_manager.dispatch(Notification.from_exception(error))
