"""Polygons filled as COCO's own program does it, pixel by pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..segmenter import InputError
from .rle import normal

#: Steps a pixel, in which an outline is walked.
_SCALE = 5
#: More steps than this are no outline of an object.
_MOST_STEPS = 1 << 23
#: Corners farther away than this are in no image, px.
_FARTHEST = 1 << 20


def polygon_runs(corners: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Fill a polygon.

    Parameters
    ----------
    corners : (N, 2) float array
        X and y, px; pixel (0, 0) goes from 0 to 1. Inside is where the outline has been crossed
        an odd number of times.
    shape : (int, int)
        Height and width of the plane, px.

    Returns
    -------
    (N, 2) int64 array
        Runs of pixels as of `rle.runs_of`: the same as of pycocotools' ``frPyObjects``.

    Raises
    ------
    InputError
        If a corner lies far beyond any image, or the outline is absurdly long.

    Notes
    -----
    The outline is walked in steps of a fifth of a pixel; where it crosses the middle of a column,
    inside and outside change from the next row on.

    References
    ----------
    pycocotools, maskApi.c, rlePoly.
    """
    height, width = shape
    if not np.all(np.abs(corners) <= _FARTHEST):
        raise InputError(f"polygon: expected corners in an image of {width} x {height} px")
    # Towards zero, as C does it.
    points = np.trunc(_SCALE * corners + 0.5).astype(np.int64)
    x, y = _walk(points, np.roll(points, -1, axis=0))
    before, after = slice(None, -1), slice(1, None)
    crossed = x[before] != x[after]
    col = (np.minimum(x[before], x[after])[crossed] + 0.5) / _SCALE - 0.5
    row = (np.minimum(y[before], y[after])[crossed] + 0.5) / _SCALE - 0.5
    here = (np.floor(col) == col) & (col >= 0) & (col <= width - 1)
    row = np.ceil(np.clip(row[here], 0, height)).astype(np.int64)
    return normal(col[here].astype(np.int64) * height + row, height * width)


def _walk(
    begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """X and y of all steps along edges."""
    delta = ends - begins
    length = np.abs(delta).max(axis=1)
    if int(length.sum()) > _MOST_STEPS:
        raise InputError("polygon: expected the outline of an object, got one that is far longer")
    edge = np.repeat(np.arange(len(begins)), length + 1)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(length + 1) - length - 1, length + 1)
    flat = np.abs(delta[:, 0]) >= np.abs(delta[:, 1])
    # The longer side goes by whole steps, upwards; the other one is rounded.
    main = np.where(flat, 0, 1)
    number = np.arange(len(begins))
    flip = begins[number, main] > ends[number, main]
    low = np.where(flip[:, None], ends, begins)
    high = np.where(flip[:, None], begins, ends)
    slope = (high - low)[number, 1 - main] / np.maximum(length, 1)
    step = np.where(flip[edge], length[edge] - step, step)
    along = low[number, main][edge] + step
    across = np.trunc(low[number, 1 - main][edge] + slope[edge] * step + 0.5).astype(np.int64)
    return np.where(flat[edge], along, across), np.where(flat[edge], across, along)
