"""Encoding and decoding beside the GUI's thread: the newest question first, no question twice."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtCore import QObject, Signal
from superqt.utils import WorkerBase
from superqt.utils._qthreading import WorkerBaseSignals

from ...prompting import Candidate, Prompt, PromptSession, View
from ..tasks import Slots, Worker, hear, let_go

#: Index of a plane along each plane axis.
Plane = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What the decoder is asked.

    Parameters
    ----------
    session : PromptSession
    prompts : tuple of Prompt
        One an object; answered as one batch.
    plane : tuple of int
    keys : tuple of (int, int)
        Key and version of each draft; empty for a preview under the mouse.
    more : bool
        Whether it is for other candidates than those that are there.
    """

    session: PromptSession
    prompts: tuple[Prompt, ...]
    plane: Plane
    keys: tuple[tuple[int, int], ...] = ()
    more: bool = False

    @property
    def hover(self) -> bool:
        """Whether it is for a preview under the mouse, which must be quick or not at all."""
        return not self.keys


#: One tuple of candidates a prompt, best first.
Answers = Sequence[tuple[Candidate, ...]]


class _Decode(Worker):
    def __init__(self, question: Question) -> None:
        super().__init__()
        self.question = question

    def work(self) -> Answers:
        question = self.question
        return question.session.candidates(
            question.prompts,
            question.plane,
            multimask=True if question.more else None,
            reach=0 if question.hover else None,
        )


class Decoder(QObject):
    """Answers one question at a time; of those that come meanwhile only the newest is kept."""

    #: The question, and its answers.
    answered = Signal(object, object)
    failed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._worker: _Decode | None = None
        self._next: Question | None = None

    @property
    def busy(self) -> bool:
        """Whether a question is being answered."""
        return self._worker is not None

    def ask(self, question: Question) -> None:
        """Ask; a question that still waits is forgotten, unless this one is only a preview."""
        if question.hover and self._next is not None and not self._next.hover:
            return
        self._next = question
        if self._worker is None:
            self._go_on()

    def forget(self) -> None:
        """Want no answer any more, not even to the question under way."""
        self._next = None
        worker = self._worker
        if worker is not None:
            let_go(self._slots(worker))
            worker.quit()
            self._worker = None

    def _slots(self, worker: _Decode) -> Slots:
        return [
            (worker.returned, self._answer),
            (worker.errored, self._fail),
            (worker.finished, self._end),
        ]

    def _go_on(self) -> None:
        question, self._next = self._next, None
        if question is None:
            return
        self._worker = worker = _Decode(question)
        hear(self._slots(worker))
        worker.start()

    def _answer(self, answers: Answers) -> None:
        if self._worker is not None:
            self.answered.emit(self._worker.question, answers)

    def _fail(self, error: Exception) -> None:
        self.failed.emit(error)

    def _end(self) -> None:
        self._worker = None
        self._go_on()


class _Views:
    """Views that are wanted, the most urgent first; shared by the GUI and one worker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._urgent: list[View] = []
        self._ahead: list[View] = []
        self._current: View | None = None

    def __len__(self) -> int:
        with self._lock:
            return len(self._urgent) + len(self._ahead) + (self._current is not None)

    @property
    def waiting(self) -> bool:
        """Whether there is a next one."""
        with self._lock:
            return bool(self._urgent or self._ahead)

    def put(self, views: Sequence[View], urgent: bool) -> None:
        """Want views: before all others, or instead of those that were wanted ahead."""
        with self._lock:
            new = [view for view in views if view != self._current]
            if urgent:
                self._urgent = [*new, *(view for view in self._urgent if view not in new)]
            else:
                self._ahead = new
            self._ahead = [view for view in self._ahead if view not in self._urgent]

    def take(self) -> View | None:
        """Hand out the next one; the last one is done."""
        with self._lock:
            queue = self._urgent or self._ahead
            self._current = queue.pop(0) if queue else None
            return self._current

    def put_down(self) -> None:
        """Nobody works on the one that was handed out last; those that came since stay wanted."""
        with self._lock:
            self._current = None

    def clear(self) -> None:
        """Want nothing any more."""
        with self._lock:
            self._urgent, self._ahead, self._current = [], [], None


class _EncodeSignals(WorkerBaseSignals):
    encoded = Signal(object)


class _Encode(WorkerBase[None]):
    """Encodes views until none is left; which is next is decided when its turn comes."""

    def __init__(self, session: PromptSession, views: _Views) -> None:
        super().__init__(SignalsClass=_EncodeSignals)
        self.signals: _EncodeSignals
        self._session, self._views = session, views

    def work(self) -> None:
        while not self.abort_requested:
            view = self._views.take()
            if view is None:
                return
            self._session.embedding(view)
            self.signals.encoded.emit(view)


class Encoder(QObject):
    """Encodes views in the order of their urgency, one at a time."""

    #: A view's embedding is there.
    ready = Signal(object)
    failed = Signal(object)
    #: Another number of views is left.
    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._worker: _Encode | None = None
        self._session: PromptSession | None = None
        self._views = _Views()

    @property
    def left(self) -> int:
        """Number of views to encode, that under way included."""
        return len(self._views)

    def use(self, session: PromptSession | None) -> None:
        """Encode views of another session from now on; None stops."""
        self.stop()
        self._session = session

    def want(self, views: Sequence[View], *, urgent: bool = False) -> None:
        """Encode these next (urgent), or, instead of what was wanted ahead, when there is time."""
        session = self._session
        if session is None:
            return
        self._views.put([view for view in views if not session.has(view)], urgent)
        if self._worker is None:
            self._go_on()
        self.changed.emit()

    def stop(self) -> None:
        """Encode nothing any more; what is under way comes to its end unheard."""
        worker, self._worker = self._worker, None
        self._views.clear()
        # That worker may still ask for a view.
        self._views = _Views()
        if worker is not None:
            let_go(self._slots(worker))
            worker.quit()

    def _slots(self, worker: _Encode) -> Slots:
        return [
            (worker.encoded, self._tell),
            (worker.errored, self._fail),
            (worker.finished, self._end),
        ]

    def _go_on(self) -> None:
        if self._session is None or not self._views.waiting:
            return
        self._worker = worker = _Encode(self._session, self._views)
        hear(self._slots(worker))
        worker.start()

    def _tell(self, view: View) -> None:
        self.ready.emit(view)
        self.changed.emit()

    def _fail(self, error: Exception) -> None:
        self._views.clear()
        self.failed.emit(error)

    def _end(self) -> None:
        self._worker = None
        self._views.put_down()
        self._go_on()
        self.changed.emit()
