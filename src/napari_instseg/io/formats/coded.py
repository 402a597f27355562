"""What files of coded pixels (category and number in one) need beside them: labels and names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...label_set import LabelSet
from ...segmenter import Category, InputError
from . import checks
from .about import KEY, from_json, to_json
from .categories import unknown_category
from .coco import write_json
from .segments import Segment
from .stacks import Stack


def write_key(
    path: Path, label_set: LabelSet, files: Sequence[dict[str, Any]], **more: Any
) -> None:
    """Write the JSON that says what the pixels of some files mean.

    Parameters
    ----------
    path : Path
    label_set : LabelSet
    files : sequence of dict
        "file", "plane" and "segments", see `listed`.
    **more
        What else is to be known.
    """
    write_json(path, {**to_json(label_set), **more, "files": list(files)})


def listed(segments: Mapping[int, Segment]) -> list[dict[str, Any]]:
    """List segments by the value that they have in a file."""
    return [
        {
            "value": value,
            "label": one.label,
            "category_id": one.category_id,
            "isthing": int(one.is_thing),
            **({} if np.isnan(one.score) else {"score": one.score}),
            **({"iscrowd": 1} if one.crowd else {}),
        }
        for value, one in sorted(segments.items())
    ]


def read_key(path: Path) -> tuple[dict[str, Any], Stack, list[Category]]:
    """Read the JSON that `write_key` writes: all of it, what it is of, the categories.

    Raises
    ------
    InputError
        If it is none.
    """
    key = checks.table_of(checks.read_json(path), path.name)
    about = from_json(key)
    if about is None:
        raise InputError(f"{path.name}: expected an entry {KEY!r}")
    known = {"name": about.name, "axes": about.axes, "shape": list(about.shape)}
    stack = Stack(
        *(about.name, about.axes, about.shape, path.name, about.spacing, {"input": known})
    )
    return key, stack, sorted(about.categories, key=lambda c: c.id)


def read_listed(value: object, what: str) -> dict[int, Segment]:
    """Read what `listed` makes, by value."""
    found: dict[int, Segment] = {}
    for place, each in enumerate(checks.list_of(value, what)):
        inner = f"{what}[{place}]"
        one = checks.table_of(each, inner)
        number = checks.whole(one.get("value"), f"{inner}.value", 1, 2**32 - 1)
        found[number] = Segment(
            checks.whole(one.get("label"), f"{inner}.label", 1),
            checks.whole(one.get("category_id"), f"{inner}.category_id", 1),
            bool(checks.whole(one.get("isthing", 1), f"{inner}.isthing", 0, 1)),
            checks.share(one["score"], f"{inner}.score") if "score" in one else float("nan"),
            bool(one.get("iscrowd", 0)),
        )
    return found


def decode(pixels: NDArray[Any], segments: Mapping[int, Segment]) -> NDArray[np.int32]:
    """Turn coded pixels into labels.

    Raises
    ------
    InputError
        If a value is not known, or a segment has no pixel.
    """
    there = {value for value in np.unique(pixels).tolist() if value}
    odd = sorted(there ^ set(segments))[:5]
    if odd:
        raise InputError(f"expected the values that are listed for it, not so: {odd}")
    values = np.array([0, *sorted(segments)], np.int64)
    labels = np.array([0, *(segments[value].label for value in sorted(segments))], np.int32)
    return labels[np.searchsorted(values, pixels)]


def guess(
    pixels: NDArray[Any], divisor: int, alone: int = 1
) -> tuple[dict[int, Segment], list[Category]]:
    """Make segments of coded pixels of which no more is known.

    Parameters
    ----------
    pixels : integer array
        category x divisor + number.
    divisor : int
    alone : int
        What categories without a number are multiplied with: 1, or the divisor.

    Returns
    -------
    segments : dict of int to Segment
        By value. Objects have labels 1, 2, ..., what has no number follows: stuff, or of a
        category that has objects, too, a crowd.
    categories : list of Category
    """
    numbered: list[tuple[int, int]] = []
    plain: list[tuple[int, int]] = []
    for value in np.unique(pixels).tolist():
        category, number = divmod(value, divisor)
        if alone == 1 and category == 0:
            category = number
            (plain if number else []).append((value, category))
        elif alone == divisor and number == 0:
            (plain if category else []).append((value, category))
        elif category:
            numbered.append((value, category))
        else:
            raise InputError(f"expected category x {divisor} + number, got {value}")
    things = {category for _, category in numbered}
    plain.sort(key=lambda one: one[1] not in things)
    segments = {}
    for label, (value, category) in enumerate([*numbered, *plain], start=1):
        crowd = label > len(numbered) and category in things
        segments[value] = Segment(label, category, category in things, crowd=crowd)
    ids = sorted({category for _, category in [*numbered, *plain]})
    return segments, [unknown_category(i, is_thing=i in things) for i in ids]
