"""Pixels inside outlines: the way back from `ops.outlines`, and for outlines that others drew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..instances import Mask
from ..segmenter import InputError

#: Rows that edges cross, at a time: bounds the memory that outlines of many long edges take.
CROSSINGS = 4_000_000
#: No coordinate in an image is larger, px.
FARTHEST = 1e9


def fill(rings: Sequence[ArrayLike], shape: tuple[int, int]) -> Mask | None:
    """Find the pixels whose centres lie inside closed outlines.

    Parameters
    ----------
    rings : sequence of (N, 2) arrays
        Corners (row, col), px; the first may be repeated at the end. What an odd number of
        rings is around is inside: a ring in another one is a hole.
    shape : (int, int)
        Height and width of the plane, px; what lies beyond is cut off.

    Returns
    -------
    Mask or None
        None if there is no pixel.

    Raises
    ------
    InputError
        If a ring is no list of pairs of numbers, or has one of `FARTHEST` or more, or NaN.

    Notes
    -----
    A centre just on an upper or left edge is inside, on a lower or right one outside, so that
    outlines with an edge in common share no pixel and leave none out. ImageJ and QuPath do alike.

    Examples
    --------
    >>> fill([[(0, 0), (0, 2), (2, 2), (2, 0)]], (3, 4)).pixels.tolist()
    [[True, True], [True, True]]
    """
    height, width = shape
    begins, ends = _edges(rings)
    rows = np.ceil(np.clip(np.stack([begins[:, 0], ends[:, 0]]), 0, height) - 0.5).astype(np.int64)
    crossing = rows[0] != rows[1]
    if not crossing.any():
        return None
    begins, ends, rows = begins[crossing], ends[crossing], rows[:, crossing]
    cols = np.clip(np.concatenate([begins[:, 1], ends[:, 1]]), 0, width)
    top, bottom = int(rows.min()), int(rows.max())
    left, right = int(np.floor(cols.min())), int(np.ceil(cols.max()))
    if left == right:
        return None
    wide = right - left + 1
    odd = np.zeros((bottom - top) * wide, np.bool_)
    for row, at in _crossings(begins, ends, rows):
        col = np.clip(np.ceil(at - 0.5), left, right).astype(np.int64) - left
        np.bitwise_xor.at(odd, (row - top) * wide + col, True)
    inside = np.logical_xor.accumulate(odd.reshape(-1, wide), axis=1)[:, :-1]
    return Mask((top, left), inside).tight()


def _edges(rings: Sequence[ArrayLike]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and last corner of each edge."""
    begins, ends = [np.empty((0, 2))], [np.empty((0, 2))]
    for ring in rings:
        try:
            points = np.asarray(ring, np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"expected an outline of pairs of numbers ({error})") from error
        if points.ndim != 2 or points.shape[1] != 2 or not (abs(points) < FARTHEST).all():
            raise InputError(
                f"expected an outline of pairs of numbers below {FARTHEST:.0e}, got an array of "
                f"shape {points.shape} with up to {np.max(abs(points), initial=0):g}"
            )
        begins.append(points)
        ends += [points[1:], points[:1]]
    return np.concatenate(begins), np.concatenate(ends)


def _crossings(
    begins: NDArray[np.float64], ends: NDArray[np.float64], rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Rows whose centre line edges cross, and where, some edges at a time."""
    first, count = rows.min(axis=0), np.abs(rows[1] - rows[0])
    total = np.cumsum(count)
    slope = (ends[:, 1] - begins[:, 1]) / (ends[:, 0] - begins[:, 0])
    parts = [np.arange(len(count))]
    if total[-1] > CROSSINGS:
        cuts = np.searchsorted(total, np.arange(CROSSINGS, total[-1], CROSSINGS)) + 1
        parts = np.split(parts[0], np.unique(cuts))
    for edges in parts:
        of = np.repeat(edges, count[edges])
        before = np.cumsum(count[edges]) - count[edges]
        row = np.arange(len(of)) - np.repeat(before, count[edges]) + first[of]
        yield row, begins[of, 1] + (row + 0.5 - begins[of, 0]) * slope[of]
