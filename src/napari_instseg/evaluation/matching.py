"""How well one label image agrees with the truth: objects paired one to one, then counted.

AP is TP / (TP + FP + FN), as StarDist and the 2018 Data Science Bowl have it, not the area
under a precision-recall curve; there is no cap on the number of objects.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import connected_components

from ..segmenter import InputError

#: IoU thresholds, if no others are given.
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True)
class Match:
    """Counts at one IoU threshold; add them to pool images.

    Parameters
    ----------
    true_positives, false_positives, false_negatives : int
    iou_sum : float
        Of the matched pairs.

    Notes
    -----
    A ratio without anything to count (no object in the truth, none predicted) is NaN.

    Examples
    --------
    >>> match = Match(3, 1, 0, 2.4) + Match(1, 0, 1, 0.6)
    >>> round(match.average_precision, 3), match.precision, round(match.panoptic_quality, 3)
    (0.667, 0.8, 0.6)
    """

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0
    iou_sum: float = 0.0

    def __add__(self, other: Match) -> Match:
        return Match(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
            self.iou_sum + other.iou_sum,
        )

    @property
    def average_precision(self) -> float:
        """TP / (TP + FP + FN)."""
        return _ratio(
            self.true_positives,
            self.true_positives + self.false_positives + self.false_negatives,
        )

    @property
    def precision(self) -> float:
        """TP / (TP + FP)."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """TP / (TP + FN)."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); the same as PQ's recognition quality (RQ)."""
        wrong = self.false_positives + self.false_negatives
        return _ratio(2 * self.true_positives, 2 * self.true_positives + wrong)

    @property
    def segmentation_quality(self) -> float:
        """Mean IoU of the matched pairs (SQ)."""
        return _ratio(self.iou_sum, self.true_positives)

    @property
    def panoptic_quality(self) -> float:
        """Sum of matched IoU / (TP + FP / 2 + FN / 2) (PQ; Kirillov et al., CVPR 2019)."""
        wrong = self.false_positives + self.false_negatives
        return _ratio(self.iou_sum, self.true_positives + wrong / 2)

    def to_json(self) -> dict[str, Any]:
        """Return counts and ratios; None for NaN."""
        ratios = {
            "ap": self.average_precision,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "pq": self.panoptic_quality,
            "sq": self.segmentation_quality,
            "rq": self.f1,
        }
        counts = {
            "tp": self.true_positives,
            "fp": self.false_positives,
            "fn": self.false_negatives,
        }
        return {**counts, **{k: None if math.isnan(v) else v for k, v in ratios.items()}}


@dataclass(frozen=True, slots=True)
class Score:
    """How one image, or several pooled, compare with the truth.

    Parameters
    ----------
    name, kind : str
    images : int
    truth_count, predicted_count : int
        Objects.
    count_error : int
        Sum over images of how far the number of objects is off.
    overlap, foreground : int
        Pixels in both foregrounds; pixels of the truth's plus of the prediction's.
    matches : dict of float to Match
        By IoU threshold.
    """

    name: str
    kind: str
    images: int
    truth_count: int
    predicted_count: int
    count_error: int
    overlap: int
    foreground: int
    matches: dict[float, Match]

    @property
    def dice(self) -> float:
        """2 · overlap / (foreground of the truth + of the prediction); NaN without any."""
        return _ratio(2 * self.overlap, self.foreground)

    def to_json(self) -> dict[str, Any]:
        """Return all numbers; None for NaN."""
        return {
            "name": self.name,
            "kind": self.kind,
            "images": self.images,
            "truth_count": self.truth_count,
            "predicted_count": self.predicted_count,
            "count_error": self.count_error,
            "dice": None if math.isnan(self.dice) else self.dice,
            "iou": {f"{t:g}": match.to_json() for t, match in self.matches.items()},
        }


