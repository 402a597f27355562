"""What went wrong with each object: missed, spurious, split, merged, badly outlined, misnamed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..label_set import categories_of
from .comparison import Comparison
from .matching import match_pairs
from .overlap import Overlap
from .splits import find_merged, find_split

#: Kinds of errors; their numbers are the values of an error image, where 0 is no error.
CORRECT, MISSED, SPURIOUS, SPLIT, MERGED, POOR, MISNAMED = range(7)
KINDS = {
    MISSED: "missed",
    SPURIOUS: "spurious",
    SPLIT: "split",
    MERGED: "merged",
    POOR: "poor boundary",
    MISNAMED: "wrong category",
}
#: What each means, for people.
MEANINGS = {
    MISSED: "an object of the truth that nothing was matched with",
    SPURIOUS: "a predicted object that matches nothing",
    SPLIT: "an object of the truth that is cut into several",
    MERGED: "a predicted object that joins several of the truth",
    POOR: "a match with a low IoU: what one side has and the other has not",
    MISNAMED: "a match of different categories",
}
#: Which kinds are about an object of a side.
OF = {
    "truth": (MISSED, SPLIT, POOR, MISNAMED),
    "predicted": (SPURIOUS, MERGED, POOR, MISNAMED),
}
#: Columns of an error's place in rows and columns.
PLACES = {"Y": ("row_min", "row_max"), "X": ("col_min", "col_max")}
#: Matched objects below this IoU have a poor boundary.
POOR_BELOW = 0.75


@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """What went wrong in one plane or volume.

    Parameters
    ----------
    truth, predicted : (N,), (M,) int64
        Labels of the objects of either side, rising.
    truth_kinds, predicted_kinds : (N,), (M,) uint8
        What is wrong with each; see `KINDS`.
    partners : (N,) int64
        The predicted label that each object of the truth is matched with; 0: none.
    table : DataFrame
        A row an error, the largest of a kind first: kind; truth, predicted: labels, of the
        other side the one that shares most, 0: none; parts: how many objects it is split into or
        joins, else 1; category, of the truth where there is one; iou, of both labels, NaN if
        they do not touch; area, px; row_min, col_min, row_max, col_max (half-open), px; and
        for other axes, here Z, z_first and z_last.
    """

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    truth_kinds: NDArray[np.uint8]
    predicted_kinds: NDArray[np.uint8]
    partners: NDArray[np.int64]
    table: pd.DataFrame

    def paint(self, truth: NDArray[np.int32], predicted: NDArray[np.int32]) -> NDArray[np.int32]:
        """Paint the errors of a part.

        Parameters
        ----------
        truth, predicted : int32 arrays of one shape
            Labels there.

        Returns
        -------
        int32 array
            Numbers of `KINDS`; those of the truth's objects come first. Of a poor boundary, only
            what one side has and the other has not.
        """
        of_truth = categories_of(truth, self.truth, self.truth_kinds)
        painted = np.where(
            of_truth > 0, of_truth, categories_of(predicted, self.predicted, self.predicted_kinds)
        )
        agreed = (predicted > 0) & (categories_of(truth, self.truth, self.partners) == predicted)
        painted[agreed & (of_truth == POOR)] = CORRECT
        return painted


def find_errors(
    comparison: Comparison, threshold: float = 0.5, poor_below: float = POOR_BELOW
) -> Errors:
    """Say of each object what is wrong with it.

    Parameters
    ----------
    comparison : Comparison
    threshold : float
        Least IoU of a match, in (0, 1].
    poor_below : float
        Matches below this IoU have a poor boundary.

    Returns
    -------
    Errors

    Notes
    -----
    An object of the truth is *split* and a predicted one *merged* as `find_split` and
    `find_merged` have it, even if it is matched with its largest part; so are the parts. Of the
    others, those that are not matched are *missed* or *spurious*, and matched ones are wrong if
    their categories differ or their IoU is low. A predicted object that is excused (see
    `Comparison.excused`) is correct.
    """
    objects, (kept_truth, kept_predicted) = comparison.objects, comparison.kept
    rows, cols, iou = objects.rows, objects.cols, objects.iou
    pairs = match_pairs(objects, threshold)
    split, parts_of_split = find_split(objects)
    merged, parts_of_merged = find_merged(objects)
    categories = (
        comparison.truth.categories[kept_truth],
        comparison.predicted.categories[kept_predicted],
    )
    kind = np.where(iou[pairs] < poor_below, POOR, CORRECT)
    kind[categories[0][rows[pairs]] != categories[1][cols[pairs]]] = MISNAMED
    truth = np.full(len(objects.truth), MISSED, np.uint8)
    predicted = np.full(len(objects.predicted), SPURIOUS, np.uint8)
    predicted[comparison.excused[kept_predicted]] = CORRECT
    truth[rows[pairs]], predicted[cols[pairs]] = kind, kind
    for one, which in ((MERGED, parts_of_merged), (SPLIT, parts_of_split)):
        truth[rows[which]], predicted[cols[which]] = one, one
    # An object may be split and part of a merged one: as itself, it is rather the former.
    truth[split], predicted[merged] = SPLIT, MERGED
    partners = np.zeros(len(truth), np.int64)
    partners[rows[pairs]] = objects.predicted[cols[pairs]]
    none = np.empty(0, np.intp)
    found = [
        _alone(objects, "truth", truth == MISSED, MISSED, none),
        _alone(objects, "predicted", predicted == SPURIOUS, SPURIOUS, none),
        _alone(objects, "truth", split, SPLIT, parts_of_split),
        _alone(objects, "predicted", merged, MERGED, parts_of_merged),
        *(_matched(objects, pairs[truth[rows[pairs]] == one], one) for one in (POOR, MISNAMED)),
    ]
    table = _described(pd.concat(found, ignore_index=True), comparison)
    return Errors(objects.truth, objects.predicted, truth, predicted, partners, table)


def _rows(
    objects: Overlap,
    kind: int,
    ends: tuple[NDArray[np.int64], NDArray[np.int64]],
    parts: NDArray[np.int64] | int,
    iou: NDArray[np.float64],
) -> pd.DataFrame:
    """Rows of errors; ends are places among the objects of the truth and predicted, -1: none."""
    truth, predicted = (
        np.append(labels, 0)[places]
        for labels, places in zip((objects.truth, objects.predicted), ends, strict=True)
    )
    return pd.DataFrame(
        {"kind": KINDS[kind], "truth": truth, "predicted": predicted, "parts": parts, "iou": iou}
    )


def _alone(
    objects: Overlap, side: str, which: NDArray[np.bool_], kind: int, pairs: NDArray[np.intp]
) -> pd.DataFrame:
    """Objects of one side, with the one of the other that they share most with, and their parts."""
    places = np.flatnonzero(which)
    mine = objects.rows if side == "truth" else objects.cols
    parts = np.bincount(mine[pairs], minlength=len(which))[places]
    best, iou = _nearest(objects, side, len(which))
    ends = (places, best[places]) if side == "truth" else (best[places], places)
    return _rows(objects, kind, ends, np.maximum(parts, 1), iou[places])


def _matched(objects: Overlap, pairs: NDArray[np.intp], kind: int) -> pd.DataFrame:
    ends = objects.rows[pairs], objects.cols[pairs]
    return _rows(objects, kind, ends, 1, objects.iou[pairs])


def _nearest(
    objects: Overlap, side: str, count: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Place of the other side's object with the highest IoU, -1 if there is none, and that IoU."""
    mine, others = objects.rows, objects.cols
    if side == "predicted":
        mine, others = others, mine
    order = np.argsort(objects.iou, kind="stable")
    best, iou = np.full(count, -1, np.int64), np.full(count, np.nan)
    best[mine[order]], iou[mine[order]] = others[order], objects.iou[order]
    return best, iou


