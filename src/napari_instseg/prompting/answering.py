"""Prompts to answers: each in a view that fits, together where that is the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np

from ..instances import Mask
from ..ops.masks import solid
from ..promptable import Candidates, PromptSegmenter
from .batches import in_batches
from .embedder import Embedder
from .geometry import confine, is_cut, kind, to_plane, to_prompts
from .prompts import Asked, Candidate, Prompt
from .views import Pyramid, View

#: Candidates for one prompt, the best first.
Answer: TypeAlias = tuple[Candidate, ...]

#: A click whose answer is cut is asked again in a coarser view only while that one shows at
#: most this many pixels of the image, since they must all be read.
REACH_PIXELS = 8192**2


@dataclass(frozen=True, slots=True, eq=False)
class Answering:
    """Asks a model about objects.

    Parameters
    ----------
    pyramid : Pyramid
    embedder : Embedder
    prompter : PromptSegmenter
    """

    pyramid: Pyramid
    embedder: Embedder
    prompter: PromptSegmenter

    def answer(
        self,
        prompts: Sequence[Prompt],
        plane: tuple[int, ...],
        multimask: bool | None,
        reach: int | None,
    ) -> list[Answer]:
        """Answer prompts in one plane; see `PromptSession.candidates`."""
        views = [self.view_for(prompt, plane) for prompt in prompts]
        answers = self._decode(prompts, views, multimask)
        steps = self.pyramid.levels if reach is None else reach
        waiting = list(range(len(prompts)))
        for _ in range(steps):
            coarser = {
                i: self._coarser(prompts[i], answers[i][0])
                for i in waiting
                if answers[i][0].is_cut and prompts[i].box is None
            }
            found = {i: view for i, view in coarser.items() if view is not None}
            waiting = list(found)
            if not waiting:
                break
            again = self._decode([prompts[i] for i in waiting], list(found.values()), multimask)
            for i, answer in zip(waiting, again, strict=True):
                # What is too small for the coarser view stays as it was.
                answers[i] = answer if answer[0].mask.pixels.size else answers[i]
        return [
            tuple(
                replace(one, asked=Asked(prompt, multimask, reach, place))
                for place, one in enumerate(answer)
            )
            for prompt, answer in zip(prompts, answers, strict=True)
        ]

    def view_for(self, prompt: Prompt, plane: tuple[int, ...]) -> View:
        """Choose where to look; an object that is being corrected stays in its view."""
        previous = prompt.previous
        if previous is not None and previous.view.plane == plane:
            at = self.pyramid.to_picture(previous.view, np.reshape(prompt.points, (-1, 2)))
            if np.all((at >= 0) & (at <= previous.view.tile.shape)):
                return previous.view
        return self.pyramid.view_for(plane, prompt.region)

    def _coarser(self, prompt: Prompt, best: Candidate) -> View | None:
        """Where to look for all of an object that its tile cuts; None if that is too much."""
        view = best.view
        if view.level + 1 >= self.pyramid.levels:
            return None
        top, left, bottom, right = prompt.region
        rows, cols = best.mask.slices
        region = (
            *(min(top, rows.start), min(left, cols.start)),
            *(max(bottom, rows.stop), max(right, cols.stop)),
        )
        wider = self.pyramid.view_for(view.plane, region, view.level + 1)
        height, width = self.pyramid.region(wider).shape
        return wider if height * width <= REACH_PIXELS or self.embedder.has(wider) else None

    def _decode(
        self, prompts: Sequence[Prompt], views: Sequence[View], multimask: bool | None
    ) -> list[Answer]:
        """Answer each prompt in its view; those alike in one batch."""
        groups: dict[tuple[View, tuple[int, bool, bool], bool], list[int]] = defaultdict(list)
        for i, (prompt, view) in enumerate(zip(prompts, views, strict=True)):
            several = prompt.is_ambiguous if multimask is None else multimask
            groups[view, kind(prompt), several].append(i)
        answers: list[Answer] = [()] * len(prompts)
        for (view, _, several), members in groups.items():
            embedding = self.embedder.get(view)
            asked = to_prompts(self.pyramid, view, [prompts[i] for i in members], self.prompter)
            decode = partial(self.prompter.decode, embedding, multimask=several, keep_logits=True)
            for begin, found in in_batches(decode, asked, max(self.prompter.batch_size, 1)):
                for offset, answer in self._sort(view, found).items():
                    member = members[begin + offset]
                    answers[member] = tuple(
                        replace(one, mask=self._tidy(one.mask, prompts[member])) for one in answer
                    )
        return answers

    def _tidy(self, mask: Mask, prompt: Prompt) -> Mask:
        if self.prompter.habits.leaves_crumbs and mask.pixels.size:
            mask = solid([mask])[0].tight() or mask
        return confine(mask, prompt)

    def _sort(self, view: View, found: Candidates) -> dict[int, Answer]:
        """The candidates of each prompt of a batch, the best first."""
        # A model draws no finer than its logits, and often stops just short of an edge.
        margin = max(1, round(max(found.picture_shape) / self.prompter.mask_size))
        masks = to_plane(self.pyramid, view, found.masks)
        answers: dict[int, list[Candidate]] = defaultdict(list)
        for i in np.lexsort((found.outputs, -found.predicted_iou, found.prompts)):
            answers[int(found.prompts[i])].append(
                Candidate(
                    masks[i],
                    float(found.predicted_iou[i]),
                    float(found.stability[i]),
                    int(found.outputs[i]),
                    view,
                    found.logits[i] if found.logits is not None else np.zeros((0, 0), np.float32),
                    is_cut(self.pyramid, view, found.masks[i], margin),
                )
            )
        return {prompt: tuple(several) for prompt, several in answers.items()}
