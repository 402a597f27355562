"""Objects that are being prompted and not accepted yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ...instances import Mask
from ...prompting import Candidate, Prompt
from .ground import Region

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One action of the user: points, a box or a mask, in px of the plane.

    Parameters
    ----------
    points : tuple of (row, col)
    label : int
        `ON` or `OFF`, of all its points.
    box : (row_min, col_min, row_max, col_max), optional
    mask : Mask, optional
    outline : tuple of (row, col)
        What to draw of it, where that is not the points.
    corrected : Candidate, optional
        The mask that was shown when it was made.
    """

    points: tuple[Point, ...] = ()
    label: int = 1
    box: Region | None = None
    mask: Mask | None = None
    outline: tuple[Point, ...] = ()
    corrected: Candidate | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class Answered:
    """What the model gave, and which of that is shown."""

    #: The best first.
    answers: tuple[Candidate, ...] = ()
    #: Which of the answers is shown.
    choice: int = 0

    @property
    def shown(self) -> Candidate | None:
        """The answer that is chosen, if it has pixels."""
        if not self.answers:
            return None
        candidate = self.answers[self.choice]
        return candidate if candidate.mask.pixels.size else None

    @property
    def mask(self) -> Mask | None:
        """Its pixels; None if there are none."""
        return None if self.shown is None else self.shown.mask

    def next(self) -> None:
        """Choose the next answer."""
        if self.answers:
            self.choice = (self.choice + 1) % len(self.answers)


@dataclass(slots=True, eq=False)
class Draft(Answered):
    """One object: what was said of it, and the model's answers.

    The answers are those of earlier steps until new ones are here.

    Parameters
    ----------
    plane : tuple of int
    key : int
        Names it while it is there.
    edits : int
        Number of the accepted object that it is to replace; 0: none.
    """

    plane: tuple[int, ...]
    key: int
    edits: int = 0
    steps: list[Step] = field(default_factory=list)
    #: How often its steps have changed, and to which state of them the answers are.
    version: int = 0
    answered_version: int = -1

    def add(self, step: Step) -> None:
        """Say more of it."""
        self.steps.append(replace(step, corrected=self.shown if self.steps else None))
        self.version += 1

    def take_back(self) -> bool:
        """Forget the last step; return whether any is left."""
        self.steps.pop()
        self.version += 1
        return bool(self.steps)

    def prompt(self) -> Prompt:
        """What to ask the model."""
        points = [point for step in self.steps for point in step.points]
        labels = [step.label for step in self.steps for _ in step.points]
        boxes = [step.box for step in self.steps if step.box is not None]
        masks = [step.mask for step in self.steps if step.mask is not None]
        last = self.steps[-1]
        # A new box or mask starts anew; clicks correct what was seen.
        again = last.box is not None or last.mask is not None
        return Prompt(
            tuple(points),
            tuple(labels),
            boxes[-1] if boxes else None,
            masks[-1] if masks else None,
            None if again else last.corrected,
        )

    @property
    def answered(self) -> bool:
        """Whether the answers are to the last step."""
        return self.answered_version == self.version

    def answer(self, answers: tuple[Candidate, ...], version: int) -> None:
        """Take the model's answers to the steps as they were."""
        self.answers, self.choice, self.answered_version = answers, 0, version

    def add_answers(self, answers: tuple[Candidate, ...], version: int) -> None:
        """Take other answers to the same steps, and choose the first of these."""
        if version == self.answered_version:
            self.choice = len(self.answers)
            self.answers = (*self.answers, *answers)


class Drafts:
    """The objects under way; the last one takes further prompts."""

    def __init__(self) -> None:
        self._all: list[Draft] = []
        self._keys = 0

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Draft]:
        return iter(self._all)

    @property
    def last(self) -> Draft | None:
        """The one that takes further prompts."""
        return self._all[-1] if self._all else None

    @property
    def plane(self) -> tuple[int, ...] | None:
        """The plane that they are on."""
        return self._all[0].plane if self._all else None

    def start(self, plane: tuple[int, ...], edits: int = 0) -> Draft:
        """Begin another object."""
        self._keys += 1
        draft = Draft(plane, self._keys, edits)
        self._all.append(draft)
        return draft

    def unanswered(self) -> list[Draft]:
        """Those that the model is still to be asked about."""
        return [draft for draft in self._all if not draft.answered]

    def find(self, key: int) -> Draft | None:
        """Return the one of this key, if it is still there."""
        return next((draft for draft in self._all if draft.key == key), None)

    def take_back(self) -> None:
        """Forget the last step."""
        if self._all and not self._all[-1].take_back():
            self._all.pop()

    def clear(self) -> None:
        """Forget all of them."""
        self._all.clear()
