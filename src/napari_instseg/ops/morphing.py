"""Masks measured, moved, and made between two others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..instances import Mask


def centroid(mask: Mask) -> tuple[float, float]:
    """Mean row and column of a mask that is not empty, px; pixel (0, 0) is at (0.5, 0.5)."""
    rows, cols = np.nonzero(mask.pixels)
    return mask.origin[0] + float(rows.mean()) + 0.5, mask.origin[1] + float(cols.mean()) + 0.5


def equivalent_diameter(mask: Mask) -> float:
    """Diameter of the disc that has the mask's area, px."""
    return 2 * math.sqrt(mask.area / math.pi)


def ellipse(box: Sequence[float]) -> Mask:
    """Draw the ellipse inscribed in a box.

    Parameters
    ----------
    box : (row_min, col_min, row_max, col_max)
        Continuous, px.

    Returns
    -------
    Mask
        Pixels whose centres lie in it; the one at the box's centre at least.
    """
    first, last = np.reshape(np.asarray(box, np.float64), (2, 2))
    middle, half = (first + last) / 2, (last - first) / 2
    begin, end = np.floor(first).astype(int), np.ceil(last).astype(int)
    rows, cols = (
        ((np.arange(b, e) + 0.5 - m) / h) ** 2
        for b, e, m, h in zip(begin, end, middle, half, strict=True)
    )
    pixels = rows[:, np.newaxis] + cols <= 1
    pixels[tuple(np.floor(middle).astype(int) - begin)] = True
    return Mask((int(begin[0]), int(begin[1])), pixels)


def clip(mask: Mask, shape: tuple[int, int]) -> Mask | None:
    """Cut a mask at the edges of a plane, and tighten it; None if nothing is left."""
    (top, left), (height, width) = mask.origin, mask.pixels.shape
    rows = slice(max(0, -top), max(0, min(height, shape[0] - top)))
    cols = slice(max(0, -left), max(0, min(width, shape[1] - left)))
    return Mask((top + rows.start, left + cols.start), mask.pixels[rows, cols]).tight()


def interior_points(mask: Mask, count: int) -> NDArray[np.float32]:
    """Choose points far from a mask's edge and from each other.

    Parameters
    ----------
    mask : Mask
        Not empty.
    count : int
        At most so many; fewer where the mask is small.

    Returns
    -------
    (P, 2) float32
        Row and column of pixels' centres, px; the first is the farthest from the edge.
    """
    depth = ndimage.distance_transform_edt(np.pad(mask.pixels, 1))[1:-1, 1:-1]
    rows, cols = np.ogrid[: depth.shape[0], : depth.shape[1]]
    points: list[tuple[int, int]] = []
    while len(points) < count and depth.max() > 0:
        row, col = np.unravel_index(int(depth.argmax()), depth.shape)
        points.append((int(row), int(col)))
        # The next one lies where it is about as far from this one as from the edge.
        depth = np.minimum(depth, np.hypot(rows - row, cols - col) / 2)
        depth[depth < 1] = 0
    return np.array(points, np.float32) + np.array(mask.origin, np.float32) + np.float32(0.5)


def between(a: Mask, b: Mask, share: float) -> Mask:
    """Make the mask that lies between two others in place, size and shape.

    Parameters
    ----------
    a, b : Mask
        Not empty.
    share : float
        0 gives ``a``, 1 gives ``b``.

    Returns
    -------
    Mask
        Not empty; it may reach over a plane's edge where ``a`` and ``b`` lie on it.

    References
    ----------
    Raya and Udupa, "Shape-based interpolation of multidimensional objects", IEEE TMI 1990:
    signed distances to the edges are mixed, here after moving both to a common centre.
    """
    place_a, place_b = np.array(centroid(a)), np.array(centroid(b))
    middle = place_a + share * (place_b - place_a)
    moves = [np.rint(middle - place).astype(int) for place in (place_a, place_b)]
    moved = [m.shift(*map(int, move)) for m, move in zip((a, b), moves, strict=True)]
    top, left = np.min([m.origin for m in moved], axis=0) - 1
    bottom, right = np.max([np.add(m.origin, m.pixels.shape) for m in moved], axis=0) + 1
    distances = []
    for mask in moved:
        pixels = np.zeros((bottom - top, right - left), bool)
        pixels[mask.shift(-int(top), -int(left)).slices] = mask.pixels
        inside = ndimage.distance_transform_edt(pixels)
        outside = ndimage.distance_transform_edt(~pixels)
        distances.append(inside - outside + np.where(pixels, -0.5, 0.5))
    mixed = (1 - share) * distances[0] + share * distances[1]
    found = Mask((int(top), int(left)), mixed > 0).tight()
    # Thin shapes that do not touch have nothing in between.
    return found or (moved[0] if share < 0.5 else moved[1])
