"""Label sets as segments with a number each, objects and stuff alike, and the other way round."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...label_set import LabelSet, categories_of
from ...ops.extents import find_extents
from ...segmenter import Category, InputError
from .planes import SURE, categories_for
from .stacks import Stack


@dataclass(frozen=True, slots=True)
class Segment:
    """An object, or what there is of a category of stuff.

    Parameters
    ----------
    label : int
        Its value in the panoptic label image.
    category_id : int
    is_thing : bool
    score : float
        In [0, 1]; NaN if it is not known.
    crowd : bool
        Several objects that are not told apart.
    """

    label: int
    category_id: int
    is_thing: bool
    score: float = float("nan")
    crowd: bool = False


class Segments:
    """The segments of a label set by label; labels without a row are objects."""

    def __init__(self, label_set: LabelSet) -> None:
        table = label_set.table
        crowd = table["iscrowd"].tolist() if "iscrowd" in table else [False] * len(table)
        columns = (table[name].tolist() for name in ("index", "category_id", "is_thing", "score"))
        self._known = {
            int(label): Segment(int(label), int(category), bool(thing), float(score), bool(group))
            for label, category, thing, score, group in zip(*columns, crowd, strict=True)
        }
        self._category = next(c.id for c in categories_for(label_set) if c.is_thing)

    def of(self, label: int) -> Segment:
        """Find a segment by its label; InputError if it is negative."""
        if label < 0:
            raise InputError(f"expected labels from 0 on, got {label}")
        return self._known.get(label) or Segment(label, self._category, True)


def from_segments(
    stack: Stack,
    panoptic: NDArray[np.int32],
    segments: Iterable[Segment],
    categories: Sequence[Category],
) -> LabelSet:
    """Make a label set of segments.

    Parameters
    ----------
    stack : Stack
        What it is of.
    panoptic : int32 array of the stack's shape
        Labels; 0 is nothing.
    segments : iterable of Segment
        A label twice, of several planes, must be the same each time.
    categories : sequence of Category

    Raises
    ------
    InputError
        If a label of the image is not among the segments, or the other way round, or a segment
        has several categories, or none that is known.
    """
    known: dict[int, Segment] = {}
    for one in segments:
        if known.setdefault(one.label, one).category_id != one.category_id:
            raise InputError(f"segment {one.label}: expected one category in all planes")
    table = find_extents(panoptic, stack.axes)
    labels = table["index"].tolist()
    if set(labels) != set(known):
        odd = sorted(set(labels) ^ set(known))[:5]
        raise InputError(f"expected the same segments in pixels and list, not so: {odd}")
    listed = [known[label] for label in labels]
    names = {category.id: category.name for category in categories}
    unknown = {one.category_id for one in listed} - set(names)
    if unknown:
        raise InputError(f"expected known categories, got {sorted(unknown)[:5]}")
    table.insert(1, "category_id", np.array([s.category_id for s in listed], np.int64))
    table.insert(2, "category", [names[s.category_id] for s in listed])
    table.insert(3, "is_thing", np.array([s.is_thing for s in listed], bool))
    scores = np.array([s.score for s in listed], np.float32)
    table.insert(4, "score", np.where(np.isnan(scores), np.float32(SURE), scores))
    if any(s.crowd for s in listed):
        table["iscrowd"] = [s.crowd for s in listed]
    table["source"] = stack.source
    order = np.argsort(~table["is_thing"].to_numpy(bool), kind="stable")
    return _label_set(stack, panoptic, table.iloc[order].reset_index(drop=True), categories)


def _label_set(
    stack: Stack,
    panoptic: NDArray[np.int32],
    table: pd.DataFrame,
    categories: Sequence[Category],
) -> LabelSet:
    """Objects, and if there is stuff the other label images, too."""
    things = table["is_thing"].to_numpy(bool)
    layers: dict[str, Any] = {}
    objects = panoptic
    if not things.all():
        labels, ids = table["index"], table["category_id"]
        objects = categories_of(panoptic, labels[things], labels[things])
        layers = {
            "semantic": categories_of(panoptic, labels, ids),
            "panoptic": panoptic,
            "ground": categories_of(panoptic, labels[~things], ids[~things]),
        }
    return LabelSet(
        *(objects, stack.axes, table, tuple(categories), stack.name, stack.spacing),
        **layers,
        recipe=stack.recipe,
    )


class Numbering:
    """Numbers objects by category.

    Parameters
    ----------
    first, last : int
        Numbers that each category has room for.
    """

    def __init__(self, first: int, last: int) -> None:
        self._first, self._last = first, last
        self._numbers: dict[int, int] = {}
        self._counts: dict[int, int] = {}

    def of(self, segment: Segment) -> int:
        """Return the number of an object, always the same for a label.

        Raises
        ------
        InputError
            If its category has more objects than there are numbers.
        """
        if segment.label not in self._numbers:
            count = self._counts.get(segment.category_id, 0)
            if self._first + count > self._last:
                raise InputError(
                    f"category {segment.category_id}: expected at most "
                    f"{self._last - self._first + 1} objects, got more; choose another format, "
                    "or a larger divisor where there is one"
                )
            self._counts[segment.category_id] = count + 1
            self._numbers[segment.label] = self._first + count
        return self._numbers[segment.label]


def recode(
    panoptic: NDArray[np.int32], values: Mapping[int, int], dtype: type[np.unsignedinteger[Any]]
) -> NDArray[Any]:
    """Exchange labels for other values; 0 stays 0, and so does nothing else that is missing."""
    labels = np.array([0, *values], np.int64)
    codes = np.array([0, *values.values()], np.int64)
    order = np.argsort(labels)
    return codes[order].astype(dtype)[np.searchsorted(labels[order], panoptic)]


def labels_in(panoptic: NDArray[np.int32]) -> list[int]:
    """All labels of an image but 0, rising."""
    labels: list[int] = np.sort(pd.unique(panoptic.ravel())).tolist()
    return [label for label in labels if label]
