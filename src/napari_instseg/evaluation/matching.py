"""How well one label image agrees with the truth: objects paired one to one, then counted.

AP is TP / (TP + FP + FN), as StarDist and the 2018 Data Science Bowl have it, not the area
under a precision-recall curve; there is no cap on the number of objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import connected_components

from ..segmenter import InputError
from .overlap import Overlap

#: IoU thresholds, if no others are given.
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
#: Of mean AP, as COCO has them.
ALL_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def check_thresholds(thresholds: Sequence[float]) -> tuple[float, ...]:
    """Check IoU thresholds.

    Returns
    -------
    tuple of float
        Each once, the lowest first.

    Raises
    ------
    InputError
        If there is none, or one is out of (0, 1].
    """
    if not thresholds or not all(0 < t <= 1 for t in thresholds):
        raise InputError(f"expected IoU thresholds in (0, 1], got {tuple(thresholds)}")
    return tuple(sorted(set(thresholds)))


def thresholds_from(lowest: float) -> tuple[float, ...]:
    """Put a lowest threshold before those of `ALL_THRESHOLDS` that are higher.

    Examples
    --------
    >>> thresholds_from(0.85)
    (0.85, 0.9, 0.95)
    """
    return (lowest, *(t for t in ALL_THRESHOLDS if t > lowest))


def match_pairs(overlap: Overlap, threshold: float) -> NDArray[np.intp]:
    """Pair labels one to one: as many pairs as possible, then the largest sum of IoU.

    Parameters
    ----------
    overlap : Overlap
        Of objects only: every label counts.
    threshold : float
        Least IoU of a pair, in (0, 1].

    Returns
    -------
    (N,) intp
        The pairs, as places in ``overlap.rows``, rising.

    Notes
    -----
    Hungarian, in groups of pairs that hang together, so thousands of objects are no burden.
    Above an IoU of 0.5, no label is in two pairs, since labels of one image do not overlap.

    References
    ----------
    StarDist ``matching.py`` (Weigert et al., 2020).
    """
    iou = overlap.iou
    good = np.flatnonzero(iou >= threshold)
    rows, cols, iou = overlap.rows[good], overlap.cols[good], iou[good]
    if threshold > 0.5 or (_apart(rows) and _apart(cols)):
        return good
    shape = len(overlap.truth), len(overlap.predicted)
    picked = [
        group if len(group) == 1 else group[_assign(rows[group], cols[group], iou[group])]
        for group in _groups(rows, cols, shape)
    ]
    return np.sort(good[np.concatenate([np.empty(0, np.intp), *picked])])


def group_pairs(
    rows: NDArray[np.int64], cols: NDArray[np.int64], shape: tuple[int, int]
) -> tuple[int, NDArray[np.int32]]:
    """Number the groups of labels that hang together through pairs.

    Parameters
    ----------
    rows, cols : (K,) int64
    shape : (int, int)
        Number of labels of the truth, and of the prediction.

    Returns
    -------
    int
        Number of groups; a label without a pair is one, too.
    (N + M,) int32
        Group of each label, those of the truth first.
    """
    nodes = shape[0] + shape[1]
    graph = sparse.coo_array((np.ones(len(rows), np.int8), (rows, cols + shape[0])), (nodes, nodes))
    count, group = connected_components(graph, directed=False)
    return count, group


def _apart(labels: NDArray[np.int64]) -> bool:
    """Whether each is in one pair only."""
    return not len(labels) or int(np.bincount(labels).max()) == 1


def _groups(
    rows: NDArray[np.int64], cols: NDArray[np.int64], shape: tuple[int, int]
) -> Iterable[NDArray[np.intp]]:
    """Pairs that share objects, directly or through others; as indices into the pairs."""
    if not len(rows):
        return []
    _, group = group_pairs(rows, cols, shape)
    order = np.argsort(group[rows], kind="stable")
    return np.split(order, np.flatnonzero(np.diff(group[rows][order])) + 1)


def _assign(
    rows: NDArray[np.int64], cols: NDArray[np.int64], iou: NDArray[np.float64]
) -> NDArray[np.intp]:
    """The best one-to-one pairs of a group."""
    row_names, r = np.unique(rows, return_inverse=True)
    col_names, c = np.unique(cols, return_inverse=True)
    table = np.zeros((len(row_names), len(col_names)))
    place = np.full(table.shape, -1, np.intp)
    table[r, c], place[r, c] = iou, np.arange(len(iou))
    size = min(table.shape)
    found = place[linear_sum_assignment((table > 0) + table / (2 * size), maximize=True)]
    return np.asarray(found[found >= 0], np.intp)
