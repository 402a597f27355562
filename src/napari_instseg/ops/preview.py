"""What a run has found so far, as one coarse label image of a size that any viewer takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..instances import Mask
from .ids import LARGEST_INT32
from .results import TileResult

#: Longest side of a plane, and pixels of all planes.
LONGEST, MOST = 2048, 4 * 2048**2


class Preview:
    """A label image of every ``step``-th row and column, painted as results come in.

    Numbers are provisional: an object is known again where tiles overlap if most of it was there.

    Parameters
    ----------
    shape : sequence of int
        Of the whole label image: planes, rows, columns.
    score_threshold : float
        Objects with a lower score are left out.

    Attributes
    ----------
    labels : int32 array
        Planes, rows, columns. Each pixel stands for ``step`` × ``step`` of the whole image, and
        shows their middle.
    step : int
    changes : int
        Number of times that something was added.
    """

    def __init__(self, shape: Sequence[int], score_threshold: float) -> None:
        *planes, height, width = shape
        crowded = math.sqrt(math.prod(shape) / MOST)
        self.step = max(1, math.ceil(max(height, width) / LONGEST), math.ceil(crowded))
        rows, cols = (-(-size // self.step) for size in (height, width))
        self.labels: NDArray[np.int32] = np.zeros((*planes, rows, cols), np.int32)
        self.changes = 0
        self._threshold, self._last = score_threshold, 0

    def add(self, plane: tuple[int, ...], results: Iterable[TileResult]) -> None:
        """Paint what was found in tiles of a plane, in pixels of the whole image."""
        canvas = self.labels[plane]
        for result in results:
            found, before = result.instances, self._last
            # The best last: on top.
            for i in np.argsort(found.scores, kind="stable"):
                if found.scores[i] >= self._threshold:
                    self._paint(canvas, self._thin(found.masks[i]), before)
        self.changes += 1

    def _thin(self, mask: Mask) -> Mask:
        """Keep the pixels that are shown; of an object between them, one."""
        step, half = self.step, self.step // 2
        top, left = (-((half - begin) // step) for begin in mask.origin)
        row, col = top * step + half - mask.origin[0], left * step + half - mask.origin[1]
        pixels = mask.pixels[row::step, col::step]
        if pixels.any():
            return Mask((top, left), pixels)
        rows, cols = mask.pixels.nonzero()
        middle = len(rows) // 2
        row, col = mask.origin[0] + int(rows[middle]), mask.origin[1] + int(cols[middle])
        return Mask((row // step, col // step), np.ones((1, 1), bool))

    def _paint(self, canvas: NDArray[np.int32], mask: Mask, before: int) -> None:
        """Paint an object with a new number, or that of an earlier tile's which it covers."""
        part = canvas[mask.slices]
        there = part[mask.pixels]
        numbers, counts = np.unique(there[(there > 0) & (there <= before)], return_counts=True)
        if len(numbers) and 2 * counts.max() >= len(there):
            number = int(numbers[counts.argmax()])
        else:
            # After the last one that fits, they begin anew.
            self._last = number = self._last % LARGEST_INT32 + 1
        part[mask.pixels] = number
