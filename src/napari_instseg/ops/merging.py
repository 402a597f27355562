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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..instances import Instances, Mask
from .comparing import CUT_MARGIN, Evidence, depths, uncovered
from .masks import overlap_area, union
from .objects import Objects
from .seams import Seams
from .tile_groups import compare_group, groups
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

    def makeup(self, objects: Objects, chosen: Sequence[int]) -> Makeup:
        """Say what chosen objects of the plane are made of."""
        best = self.best[list(chosen)]
        boxes, members = objects.boxes[best], []
        for row, place in enumerate(chosen):
            parts = self.parts.get(place, [int(self.best[place])])
            members.append([objects.place(i) for i in parts])
            if len(parts) > 1:
                corners = objects.boxes[parts]
                boxes[row] = [*corners[:, :2].min(axis=0), *corners[:, 2:].max(axis=0)]
        return Makeup(objects.scores[best], objects.category_ids[best], boxes, members)

    def build(self, objects: Objects) -> Instances:
        """Make the objects of the plane of those of the tiles."""
        makeup = self.makeup(objects, range(len(self.best)))
        parts = objects.parts
        return makeup.build(objects.image_shape, lambda tile, number: parts[tile].masks[number])


@dataclass(frozen=True, slots=True, eq=False)
class Makeup:
    """What objects of a plane are made of.

    Parameters
    ----------
    scores : (N,) float32
    category_ids : (N,) int64
    boxes : (N, 4) float32
        XYXY, px.
    members : list of list of (int, int)
        Tile objects of each one: a tile, and a number in it.
    """

    scores: NDArray[np.float32]
    category_ids: NDArray[np.int64]
    boxes: NDArray[np.float32]
    members: list[list[tuple[int, int]]]

    def build(self, image_shape: tuple[int, int], mask: Callable[[int, int], Mask]) -> Instances:
        """Make the objects; ``mask`` fetches that of a tile object."""
        masks = [[mask(*place) for place in places] for places in self.members]
        return Instances.create(
            image_shape,
            [several[0] if len(several) == 1 else union(several) for several in masks],
            scores=self.scores,
            category_ids=self.category_ids,
            boxes=self.boxes,
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
    compared = [compare_group(g, parts.__getitem__, plane_shape) for g in groups(tiles)]
    joined = join(tiles, objects, Evidence.joined([c.evidence for c in compared]), shown)
    return Merged(joined.build(objects), joined.loose)


def join(
    tiles: Sequence[Tile],
    objects: Objects,
    evidence: Evidence,
    shown: float = 0.0,
) -> Joined:
    """Decide which objects of neighbouring tiles are one, and which of them stay.

    Parameters
    ----------
    tiles : sequence of Tile
    objects : Objects
        One part a tile, without what `uncovered` leaves out.
    evidence : Evidence
        Of all neighbours.
    shown : float
        See `merge_tiles`.

    Returns
    -------
    Joined
        In the order of ``roots``.
    """
    frame = np.array([tile.edges for tile in tiles], np.int64).reshape(-1, 4)[objects.owner]
    depth = depths(objects.bounds, frame, objects.image_shape)
    union_find = _Groups(objects.owner, depth <= CUT_MARGIN)
    refuted, loose = np.zeros((2, len(objects)), bool)

    def places(named: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.asarray(objects.first[named[..., 0]] + named[..., 1])

    refuted[places(evidence.refuted)] = True
    loose[places(evidence.loose)] = True
    pairs = places(evidence.alike)
    alike = zip(-evidence.iou, pairs[:, 0].tolist(), pairs[:, 1].tolist(), strict=True)
    for _, i, j in sorted(alike):
        union_find.join(i, j)
    conflicts = places(evidence.conflicts)
    group = [[union_find.find(i) for i in pair] for pair in conflicts.tolist()]
    rivals = np.array(group, np.int64).reshape(-1, 2)
    ends = np.flatnonzero(loose)
    seams = Seams.find(objects, conflicts, evidence.conflict_iou, rivals, ends, shown)
    return _Resolving(objects, depth, union_find, refuted).settle(rivals, ends, seams, shown)


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