def _described(table: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """Add category, area and place; the largest errors of a kind come first."""
    overlap, names = comparison.overlap, np.array([*comparison.names, ""])
    sides = (
        ("predicted", overlap.predicted, overlap.predicted_areas, comparison.predicted),
        ("truth", overlap.truth, overlap.truth_areas, comparison.truth),
    )
    category = np.full(len(table), "", dtype=object)
    area = np.zeros(len(table), np.int64)
    boxes = np.zeros((len(table), 2, overlap.boxes.shape[2]), np.int64)
    boxes[:, 0] = np.iinfo(np.int64).max
    for side, labels, areas, known in sides:
        # The nearest object of the other side is named, but not part of the error.
        there = np.flatnonzero(table["kind"].isin([KINDS[kind] for kind in OF[side]]))
        place = np.searchsorted(labels, table[side].to_numpy()[there])
        category[there] = names[known.categories[place]]
        area[there] = np.maximum(area[there], areas[place])
        found = overlap.boxes_of(side)[place]
        boxes[there, 0] = np.minimum(boxes[there, 0], found[:, 0])
        boxes[there, 1] = np.maximum(boxes[there, 1], found[:, 1])
    table.insert(4, "category", category)
    table["area"] = area
    columns = {}
    for k, axis in enumerate(comparison.axes):
        first, last = PLACES.get(axis, (f"{axis.lower()}_first", f"{axis.lower()}_last"))
        columns[first], columns[last] = boxes[:, 0, k], boxes[:, 1, k] - (axis not in PLACES)
    usual = ("row_min", "col_min", "row_max", "col_max")
    for name in (*usual, *(c for c in columns if c not in usual)):
        table[name] = columns[name]
    ranks = table["kind"].map({name: rank for rank, name in KINDS.items()})
    order = np.lexsort([-area, ranks.to_numpy(np.int64)])
    return table.iloc[order].reset_index(drop=True)
