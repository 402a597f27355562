"""From a mask's logits on the model's grid to a crop in the picture's pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ...instances import Mask

#: A pixel belongs to a mask above it; how far a stable mask's edge is from moving is seen
#: between this much less and this much more.
THRESHOLD, OFFSET = 0.0, 1.0


def resized_shape(shape: tuple[int, int], longest: int) -> tuple[int, int]:
    """Height and width of a picture whose longest side is made ``longest``, px."""
    scale = longest / max(shape)
    height, width = (max(1, int(side * scale + 0.5)) for side in shape)
    return height, width


@dataclass(frozen=True, slots=True)
class Upsampling:
    """Make logits as large as the picture, only where a mask can be.

    The reference makes all of each mask as large as the network's input, cuts the padding off
    and resizes the rest to the picture. Here it is the same, from the part of the logits that
    exceeds the lowest threshold: what lies beyond cannot exceed it in between either.

    Parameters
    ----------
    mask_size, input_size : int
        Sides of the logits and of the network's input, px.
    shape : (int, int)
        Height and width of the picture, px.
    """

    mask_size: int
    input_size: int
    shape: tuple[int, int]

    def __call__(self, logits: Tensor) -> tuple[Mask, float]:
        """Turn (s, s) float32 logits on the CPU into a mask and its stability."""
        low = THRESHOLD - OFFSET
        there = logits[self._within()].numpy() > low
        rows = span(np.asarray(there.any(axis=1)), self.mask_size)
        cols = span(np.asarray(there.any(axis=0)), self.mask_size)
        if rows is None or cols is None:
            return NOTHING, 0.0
        origin, values = self._enlarge(logits, rows, cols)
        lowest = np.count_nonzero(values > low)
        if not lowest:
            return NOTHING, 0.0
        stability = np.count_nonzero(values > THRESHOLD + OFFSET) / lowest
        crop = Mask(origin, values > THRESHOLD).tight()
        if crop is None:
            return NOTHING, stability
        # The part alone, not the frame it was cut from, is kept.
        return Mask(crop.origin, crop.pixels.copy()), stability

    def _within(self) -> tuple[slice, slice]:
        """Rows and columns of the logits that are of the picture, not of the padding."""
        factor = self.input_size // self.mask_size
        height, width = (
            min(-(-side // factor) + 1, self.mask_size)
            for side in resized_shape(self.shape, self.input_size)
        )
        return slice(height), slice(width)

    def _enlarge(
        self, logits: Tensor, rows: slice, cols: slice
    ) -> tuple[tuple[int, int], NDArray[np.float32]]:
        """Where in the picture a part of the logits begins, and that part in its pixels."""
        factor = self.input_size // self.mask_size
        inner = resized_shape(self.shape, self.input_size)
        first_row, first_col = rows.start * factor, cols.start * factor
        part = F.interpolate(logits[None, None, rows, cols], scale_factor=factor, mode="bilinear")[
            0, 0, : inner[0] - first_row, : inner[1] - first_col
        ]
        if inner == self.shape:
            return (first_row, first_col), part.numpy()
        row, part = resize(part, 0, first_row, inner[0], self.shape[0])
        col, part = resize(part, 1, first_col, inner[1], self.shape[1])
        return (row, col), part.numpy()


NOTHING = Mask((0, 0), np.zeros((0, 0), np.bool_))


def span(there: NDArray[np.bool_], size: int) -> slice | None:
    """From the first to the last that is there, and one more on both sides; None if none is."""
    (where,) = there.nonzero()
    if not where.size:
        return None
    return slice(max(int(where[0]) - 1, 0), min(int(where[-1]) + 2, size))


def resize(part: Tensor, axis: int, first: int, old: int, new: int) -> tuple[int, Tensor]:
    """Resize the part from ``first`` on of an axis of ``old`` px, bilinearly, to ``new`` px.

    Returns
    -------
    begin : int
        Where the part begins now.
    part : Tensor
    """
    length = part.shape[axis]
    scale = np.float32(old) / np.float32(new)
    # Any pixel whose neighbours are in the part; those partly beyond it see its edge twice.
    begin = max(0, int(np.floor((first - 0.5) / scale - 0.5)))
    end = min(new, int(np.ceil((first + length + 0.5) / scale + 0.5)))
    places = np.arange(begin, end, dtype=np.float32)
    at = np.maximum(scale * (places + np.float32(0.5)) - np.float32(0.5), np.float32(0))
    below = at.astype(np.int64)
    weight = torch.from_numpy(at - below.astype(np.float32))
    above = np.minimum(below + 1, old - 1)
    low, high = (
        part.index_select(axis, torch.from_numpy((index - first).clip(0, length - 1)))
        for index in (below, above)
    )
    return begin, torch.lerp(low, high, weight[:, None] if axis == 0 else weight)
