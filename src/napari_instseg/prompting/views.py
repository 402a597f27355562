"""Which pictures a plane is looked at through: levels of resolution, each cut into tiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..ops.scaling import Resampling
from ..ops.tiling import Tile, plan_tiles

#: Row and column of the first, row and column of the last corner, px of the plane.
Region: TypeAlias = tuple[float, float, float, float]

#: A tile shows a region with this much around it, so that its surroundings are seen, too.
MARGIN = 1.3
#: How many tiles away, in rows and in columns, a tile still counts as a neighbour.
RINGS = 2


@dataclass(frozen=True, slots=True)
class View:
    """One picture that a model sees of an image.

    Parameters
    ----------
    plane : tuple of int
        Index along each of the image's plane axes.
    level : int
        The plane is made 2**level smaller.
    tile : Tile
        In px of that level.
    """

    plane: tuple[int, ...]
    level: int
    tile: Tile


@dataclass(frozen=True, slots=True)
class Pyramid:
    """The views of the planes of an image; all planes have the same.

    Level 0 is the plane, resized once for the size of its objects; each further level is half
    as large as the one before; the last one is a single tile.

    Parameters
    ----------
    resampling : Resampling
        From the plane to level 0.
    tile_size : int
        Longest side of a picture, px of its level.
    overlap : int
        What neighbouring tiles share at least, px of their level.
    """

    resampling: Resampling
    tile_size: int
    overlap: int

    @property
    def levels(self) -> int:
        """Number of levels; at least 1."""
        level = 0
        while max(self.shape(level)) > self.tile_size:
            level += 1
        return level + 1

    def shape(self, level: int) -> tuple[int, int]:
        """Height and width of a level, px; its last row and column may average less."""
        height, width = (-(-length // 2**level) for length in self.resampling.target)
        return height, width

    def px(self, level: int) -> float:
        """How many px of the plane one px of a level is."""
        (height, width), (tall, wide) = self.resampling.source, self.shape(level)
        return height * width / max(1, tall * wide)

    def views(self, plane: tuple[int, ...], level: int) -> Iterator[View]:
        """All tiles of one level, row by row."""
        for top, bottom in self._spans(level, 0):
            for left, right in self._spans(level, 1):
                yield View(plane, level, Tile(top, left, bottom, right))

    def view_for(self, plane: tuple[int, ...], region: Region, lowest: int = 0) -> View:
        """Choose the finest view that shows a region and its surroundings.

        Parameters
        ----------
        plane : tuple of int
        region : Region
            In px of the plane; may be a point.
        lowest : int
            The finest level to look at.

        Returns
        -------
        View
            Of the tiles that show it, the one whose centre is nearest.
        """
        last = self.levels - 1
        for level in range(min(lowest, last), last):
            begin, end = self.to_level(level, [region[:2], region[2:]])
            spans = [
                _best_span(self._spans(level, axis), begin[axis], end[axis], length)
                for axis, length in enumerate(self.shape(level))
            ]
            rows, cols = spans
            if rows is not None and cols is not None:
                return View(plane, level, Tile(rows[0], cols[0], rows[1], cols[1]))
        return View(plane, last, Tile(0, 0, *self.shape(last)))

    def neighbours(self, view: View) -> list[View]:
        """The tiles around a view at its level, nearest first."""
        rows, cols = self._spans(view.level, 0), self._spans(view.level, 1)
        row = rows.index((view.tile.top, view.tile.bottom))
        col = cols.index((view.tile.left, view.tile.right))
        found = [
            View(view.plane, view.level, Tile(top, left, bottom, right))
            for top, bottom in rows[max(row - RINGS, 0) : row + RINGS + 1]
            for left, right in cols[max(col - RINGS, 0) : col + RINGS + 1]
        ]
        center = np.add((view.tile.top, view.tile.left), (view.tile.bottom, view.tile.right))

        def distance(other: View) -> float:
            tile = other.tile
            return float(
                np.hypot(*(np.add((tile.top, tile.left), (tile.bottom, tile.right)) - center))
            )

        return sorted((other for other in found if other != view), key=distance)

    def to_level(self, level: int, points: ArrayLike) -> NDArray[np.float64]:
        """Move (..., 2) points (row, col) from px of the plane to px of a level."""
        scale = np.divide(self.resampling.target, self.resampling.source)
        moved: NDArray[np.float64] = np.asarray(points, np.float64) * scale / 2**level
        return moved

    def to_picture(self, view: View, points: ArrayLike) -> NDArray[np.float64]:
        """Move (..., 2) points (row, col) from px of the plane to px of a view's picture."""
        return self.to_level(view.level, points) - (view.tile.top, view.tile.left)

    def region(self, view: View) -> Tile:
        """The part of the plane that a view's picture shows, px; parts of pixels count."""
        tile, (height, width) = view.tile, self.resampling.source
        scale = 2**view.level / np.divide(self.resampling.target, self.resampling.source)
        top, left = np.floor(np.multiply((tile.top, tile.left), scale))
        bottom, right = np.ceil(np.multiply((tile.bottom, tile.right), scale))
        return Tile(int(top), int(left), min(int(bottom), height), min(int(right), width))

    def _spans(self, level: int, axis: int) -> tuple[tuple[int, int], ...]:
        return _spans(self.shape(level)[axis], self.tile_size, self.overlap)


@lru_cache(maxsize=256)
def _spans(length: int, size: int, overlap: int) -> tuple[tuple[int, int], ...]:
    """Begin and end of the tiles along one axis, all as long as can be.

    `plan_tiles` makes them no longer than their number needs; but a model that resizes its
    picture to one size would then see each plane's objects in another size.
    """
    size = min(size, length)
    found = []
    for tile in plan_tiles((length, 1), max(size, 1), min(overlap, max(size - 1, 0))):
        begin = (tile.top + tile.bottom - size) // 2
        begin = min(max(begin, 0), length - size)
        found.append((begin, begin + size))
    return tuple(found)


def _best_span(
    spans: tuple[tuple[int, int], ...], begin: float, end: float, length: int
) -> tuple[int, int] | None:
    """The span that holds ``begin`` to ``end`` with a margin, and whose middle is nearest."""
    middle = (begin + end) / 2
    around = (end - begin) * (MARGIN - 1) / 2
    first, last = max(begin - around, 0), min(end + around, length)
    holding = [span for span in spans if span[0] <= first and last <= span[1]]
    return min(holding, key=lambda span: abs(sum(span) / 2 - middle), default=None)