def match_labels(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    name: str = "",
    kind: str = "",
) -> Score:
    """Compare two label images.

    Parameters
    ----------
    truth, predicted : bool or integer arrays of the same shape, any number of dimensions
        0 is nothing; every other number is one object.
    thresholds : sequence of float
        In (0, 1]: pairs with at least this IoU may match.
    name, kind : str
        Kept in the result.

    Returns
    -------
    Score

    Raises
    ------
    InputError
        If shapes differ, or a threshold is out of range.

    Notes
    -----
    Objects are paired one to one (Hungarian), as many as possible, then with the largest sum
    of IoU. Only pairs that overlap are looked at, in groups that hang together, so thousands
    of objects are no burden.

    References
    ----------
    StarDist ``matching.py`` (Weigert et al., 2020).
    """
    if truth.shape != predicted.shape:
        raise InputError(f"expected a prediction of shape {truth.shape}, got {predicted.shape}")
    if not all(0 < t <= 1 for t in thresholds):
        raise InputError(f"expected IoU thresholds in (0, 1], got {tuple(thresholds)}")
    left, left_areas = _consecutive(truth)
    right, right_areas = _consecutive(predicted)
    both = (left > 0) & (right > 0)
    shared = sparse.coo_array(
        (np.ones(np.count_nonzero(both), np.int64), (left[both] - 1, right[both] - 1)),
        shape=(len(left_areas), len(right_areas)),
    ).tocsr()
    shared.sum_duplicates()
    pairs = shared.tocoo()
    rows, cols = pairs.coords
    iou = pairs.data / (left_areas[rows] + right_areas[cols] - pairs.data)
    return Score(
        name,
        kind,
        images=1,
        truth_count=len(left_areas),
        predicted_count=len(right_areas),
        count_error=abs(len(left_areas) - len(right_areas)),
        overlap=int(pairs.data.sum()),
        foreground=int(left_areas.sum() + right_areas.sum()),
        matches={t: _match(rows, cols, iou, shared.shape, t) for t in thresholds},
    )


def _consecutive(labels: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the objects 1..N; return the flat labels and the area (px) of each object."""
    flat = labels.ravel()
    if flat.dtype.kind not in "bui":
        raise InputError(f"expected label images of integers, got {labels.dtype}")
    flat = flat.astype(np.int64)
    if flat.size and int(flat.min()) < 0:
        raise InputError(f"expected labels from 0, got {int(flat.min())}")
    if flat.size and int(flat.max()) > 4 * flat.size:
        # A table of all numbers would be larger than the image: sort instead.
        values, inverse = np.unique(flat, return_inverse=True)
        flat = inverse.astype(np.int64) + (0 if values[0] == 0 else 1)
    areas = np.bincount(flat, minlength=1)
    areas[0] = 0
    present = areas > 0
    numbers = np.cumsum(present) * present
    return numbers[flat].astype(np.int64), areas[present].astype(np.int64)


def _match(
    rows: NDArray[Any],
    cols: NDArray[Any],
    iou: NDArray[Any],
    shape: tuple[int, ...],
    threshold: float,
) -> Match:
    good = iou >= threshold
    rows, cols, iou = rows[good], cols[good], iou[good]
    count, total = 0, 0.0
    for group in _groups(rows, cols, shape):
        alone = len(group) == 1
        picked = iou[group] if alone else _assign(rows[group], cols[group], iou[group])
        count, total = count + len(picked), total + float(picked.sum())
    return Match(count, shape[1] - count, shape[0] - count, total)


def _groups(
    rows: NDArray[Any], cols: NDArray[Any], shape: tuple[int, ...]
) -> Iterable[NDArray[np.intp]]:
    """Pairs that share objects, directly or through others; as indices into the pairs."""
    if not len(rows):
        return []
    nodes = shape[0] + shape[1]
    graph = sparse.coo_array((np.ones(len(rows), np.int8), (rows, cols + shape[0])), (nodes, nodes))
    _, group = connected_components(graph, directed=False)
    order = np.argsort(group[rows], kind="stable")
    return np.split(order, np.flatnonzero(np.diff(group[rows][order])) + 1)


def _assign(rows: NDArray[Any], cols: NDArray[Any], iou: NDArray[Any]) -> NDArray[np.float64]:
    """IoU of the best one-to-one pairs: most pairs first, then the largest sum of IoU."""
    row_names, r = np.unique(rows, return_inverse=True)
    col_names, c = np.unique(cols, return_inverse=True)
    table = np.zeros((len(row_names), len(col_names)))
    table[r, c] = iou
    size = min(table.shape)
    picked = table[linear_sum_assignment((table > 0) + table / (2 * size), maximize=True)]
    return np.asarray(picked[picked > 0], np.float64)


def pool(scores: Sequence[Score], name: str = "all", kind: str = "") -> Score:
    """Add up the counts of several images.

    Raises
    ------
    InputError
        If there is none.
    """
    if not scores:
        raise InputError("expected at least one image to pool")
    return Score(
        name,
        kind,
        images=sum(s.images for s in scores),
        truth_count=sum(s.truth_count for s in scores),
        predicted_count=sum(s.predicted_count for s in scores),
        count_error=sum(s.count_error for s in scores),
        overlap=sum(s.overlap for s in scores),
        foreground=sum(s.foreground for s in scores),
        matches={t: sum((s.matches[t] for s in scores), Match()) for t in scores[0].matches},
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
