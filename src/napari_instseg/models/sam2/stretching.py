"""From a mask's logits to a crop in the picture's pixels, where the network saw a square."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..sam.upsampling import Upsampling, resize


class Stretching(Upsampling):
    """Make logits as large as the picture, only where a mask can be.

    As in the reference they are stretched over the picture in one step; here only the part
    that exceeds the lowest threshold.
    """

    __slots__ = ()

    def _within(self) -> tuple[slice, slice]:
        """All of the logits are of the picture."""
        return slice(self.mask_size), slice(self.mask_size)

    def _enlarge(
        self, logits: Tensor, rows: slice, cols: slice
    ) -> tuple[tuple[int, int], NDArray[np.float32]]:
        """Where in the picture a part of the logits begins, and that part in its pixels."""
        row, part = resize(logits[rows, cols], 0, rows.start, self.mask_size, self.shape[0])
        col, part = resize(part, 1, cols.start, self.mask_size, self.shape[1])
        return (row, col), part.numpy()
