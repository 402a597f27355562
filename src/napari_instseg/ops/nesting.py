"""Masks that lie within one another: which of them a label image shows.

A model that is asked at every place answers with parts, objects and groups of objects. A label
image has one layer, so one of these has to stand for each pixel. Going from small masks to
large ones, a mask is held against those that were kept and lie in it: the side that the model
thinks better of stays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..instances import Mask
from .masks import corners, overlap_area

#: A mask lies in another one if that has this much of it.
INSIDE = 0.8
#: About how many pairs of boxes are looked at at a time.
PAIRS = 1 << 18


def flatten(masks: Sequence[Mask], scores: NDArray[np.floating]) -> NDArray[np.intp]:
    """Choose of nested masks the ones that a label image shows.

    Parameters
    ----------
    masks : sequence of N Mask
        Tight.
    scores : (N,) float

    Returns
    -------
    (K,) intp
        Index of those that stay, ascending. Masks that only overlap all stay.
    """
    areas = np.array([mask.area for mask in masks], np.int64)
    nested = _nested(masks, areas)
    stays = np.ones(len(masks), bool)
    for whole in np.argsort(areas, kind="stable"):
        parts = [part for part in nested.get(int(whole), ()) if stays[part]]
        if parts and scores[whole] < np.median(scores[parts]):
            stays[whole] = False
        else:
            stays[parts] = False
    return np.flatnonzero(stays)


def _nested(masks: Sequence[Mask], areas: NDArray[np.int64]) -> dict[int, list[int]]:
    """For each mask, those that lie in it."""
    found: dict[int, list[int]] = {}
    bounds = corners(masks)
    for i, j in zip(*touching(bounds), strict=True):
        part, whole = (i, j) if (areas[i], i) < (areas[j], j) else (j, i)
        height, width = np.minimum(bounds[i, 2:], bounds[j, 2:]) - np.maximum(
            bounds[i, :2], bounds[j, :2]
        )
        if height * width < INSIDE * areas[part]:
            continue
        if overlap_area(masks[part], masks[whole]) >= INSIDE * areas[part]:
            found.setdefault(int(whole), []).append(int(part))
    return found


def touching(bounds: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of boxes that share pixels.

    Parameters
    ----------
    bounds : (N, 4) int64
        See `masks.corners`.

    Returns
    -------
    i, j : (P,) intp
        Each pair once, in either order.
    """
    order = np.argsort(bounds[:, 0], kind="stable")
    first, last = bounds[order, 0], bounds[order, 2]
    # In order of their first rows, those that begin before one ends follow it directly.
    stop = np.searchsorted(first, last, side="left")
    count = np.maximum(stop - np.arange(1, len(order) + 1), 0)
    total = np.cumsum(count)
    # Not all at once: most of them do not touch.
    parts = np.searchsorted(total, np.arange(PAIRS, total.max(initial=0), PAIRS))
    found = []
    for part in np.split(np.arange(len(order)), parts):
        i = np.repeat(part, count[part])
        j = i + 1 + np.arange(len(i)) - np.repeat(np.cumsum(count[part]) - count[part], count[part])
        i, j = order[i], order[j]
        beside = (bounds[i, 1] < bounds[j, 3]) & (bounds[j, 1] < bounds[i, 3])
        found.append((i[beside], j[beside]))
    i, j = (np.concatenate(side) for side in zip(*found, strict=True))
    return i, j


def meeting(
    a: NDArray[np.int64], b: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of boxes of two planes that share pixels.

    Parameters
    ----------
    a, b : (N, 4), (M, 4) int64
        See `masks.corners`.

    Returns
    -------
    i, j : (P,) intp
        Each pair once, sorted.
    """
    if not len(a) or not len(b):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    both = np.concatenate([a, b])
    # Cells of a grid about as large as the objects: only boxes in one cell can meet.
    cell = max(1, int(np.median(both[:, 2:] - both[:, :2])))
    shape = tuple((both[:, 2:].max(axis=0) // cell + 1).tolist())
    together = (_covered(a, cell, shape) @ _covered(b, cell, shape).T).tocoo()
    i, j = together.coords
    meet = ((a[i, :2] < b[j, 2:]) & (b[j, :2] < a[i, 2:])).all(axis=1)
    order = np.lexsort((j[meet], i[meet]))
    return i[meet][order].astype(np.intp), j[meet][order].astype(np.intp)


def _covered(boxes: NDArray[np.int64], cell: int, shape: tuple[int, int]) -> sparse.csr_array:
    """Which cells of a grid each box reaches into: (N, cells)."""
    first, last = boxes[:, :2] // cell, (boxes[:, 2:] - 1) // cell + 1
    height, width = (last - first).T
    count = height * width
    box = np.repeat(np.arange(len(boxes)), count)
    nth = np.arange(len(box)) - np.repeat(np.cumsum(count) - count, count)
    row, column = first[box, 0] + nth // width[box], first[box, 1] + nth % width[box]
    ones = np.ones(len(box), np.int32)
    cells = row * shape[1] + column
    return sparse.csr_array((ones, (box, cells)), shape=(len(boxes), shape[0] * shape[1]))
