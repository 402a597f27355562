"""Draw objects anew with a promptable model: each is one prompt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from ..instances import Instances, Mask
from ..ops.masks import mask_iou
from ..progress import Progress
from ..segmentation import Segmentation
from .batches import by_picture
from .prompts import Candidate
from .refine_settings import RefineSettings
from .refine_targets import Target, targets_of

if TYPE_CHECKING:
    from .session import PromptSession


#: In a recipe, the smallest and the largest area (px; None: any) of objects.
AREAS = "areas"


class RefineRun:
    """One run, step by step: the detector-to-SAM chain, or objects from a layer.

    Iterate to work; leave the loop at any step to cancel; `result` gives all objects, those
    that are done in their new form.

    Parameters
    ----------
    session : PromptSession
        The image and the model.
    what : Segmentation, path or array
        Objects of a segmentation keep category and score. A path is one of a label image. An
        array holds labels (integers of the image's label shape), boxes (N, 4: first row and
        column, last row and column) or points (N, 2: row and column); in a stack, the plane's
        index comes before these.
    kind : {"labels", "boxes", "points"}, optional
        What an array is, where its shape leaves that open.
    settings : RefineSettings, optional

    Raises
    ------
    InputError
        If it does not fit the image.
    """

    def __init__(
        self,
        session: PromptSession,
        what: Any,
        *,
        kind: str | None = None,
        settings: RefineSettings | None = None,
    ) -> None:
        self.session, self.settings = session, settings or RefineSettings()
        self._what = what if isinstance(what, Segmentation) else None
        self._targets = targets_of(session, what, kind, self.settings)
        self._answers: dict[int, Candidate] = {}
        self._complete = False

    def __iter__(self) -> Iterator[Progress]:
        """Do the work, one batch of objects of one picture a step."""
        asked = {i: (t.plane, t.prompt) for i, t in enumerate(self._targets) if t.asked}
        batches, total = by_picture(self.session, asked), len(asked)
        yield Progress(0, total, "encoding the first picture")
        for plane, batch in batches:
            found = self.session.candidates([asked[i][1] for i in batch], plane, reach=0)
            self._answers |= {i: answer[0] for i, answer in zip(batch, found, strict=True)}
            done = len(self._answers)
            yield Progress(done, total, f"object {done} of {total}")
        self._complete = True

    def predicted_iou(self) -> tuple[tuple[float, ...], ...]:
        """What the model thinks of each object's new mask, by plane; NaN where it was not asked.

        In the order of `Segmentation.raw`.
        """
        return tuple(
            tuple(
                self._answers[i].predicted_iou if i in self._answers else float("nan")
                for i, _ in kept
            )
            for kept in self._kept().values()
        )

    def result(self) -> Segmentation:
        """Return all objects; those whose answer was poor, or is not there yet, as they were."""
        found = {
            plane: Instances.create(
                self.session.plane_shape,
                [mask for _, mask in kept],
                scores=[self._score(i) for i, _ in kept],
                category_ids=[self._targets[i].category_id for i, _ in kept],
            )
            for plane, kept in self._kept().items()
        }
        asked = [self._answers[i].predicted_iou for i in self._answers]
        summary = {
            **self.settings.to_json(),
            "objects": len(self._answers),
            "mean_predicted_iou": float(np.mean(asked)) if asked else None,
        }
        details: dict[str, Any] = {"refine": summary}
        options: dict[str, Any] = {}
        if self._what is not None:
            details["detector"] = {
                "settings": self._what.settings.to_json(),
                **self._what.details,
            }
            options = {"score_threshold": self._what.score_threshold}
            options |= {"categories": self._what.categories}
        return self.session.segmentation(
            found, details=details, warnings=self._warnings(), complete=self._complete, **options
        )

    def _kept(self) -> dict[tuple[int, ...], list[tuple[int, Mask]]]:
        """Objects of each plane and their masks, without those that have none."""
        kept: dict[tuple[int, ...], list[tuple[int, Mask]]] = {
            plane: [] for plane in self.session.planes
        }
        for i, target in enumerate(self._targets):
            mask = self._mask(i)
            if mask is not None and mask.pixels.any():
                kept[target.plane].append((i, mask))
        return kept

    def _mask(self, index: int) -> Mask | None:
        target, answer = self._targets[index], self._answers.get(index)
        if answer is None or self._is_poor(target, answer):
            return target.mask
        return answer.mask

    def _score(self, index: int) -> float:
        score = self._targets[index].score
        if score is not None:
            return score
        answer = self._answers.get(index)
        return 1.0 if answer is None else answer.score

    def _is_poor(self, target: Target, answer: Candidate) -> bool:
        settings = self.settings
        if answer.predicted_iou < settings.min_predicted_iou or not answer.mask.pixels.any():
            return True
        return target.mask is not None and mask_iou(target.mask, answer.mask) < settings.min_iou

    def _warnings(self) -> tuple[str, ...]:
        poor = [
            self._targets[i] for i, a in self._answers.items() if self._is_poor(self._targets[i], a)
        ]
        stay = sum(target.mask is not None for target in poor)
        gone = len(poor) - stay
        why = (
            f"the model's answer had a predicted IoU below {self.settings.min_predicted_iou:g}"
            f", or shared less than {self.settings.min_iou:g} (IoU) with them"
        )
        found = []
        if stay:
            found.append(f"{stay} of {len(self._answers)} objects kept their masks: {why}")
        if gone:
            found.append(
                f"{gone} of {len(self._answers)} prompts gave no object: the predicted IoU was "
                f"below {self.settings.min_predicted_iou:g}"
            )
        return (*(self._what.warnings if self._what is not None else ()), *found)


def within_areas(result: Segmentation, smallest: float, largest: float) -> Segmentation:
    """Leave out objects with a smaller or larger mask, px; the recipe tells the limits."""
    if smallest <= 0 and largest == inf:
        return result

    def kept(plane: Instances) -> Instances:
        areas = np.array([mask.area for mask in plane.masks], float)
        return plane.take((areas >= smallest) & (areas <= largest))

    told = {AREAS: [smallest, None if largest == inf else largest]}
    raw = tuple(kept(plane) for plane in result.raw)
    return replace(result, raw=raw, details={**result.details, **told})


def refine(
    session: PromptSession, what: Any, *, kind: str | None = None, **settings: Any
) -> Segmentation:
    """Draw objects anew, in one go; see `RefineRun`.

    Parameters
    ----------
    session : PromptSession
    what, kind
        See `RefineRun`.
    **settings
        Fields of `RefineSettings`, such as ``prompt="mask"``.

    Raises
    ------
    InputError
        If a setting or an object does not fit.
    """
    run = RefineRun(session, what, kind=kind, settings=RefineSettings.from_json(settings))
    for _ in run:
        pass
    return run.result()
