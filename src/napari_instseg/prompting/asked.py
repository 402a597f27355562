"""A list of prompts as a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..instances import Instances
from ..label_set import LabelSet
from ..progress import Progress
from ..segmentation import Segmentation
from ..segmenter import Category, InputError
from .batches import by_picture
from .painting import Accepted, repaint
from .prompts import Candidate
from .requests import Request, answer, requests_from_json, requests_to_json

if TYPE_CHECKING:
    from .session import PromptSession


class AskedRun:
    """Answers many prompts, step by step.

    Iterate to work; leave the loop at any step to cancel; `result` gives what is done.

    Parameters
    ----------
    session : PromptSession
    requests : sequence of Request
        Answered picture by picture, whatever their order.
    categories : tuple of Category

    Raises
    ------
    InputError
        If a prompt lies outside the image, its category is none of these, or only some have
        labels of their own.
    """

    def __init__(
        self,
        session: PromptSession,
        requests: Sequence[Request],
        categories: tuple[Category, ...],
    ) -> None:
        known = {category.id for category in categories}
        for request in requests:
            session.plane(request.plane)
            request.prompt.within(session.plane_shape)
            if request.category_id not in known:
                raise InputError(
                    f"category: expected one of {sorted(known)}, got {request.category_id}"
                )
        self.session, self.requests, self.categories = session, tuple(requests), categories
        numbered = [request.index > 0 for request in requests]
        #: Objects have labels of their own, and are painted in their order.
        self.numbered = any(numbered)
        if self.numbered and not all(numbered):
            raise InputError("prompts: expected an index of each object, or of none; got some")
        self._answers: dict[int, Candidate] = {}

    def __iter__(self) -> Iterator[Progress]:
        """Do the work, one batch of prompts of one picture a step."""
        requests, total = self.requests, len(self.requests)
        plain = {i: (r.plane, r.prompt) for i, r in enumerate(requests) if r.is_plain}
        for plane, batch in by_picture(self.session, plain):
            yield self._progress()
            found = self.session.candidates([plain[i][1] for i in batch], plane)
            self._answers |= {i: one[0] for i, one in zip(batch, found, strict=True)}
        for i in sorted(set(range(total)) - set(plain)):
            yield self._progress()
            self._answers[i] = answer(self.session, requests[i])
        yield self._progress()

    def _progress(self) -> Progress:
        done, total = len(self._answers), len(self.requests)
        return Progress(done, total, f"{done} of {total}")

    def result(self) -> Segmentation:
        """Return what has been found so far, numbered by score whatever labels are asked for."""
        planes = defaultdict(list)
        for i in sorted(self._answers):
            planes[self.requests[i].plane].append(i)
        found = {
            plane: Instances.create(
                self.session.plane_shape,
                [self._answers[i].mask for i in members],
                scores=[self._answers[i].score for i in members],
                category_ids=[self.requests[i].category_id for i in members],
            )
            for plane, members in planes.items()
        }
        empty = sum(not one.mask.pixels.any() for one in self._answers.values())
        return self.session.segmentation(
            found,
            categories=self.categories,
            details={"prompts": requests_to_json(self.requests, self.categories)},
            warnings=[f"nothing was found for {empty} of the prompts"] if empty else [],
            complete=len(self._answers) == len(self.requests),
        )

    def labels(self) -> LabelSet:
        """Return what has been found so far, with the labels that are asked for."""
        result = self.result()
        if not self.numbered:
            return result.label_set
        image, model = self.session.image, self.session.loaded.name
        found = LabelSet.from_labels(
            *(self._painted(), image.label_axes),
            spacing=dict(image.spacing),
            name=image.name,
            source=model,
        )
        table, names = found.table, {category.id: category for category in self.categories}
        last = {r.index: i for i, r in enumerate(self.requests) if i in self._answers}
        rows = [last[index] for index in table["index"]]
        kinds = [names[self.requests[i].category_id] for i in rows]
        table["category_id"] = np.array([kind.id for kind in kinds], np.int64)
        table["category"] = [kind.name for kind in kinds]
        table["score"] = np.array([self._answers[i].score for i in rows], np.float32)
        return replace(found, table=table, categories=self.categories, recipe=result.recipe)

    def _painted(self) -> NDArray[np.int32]:
        """Paint objects in the order in which they were accepted."""
        canvas = np.zeros(self.session.image.label_shape, np.int32)
        goes = np.cumsum([not request.together for request in self.requests])
        done = [i for i in sorted(self._answers) if self._answers[i].mask.pixels.any()]
        of = defaultdict(list)
        for _, group in groupby(done, key=lambda i: (goes[i], self.requests[i].plane)):
            members = list(group)
            first = self.requests[members[0]]
            of[first.plane].append((self._accepted(members), first.overwrite))
        for plane, accepted in of.items():
            repaint(canvas[plane], accepted)
        return canvas

    def _accepted(self, members: Sequence[int]) -> list[Accepted]:
        requests, answers = self.requests, self._answers
        return [Accepted(requests[i].index, answers[i], requests[i].replaces) for i in members]


def draw(session: PromptSession, prompts: Sequence[Mapping[str, Any]]) -> LabelSet:
    """Answer prompts in one go; see `PromptSession.draw`."""
    run = AskedRun(session, *requests_from_json(prompts))
    for _ in run:
        pass
    return run.labels()
