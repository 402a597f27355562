"""How much of each object can be seen, without an image of all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..instances import Mask
from .arrays import joined
from .ids import Ids, id_type
from .masks import paint, without
from .objects import Objects

#: Objects are looked up by squares of this edge, px.
SQUARE = 128


class Overlaps:
    """Objects whose bounds meet, by squares of the plane.

    Parameters
    ----------
    bounds : (N, 4) int64
        First row and column, last row and column (half-open), px.
    """

    def __init__(self, bounds: NDArray[np.int64]) -> None:
        self._bounds = bounds
        squares: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, edges in enumerate(bounds.tolist()):
            for square in _squares(*edges):
                squares[square].append(index)
        dtype = id_type(len(bounds))
        self._squares = {square: np.array(here, dtype) for square, here in squares.items()}

    def within(self, top: int, left: int, bottom: int, right: int) -> NDArray[np.int64]:
        """Numbers of the objects whose bounds reach into a rectangle, rising."""
        squares = _squares(top, left, bottom, right)
        near = [self._squares[square] for square in squares if square in self._squares]
        found: NDArray[np.int64] = np.unique(joined(near, np.int64))
        first_row, first_col, last_row, last_col = self._bounds[found].T
        rows = (first_row < bottom) & (last_row > top)
        return np.asarray(found[rows & (first_col < right) & (last_col > left)])


def _squares(top: int, left: int, bottom: int, right: int) -> list[tuple[int, int]]:
    return [
        (row, col)
        for row in range(top // SQUARE, (bottom - 1) // SQUARE + 1)
        for col in range(left // SQUARE, (right - 1) // SQUARE + 1)
    ]


def find_visible(
    objects: Objects, overlaps: Overlaps, rank: Ids, min_visible: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the pixels of each object that better ones leave free, as `paint_visible` does.

    Parameters
    ----------
    objects : Objects
    overlaps : Overlaps
        Of their bounds.
    rank : (N,) int32 or int64
        Of each object, all different; 1 is the best.
    min_visible : float
        An object of which less than this share is free is left out, and hides nothing.

    Returns
    -------
    visible, area : (N,) int64
        Of each object: pixels that are free, and all, px.

    Notes
    -----
    Goes through the plane object by object. Whatever hides one is settled before, which leads no
    further than to objects that overlap; so masks that are far apart are never needed together.
    """
    visible, area = np.full((2, len(objects)), -1, np.int64)
    for start in range(len(objects)):
        waiting = [start]
        while waiting:
            index = waiting[-1]
            if visible[index] >= 0:
                waiting.pop()
                continue
            near = overlaps.within(*objects.bounds[index].tolist())
            better = near[rank[near] < rank[index]]
            open_ones = better[visible[better] < 0]
            if len(open_ones):
                waiting += open_ones.tolist()
                continue
            shown = better[visible[better] >= min_visible * area[better]]
            mask = objects.mask(index)
            visible[index], area[index] = _free(mask, objects, shown), mask.area
            waiting.pop()
    return visible, area


def _free(mask: Mask, objects: Objects, others: NDArray[np.int64]) -> int:
    rest = without(mask, [objects.mask(i) for i in others.tolist()])
    return 0 if rest is None else rest.area


def shown_in(
    overlaps: Overlaps, numbers: Ids, largest: int, rows: slice, cols: slice
) -> NDArray[np.int64]:
    """Find the objects that are to be painted in a window of the plane.

    Parameters
    ----------
    overlaps : Overlaps
        Of all objects' bounds.
    numbers : (N,) int32 or int64
        What to paint for each object; 0 leaves it out.
    largest : int
        Objects with larger numbers are left out, too.
    rows, cols : slice
        With bounds inside the plane.

    Returns
    -------
    (M,) int64
        Rising, so that those of one tile follow each other.
    """
    if rows.start == rows.stop or cols.start == cols.stop:
        return np.empty(0, np.int64)
    near = overlaps.within(rows.start, cols.start, rows.stop, cols.stop)
    # There may be far more objects elsewhere.
    found = numbers[near]
    return near[(found > 0) & (found <= largest)]


def paint_window(masks: Sequence[Mask], numbers: Ids, rows: slice, cols: slice) -> Ids:
    """Paint a window of the plane; of masks that share a pixel the smallest number stays.

    Parameters
    ----------
    masks : sequence of M Mask
    numbers : (M,) int32 or int64
    rows, cols : slice
        With bounds inside the plane.

    Returns
    -------
    array of the window's shape, of the numbers' type
    """
    canvas = np.zeros((rows.stop - rows.start, cols.stop - cols.start), numbers.dtype)
    for index in np.argsort(-numbers).tolist():
        paint(canvas, (rows.start, cols.start), masks[index], int(numbers[index]))
    return canvas
