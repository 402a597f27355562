"""The labels of one image and of its truth, side by side: what all measures are taken from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..label_set import OBJECT, LabelSet
from ..ops.extents import windows
from ..progress import Listener, Progress, ignore
from ..segmenter import InputError
from .overlap import Overlap, Where, count_overlap

#: How categories of both sides are compared: by name where both have names; by name; not at all.
AUTO, BY_NAME, AS_ONE = CATEGORY_MODES = ("auto", "name", "one")
#: Category of labels that a table says nothing of.
UNKNOWN = "unknown"
#: Column of a table that marks crowds: regions of many objects, none of them drawn by itself.
CROWD = "iscrowd"


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """What is known of the labels of one side.

    Parameters
    ----------
    categories : (N,) int64
        Place in `Comparison.names`; -1 for no segment, such as 0.
    is_thing, is_crowd : (N,) bool
    scores : (N,) float64
    """

    categories: NDArray[np.int64]
    is_thing: NDArray[np.bool_]
    is_crowd: NDArray[np.bool_]
    scores: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """A prediction and the truth of one plane or volume.

    Parameters
    ----------
    name, kind : str
    names : tuple of str
        Of all categories of both sides.
    things : tuple of bool
        Which of these are countable.
    overlap : Overlap
        Of all segments.
    truth, predicted : Objects
        Of the overlap's labels.
    has_void : bool
        Pixels without a label in the truth are unlabelled: nothing on them is right or wrong.
        Else they are background.
    has_scores : bool
        The prediction's scores differ.
    at : mapping of str to int
        Which plane or volume it is, by axis.
    axes : str
        Letters of the overlap's dimensions.
    """

    name: str
    kind: str
    names: tuple[str, ...]
    things: tuple[bool, ...]
    overlap: Overlap
    truth: Objects
    predicted: Objects
    has_void: bool = False
    has_scores: bool = False
    at: Mapping[str, int] = field(default_factory=dict)
    axes: str = "YX"

    @cached_property
    def void_pixels(self) -> NDArray[np.int64]:
        """Unlabelled pixels in each predicted label, px; none where they are background."""
        return self._pixels(self.truth.categories[self.overlap.rows] < 0) * self.has_void

    @cached_property
    def excused(self) -> NDArray[np.bool_]:
        """Predicted labels that are no error: more than half on void and crowds of their kind."""
        truth, predicted, overlap = self.truth, self.predicted, self.overlap
        own = truth.categories[overlap.rows] == predicted.categories[overlap.cols]
        crowd = self._pixels(truth.is_crowd[overlap.rows] & own)
        return np.asarray((crowd + self.void_pixels) > 0.5 * overlap.predicted_areas, np.bool_)

    @cached_property
    def kept(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which labels of either side are objects that count."""
        return self.truth.is_thing & ~self.truth.is_crowd, self.predicted.is_thing

    @cached_property
    def objects(self) -> Overlap:
        """The overlap of objects alone, without background, stuff and crowds."""
        return self.overlap.take(*self.kept)

    def of_category(self, place: int) -> tuple[Overlap, NDArray[np.bool_]]:
        """The overlap of one category's objects, and which predicted ones are excused."""
        truth = self.kept[0] & (self.truth.categories == place)
        predicted = self.kept[1] & (self.predicted.categories == place)
        return self.overlap.take(truth, predicted), self.excused[predicted]

    def _pixels(self, which: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Pixels of each predicted label in some of the pairs."""
        overlap = self.overlap
        counted = np.bincount(
            overlap.cols[which], overlap.shared[which], minlength=len(overlap.predicted)
        )
        return counted.astype(np.int64)


def compare(
    predicted: LabelSet,
    truth: LabelSet,
    *,
    categories: str = AUTO,
    void: bool | None = None,
    kind: str = "",
    report: Listener = ignore,
) -> Iterator[Comparison]:
    """Lay a prediction and its truth side by side: one plane or volume after the other.

    Parameters
    ----------
    predicted, truth : LabelSet
        Of the same shape; may be larger than memory. Each index along T and along axes of
        separate images is an image of its own; planes along Z belong together.
    categories : {"auto", "name", "one"}
        Compare categories by name, whatever their case, or take all objects as one category.
        "auto" does the latter where a side has no names but that of plain labels, "object".
    void : bool, optional
        See `Comparison.has_void`; None: where the truth has stuff.
    kind : str
        Kept in the result.
    report : callable
        Hears of each window before it is read; may raise to stop.

    Yields
    ------
    Comparison

    Raises
    ------
    InputError
        If shapes differ, or no category has a name that both sides have.
    """
    axes = _check_shapes(predicted, truth)
    as_one = _as_one(predicted, truth, categories)
    with_stuff = not as_one and len(truth.stuff) > 0
    output = "panoptic" if with_stuff else "instances"
    names = {} if as_one else _names(predicted, truth, with_stuff)
    tables = [_table(side, names, with_stuff) for side in (truth, predicted)]
    listed = tuple(name for name, _ in names.values()) or (OBJECT.name,)
    things = tuple(thing for _, thing in names.values()) or (True,)
    units = list(_units(truth.shape, axes))
    scores = predicted.things["score"]
    for number, at in enumerate(units):
        parts = list(_parts(truth.shape, axes, at))
        told = _telling(parts, number, len(units), truth.name, report)
        overlap = count_overlap(
            lambda where: truth.read(output, where),
            lambda where: predicted.read(output, where),
            told,
            len(axes),
        )
        place = " ".join(f"{axis}={index}" for axis, index in at.items())
        yield Comparison(
            " ".join(filter(None, (truth.name, place))),
            kind,
            *_with_unknown(listed, things),
            overlap,
            _objects(overlap.truth, tables[0], listed),
            _objects(overlap.predicted, tables[1], listed),
            with_stuff if void is None else void,
            bool(scores.nunique() > 1),
            at,
            axes,
        )


def compare_arrays(
    truth: NDArray[Any], predicted: NDArray[Any], *, name: str = "", kind: str = ""
) -> Comparison:
    """Lay two label images of which nothing else is known side by side, as one image.

    Parameters
    ----------
    truth, predicted : bool or integer arrays of the same shape, any number of dimensions
        0 is nothing; every other number is one object.
    name, kind : str
        Kept in the result.

    Raises
    ------
    InputError
        If shapes differ, or labels are negative or no integers.
    """
    if truth.shape != predicted.shape:
        raise InputError(f"expected a prediction of shape {truth.shape}, got {predicted.shape}")
    truth, predicted = np.atleast_2d(truth), np.atleast_2d(predicted)
    overlap = count_overlap(
        lambda where: truth[where],
        lambda where: predicted[where],
        windows(truth.shape),
        truth.ndim,
    )
    wanted, found = (_unlisted(labels) for labels in (overlap.truth, overlap.predicted))
    axes = "QRPTZYX"[-truth.ndim :]
    return Comparison(name, kind, (OBJECT.name,), (True,), overlap, wanted, found, axes=axes)


def _check_shapes(predicted: LabelSet, truth: LabelSet) -> str:
    """Check that both fit; return the axes, of which Z is the surest to be a mere guess."""
    if predicted.shape != truth.shape:
        raise InputError(
            f"expected the shape {truth.shape} of the truth {truth.name!r}, got "
            f"{predicted.shape}: choose labels of the same image"
        )
    if predicted.axes != truth.axes and sorted(predicted.axes) == sorted(truth.axes):
        raise InputError(
            f"expected the truth's order of axes {truth.axes!r}, got {predicted.axes!r}: save "
            "both in the same order"
        )
    return predicted.axes if "Z" in truth.axes and "Z" not in predicted.axes else truth.axes


def _key(name: object) -> str:
    return str(name).strip().casefold()


def _named(side: LabelSet) -> dict[str, tuple[str, bool]]:
    """Names of a side's categories, and whether they are things."""
    named = {_key(c.name): (c.name, c.is_thing) for c in side.categories}
    rows = side.table[["category", "is_thing"]].drop_duplicates().itertuples(index=False)
    return named | {_key(name): (str(name), bool(thing)) for name, thing in rows}


def _as_one(predicted: LabelSet, truth: LabelSet, mode: str) -> bool:
    if mode not in CATEGORY_MODES:
        raise InputError(f"categories: expected one of {CATEGORY_MODES}, got {mode!r}")
    plain = {_key(OBJECT.name)}
    return mode == AS_ONE or (
        mode == AUTO and plain in (set(_named(predicted)), set(_named(truth)))
    )


def _names(predicted: LabelSet, truth: LabelSet, with_stuff: bool) -> dict[str, tuple[str, bool]]:
    """Categories of both sides, the truth's first."""
    found, wanted = _named(predicted), _named(truth)
    if len(predicted.table) and len(truth.table) and not set(found) & set(wanted):
        lists = [", ".join(sorted(name for name, _ in side.values())) for side in (wanted, found)]
        raise InputError(
            f"no category of the prediction ({lists[1]}) has the name of one of the truth "
            f"({lists[0]}): rename them, or compare all objects as one category"
        )
    mixed = [wanted[key][0] for key in wanted if key in found and found[key][1] != wanted[key][1]]
    if mixed:
        raise InputError(
            f"{', '.join(sorted(mixed))}: countable on one side and stuff on the other; say the "
            "same of it on both"
        )
    both = {**wanted, **{key: one for key, one in found.items() if key not in wanted}}
    return {key: one for key, one in both.items() if one[1] or with_stuff}


def _table(side: LabelSet, names: Mapping[str, tuple[str, bool]], with_stuff: bool) -> pd.DataFrame:
    """Place of the category, is_thing, score, crowd of each segment, by label."""
    rows = side.table if with_stuff else side.things
    places = {key: place for place, key in enumerate(names)}
    found = pd.DataFrame(
        {
            "place": [places[_key(name)] for name in rows["category"]] if names else 0,
            "is_thing": rows["is_thing"].to_numpy(bool),
            "score": rows["score"].to_numpy(float),
            "crowd": rows[CROWD].fillna(0).to_numpy(bool) if CROWD in rows else False,
        },
        index=pd.Index(rows["index"].to_numpy(np.int64)),
    )
    return found[~found.index.duplicated()]


def _with_unknown(
    names: tuple[str, ...], things: tuple[bool, ...]
) -> tuple[tuple[str, ...], tuple[bool, ...]]:
    return ((*names, UNKNOWN), (*things, True)) if len(names) > 1 else (names, things)


def _objects(labels: NDArray[np.int64], table: pd.DataFrame, names: tuple[str, ...]) -> Objects:
    """Look labels up; those that a table does not know are objects that somebody has drawn."""
    place = len(names) if len(names) > 1 else 0
    known = table.reindex(labels)
    nothing = labels == 0
    drawn = known["place"].isna().to_numpy()
    categories = known["place"].fillna(place).to_numpy(np.int64)
    return Objects(
        np.where(nothing, -1, categories),
        np.where(drawn, True, known["is_thing"].to_numpy() == 1) & ~nothing,
        known["crowd"].to_numpy() == 1,
        known["score"].fillna(1.0).to_numpy(np.float64),
    )


def _unlisted(labels: NDArray[np.int64]) -> Objects:
    """Labels without a table: objects of one category."""
    there = labels != 0
    return Objects(there - 1, there, np.zeros(len(labels), np.bool_), np.ones(len(labels)))


def _units(shape: tuple[int, ...], axes: str) -> Iterator[dict[str, int]]:
    """Name each plane or volume by its index along the axes that hold images of their own."""
    apart = [axis for axis in axes[:-2] if axis != "Z"]
    for index in np.ndindex(*(shape[axes.index(axis)] for axis in apart)):
        yield dict(zip(apart, index, strict=True))


def _parts(shape: tuple[int, ...], axes: str, at: Mapping[str, int]) -> Iterator[Where]:
    """Windows of a plane or volume."""
    spans = [
        range(at[axis], at[axis] + 1) if axis in at else range(size)
        for axis, size in zip(axes[:-2], shape, strict=False)
    ]
    for plane in product(*spans):
        for rows, cols in windows(shape[-2:]):
            yield (*(slice(i, i + 1) for i in plane), rows, cols)


def _telling(
    parts: list[Where], number: int, units: int, name: str, report: Listener
) -> Iterator[Where]:
    """Tell of each part before it is read."""
    for i, part in enumerate(parts):
        total = units * len(parts)
        report(Progress(number * len(parts) + i, total, f"comparing {name}"))
        yield part
