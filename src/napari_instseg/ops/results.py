"""What has been found in a tile, and lists of it that need not lie in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from ..instances import Instances
from .tiling import Tile

#: A tile is compared with five neighbours in turn, two of which are those of the next tile, too.
KEPT_TILES = 6


@dataclass(frozen=True, slots=True, eq=False)
class TileResult:
    """What a model has found in one tile.

    Parameters
    ----------
    instances : Instances
        In plane coordinates.
    core : Tile
        The part of the plane that is this tile's own.
    semantic : int32 array of the core's shape, optional
        Category ids.
    non_finite : int
        Pixels of the core without a value.
    capped : (int, float), optional
        The cap on objects that was reached, and the lowest score within it.
    """

    instances: Instances
    core: Tile
    semantic: NDArray[np.int32] | None = None
    non_finite: int = 0
    capped: tuple[int, float] | None = None


#: Hears of a plane's results, in the image's pixels, as soon as they are there.
Watch = Callable[[tuple[int, ...], Iterable[TileResult]], None]


class LazyParts(Sequence[Instances]):
    """`Instances` that are read when asked for; the last few stay in memory.

    Parameters
    ----------
    count : int
    read : callable
        Reads the part of a number.
    """

    def __init__(self, count: int, read: Callable[[int], Instances]) -> None:
        self._count, self._read = count, lru_cache(maxsize=KEPT_TILES)(read)

    def __len__(self) -> int:
        """Return the number of parts."""
        return self._count

    @overload
    def __getitem__(self, index: int) -> Instances: ...
    @overload
    def __getitem__(self, index: slice) -> list[Instances]: ...
    def __getitem__(self, index: int | slice) -> Instances | list[Instances]:
        """Read a part."""
        if isinstance(index, slice):
            return [self._read(i) for i in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(f"expected a part below {self._count}, got {index}")
        return self._read(int(index))

    def __iter__(self) -> Iterator[Instances]:
        """Read all parts, one after the other."""
        return (self._read(i) for i in range(self._count))


class Shelf(Protocol):
    """Where a run puts what it has found, plane by plane."""

    def tile(self, plane: Sequence[int], tile: Tile) -> TileResult | None:
        """Return what was found in a tile, in the tiles' own grid; None if that is not known."""
        ...

    def keep_tile(self, plane: Sequence[int], tile: Tile, result: TileResult) -> None:
        """Keep what was found in a tile."""
        ...

    def objects(self, plane: Sequence[int], tile: Tile) -> TileResult:
        """Return the objects of a plane that begin in a tile, in the image's grid."""
        ...

    def keep_objects(self, plane: Sequence[int], tile: Tile, result: TileResult) -> None:
        """Keep the objects of a plane that begin in a tile."""
        ...

    def plane(self, plane: Sequence[int]) -> Mapping[str, Any] | None:
        """Return what was said of a plane that is done; None if it is not."""
        ...

    def keep_plane(self, plane: Sequence[int], about: Mapping[str, Any]) -> None:
        """Keep what there is to know of a plane that is done; its tiles are not needed any more."""
        ...


class MemoryShelf:
    """A `Shelf` that is gone with the process."""

    def __init__(self) -> None:
        self._tiles: dict[tuple[tuple[int, ...], Tile], TileResult] = {}
        self._objects: dict[tuple[tuple[int, ...], Tile], TileResult] = {}

    def tile(self, plane: Sequence[int], tile: Tile) -> TileResult | None:
        """See `Shelf`."""
        return self._tiles.get((tuple(plane), tile))

    def keep_tile(self, plane: Sequence[int], tile: Tile, result: TileResult) -> None:
        """See `Shelf`."""
        self._tiles[tuple(plane), tile] = result

    def objects(self, plane: Sequence[int], tile: Tile) -> TileResult:
        """See `Shelf`."""
        return self._objects[tuple(plane), tile]

    def keep_objects(self, plane: Sequence[int], tile: Tile, result: TileResult) -> None:
        """See `Shelf`."""
        self._objects[tuple(plane), tile] = result

    def plane(self, plane: Sequence[int]) -> None:
        """Return None: a plane is not begun twice."""

    def keep_plane(self, plane: Sequence[int], about: Mapping[str, Any]) -> None:
        """Forget the tiles."""
        self._tiles.clear()


class ObjectReader:
    """Reads objects of a plane that begin in a tile; the last few tiles stay in memory.

    It can be sent to other processes if the shelf can.

    Parameters
    ----------
    shelf : Shelf
    plane : tuple of int
    """

    def __init__(self, shelf: Shelf, plane: tuple[int, ...]) -> None:
        self.shelf, self.plane = shelf, plane
        self._read = lru_cache(maxsize=KEPT_TILES)(partial(shelf.objects, plane))

    def __call__(self, tile: Tile) -> TileResult:
        """Read what a tile has."""
        return self._read(tile)

    def __reduce__(self) -> tuple[type[ObjectReader], tuple[Shelf, tuple[int, ...]]]:
        """Send it without what it holds."""
        return ObjectReader, (self.shelf, self.plane)
