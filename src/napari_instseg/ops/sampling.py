"""A bounded sample of an image's pixels, from which its intensities are measured.

Images in memory, and small ones, are thinned evenly. To thin a large image in chunks (Zarr, dask,
tiled TIFF) all of its chunks would be read: of these, some blocks are read instead, whole chunks
each.

Notes
-----
How far limits from blocks are from those of all pixels depends on how much an image differs from
place to place. Measured on three pictures of 8192² px each of real fields as they were stored (43
of BBBC038, drawn anew every 256 px: of many brightnesses, more than on one slide), in chunks of
256² to 1024² px: the upper limit (percentile 99.8) was off by at most so many % of the limits'
range

    part of the picture with fields    all    30 %    10 %    3 %
    blocks                               8      15      34     48
    blocks, with a coarser level         4       6      11     19
    in memory, thinned                   1       0       0      0

and the lower one (0.5) by 0, on 3 % by 7; in strips of 8 rows the upper one by at most 6. A coarser
level only says where to look. It is not measured itself: in means of 4 × 4 px the upper limit is
5 % too low, of 8 × 8 px 12 %. For slides with little on them and no coarser level, give limits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .axes import Image
from .tiling import Tile

#: Most pixels (per channel) that are kept.
SAMPLE_PIXELS = 2_000_000
#: Planes of a stack that are looked at.
SAMPLE_PLANES = 12
#: Planes in chunks with more pixels than this (all that are looked at) are read in part.
FEW_PIXELS = 4096 * 4096
#: Chunks are joined to blocks of at least so many pixels.
BLOCK_PIXELS = 256 * 256
#: What is read of a large image at most: so many blocks, pixels (per channel), and half of it.
MOST_BLOCKS, MOST_PIXELS = 256, 8192 * 8192
#: But so many blocks at least, however large they are, unless that is more than half.
FEWEST_BLOCKS = 8


#: A part of a plane.
Part: TypeAlias = tuple[tuple[int, ...], Tile]


def sample(image: Image, channels: Sequence[int] | None) -> list[NDArray[np.generic]]:
    """Read a part of an image's pixels, spread over all of it.

    Parameters
    ----------
    image : Image
    channels : sequence of int, optional
        None: all.

    Returns
    -------
    list of (H, W) or (H, W, C) arrays
        Of at most `SAMPLE_PLANES` planes, about `SAMPLE_PIXELS` px a channel; always the same
        ones. Empty for an image without pixels.
    """
    planes = image.planes()
    height, width = image.label_shape[-2:]
    if not planes or not height or not width:
        return []
    count = min(SAMPLE_PLANES, len(planes))
    picked = [planes[i] for i in np.linspace(0, len(planes) - 1, count).round().astype(int)]
    parts = _blocks(image, picked, channels)
    if parts is None:
        parts = [(plane, Tile(0, 0, height, width)) for plane in picked]
    step = step_for(sum(math.prod(tile.shape) for _, tile in parts), SAMPLE_PIXELS)
    return [
        image.read(
            plane,
            slice(tile.top, tile.bottom, step),
            slice(tile.left, tile.right, step),
            channels,
        )
        for plane, tile in parts
    ]


def step_for(pixels: int, limit: int) -> int:
    """Find k so that every k-th row and column leave about ``limit`` pixels, or fewer."""
    return max(1, math.ceil(math.sqrt(pixels / max(limit, 1))))


def _blocks(
    image: Image, planes: Sequence[tuple[int, ...]], channels: Sequence[int] | None
) -> list[Part] | None:
    """Choose blocks of a large image in chunks; None for all other images."""
    height, width = image.label_shape[-2:]
    chunks = _chunk_sizes(image)
    if not chunks or len(planes) * height * width <= FEW_PIXELS:
        return None
    rows, cols = _block_shape((chunks["Y"], chunks["X"]), (height, width))
    grid = len(planes), -(-height // rows), -(-width // cols)
    # Planes that share chunks are read together.
    deep = math.prod(chunks[letter] for letter in image.plane_axes)
    count = min(MOST_BLOCKS, max(FEWEST_BLOCKS, MOST_PIXELS // (rows * cols * deep)))
    count = max(1, min(count, math.prod(grid) // 2))
    order = _by_brightness(image, planes, channels, grid, (rows, cols))
    chosen = spread_out(grid, count) if order is None else order[_evenly(len(order), count)]
    return [
        (planes[plane], Tile(top, left, min(top + rows, height), min(left + cols, width)))
        for plane, top, left in (np.asarray(chosen) * (1, rows, cols)).tolist()
    ]


def _chunk_sizes(image: Image) -> dict[str, int]:
    """Length of a chunk by axis; empty for an image that is not in chunks."""
    chunks = getattr(image.data, "chunks", None)
    if not chunks:
        return {}
    # One size for all in Zarr, all sizes in dask.
    return {a: max(1, int(np.max(size))) for a, size in zip(image.axes, chunks, strict=True)}


def _block_shape(chunk: tuple[int, int], plane: tuple[int, int]) -> tuple[int, int]:
    """Join small chunks to a block that is about square; of whole chunks, but at the edges."""
    rows, cols = (min(c, n) for c, n in zip(chunk, plane, strict=True))
    while rows * cols < BLOCK_PIXELS and (rows, cols) != plane:
        if cols == plane[1] or (rows <= cols and rows < plane[0]):
            rows = min(rows + chunk[0], plane[0])
        else:
            cols = min(cols + chunk[1], plane[1])
    return rows, cols


def spread_out(grid: Sequence[int], count: int) -> list[tuple[int, ...]]:
    """Choose cells of a grid, evenly spread along all of its axes.

    Parameters
    ----------
    grid : sequence of int
        Number of cells along each axis.
    count : int
        Not more than there are cells.

    References
    ----------
    M. Roberts, "The unreasonable effectiveness of quasirandom sequences" (2018): the additive
    sequence with the powers of the generalised golden ratio.

    Examples
    --------
    >>> spread_out((1, 4, 4), 4)
    [(0, 0, 0), (0, 3, 2), (0, 2, 0), (0, 0, 2)]
    """
    ratio = 2.0
    for _ in range(64):
        ratio = (1 + ratio) ** (1 / (len(grid) + 1))
    found: dict[tuple[int, ...], None] = {}
    number = 0
    while len(found) < count:
        number += 1
        at = (
            int((0.5 + number * ratio ** -(axis + 1)) % 1 * cells)
            for axis, cells in enumerate(grid)
        )
        found.setdefault(tuple(at))
    return list(found)


def _evenly(total: int, count: int) -> NDArray[np.intp]:
    """``count`` of ``total`` places in a row, each in the middle of as many."""
    return ((np.arange(count) + 0.5) * total / count).astype(np.intp)


def _by_brightness(
    image: Image,
    planes: Sequence[tuple[int, ...]],
    channels: Sequence[int] | None,
    grid: tuple[int, int, int],
    block: tuple[int, int],
) -> NDArray[np.intp] | None:
    """Sort blocks (N, 3) by their mean in a coarser level; None if there is no small one.

    Taken evenly in this order, as many blocks are of the tissue as belong to it, however little
    of the slide that is.
    """
    if image.coarse is None:
        return None
    coarse = Image(image.coarse, image.axes)
    height, width = coarse.label_shape[-2:]
    if not 0 < len(planes) * height * width <= FEW_PIXELS:
        return None
    means = np.zeros(grid)
    for mean, plane in zip(means, planes, strict=True):
        ratios = zip(plane, coarse.plane_shape, image.plane_shape, strict=True)
        there = [i * small // large for i, small, large in ratios]
        pixels = coarse.read(there, slice(0, height), slice(0, width), channels)
        mean[:] = _block_means(pixels, image.label_shape[-2:], block, grid[1:])
    order = np.argsort(means, axis=None, kind="stable")
    return np.stack(np.unravel_index(order, grid), axis=-1)


def _block_means(
    pixels: NDArray[Any], full: Sequence[int], block: tuple[int, int], grid: tuple[int, int]
) -> NDArray[np.float64]:
    """Mean of each block in a plane that is smaller than the ``full`` one."""
    total = pixels if pixels.ndim == 2 else pixels.sum(axis=-1, dtype=np.float64)
    total = np.nan_to_num(total.astype(np.float64), posinf=0, neginf=0)
    for axis in range(2):
        length = total.shape[axis]
        begins = np.arange(grid[axis]) * block[axis] * length // full[axis]
        counts = np.maximum(np.diff([*begins, length]), 1)
        sums = np.add.reduceat(total, begins, axis=axis)
        total = sums / (counts[:, np.newaxis] if axis == 0 else counts)
    return total
