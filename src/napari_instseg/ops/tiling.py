"""Cut a plane into overlapping tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from ..segmenter import InputError


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of a plane: rows ``top:bottom``, columns ``left:right``, px."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def edges(self) -> tuple[int, int, int, int]:
        """First row and column, last row and column (half-open), px."""
        return self.top, self.left, self.bottom, self.right

    def intersection(self, other: Tile) -> Tile | None:
        """Return the shared rectangle; None if there is none."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Tile(top, left, bottom, right) if top < bottom and left < right else None

    def shift(self, rows: int, cols: int) -> Tile:
        """Return the rectangle moved by whole pixels."""
        return Tile(self.top + rows, self.left + cols, self.bottom + rows, self.right + cols)

    def within(self, other: Tile) -> tuple[slice, slice]:
        """Return its rows and columns in an array that begins where ``other`` does."""
        return (
            slice(self.top - other.top, self.bottom - other.top),
            slice(self.left - other.left, self.right - other.left),
        )


def tile_of(region: tuple[slice, slice], shape: tuple[int, int]) -> Tile:
    """Turn rows and columns (half-open, px) of a plane of ``shape`` into a tile.

    Raises
    ------
    InputError
        If there are none inside the plane.
    """
    rows, cols = region
    (top, bottom, _), (left, right, _) = rows.indices(shape[0]), cols.indices(shape[1])
    if top >= bottom or left >= right:
        raise InputError(
            f"region: expected rows and columns within {shape[0]} x {shape[1]} px, got "
            f"{rows.start}:{rows.stop}, {cols.start}:{cols.stop}"
        )
    return Tile(top, left, bottom, right)


def plan_tiles(shape: tuple[int, int], size: int, overlap: int, grid: int = 1) -> list[Tile]:
    """Cover a plane with overlapping tiles of one size, row by row.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the plane, px.
    size : int
        Largest edge of a tile, px.
    overlap : int
        What neighbours share, px.
    grid : int
        Tiles begin at multiples of this, px: a network that works in strides then sees every
        object in the same place of its grid, whatever the tile. Left aside where it exceeds
        ``size - overlap``.

    Returns
    -------
    list of Tile
        As few as cover the plane, and no larger than their number needs. Empty for an empty
        plane.

    Raises
    ------
    ValueError
        If the overlap is negative or not below the size.

    Examples
    --------
    >>> [(tile.left, tile.right) for tile in plan_tiles((100, 250), 100, 10)]
    [(0, 90), (80, 170), (160, 250)]
    """
    if not 0 <= overlap < size:
        raise ValueError(f"expected 0 <= overlap < size, got overlap {overlap}, size {size}")
    height, width = shape
    return [
        Tile(top, left, bottom, right)
        for top, bottom in _spans(height, size, overlap, grid)
        for left, right in _spans(width, size, overlap, grid)
    ]


def _spans(length: int, size: int, overlap: int, grid: int) -> list[tuple[int, int]]:
    """Begin and end of the tiles along one axis."""
    if length <= 0:
        return []
    longest, new = size - overlap, max(length - overlap, 1)
    grid = grid if longest >= grid else 1
    # What each tile adds to those before it: shared out evenly, then rounded up to the grid.
    count = ceil(new / (longest - longest % grid))
    step = ceil(new / count / grid) * grid
    starts = range(0, new, step)
    return [(start, min(start + step + overlap, length)) for start in starts]


def cores_of(tiles: Sequence[Tile], shape: tuple[int, int]) -> list[Tile]:
    """Return each tile without the outer half of what it shares with its neighbours.

    The cores of all tiles cover the plane of ``shape`` (height, width).
    """
    rows = {(t.top, t.bottom) for t in tiles}
    cols = {(t.left, t.right) for t in tiles}
    inner_rows = {span: _inner(*span, rows, shape[0]) for span in rows}
    inner_cols = {span: _inner(*span, cols, shape[1]) for span in cols}
    cores = []
    for tile in tiles:
        top, bottom = inner_rows[tile.top, tile.bottom]
        left, right = inner_cols[tile.left, tile.right]
        cores.append(Tile(top, left, bottom, right))
    return cores


def _inner(begin: int, end: int, spans: set[tuple[int, int]], length: int) -> tuple[int, int]:
    before = max((stop for start, stop in spans if start < begin), default=begin)
    after = min((start for start, _ in spans if start > begin), default=end)
    first = 0 if begin == 0 else (begin + max(before, begin)) // 2
    last = length if end == length else (min(after, end) + end) // 2
    return first, last
