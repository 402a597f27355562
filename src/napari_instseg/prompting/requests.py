"""What was asked for, object by object, as values that a recipe holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..instances import Mask
from ..label_set import LARGEST, OBJECT
from ..segmenter import Category, InputError
from .prompts import Candidate, Prompt

if TYPE_CHECKING:
    from .session import PromptSession


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A prompt for one object, how it was answered, and how the answer became an object.

    Parameters
    ----------
    prompt : Prompt
        Without ``previous``.
    plane : tuple of int
    category_id : int
    corrects : Request, optional
        Whose answer further points correct.
    choice : int
        Which of the answers is taken; 0 is the best.
    multimask, reach
        See `PromptSession.candidates`.
    drawn : bool
        The mask is the answer: no model is asked.
    index : int
        Label of the object; 0: objects are numbered by falling score, and the better ones have
        the pixels where they overlap. With labels, they are painted in their order.
    overwrite : bool
        Paint over other objects, too.
    replaces : bool
        Take other pixels of this label on this plane away first.
    together : bool
        Accepted in one go with the one before, whose pixels stay.
    """

    prompt: Prompt
    plane: tuple[int, ...] = ()
    category_id: int = 1
    corrects: Request | None = None
    choice: int = 0
    multimask: bool | None = None
    reach: int | None = None
    drawn: bool = False
    index: int = 0
    overwrite: bool = False
    replaces: bool = False
    together: bool = False

    @classmethod
    def of(cls, candidate: Candidate, plane: tuple[int, ...], category_id: int) -> Self:
        """Ask for a candidate again."""
        asked = candidate.asked
        if asked is None:
            return cls(Prompt(mask=candidate.mask), plane, category_id, drawn=True)
        before = asked.prompt.previous
        return cls(
            replace(asked.prompt, previous=None),
            plane,
            category_id,
            None if before is None else cls.of(before, plane, category_id),
            *(asked.place, asked.multimask, asked.reach),
        )

    @property
    def is_plain(self) -> bool:
        """Whether it is a prompt and no more, so that many may be answered together."""
        return not _extras(self)


#: Keys of a request that are there only where they are not as usual.
EXTRAS = tuple(field.name for field in fields(Request))[3:]
USUAL = {field.name: field.default for field in fields(Request)[3:]}
NUMBERS = ("choice", "reach", "index")
FLAGS = ("multimask", "drawn", "overwrite", "replaces", "together")
OF_OBJECTS = ("plane", "category", "category_id")
KEYS = (*OF_OBJECTS, "points", "labels", "box", "mask", *EXTRAS)


def _extras(request: Request) -> dict[str, Any]:
    pairs = {name: getattr(request, name) for name in EXTRAS}
    return {name: value for name, value in pairs.items() if value != USUAL[name]}


def drawn(session: PromptSession, plane: tuple[int, ...], mask: Mask) -> Candidate:
    """Take a mask as if a model had given it, so that points can correct it."""
    view = session.view_for(plane, Prompt(mask=mask).region)
    return Candidate(mask, 1.0, 1.0, 0, view, session.to_logits(view, mask), False)


def answer(session: PromptSession, request: Request) -> Candidate:
    """Ask again what was asked, step by step.

    Raises
    ------
    InputError
        If a prompt lies outside the image, or the model gives fewer answers.
    """
    prompt, mask = request.prompt, request.prompt.mask
    if request.drawn and mask is not None:
        return drawn(session, request.plane, mask)
    if request.corrects is not None:
        prompt = replace(prompt, previous=answer(session, request.corrects))
    (found,) = session.candidates(
        [prompt], request.plane, multimask=request.multimask, reach=request.reach
    )
    if not 0 <= request.choice < len(found):
        raise InputError(
            f"choice: expected one of {len(found)} answers, counted from 0, got {request.choice}"
        )
    return found[request.choice]


def requests_to_json(
    requests: Sequence[Request], categories: Sequence[Category]
) -> list[dict[str, Any]]:
    """Write requests as values that JSON can hold."""
    names = {category.id: category.name for category in categories}
    return [_to_json(request, names) for request in requests]


def _to_json(request: Request, names: Mapping[int, str]) -> dict[str, Any]:
    prompt, extras = request.prompt, _extras(request)
    if request.corrects is not None:
        before = _to_json(request.corrects, names)
        # Of the same object.
        extras["corrects"] = {k: v for k, v in before.items() if k not in OF_OBJECTS}
    return {
        "plane": list(request.plane),
        "category": names[request.category_id],
        "category_id": request.category_id,
        "points": [list(point) for point in prompt.points],
        "labels": list(prompt.labels),
        "box": None if prompt.box is None else list(prompt.box),
        "mask": None if prompt.mask is None else _runs(prompt.mask),
        **extras,
    }


def requests_from_json(
    values: Sequence[Mapping[str, Any]],
) -> tuple[list[Request], tuple[Category, ...]]:
    """Rebuild requests and categories from a recipe's ``prompts``.

    What is not said is as usual: no points, no box, no mask, the category "object".

    Raises
    ------
    InputError
        If they are not as `requests_to_json` writes them.
    """
    try:
        for value in values:
            if unknown := sorted(set(value.keys()) - set(KEYS)):
                raise InputError(f"prompts: expected some of {', '.join(KEYS)}, got {unknown[0]!r}")
        named = [str(value.get("category", OBJECT.name)) for value in values]
        ids = {category.name: category.id for category in name_categories(named)}
        numbers = [
            _whole("category_id", value.get("category_id", ids[name]), 1)
            for value, name in zip(values, named, strict=True)
        ]
        requests = [
            _read(value, tuple(int(i) for i in value.get("plane", ())), number)
            for value, number in zip(values, numbers, strict=True)
        ]
    except InputError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"prompts: expected them as a recipe has them ({error})") from error
    names: dict[int, str] = {}
    for number, name in zip(numbers, named, strict=True):
        if names.setdefault(number, name) != name:
            raise InputError(
                f"prompts: expected one category of each category_id, got {names[number]!r} and "
                f"{name!r} of {number}"
            )
    return requests, tuple(Category(number, names[number]) for number in sorted(names))


def _read(value: Mapping[str, Any], plane: tuple[int, ...], category_id: int) -> Request:
    box, mask, before = (value.get(name) for name in ("box", "mask", "corrects"))
    extras = {name: value[name] for name in EXTRAS if name in value}
    for name, given in extras.items():
        if name in NUMBERS and (given is not None or name != "reach"):
            extras[name] = _whole(name, given)
        elif name in FLAGS and not isinstance(given, bool | None):
            raise InputError(f"prompts: expected true or false as {name}, got {given!r}")
    if before is not None:
        extras["corrects"] = _read(before, plane, category_id)
    return Request(
        Prompt(
            tuple((float(row), float(col)) for row, col in value.get("points", ())),
            tuple(int(label) for label in value.get("labels", ())),
            None if box is None else _box(box),
            None if mask is None else _mask(mask),
        ),
        plane,
        category_id,
        **extras,
    )


def _whole(name: str, value: Any, smallest: int = 0) -> int:
    if not smallest <= int(value) <= LARGEST:
        raise InputError(f"prompts: expected {name} from {smallest} to {LARGEST}, got {value!r}")
    return int(value)


def name_categories(names: Sequence[str]) -> tuple[Category, ...]:
    """Number the names in the order in which they come; "object" if there is none."""
    found = list(dict.fromkeys(names)) or [OBJECT.name]
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
