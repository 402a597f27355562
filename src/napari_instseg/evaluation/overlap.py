"""How many pixels the labels of two images share, counted window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..segmenter import InputError

#: A part of an array: one slice a dimension.
Where = tuple[slice, ...]
#: Reads a part of a label image; 0 is nothing.
Reader = Callable[[Where], NDArray[Any]]
#: Windows whose counts are kept apart before they are added up.
PENDING = 32


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """The pixels that labels of the truth and of a prediction share.

    Parameters
    ----------
    truth, predicted : (N,), (M,) int64
        Labels, rising; 0, which is nothing, only where it meets a label of the other side.
    truth_areas, predicted_areas : (N,), (M,) int64
        Of the labels, px; without pixels that are 0 on both sides.
    rows, cols : (K,) int64
        Pairs that share pixels, rising: places in ``truth`` and ``predicted``.
    shared : (K,) int64
        How many, px; above 0.
    boxes : (K, 2, D) int64
        Where these pixels are: first and last (half-open) place along each dimension, px.
    """

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    truth_areas: NDArray[np.int64]
    predicted_areas: NDArray[np.int64]
    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    shared: NDArray[np.int64]
    boxes: NDArray[np.int64]

    @property
    def iou(self) -> NDArray[np.float64]:
        """Shared part of the union of each pair, in (0, 1]."""
        union = self.truth_areas[self.rows] + self.predicted_areas[self.cols] - self.shared
        return np.asarray(self.shared / union, np.float64)

    @property
    def of_truth(self) -> NDArray[np.float64]:
        """Which share of its label of the truth each pair has."""
        return np.asarray(self.shared / self.truth_areas[self.rows], np.float64)

    @property
    def of_predicted(self) -> NDArray[np.float64]:
        """Which share of its predicted label each pair has."""
        return np.asarray(self.shared / self.predicted_areas[self.cols], np.float64)

    def take(self, truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> Overlap:
        """Leave out labels; the areas of the others stay."""
        kept = truth[self.rows] & predicted[self.cols]
        return Overlap(
            self.truth[truth],
            self.predicted[predicted],
            self.truth_areas[truth],
            self.predicted_areas[predicted],
            (np.cumsum(truth) - 1)[self.rows[kept]],
            (np.cumsum(predicted) - 1)[self.cols[kept]],
            self.shared[kept],
            self.boxes[kept],
        )

    def boxes_of(self, side: str) -> NDArray[np.int64]:
        """Where each label is.

        Parameters
        ----------
        side : {"truth", "predicted"}

        Returns
        -------
        (N, 2, D) int64
            First and last place (half-open), px.
        """
        places = self.rows if side == "truth" else self.cols
        boxes = np.zeros((len(getattr(self, side)), *self.boxes.shape[1:]), np.int64)
        boxes[:, 0] = np.iinfo(np.int64).max
        np.minimum.at(boxes[:, 0], places, self.boxes[:, 0])
        np.maximum.at(boxes[:, 1], places, self.boxes[:, 1])
        return boxes


def count_overlap(truth: Reader, predicted: Reader, parts: Iterable[Where], ndim: int) -> Overlap:
    """Count the pixels that labels share.

    Parameters
    ----------
    truth, predicted : callable
        Read a part; both are asked for the same ones, one at a time.
    parts : iterable of tuple of slice
        They must not overlap.
    ndim : int
        Number of dimensions.

    Returns
    -------
    Overlap

    Raises
    ------
    InputError
        If a label is negative, or pixels are no integers.

    Notes
    -----
    Memory grows with one window and the number of pairs, not with the image. A window is looked
    at in runs of equal pixels along rows, of which there are far fewer than pixels.
    """
    counted = np.empty((0, 3 + 2 * ndim), np.int64)
    pending: list[NDArray[np.int64]] = []
    for where in parts:
        pending.append(_count(truth(where), predicted(where), where))
        if len(pending) == PENDING:
            counted, pending = _added([counted, *pending]), []
    counted = _added([counted, *pending])
    counted = counted[np.lexsort((counted[:, 1], counted[:, 0]))]
    names, places, areas = [], [], []
    for column in (0, 1):
        labels, place = np.unique(counted[:, column], return_inverse=True)
        names.append(labels)
        places.append(place)
        areas.append(np.bincount(place, counted[:, 2], len(labels)).astype(np.int64))
    boxes = counted[:, 3:].reshape(-1, 2, ndim)
    shared = counted[:, 2]
    return Overlap(names[0], names[1], areas[0], areas[1], places[0], places[1], shared, boxes)


def _count(truth: NDArray[Any], predicted: NDArray[Any], where: Where) -> NDArray[np.int64]:
    """Rows (label of the truth, predicted label, pixels, first places, last places)."""
    for labels in (truth, predicted):
        if labels.dtype.kind not in "bui":
            raise InputError(f"expected label images of integers, got {labels.dtype}")
    a, b = truth.reshape(-1), predicted.reshape(-1)
    if not a.size:
        return np.empty((0, 3 + 2 * truth.ndim), np.int64)
    begins = np.empty(a.size, np.bool_)
    np.not_equal(a[1:], a[:-1], out=begins[1:])
    begins[1:] |= b[1:] != b[:-1]
    begins[:: truth.shape[-1]] = True
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=a.size)
    kept = (a[starts] != 0) | (b[starts] != 0)
    starts, lengths = starts[kept], lengths[kept]
    pairs = np.stack([a[starts].astype(np.int64), b[starts].astype(np.int64)], axis=1)
    if len(pairs) and int(pairs.min()) < 0:
        raise InputError(f"expected labels from 0, got {int(pairs.min())}")
    first = np.stack(np.unravel_index(starts, truth.shape), axis=1)
    last = first + 1
    last[:, -1] += lengths - 1
    origin = np.array([part.start for part in where])
    return _added([np.column_stack([pairs, lengths, first + origin, last + origin])])


def _added(tables: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Make one row of all rows of a pair of labels."""
    table = tables[0] if len(tables) == 1 else np.concatenate(tables)
    if not len(table):
        return table
    (a, _), (b, names) = (pd.factorize(table[:, column]) for column in (0, 1))
    code = a * len(names) + b
    order = np.argsort(code, kind="stable")
    table, code = table[order], code[order]
    starts = np.flatnonzero(np.diff(code, prepend=-1))
    ndim = (table.shape[1] - 3) // 2
    return np.column_stack(
        [
            table[starts, :2],
            np.add.reduceat(table[:, 2], starts),
            np.minimum.reduceat(table[:, 3 : 3 + ndim], starts),
            np.maximum.reduceat(table[:, 3 + ndim :], starts),
        ]
    )
