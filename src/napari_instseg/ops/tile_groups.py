"""The tiles of a plane in groups, each of which can be compared with its neighbours by itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..instances import Instances
from .comparing import Evidence, compare
from .objects import Numbers
from .tiling import Tile

#: Tiles in a group.
GROUP = 16


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Objects of some tiles, and what these tiles and their neighbours say of each other's."""

    numbers: Numbers
    evidence: Evidence

    @classmethod
    def joined(cls, several: Sequence[Compared]) -> Compared:
        """Put those of tiles that follow each other together."""
        return cls(
            Numbers.joined([compared.numbers for compared in several]),
            Evidence.joined([compared.evidence for compared in several]),
        )


@dataclass(frozen=True, slots=True)
class Group:
    """Some tiles of a plane, which are compared with those that follow them in one go.

    Parameters
    ----------
    own : range
        Numbers of the tiles.
    pairs : tuple of (int, int)
        Numbers of neighbours, one of ``own`` first.
    tiles : dict of int to Tile
        All that occur.
    """

    own: range
    pairs: tuple[tuple[int, int], ...]
    tiles: dict[int, Tile]


def neighbours(tiles: Sequence[Tile]) -> Iterator[tuple[int, int]]:
    """Pairs of tiles that share pixels, row by row; near pairs follow each other."""
    order = sorted(range(len(tiles)), key=lambda t: (tiles[t].top, tiles[t].left))
    for position, a in enumerate(order):
        for b in order[position + 1 :]:
            # Tiles are sorted by row, so the search stops early.
            if tiles[b].top >= tiles[a].bottom:
                break
            if tiles[a].intersection(tiles[b]) is not None:
                yield a, b


def groups(tiles: Sequence[Tile]) -> list[Group]:
    """Cut the tiles of a plane into groups that can be compared one by one."""
    pairs: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for a, b in neighbours(tiles):
        pairs[a // GROUP].append((a, b))
    found = []
    for number, start in enumerate(range(0, len(tiles), GROUP)):
        own = range(start, min(start + GROUP, len(tiles)))
        numbers = {*own, *(b for _, b in pairs[number])}
        found.append(Group(own, tuple(pairs[number]), {i: tiles[i] for i in sorted(numbers)}))
    return found


def compare_group(
    group: Group, read: Callable[[int], Instances], plane_shape: tuple[int, int]
) -> Compared:
    """Compare the tiles of a group with their neighbours.

    Parameters
    ----------
    group : Group
    read : callable
        Gives what was found in a tile, by its number, in plane coordinates.
    plane_shape : (int, int)
        Height and width, px.

    Returns
    -------
    Compared
    """
    tiles, found = group.tiles, []
    for a, b in group.pairs:
        comparison = compare((tiles[a], tiles[b]), (read(a), read(b)), plane_shape)
        found.append(Evidence.of(a, b, comparison))
    numbers = [Numbers.of(read(number)) for number in group.own]
    return Compared(Numbers.joined(numbers), Evidence.joined(found))
