"""Join the objects of overlapping tiles into the objects of their plane.

Two neighbouring tiles see the strip that they share twice. Their objects are compared inside
that strip, where both had the chance to see them, and paired one to one. Whoever sees an
object end inside its tile also says that it does not go on outside. Then

- an object that some tile sees whole is taken from the tile that sees it best;
- an object that every tile cuts is put together from its parts;
- a cut-off part that another tile sees whole, and does not confirm, is dropped;
- where tiles disagree on how to divide the same pixels, the better-placed version stays.

What is held for all tiles are numbers and pairs of numbers. Masks are fetched for two tiles that
are compared, and for objects that claim the same pixels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..instances import Instances, Mask
from .comparing import CUT_MARGIN, Comparison, compare, depths, uncovered
from .masks import overlap_area, union
from .objects import Objects
from .seams import Seams
from .tiling import Tile

#: Of two versions, the lesser goes if this much of it lies under the other.
MAX_COVERED = 0.5
#: How much the score of an object that every tile cuts counts against those seen whole.
CUT_TRUST = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """The objects of a plane; ``loose`` of them end at a tile's edge without a counterpart."""

    instances: Instances
    loose: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """Which objects of tiles make up the objects of their plane.

    Parameters
    ----------
    roots : (N,) int64
        The first of each one's tile objects, rising.
    best : (N,) int64
        The tile object that gives score and category.
    parts : dict
        Of the objects that every tile cuts, by their place in ``roots``: all their tile objects.
    loose : int
        See `Merged`.
    seams : Seams
        In the tiles' grid.
    """

    roots: NDArray[np.int64]
    best: NDArray[np.int64]
    parts: dict[int, list[int]]
    loose: int
    seams: Seams

    def build(self, objects: Objects, chosen: Sequence[int] | None = None) -> Instances:
        """Make the objects of the plane, or the chosen ones, of those of the tiles."""
        places = range(len(self.best)) if chosen is None else chosen
        best = self.best[list(places)]
        boxes = objects.boxes[best]
        masks = []
        for row, place in enumerate(places):
            members = self.parts.get(place)
            if members is None:
                masks.append(objects.mask(int(self.best[place])))
                continue
            masks.append(union([objects.mask(i) for i in members]))
            corners = objects.boxes[members]
            boxes[row] = [*corners[:, :2].min(axis=0), *corners[:, 2:].max(axis=0)]
        return Instances.create(
            objects.image_shape,
            masks,
            scores=objects.scores[best],
            category_ids=objects.category_ids[best],
            boxes=boxes,
        )


def merge_tiles(
    plane_shape: tuple[int, int],
    tiles: Sequence[Tile],
    parts: Sequence[Instances],
    shown: float = 0.0,
    min_visible: float = 0.5,
) -> Merged:
    """Join what was found in each tile.

    Parameters
    ----------
    plane_shape : (int, int)
        Height and width, px.
    tiles : sequence of Tile
    parts : sequence of Instances, one a tile, in plane coordinates
    shown : float
        Objects with a lower score do not count as loose.
    min_visible : float
        See `Rules`.

    Returns
    -------
    Merged
        In an order that does not depend on the order of the tiles' neighbours; the result
        for a single tile is that tile's objects, unchanged.
    """
    if not tiles:
        return Merged(Instances.empty(plane_shape))
    if len(tiles) == 1:
        return Merged(parts[0])
    parts = [uncovered(part, tile, min_visible) for part, tile in zip(parts, tiles, strict=True)]
    objects = Objects(plane_shape, parts)
    joined = join(tiles, objects, compare_all(tiles, parts, plane_shape), shown)
    return Merged(joined.build(objects), joined.loose)


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


def compare_all(
    tiles: Sequence[Tile], parts: Sequence[Instances], plane_shape: tuple[int, int]
) -> Iterator[tuple[int, int, Comparison]]:
    """Compare each tile with its neighbours: numbers of two tiles, and what came of them."""
    for a, b in neighbours(tiles):
        yield a, b, compare((tiles[a], tiles[b]), (parts[a], parts[b]), plane_shape)


def join(
    tiles: Sequence[Tile],
    objects: Objects,
    comparisons: Iterable[tuple[int, int, Comparison]],
    shown: float = 0.0,
) -> Joined:
    """Decide which objects of neighbouring tiles are one, and which of them stay.

    Parameters
    ----------
    tiles : sequence of Tile
    objects : Objects
        One part a tile, without what `uncovered` leaves out.
    comparisons : iterable of (int, int, Comparison)
        Of all neighbours, in any order.
    shown : float
        See `merge_tiles`.

    Returns
    -------
    Joined
        In the order of ``roots``.
    """
    frame = np.array([tile.edges for tile in tiles], np.int64).reshape(-1, 4)[objects.owner]
    depth = depths(objects.bounds, frame, objects.image_shape)
    groups = _Groups(objects.owner, depth <= CUT_MARGIN)
    refuted, loose = np.zeros((2, len(objects)), bool)
    alike: list[tuple[float, int, int]] = []
    met, met_iou = [np.empty((0, 2), np.int64)], [np.empty(0)]
    for a, b, comparison in comparisons:
        begin = objects.first[[a, b]]
        pairs = comparison.alike + begin
        alike += zip(-comparison.iou, pairs[:, 0].tolist(), pairs[:, 1].tolist(), strict=True)
        met.append(comparison.conflicts + begin)
        met_iou.append(comparison.conflict_iou)
        for side in (0, 1):
            refuted[comparison.refuted[side] + begin[side]] = True
            loose[comparison.loose[side] + begin[side]] = True
    for _, i, j in sorted(alike):
        groups.join(i, j)
    conflicts = np.concatenate(met)
    group = np.array([[groups.find(i) for i in pair] for pair in conflicts.tolist()], np.int64)
    group = group.reshape(-1, 2)
    ends = np.flatnonzero(loose)
    seams = Seams.find(objects, conflicts, np.concatenate(met_iou), group, ends, shown)
    return _Resolving(objects, depth, groups, refuted).settle(group, ends, seams, shown)


