"""Masks, dots and lines drawn into pixels that are as fine as those of the screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...instances import Mask
from ...promptable import ON
from .drafts import Point

#: Values of pixels: inside and edge of masks, inside of one under the mouse, lines, dots.
INSIDE, EDGE, HOVER, LINE, ON_DOT, OFF_DOT, RING = range(1, 8)
#: How much of the picture masks cover.
MASK_ALPHA = {INSIDE: 0.4, EDGE: 1.0, HOVER: 0.2}
COLORS = {
    LINE: (1.0, 1.0, 1.0, 1.0),
    ON_DOT: (0.1, 0.8, 0.3, 1.0),
    OFF_DOT: (0.95, 0.2, 0.15, 1.0),
    RING: (1.0, 1.0, 1.0, 1.0),
}
#: Width of edges and lines, radius of dots and of the ring around them, px of the canvas.
EDGE_WIDTH, LINE_WIDTH, DOT, DOT_AND_RING = 1.5, 1.5, 4.0, 5.5


@dataclass(frozen=True, slots=True, eq=False)
class Shade:
    """A mask to show; ``hover`` if it is only what a click would give."""

    mask: Mask
    hover: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """Pixels over a part of a plane.

    Parameters
    ----------
    origin : (int, int)
        First row and column, px of the plane.
    pixels : (H, W) uint8
    fineness : int
        How many of them lie along a side of a pixel of the plane.
    """

    origin: tuple[int, int]
    pixels: NDArray[np.uint8]
    fineness: int

    @classmethod
    def empty(cls, origin: tuple[int, int], shape: Sequence[int], fineness: int) -> Raster:
        """Make one over ``shape`` pixels of the plane."""
        height, width = (length * fineness for length in shape)
        return cls(origin, np.zeros((height, width), np.uint8), fineness)

    def holds(
        self, low: NDArray[np.float64], high: NDArray[np.float64], plane_shape: tuple[int, int]
    ) -> bool:
        """Whether a part of the plane lies in it, as far as that is in the plane."""
        end = np.array(self.origin) + np.array(self.pixels.shape) // self.fineness
        low, high = np.maximum(low, 0), np.minimum(high, plane_shape)
        return bool((self.origin <= low).all() and (high <= end).all())

    def is_too_large(self, shape: NDArray[np.float64]) -> bool:
        """Whether it is much larger than what has this many pixels of the plane."""
        return bool(max(self.pixels.shape) > 6 * self.fineness * max(64.0, float(shape.max())))


def draw(
    raster: Raster,
    size: float,
    shades: Sequence[Shade],
    dots: Sequence[tuple[Point, int]],
    lines: Sequence[Sequence[Point]],
) -> None:
    """Draw instead of what was there.

    Parameters
    ----------
    raster : Raster
    size : float
        Side of a pixel of the plane on the canvas, px of the canvas.
    shades, dots, lines
        In px of the plane; see `Scene`.
    """
    raster.pixels[:] = 0
    # Pixels of the raster for one of the canvas.
    scale = raster.fineness / size
    for shade in shades:
        _draw_mask(raster, shade, max(1, round(EDGE_WIDTH * scale)))
    width = max(1, round(LINE_WIDTH * scale))
    for line in lines:
        _stamp(raster, sample(line, 0.5 / raster.fineness), width)
    for point, label in dots:
        _disk(raster, point, DOT_AND_RING * scale, RING)
        _disk(raster, point, DOT * scale, ON_DOT if label == ON else OFF_DOT)


def sample(line: Sequence[Point], spacing: float) -> NDArray[np.float64]:
    """Points along a line, (N, 2), no further apart than the spacing."""
    corners = np.asarray(line, float).reshape(-1, 2)
    if len(corners) < 2:
        return corners
    lengths = np.hypot(*np.diff(corners, axis=0).T)
    along = np.concatenate([[0], np.cumsum(lengths)])
    at = np.linspace(0, along[-1], int(along[-1] / spacing) + 2)
    return np.stack([np.interp(at, along, corners[:, i]) for i in (0, 1)], axis=1)


def _draw_mask(raster: Raster, shade: Shade, width: int) -> None:
    fine = raster.fineness
    pixels = np.repeat(np.repeat(shade.mask.pixels, fine, axis=0), fine, axis=1)
    inner = ndimage.binary_erosion(np.pad(pixels, 1), iterations=width)[1:-1, 1:-1]
    top, left = (
        (start - first) * fine
        for start, first in zip(shade.mask.origin, raster.origin, strict=True)
    )
    part = raster.pixels[top : top + pixels.shape[0], left : left + pixels.shape[1]]
    part[pixels] = EDGE
    part[inner] = HOVER if shade.hover else INSIDE


def _stamp(raster: Raster, spots: NDArray[np.float64], width: int) -> None:
    """Draw squares at points of the plane."""
    at = np.floor((spots - raster.origin) * raster.fineness - (width - 1) / 2).astype(int)
    at = np.unique(at, axis=0)
    steps = np.indices((width, width)).reshape(2, -1).T
    rows, cols = (at[:, np.newaxis] + steps).reshape(-1, 2).T
    height, length = raster.pixels.shape
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < length)
    raster.pixels[rows[inside], cols[inside]] = LINE


def _disk(raster: Raster, point: Point, radius: float, value: int) -> None:
    row, col = (
        (place - first) * raster.fineness - 0.5
        for place, first in zip(point, raster.origin, strict=True)
    )
    rows, cols = (
        slice(max(int(np.floor(middle - radius)), 0), max(int(np.ceil(middle + radius)) + 1, 0))
        for middle in (row, col)
    )
    part = raster.pixels[rows, cols]
    r, c = np.indices(part.shape)
    part[np.hypot(r + rows.start - row, c + cols.start - col) <= radius] = value
