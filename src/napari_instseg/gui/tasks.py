"""Work in a thread of its own that tells how far it is, and can be stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from napari.qt.threading import create_worker
from qtpy.QtCore import Signal
from superqt.utils import WorkerBase
from superqt.utils._qthreading import WorkerBaseSignals

from ..models.entry import Report

MB = 1_000_000

#: Signals of a worker, and what hears each.
Slots: TypeAlias = list[tuple[Any, Callable[..., None]]]


class CancelledError(Exception):
    """The user wants no more of it."""


class WorkerSignals(WorkerBaseSignals):
    """What every `Worker` tells, beside Qt's own."""

    progress = Signal(int, int, str)
    aborted = Signal(object)


class Worker(WorkerBase[Any]):
    """A worker with ``progress(done, total, message)`` and ``aborted(what is done or None)``.

    Signals: ``started``, then any number of ``progress``, then one of ``returned``, ``errored``
    and ``aborted``, and always ``finished``.

    Notes
    -----
    A subclass of `WorkerBase`, not a generator worker: superqt returns a RuntimeError that a
    generator raises (Torch has many) instead of reporting it, and no signal follows.
    """

    #: A worker that tells more has signals of its own.
    kind_of_signals: type[WorkerSignals] = WorkerSignals

    def __init__(self) -> None:
        super().__init__(SignalsClass=self.kind_of_signals)
        self.signals: WorkerSignals
        self._last: tuple[int, int, str] | None = None

    def report(self, done: int, total: int, message: str) -> None:
        """Pass on how many bytes of a download are here, in MB; stop it if that is wanted.

        Raises
        ------
        CancelledError
            If `quit` was called.
        """
        if self.cancelled():
            raise CancelledError
        if total:
            # Qt's numbers end at 2 GB, and a bar has no more than some hundred steps.
            done, total = done // MB, max(1, total // MB)
            message = f"{message}: {done} of {total} MB"
        step = done, total, message
        if step != self._last:
            self._last = step
            self.signals.progress.emit(*step)

    def cancelled(self) -> bool:
        """Whether `quit` was called."""
        # Another thread sets it; a property would look constant to type checkers.
        return bool(self.abort_requested)


WorkerT = TypeVar("WorkerT", bound=Worker)


def new_worker(
    kind: type[WorkerT], slots: Callable[[WorkerT], Slots], job: object, *others: object
) -> WorkerT:
    """Make a worker as ``kind(job, *others)``, connected and not started yet.

    Parameters
    ----------
    kind : type
    slots : callable
        Says what hears the worker's signals.
    job : object
        Its text is what napari calls it when its window is closed.
    *others
    """
    # create_worker tells napari, so that closing the window asks first.
    worker: WorkerT = create_worker(
        job, *others, _worker_class=kind, _start_thread=False, _ignore_errors=True
    )
    hear(slots(worker))
    return worker


def hear(slots: Slots) -> None:
    """Connect a worker's signals."""
    for signal, slot in slots:
        signal.connect(slot)


def let_go(slots: Slots) -> None:
    """Hear no more of a worker."""
    for signal, slot in slots:
        signal.disconnect(slot)


@dataclass(frozen=True, eq=False)
class Task:
    """A function that takes a `Report`, and what napari calls it when its window is closed."""

    work: Callable[[Report], Any]
    title: str

    def __str__(self) -> str:
        """Text for napari's question."""
        return self.title


class TaskWorker(Worker):
    """Does a task; what it returns comes with ``returned``."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._task = task

    def work(self) -> Any:
        """Do it; `WorkerBase` reports the result and errors."""
        try:
            return self._task.work(self.report)
        except CancelledError:
            self.signals.aborted.emit(None)
            return None