class _Groups:
    """Union-find over object numbers, where a tile sees an object once, or several cut parts."""

    def __init__(self, owner: NDArray[np.intp], cut: NDArray[np.bool_]) -> None:
        self._owner, self._cut = owner, cut
        #: Only objects that were joined are in here.
        self.parent: dict[int, int] = {}
        self._whole_in: dict[int, set[int]] = {}
        self._seen_in: dict[int, set[int]] = {}

    def find(self, i: int) -> int:
        while (above := self.parent.get(i, i)) != i:
            self.parent[i] = self.parent[above]
            i = above
        return i

    def join(self, i: int, j: int) -> None:
        a, b = sorted((self.find(i), self.find(j)))
        if a == b:
            return
        (seen_a, whole_a), (seen_b, whole_b) = self._tiles(a), self._tiles(b)
        if seen_a & seen_b & (whole_a | whole_b):
            return
        self.parent[a], self.parent[b] = a, a
        self._seen_in[a], self._whole_in[a] = seen_a | seen_b, whole_a | whole_b

    def _tiles(self, root: int) -> tuple[set[int], set[int]]:
        """Tiles that see an object, and those that see it whole."""
        if root in self._seen_in:
            return self._seen_in[root], self._whole_in[root]
        owner = {int(self._owner[root])}
        return owner, set() if self._cut[root] else owner

    def members(self) -> dict[int, list[int]]:
        """Groups of more than one object by their first."""
        groups: dict[int, list[int]] = defaultdict(list)
        for i in sorted(self.parent):
            groups[self.find(i)].append(i)
        return groups


class _Resolving:
    """Makes one object of each group, and settles the groups that claim the same pixels."""

    def __init__(
        self,
        objects: Objects,
        depth: NDArray[np.float64],
        groups: _Groups,
        refuted: NDArray[np.bool_],
    ) -> None:
        self._objects, self._depth, self._groups = objects, depth, groups
        self._best = np.arange(len(objects))
        alive = ~refuted
        self._parts: dict[int, list[int]] = {}
        for root, members in groups.members().items():
            best = max(members, key=lambda i: (depth[i], objects.scores[i], -i))
            alive[members] = False
            alive[root] = not refuted[members].all()
            self._best[root] = best
            if depth[best] <= CUT_MARGIN:
                self._parts[root] = members
        self._alive = alive

    def settle(
        self, conflicts: NDArray[np.int64], loose: NDArray[np.int64], seams: Seams, shown: float
    ) -> Joined:
        kept = self._alive.copy()
        rivals = self._rivals(conflicts)
        for cluster in _clusters(rivals):
            for root in self._losers(cluster, rivals):
                kept[root] = False
        roots = np.flatnonzero(kept)
        best = self._best[roots]
        ends = {self._groups.find(i) for i in loose.tolist()}
        open_ended = np.isin(roots, list(ends)) & (self._depth[best] <= CUT_MARGIN)
        count = np.count_nonzero(open_ended & (self._objects.scores[best] >= shown))
        place = {root: row for row, root in enumerate(roots.tolist()) if root in self._parts}
        parts = {row: self._parts[root] for root, row in place.items()}
        return Joined(roots, best, parts, int(count), seams)

    def _rivals(self, conflicts: NDArray[np.int64]) -> dict[int, set[int]]:
        """Roots of groups that share pixels with others, and these."""
        rivals: dict[int, set[int]] = defaultdict(set)
        apart = conflicts[:, 0] != conflicts[:, 1]
        for a, b in conflicts[apart & self._alive[conflicts].all(axis=1)].tolist():
            rivals[a].add(b)
            rivals[b].add(a)
        return rivals

    def _losers(self, cluster: list[int], rivals: dict[int, set[int]]) -> list[int]:
        """Groups that lie under better ones of a cluster of rivals."""
        masks = {root: self._mask(root) for root in cluster}
        kept: set[int] = set()
        for root in sorted(cluster, key=self._rank):
            covered = sum(overlap_area(masks[root], masks[r]) for r in rivals[root] & kept)
            if covered < MAX_COVERED * masks[root].area:
                kept.add(root)
        return [root for root in cluster if root not in kept]

    def _mask(self, root: int) -> Mask:
        members = self._parts.get(root)
        if members is None:
            return self._objects.mask(int(self._best[root]))
        return union([self._objects.mask(i) for i in members])

    def _rank(self, root: int) -> tuple[float, int]:
        best = self._best[root]
        trust = CUT_TRUST if self._depth[best] <= CUT_MARGIN else 1
        return -float(self._objects.scores[best]) * trust, root


def _clusters(rivals: dict[int, set[int]]) -> Iterator[list[int]]:
    """Groups that are connected by rivalry, in the order of their first."""
    seen: set[int] = set()
    for start in sorted(rivals):
        if start in seen:
            continue
        cluster, queue = [], [start]
        seen.add(start)
        while queue:
            root = queue.pop()
            cluster.append(root)
            queue += rivals[root] - seen
            seen |= rivals[root]
        yield cluster
