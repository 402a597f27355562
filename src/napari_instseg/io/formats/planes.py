"""Label sets as planes of objects, and the other way round: what two-dimensional formats hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from ...instances import Instances, Mask
from ...label_set import EDITS, OBJECT, LabelSet
from ...ops.masks import union
from ...segmenter import Category

#: The edit that gives other labels to objects, see `ops.editing.numbering`.
RENUMBER = "renumber"
#: Of objects of which no score is known.
SURE = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """An object in one plane.

    Parameters
    ----------
    label : int
        Its value in the label image; 0 if it is not there, since better objects hide it.
    category_id : int
    score : float
        In [0, 1]; NaN if it is not known.
    mask : Mask
    crowd : bool
        Several objects that are not told apart.
    """

    label: int
    category_id: int
    score: float
    mask: Mask
    crowd: bool = False

    @property
    def order(self) -> tuple[bool, float]:
        """See `paint_order`."""
        return paint_order(self.score, self.crowd)


def hides(label_set: LabelSet) -> bool:
    """Whether some objects hide parts of others."""
    things = label_set.things
    return "hidden_area" in things and bool((things["hidden_area"] > 0).any())


class PlaneReader:
    """Lists the objects of a label set, plane by plane.

    Parameters
    ----------
    label_set : LabelSet
    whole : bool
        With the pixels that other objects hide, where these are known.
    hidden : bool
        Objects that better ones hide so far that they have no label, too.

    Notes
    -----
    What a user has painted counts: pixels under other objects are added only to objects that are
    otherwise as the model found them, and labels without a row are objects of the first category.
    """

    def __init__(self, label_set: LabelSet, *, whole: bool = False, hidden: bool = False) -> None:
        self._set, self._whole, self._hidden = label_set, whole, hidden
        rows = label_set.things
        crowd = rows["iscrowd"].tolist() if "iscrowd" in rows else [False] * len(rows)
        listed = zip(rows["category_id"], rows["score"], crowd, strict=True)
        about = [(int(category), float(score), bool(group)) for category, score, group in listed]
        labels = rows["index"].astype(int).tolist()
        self._rows = dict(zip(labels, about, strict=True))
        self._order = {label: place for place, label in enumerate(labels)}
        best = sorted(labels, key=lambda label: paint_order(*self._rows[label][1:]))
        self._rank = {label: place for place, label in enumerate(best)}
        self._unlisted = next(c.id for c in categories_for(label_set) if c.is_thing), np.nan, False

    def read(self, plane: tuple[int, ...]) -> list[Found]:
        """List the objects of a plane, given by its index along each axis but the last two.

        In the order of the table's rows.
        """
        labels = self._set.read("instances", plane)
        masks = masks_of(labels)
        raw = self._raw(plane)
        if self._whole:
            masks |= _uncovered(raw, labels, masks, self._rank)
        last = len(self._order)
        found = [
            Found(label, category, score, masks[label], crowd)
            for label in sorted(masks, key=lambda label: (self._order.get(label, last), label))
            for category, score, crowd in [self._rows.get(label, self._unlisted)]
        ]
        return found + (_without_label(raw, self._threshold) if self._hidden else [])

    @property
    def _threshold(self) -> float:
        return float(self._set.recipe.get("settings", {}).get("score_threshold", 0))

    @property
    def _renumbered(self) -> bool:
        """Whether labels are not those that the model's objects had."""
        edits = self._set.recipe.get(EDITS, ())
        return any(RENUMBER in entry.values() for entry in edits)

    def _raw(self, plane: tuple[int, ...]) -> tuple[Instances, list[int]]:
        """What the model had found in a plane, and the labels of it; nothing if not known."""
        raw, numbers = self._set.raw, self._set.numbers
        if raw is None or numbers is None or self._renumbered:
            return Instances.empty((1, 1)), []
        number = int(np.ravel_multi_index(plane, self._set.plane_shape)) if plane else 0
        begin = sum(len(one) for one in raw[:number])
        return raw[number], np.asarray(numbers)[begin : begin + len(raw[number])].tolist()


def categories_for(label_set: LabelSet) -> tuple[Category, ...]:
    """All categories of a label set: its own, its table's, at least one of things."""
    known = {category.id: category for category in label_set.categories}
    columns = ["category_id", "category", "is_thing"]
    for number, name, is_thing in label_set.table[columns].drop_duplicates().to_numpy():
        known.setdefault(int(number), Category(int(number), str(name), bool(is_thing)))
    if not any(category.is_thing for category in known.values()):
        number = OBJECT.id if OBJECT.id not in known else max(known) + 1
        known[number] = replace(OBJECT, id=number)
    return tuple(known[number] for number in sorted(known))


def masks_of(labels: NDArray[np.integer[Any]]) -> dict[int, Mask]:
    """Crop every label of a (H, W) label image, but 0."""
    # Numbers of their own: the largest label says nothing of how many there are.
    places, values = pd.factorize(labels.ravel())
    codes = (places + 1).reshape(labels.shape).astype(np.int32)
    boxes = ndimage.find_objects(codes)
    return {
        int(label): Mask((box[0].start, box[1].start), codes[box] == code)
        for code, (label, box) in enumerate(zip(values, boxes, strict=True), start=1)
        if label > 0
    }


def paint_order(score: float, crowd: bool) -> tuple[bool, float]:
    """Key to sort objects by: the first hides those that follow."""
    return crowd, -(SURE if np.isnan(score) else score)


def _uncovered(
    raw: tuple[Instances, list[int]],
    labels: NDArray[np.int32],
    masks: Mapping[int, Mask],
    rank: Mapping[int, int],
) -> dict[int, Mask]:
    """Whole masks of the objects of which others, all of them better, hide a part, by label.

    Where a lesser one does (through planes, scores are means), the mask stays as it is seen, so
    that whoever paints the better above the lesser sees the same.
    """
    found: dict[int, list[Mask]] = {}
    for label, mask in zip(raw[1], raw[0].masks, strict=True):
        if label > 0:
            found.setdefault(label, []).append(mask)
    whole = {}
    for label, parts in found.items():
        model = union(parts).tight()
        if model is None:
            continue
        here = labels[model.slices]
        own = here == label
        seen = masks[label].area if label in masks else 0
        under = model.pixels & ~own
        if np.count_nonzero(own & model.pixels) != seen or not under.any():
            continue
        above = [rank.get(other, -1) for other in np.unique(here[under]).tolist()]
        if min(above) >= 0 and max(above) < rank.get(label, -1):
            whole[label] = model
    return whole


def _without_label(raw: tuple[Instances, list[int]], threshold: float) -> list[Found]:
    """Objects from a score on that have no label, since better ones hide them."""
    shown = (np.array(raw[1], np.int64) == 0) & (raw[0].scores >= np.float32(threshold))
    return [
        Found(0, int(raw[0].category_ids[i]), float(raw[0].scores[i]), mask)
        for i in np.flatnonzero(shown).tolist()
        if (mask := raw[0].masks[i].tight()) is not None
    ]
