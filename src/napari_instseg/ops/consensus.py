"""One set of 3-D objects out of several that were found in planes of different directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ids import Ids, id_type

#: Objects of two directions are one from this 3-D IoU on.
MIN_IOU = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """What at least two directions agree on.

    Parameters
    ----------
    labels : int32 or int64 array
        Objects 1..N, 0 is nothing.
    members : (N, D) int64
        Of each object, its label in each direction; 0 where that has none.
    iou : (N,) float64
        Mean 3-D IoU of its members, pair by pair.
    """

    labels: Ids
    members: NDArray[np.int64]
    iou: NDArray[np.float64]


def agree(volumes: Sequence[NDArray[np.integer[Any]]], min_iou: float = MIN_IOU) -> Agreement:
    """Match the objects of several directions, and keep the voxels that two of them share.

    Parameters
    ----------
    volumes : sequence of D integer arrays of one shape
        A label image for each direction, with the same order of axes.
    min_iou : float
        Objects of two directions are one from this 3-D IoU on, in (0, 1].

    Returns
    -------
    Agreement
        An object has at most one member a direction; the best pairs are matched first, equal
        ones in the order of the directions and labels. What one direction alone has found is
        left out. Objects are numbered by their first member.

    References
    ----------
    Conrad and Narayan, "Instance segmentation of mitochondria in electron microscopy images with
    a generalist deep learning model trained on a diverse dataset", Cell Systems 2023 (empanada):
    ortho-plane inference with a vote of two out of three.

    Examples
    --------
    >>> xy, xz = np.array([[1, 1, 1, 0]]), np.array([[0, 4, 4, 4]])
    >>> agree([xy, xz]).labels
    array([[0, 1, 1, 0]], dtype=int32)
    """
    pairs = sorted(
        (-iou, a, b, i, j)
        for a, b in combinations(range(len(volumes)), 2)
        for i, j, iou in _overlaps(volumes[a], volumes[b], min_iou)
    )
    groups: dict[tuple[int, int], dict[int, int]] = {}
    for _, a, b, i, j in pairs:
        one, other = groups.get((a, i), {a: i}), groups.get((b, j), {b: j})
        if one is other or one.keys() & other.keys():
            continue
        together = one | other
        for member in together.items():
            groups[member] = together
    found = sorted({tuple(g.get(d, 0) for d in range(len(volumes))) for g in groups.values()})
    members = np.array(sorted(found, key=_first), np.int64).reshape(-1, len(volumes))
    labels = _vote(volumes, members)
    present = np.unique(labels[labels > 0])
    number = np.zeros(len(members) + 1, id_type(len(present)))
    number[present] = np.arange(1, len(present) + 1)
    members = members[present - 1]
    known = {(a, i, b, j): -negative for negative, a, b, i, j in pairs}
    mean = [_mean_iou(row, known) for row in members.tolist()]
    return Agreement(number[labels], members, np.array(mean, np.float64))


def _first(members: tuple[int, ...]) -> tuple[tuple[bool, int], ...]:
    """Order by the label in the first direction; those without one come last."""
    return tuple((label == 0, label) for label in members)


def _overlaps(
    a: NDArray[np.integer[Any]], b: NDArray[np.integer[Any]], least: float
) -> list[tuple[int, int, float]]:
    """Pairs of labels with at least this IoU."""
    both = (a > 0) & (b > 0)
    size = int(b.max(initial=0)) + 1
    codes, shared = np.unique(a[both].astype(np.int64) * size + b[both], return_counts=True)
    i, j = np.divmod(codes, size)
    areas = [np.bincount(v.ravel()) for v in (a, b)]
    iou = shared / np.maximum(areas[0][i] + areas[1][j] - shared, 1)
    kept = iou >= least
    return list(zip(i[kept].tolist(), j[kept].tolist(), iou[kept].tolist(), strict=True))


def _vote(volumes: Sequence[NDArray[np.integer[Any]]], members: NDArray[np.int64]) -> Ids:
    """Give each voxel the object that two directions see there."""
    groups, dtype = [], id_type(len(members))
    for direction, volume in enumerate(volumes):
        group = np.zeros(int(volume.max(initial=0)) + 1, dtype)
        group[members[:, direction]] = np.arange(1, len(members) + 1)
        group[0] = 0
        groups.append(group[volume])
    labels = np.zeros(volumes[0].shape, dtype)
    for a, b in combinations(groups, 2):
        same = (a == b) & (a > 0)
        labels[same] = a[same]
    return labels


def _mean_iou(members: Sequence[int], known: dict[tuple[int, int, int, int], float]) -> float:
    """Mean IoU of the pairs among the members of an object; pairs below the limit count as 0."""
    present = [(d, label) for d, label in enumerate(members) if label]
    pairs = list(combinations(present, 2))
    return sum(known.get((a, i, b, j), 0.0) for (a, i), (b, j) in pairs) / len(pairs)
