"""Planes whose objects lie on disk: numbers at hand, and what a window of them shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .hands import OWN_HANDS, Hands
from .instances import Instances
from .ops.ids import Ids, ranks_of, with_zero
from .ops.objects import Numbers, Objects
from .ops.results import LazyParts, ObjectReader, Shelf
from .ops.stuff import Stuff
from .ops.tile_groups import GROUP
from .ops.tiling import Tile
from .ops.visibility import Overlaps, paint_window, shown_in


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is known of the objects that begin in some tiles, and where these tiles' stuff lies.

    Parameters
    ----------
    numbers : Numbers
    ground : list of (Tile, Tile)
        Of the tiles with stuff: the tile, and its own part of the plane.
    """

    numbers: Numbers
    ground: list[tuple[Tile, Tile]]


class StoredPlane:
    """One plane's objects and stuff, read where they are needed.

    Parameters
    ----------
    shape : (int, int)
        Height and width, px.
    tiles : sequence of Tile
        Those that the shelf has objects of.
    read : ObjectReader
    known : sequence of Known
        Of the tiles, one group after the other.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        tiles: Sequence[Tile],
        read: ObjectReader,
        known: Sequence[Known],
    ) -> None:
        self._shape, self.tiles, self._read = shape, tiles, read
        numbers = Numbers.joined([part.numbers for part in known])
        #: See `Known`.
        self.ground = [place for part in known for place in part.ground]
        self._cores = np.array([core.edges for _, core in self.ground], np.int64).reshape(-1, 4)
        self._known = Known(numbers, self.ground)
        parts = LazyParts(len(tiles), lambda number: read(tiles[number]).instances)
        self.objects = Objects(shape, parts, numbers)
        self.overlaps = Overlaps(self.objects.bounds)

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the numbers; masks stay in files."""
        return StoredPlane, (self._shape, self.tiles, self._read, [self._known])

    def instances(self) -> Instances:
        """Read all objects of the plane into memory."""
        parts = [self._read(tile).instances for tile in self.tiles]
        return Instances.concatenate([Instances.empty(self._shape), *parts])

    def scene(self, numbers: Ids, largest: int, rows: slice, cols: slice) -> Scene:
        """Find what a window shows, given a number for each object; see `shown_in`."""
        window = Tile(rows.start, cols.start, rows.stop, cols.stop)
        near = shown_in(self.overlaps, numbers, largest, rows, cols)
        owner = self.objects.owner[near]
        return Scene(
            self._read,
            window,
            {number: self.tiles[number] for number in np.unique(owner).tolist()},
            [self.objects.place(index) for index in near.tolist()],
            numbers[near],
            self.objects.category_ids[near].astype(np.int32),
            self._ground_in(window),
        )

    def _ground_in(self, window: Tile) -> list[tuple[Tile, Tile]]:
        # There may be a million tiles: their edges are compared all at once.
        top, left, bottom, right = self._cores.T
        rows = (top < window.bottom) & (bottom > window.top)
        near = np.flatnonzero(rows & (left < window.right) & (right > window.left))
        return [self.ground[index] for index in near.tolist()]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What a window of a plane shows; it can be painted in any process that has the files.

    Parameters
    ----------
    read : ObjectReader
    window : Tile
    tiles : dict of int to Tile
        Those that objects of the window begin in.
    places : list of (int, int)
        The tile of each object, and its number there.
    numbers : (N,) int32 or int64
    category_ids : (N,) int32
        Of the objects.
    ground : list of (Tile, Tile)
        See `Known`; those that reach into the window.
    """

    read: ObjectReader
    window: Tile
    tiles: dict[int, Tile]
    places: list[tuple[int, int]]
    numbers: Ids
    category_ids: NDArray[np.int32]
    ground: list[tuple[Tile, Tile]]

    def objects(self) -> Ids:
        """Paint the objects' numbers."""
        return self._paint(self.numbers)

    def _paint(self, numbers: Ids) -> Ids:
        masks = [self.read(self.tiles[tile]).instances.masks[n] for tile, n in self.places]
        return paint_window(masks, numbers, *self.window.slices)

    def stuff(self) -> NDArray[np.int32]:
        """Category ids of the model's stuff; 0 is void."""
        found = np.zeros(self.window.shape, np.int32)
        for tile, core in self.ground:
            shared, semantic = core.intersection(self.window), self.read(tile).semantic
            if shared is not None and semantic is not None:
                found[shared.within(self.window)] = semantic[shared.within(core)]
        return found

    def semantic(self, stuff: Stuff | None) -> NDArray[np.int32]:
        """Paint category ids; ``stuff`` has been counted, if there is any."""
        return self._both(stuff)[0]

    def panoptic(self, stuff: Stuff | None) -> Ids:
        """Paint objects and stuff; see `semantic`."""
        return self._both(stuff)[1]

    def _both(self, stuff: Stuff | None) -> tuple[NDArray[np.int32], Ids]:
        # Few objects lie in a window, however large their numbers are.
        order = np.argsort(self.numbers)
        places = self._paint(ranks_of(order))
        semantic = with_zero(self.category_ids[order])[places]
        panoptic = with_zero(self.numbers[order])[places]
        if stuff is not None and self.ground:
            panoptic = panoptic.astype(stuff.dtype, copy=False)
            stuff.paint(self.read.plane, self.stuff(), semantic, panoptic)
        return semantic, panoptic


def read_planes(
    shape: tuple[int, int],
    found: Mapping[tuple[int, ...], Sequence[Tile]],
    shelf: Shelf,
    hands: Hands = OWN_HANDS,
) -> dict[tuple[int, ...], StoredPlane]:
    """Read what there is to know of planes without their masks.

    Parameters
    ----------
    shape : (int, int)
        Height and width, px.
    found : mapping of tuple of int to sequence of Tile
        By plane: tiles that the shelf has objects of.
    shelf : Shelf
    hands : Hands
        Who reads.
    """
    readers = {index: ObjectReader(shelf, index) for index in found}
    groups = [
        (index, tiles[start : start + GROUP])
        for index, tiles in found.items()
        for start in range(0, len(tiles), GROUP)
    ]
    known: dict[tuple[int, ...], list[Known]] = {index: [] for index in found}
    parts = hands.map(_look_up, ((readers[index], tiles) for index, tiles in groups))
    for (index, _), part in zip(groups, parts, strict=True):
        known[index].append(part)
    return {
        index: StoredPlane(shape, tiles, readers[index], known[index])
        for index, tiles in found.items()
    }


def _look_up(group: tuple[ObjectReader, Sequence[Tile]]) -> Known:
    read, tiles = group
    numbers, ground = [], []
    for tile in tiles:
        result = read(tile)
        numbers.append(Numbers.of(result.instances))
        if result.semantic is not None:
            ground.append((tile, result.core))
    return Known(Numbers.joined(numbers), ground)
