"""Masks and points from what was drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...instances import Mask
from ...ops.masks import union
from .drafts import Point

#: A scribble becomes so many points at most.
MOST_POINTS = 8


def polygon_mask(corners: Sequence[Point], plane_shape: tuple[int, int]) -> Mask | None:
    """Return the pixels whose centres lie inside a polygon; None if there are none.

    Parameters
    ----------
    corners : sequence of (row, col)
        In px; pixel (r, c) covers r to r + 1 and c to c + 1.
    plane_shape : (int, int)
        Height and width of the plane, px.
    """
    # Imported when something was drawn: it takes a second.
    from skimage.draw import polygon

    where = np.asarray(corners, float).reshape(-1, 2)
    if len(where) < 3:
        return None
    rows, cols = polygon(where[:, 0] - 0.5, where[:, 1] - 0.5, plane_shape)
    if not len(rows):
        return None
    top, left = int(rows.min()), int(cols.min())
    pixels = np.zeros((int(rows.max()) - top + 1, int(cols.max()) - left + 1), bool)
    pixels[rows - top, cols - left] = True
    return Mask((top, left), pixels)


def combined(mask: Mask, other: Mask, *, add: bool) -> Mask | None:
    """Join two masks, or take the other away from the first; None if nothing is left."""
    both = union((mask, other))
    if add:
        return both.tight()
    (top, left), pixels = both.origin, both.pixels.copy()
    pixels[other.shift(-top, -left).slices][other.pixels] = False
    return Mask(both.origin, pixels).tight()


def thinned(path: Sequence[Point]) -> tuple[Point, ...]:
    """Points spread evenly along a scribble; its ends are among them."""
    corners = np.asarray(path, float).reshape(-1, 2)
    steps = np.hypot(*np.diff(corners, axis=0).T)
    along = np.concatenate([[0], np.cumsum(steps)])
    if along[-1] == 0:
        return ((float(corners[0, 0]), float(corners[0, 1])),)
    at = np.linspace(0, along[-1], MOST_POINTS)
    rows, cols = (np.interp(at, along, corners[:, i]) for i in (0, 1))
    return tuple(zip(rows.tolist(), cols.tolist(), strict=True))
