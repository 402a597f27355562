"""A list of prompts as a run, and as values that a recipe holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..instances import Instances, Mask
from ..progress import Progress
from ..segmentation import Segmentation
from ..segmenter import Category, InputError
from .batches import by_picture
from .prompts import Candidate, Prompt

if TYPE_CHECKING:
    from .session import PromptSession


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A prompt for one object: in which plane, and of which category."""

    prompt: Prompt
    plane: tuple[int, ...] = ()
    category_id: int = 1


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
        If a prompt lies outside the image, or its category is none of these.
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
        self._answers: dict[int, Candidate] = {}

    def __iter__(self) -> Iterator[Progress]:
        """Do the work, one batch of prompts of one picture a step."""
        asked = {i: (request.plane, request.prompt) for i, request in enumerate(self.requests)}
        total = len(asked)
        for plane, batch in by_picture(self.session, asked):
            yield Progress(len(self._answers), total, f"{len(self._answers)} of {total}")
            found = self.session.candidates([asked[i][1] for i in batch], plane)
            self._answers |= {i: answer[0] for i, answer in zip(batch, found, strict=True)}
        yield Progress(total, total, f"{total} of {total}")

    def result(self) -> Segmentation:
        """Return what has been found so far."""
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
        empty = sum(not answer.mask.pixels.any() for answer in self._answers.values())
        return self.session.segmentation(
            found,
            categories=self.categories,
            details={"prompts": requests_to_json(self.requests, self.categories)},
            warnings=[f"nothing was found for {empty} of the prompts"] if empty else [],
            complete=len(self._answers) == len(self.requests),
        )


def requests_to_json(
    requests: Sequence[Request], categories: Sequence[Category]
) -> list[dict[str, Any]]:
    """Write requests as values that JSON can hold."""
    names = {category.id: category.name for category in categories}
    return [
        {
            "plane": list(request.plane),
            "category": names[request.category_id],
            "category_id": request.category_id,
            "points": [list(point) for point in request.prompt.points],
            "labels": list(request.prompt.labels),
            "box": None if request.prompt.box is None else list(request.prompt.box),
            "mask": None if request.prompt.mask is None else _runs(request.prompt.mask),
        }
        for request in requests
    ]


def requests_from_json(
    values: Sequence[Mapping[str, Any]],
) -> tuple[list[Request], tuple[Category, ...]]:
    """Rebuild requests and categories from a recipe's ``prompts``.

    Raises
    ------
    InputError
        If they are not as `requests_to_json` writes them.
    """
    try:
        names = {int(value["category_id"]): str(value["category"]) for value in values}
        requests = [
            Request(
                Prompt(
                    tuple((float(row), float(col)) for row, col in value["points"]),
                    tuple(int(label) for label in value["labels"]),
                    None if value["box"] is None else _box(value["box"]),
                    None if value["mask"] is None else _mask(value["mask"]),
                ),
                tuple(int(index) for index in value["plane"]),
                int(value["category_id"]),
            )
            for value in values
        ]
    except (KeyError, TypeError) as error:
        raise InputError(f"prompts: expected them as a recipe has them ({error})") from error
    return requests, tuple(Category(number, names[number]) for number in sorted(names))


def name_categories(names: Sequence[str]) -> tuple[Category, ...]:
    """Number the names in the order in which they come; "object" if there is none."""
    found = list(dict.fromkeys(names)) or ["object"]
    return tuple(Category(number, name) for number, name in enumerate(found, start=1))


def _box(values: Sequence[float]) -> tuple[float, float, float, float]:
    top, left, bottom, right = (float(value) for value in values)
    return top, left, bottom, right


def _runs(mask: Mask) -> dict[str, Any]:
    """A mask as lengths of its runs, row by row, outside and inside in turn."""
    flat = np.concatenate([[False], mask.pixels.ravel(), [not mask.pixels.flat[-1]]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    runs = np.diff(edges, prepend=0).tolist()
    return {"origin": list(mask.origin), "shape": list(mask.pixels.shape), "runs": runs}


def _mask(values: Mapping[str, Any]) -> Mask:
    row, col = values["origin"]
    height, width = values["shape"]
    inside = np.arange(len(values["runs"])) % 2 == 1
    pixels = np.repeat(inside, values["runs"])
    if pixels.size != height * width:
        raise InputError(f"mask: expected runs of {height * width} px in all, got {pixels.size}")
    return Mask((int(row), int(col)), pixels.reshape(height, width))
