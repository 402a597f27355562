"""How far an object moves from one plane to the next, seen in the picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from ...instances import Mask
from ...ops.tiling import Tile

#: Pictures of objects larger than this (px) are thinned before they are compared.
LARGEST = 96
#: The background around an object that is compared with it, as a share of its size.
RIM = 0.15
#: How far it may move from one plane to the next, as a share of its size.
REACH = 1.0
#: What the farthest place has to be better by, in correlation, than the nearest.
PENALTY = 0.15

#: Reads a window of a plane (by its index), every n-th pixel: (h, w) float32.
Reader = Callable[[int, Tile, int], NDArray[np.float32]]


def displacement(
    read: Reader, shape: tuple[int, int], mask: Mask, before: int, after: int
) -> tuple[int, int]:
    """Find where the picture under a mask has gone.

    Parameters
    ----------
    read : callable
    shape : (int, int)
        Height and width of the plane, px.
    mask : Mask
        The object on the plane ``before``.
    before, after : int
        Index of the two planes.

    Returns
    -------
    (int, int)
        Rows and columns, px; (0, 0) where nothing fits better.

    Notes
    -----
    Normalized correlation of the pixels in and just around the mask, for all whole shifts
    within `REACH`, less a penalty that grows with the shift.
    """
    size = max(mask.pixels.shape)
    thin = max(1, math.ceil(size / LARGEST))
    rim = max(2 * thin, round(RIM * size))
    reach = max(4 * thin, round(REACH * size))
    (top, left), (height, width) = mask.origin, mask.pixels.shape
    # Both windows have their rows and columns from one grid, so that shifts are whole.
    reach = -(-reach // thin) * thin
    template = Tile(top - rim, left - rim, top + height + rim, left + width + rim)
    window = Tile(
        template.top - reach, template.left - reach, template.bottom + reach, template.right + reach
    )
    known, where = _padded(read, shape, before, template, thin)
    searched, inside = _padded(read, shape, after, window, thin)
    weights = np.pad(mask.pixels, rim)[::thin, ::thin]
    weights = ndimage.binary_dilation(weights, iterations=max(1, rim // thin)) & where
    fit = _correlation(known, weights.astype(np.float32), searched, inside)
    steps = np.indices(fit.shape) - reach // thin
    fit = fit - PENALTY * (steps**2).sum(axis=0) / (reach / thin) ** 2
    best = np.unravel_index(int(fit.argmax()), fit.shape)
    if not np.isfinite(fit[best]):
        return 0, 0
    rows, cols = (int(steps[axis][best]) * thin for axis in (0, 1))
    return rows, cols


def _padded(
    read: Reader, shape: tuple[int, int], index: int, tile: Tile, thin: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read a window that may reach over the plane's edges, and say which pixels are of it."""
    rows = np.arange(tile.top, tile.bottom, thin)
    cols = np.arange(tile.left, tile.right, thin)
    good_rows = (rows >= 0) & (rows < shape[0])
    good_cols = (cols >= 0) & (cols < shape[1])
    inside = good_rows[:, np.newaxis] & good_cols
    picture = np.zeros(inside.shape, np.float32)
    if inside.any():
        r, c = rows[good_rows], cols[good_cols]
        part = read(index, Tile(int(r[0]), int(c[0]), int(r[-1]) + 1, int(c[-1]) + 1), thin)
        picture[inside] = part.ravel()
    return ndimage.gaussian_filter(picture, 0.7), inside


def _correlation(
    known: NDArray[np.float32],
    weights: NDArray[np.float32],
    searched: NDArray[np.float32],
    inside: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Weighted normalized correlation at every whole shift; -inf where too little is seen."""
    shape = np.add(searched.shape, known.shape)
    spectra = [fft.rfft2(x, shape) for x in (inside, searched * inside, searched**2 * inside)]

    def slide(
        kernel: NDArray[np.float32], spectrum: NDArray[np.complexfloating[Any, Any]]
    ) -> NDArray[np.float64]:
        full = fft.irfft2(spectrum * np.conj(fft.rfft2(kernel, shape)), shape)
        rows, cols = np.subtract(searched.shape, known.shape) + 1
        return np.asarray(full[:rows, :cols], np.float64)

    total = slide(weights, spectra[0])
    sums, squares = slide(weights, spectra[1]), slide(weights, spectra[2])
    kernel, kernel_squared = weights * known, weights * known**2
    own, own_squares = slide(kernel, spectra[0]), slide(kernel_squared, spectra[0])
    seen = np.maximum(total, 1)
    shared = slide(kernel, spectra[1]) - own * sums / seen
    spread = (squares - sums**2 / seen) * (own_squares - own**2 / seen)
    flat = spread <= (1e-4 * seen) ** 2
    fit = shared / np.sqrt(np.where(flat, 1, spread))
    return np.where(total < 0.5 * weights.sum(), -np.inf, np.where(flat, 0, fit))
