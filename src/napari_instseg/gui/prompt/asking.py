"""Questions to the model and what comes back: for the objects under way, and under the mouse."""

from __future__ import annotations

from dataclasses import dataclass

import napari.viewer
import numpy as np
from qtpy.QtCore import QObject, Signal

from ...prompting import Prompt, PromptSession, View
from .drafts import Answered, Draft, Drafts, Step
from .ground import Ground
from .lanes import Answers, Decoder, Encoder, Question

#: So many tiles are encoded before somebody asks, the nearest first.
AHEAD = 12


@dataclass(slots=True, eq=False)
class Hover(Answered):
    """What a click or a drag would give."""

    prompt: Prompt
    plane: tuple[int, ...]


class Asking(QObject):
    """Keeps the objects under way answered, and the tiles around them encoded.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    session : PromptSession
    ground : Ground
    """

    #: There are other answers, or tiles came or are wanted.
    changed = Signal()
    failed = Signal(object)

    def __init__(
        self, viewer: napari.viewer.Viewer, session: PromptSession, ground: Ground
    ) -> None:
        super().__init__()
        self._viewer, self.session, self._ground = viewer, session, ground
        self.drafts = Drafts()
        self.hover: Hover | None = None
        self._wants_hover = False
        #: The tile that the objects under way wait for.
        self.waits_for: View | None = None
        #: The last question was not answered for an error.
        self.has_failed = False
        self._looked_at: View | None = None
        self._decoder, self.encoder = Decoder(), Encoder()
        self._decoder.answered.connect(self._answered)
        self._decoder.failed.connect(self._fail)
        self.encoder.ready.connect(self._encoded)
        self.encoder.failed.connect(self._fail)
        self.encoder.changed.connect(self.changed)
        self.encoder.use(session)

    def end(self) -> None:
        """Want nothing any more."""
        self.encoder.use(None)
        self.forget()

    def forget(self) -> None:
        """Forget the objects under way."""
        self.drafts.clear()
        self._decoder.forget()
        self.waits_for, self.has_failed = None, False
        self.drop_hover()

    def drop_hover(self) -> None:
        """Show nothing under the mouse, nor what is asked about that."""
        self.hover, self._wants_hover = None, False

    def begin(self, plane: tuple[int, ...], edits: int = 0) -> Draft:
        """Begin an object; what is under way on another plane is forgotten."""
        if self.drafts.plane not in (None, plane):
            self.drafts.clear()
        self.drop_hover()
        return self.drafts.start(plane, edits)

    def keep(self, hover: Hover) -> None:
        """Begin an object with what is shown under the mouse."""
        draft = self.begin(hover.plane)
        draft.add(Step(hover.prompt.points, box=hover.prompt.box))
        draft.answer(hover.answers, draft.version)
        draft.choice = hover.choice

    def ask(self) -> None:
        """Ask about the objects that are not answered, once their tile is encoded."""
        asked = self.drafts.unanswered()
        self.waits_for, self.has_failed = None, False
        if not asked:
            return
        prompts = tuple(draft.prompt() for draft in asked)
        plane = asked[0].plane
        views = [self._view(prompt, plane) for prompt in prompts]
        missing = [view for view in dict.fromkeys(views) if not self.session.has(view)]
        if missing:
            self.waits_for = missing[0]
            self.encoder.want(missing, urgent=True)
        if not missing or self.session.has(missing[0]):
            keys = tuple((draft.key, draft.version) for draft in asked)
            self._decoder.ask(Question(self.session, prompts, plane, keys))
        self.changed.emit()

    def ask_for_more(self, draft: Draft) -> None:
        """Ask for the masks that an ambiguous prompt would give, beside the one that is there."""
        keys = ((draft.key, draft.version),)
        self._decoder.ask(Question(self.session, (draft.prompt(),), draft.plane, keys, more=True))

    def try_out(self, plane: tuple[int, ...], step: Step) -> None:
        """Find what a step would give by itself, if that takes no encoding."""
        prompt = Prompt(step.points, (step.label,) * len(step.points), step.box)
        view = self._view(prompt, plane)
        self._wants_hover = True
        if self.session.has(view):
            self._decoder.ask(Question(self.session, (prompt,), plane))
        elif view != self._looked_at:
            self._looked_at, self.hover = view, None
            self.look(view)
            self.changed.emit()

    def look(self, first: View | None = None) -> None:
        """Encode ahead what the canvas shows and what lies around it, the nearest first."""
        plane, region = self._ground.plane(), self._ground.region()
        if plane is None or region is None:
            return
        center = np.array([region[0] + region[2], region[1] + region[3]]) / 2
        middle = self.session.view_for(plane, (*center, *center))

        def distance(view: View) -> float:
            tile = self.session.region(view)
            spot = np.array([tile.top + tile.bottom, tile.left + tile.right]) / 2
            return float(np.hypot(*(spot - center)))

        def seen(view: View) -> bool:
            tile = self.session.region(view)
            rows = tile.top < region[2] and region[0] < tile.bottom
            return rows and tile.left < region[3] and region[1] < tile.right

        around = sorted(self.session.neighbours(middle), key=lambda v: (not seen(v), distance(v)))
        wanted = [*([] if first is None else [first]), middle, *around]
        self.encoder.want(list(dict.fromkeys(wanted))[:AHEAD])

    def _view(self, prompt: Prompt, plane: tuple[int, ...]) -> View:
        """Where the session will look."""
        previous = prompt.previous
        if previous is not None and previous.view.plane == plane:
            at = self.session.to_picture(previous.view, np.reshape(prompt.points, (-1, 2)))
            if np.all((at >= 0) & (at <= previous.view.tile.shape)):
                return previous.view
        return self.session.view_for(plane, prompt.region)

    def _encoded(self, view: View) -> None:
        if view == self.waits_for:
            self.ask()
        if view == self._looked_at:
            self._looked_at = None

    def _answered(self, question: Question, answers: Answers) -> None:
        if question.hover and self._wants_hover:
            self.hover = Hover(question.prompts[0], question.plane, answers=answers[0])
        for (key, version), answer in zip(question.keys, answers, strict=False):
            draft = self.drafts.find(key)
            if draft is not None and question.more:
                draft.add_answers(answer, version)
            elif draft is not None:
                draft.answer(answer, version)
        self.changed.emit()

    def _fail(self, error: Exception) -> None:
        self.waits_for, self.has_failed = None, True
        self.failed.emit(error)
        self.changed.emit()
