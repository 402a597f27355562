"""Join the objects of overlapping tiles into the objects of their plane.

Two neighbouring tiles see the strip that they share twice. Their objects are compared inside
that strip, where both had the chance to see them, and paired one to one. Whoever sees an
object end inside its tile also says that it does not go on outside. Then

- an object that some tile sees whole is taken from the tile that sees it best;
- an object that every tile cuts is put together from its parts;
- a cut-off part that another tile sees whole, and does not confirm, is dropped;
- where tiles disagree on how to divide the same pixels, the better-placed version stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ..instances import Instances, Mask
from .masks import overlap_area, union
from .nesting import touching
from .strips import CUT_MARGIN, Seen, Strip, compare
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
    return TileMerger(plane_shape, tiles, min_visible)(parts, shown)


class TileMerger:
    """Joins what was found in each tile, again and again: see `merge_tiles`.

    What two tiles say of their strip is compared anew only where one of them brings another
    objects there than the last time.
    """

    def __init__(
        self, plane_shape: tuple[int, int], tiles: Sequence[Tile], min_visible: float = 0.5
    ) -> None:
        self._shape, self._tiles, self._min_visible = plane_shape, tiles, min_visible
        self._seen: list[Seen | None] = [None] * len(tiles)
        self._neighbours = _neighbours(tiles)
        self._strips: list[Strip | None] = [None] * len(self._neighbours)

    def __call__(self, parts: Sequence[Instances], shown: float = 0.0) -> Merged:
        """Join the tiles' objects."""
        if not parts:
            return Merged(Instances.empty(self._shape))
        if len(parts) == 1:
            return Merged(parts[0])
        seen = self._look(parts)
        everything = Instances.concatenate([one.instances for one in seen])
        counts = [len(one.instances) for one in seen]
        owner = np.repeat(np.arange(len(seen)), counts)
        first = [0, *np.cumsum(counts).tolist()]
        depth = np.concatenate([one.depth for one in seen])
        joined = _Groups(owner, depth <= CUT_MARGIN)
        alike: list[tuple[float, int, int]] = []
        conflicts: set[tuple[int, int]] = set()
        refuted, loose = np.zeros((2, len(everything)), bool)
        for (a, b), strip in zip(self._neighbours, self._compare(seen), strict=True):
            said = strip.said
            if said is None:
                continue
            at_a, at_b = (strip.ids[0] + first[a]).tolist(), (strip.ids[1] + first[b]).tolist()
            alike += [(-iou, at_a[i], at_b[j]) for iou, i, j in said.alike]
            conflicts.update((at_a[i], at_b[j]) for i, j in said.conflicts)
            for ids, side in ((at_a, 0), (at_b, 1)):
                refuted[[ids[i] for i in said.refuted[side]]] = True
                loose[[ids[i] for i in said.loose[side]]] = True
        for _, i, j in sorted(alike):
            joined.join(i, j)
        return _resolve(everything, depth, joined, conflicts, refuted, loose, shown)

    def _look(self, parts: Sequence[Instances]) -> list[Seen]:
        for number, part in enumerate(parts):
            last = self._seen[number]
            if last is None or last.part is not part:
                self._seen[number] = Seen.of(
                    part, self._tiles[number], self._shape, self._min_visible
                )
        return cast(list[Seen], self._seen)

    def _compare(self, seen: Sequence[Seen]) -> list[Strip]:
        for number, (a, b) in enumerate(self._neighbours):
            last = self._strips[number]
            if last is None or last.a is not seen[a] or last.b is not seen[b]:
                self._strips[number] = compare(seen[a], seen[b], last)
        return cast(list[Strip], self._strips)


def _neighbours(tiles: Sequence[Tile]) -> list[tuple[int, int]]:
    """Pairs of tiles that share pixels, in order of their first pixels."""
    order = sorted(range(len(tiles)), key=lambda t: (tiles[t].top, tiles[t].left))
    frames = np.array([tiles[t].edges for t in order], np.int64).reshape(-1, 4)
    pairs = sorted(zip(*(side.tolist() for side in touching(frames)), strict=True))
    return [(order[i], order[j]) for i, j in pairs]


class _Groups:
    """Union-find over object numbers, where a tile sees an object once, or several cut parts."""

    def __init__(self, owner: NDArray[np.intp], cut: NDArray[np.bool_]) -> None:
        self.parent = list(range(len(owner)))
        self.whole_in = [set() if c else {t} for t, c in zip(owner.tolist(), cut, strict=True)]
        self.seen_in = [{t} for t in owner.tolist()]

    def find(self, i: int) -> int:
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i

    def join(self, i: int, j: int) -> None:
        a, b = sorted((self.find(i), self.find(j)))
        if a == b or self.seen_in[a] & self.seen_in[b] & (self.whole_in[a] | self.whole_in[b]):
            return
        self.parent[b] = a
        self.whole_in[a] |= self.whole_in[b]
        self.seen_in[a] |= self.seen_in[b]

    def members(self) -> dict[int, list[int]]:
        groups: dict[int, list[int]] = defaultdict(list)
        for i in range(len(self.parent)):
            groups[self.find(i)].append(i)
        return groups


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """One object of the plane, the tile object it is taken from, whether a tile saw it whole."""

    mask: Mask
    box: NDArray[np.float32]
    best: int
    whole: bool


def _candidate(everything: Instances, depth: NDArray[np.float64], members: list[int]) -> _Candidate:
    best = max(members, key=lambda i: (depth[i], everything.scores[i], -i))
    whole = bool(depth[best] > CUT_MARGIN)
    if whole or len(members) == 1:
        return _Candidate(everything.masks[best], everything.boxes[best], best, whole)
    boxes = everything.boxes[members]
    box = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
    return _Candidate(union([everything.masks[i] for i in members]), box, best, whole)


def _resolve(
    everything: Instances,
    depth: NDArray[np.float64],
    joined: _Groups,
    conflicts: set[tuple[int, int]],
    refuted: NDArray[np.bool_],
    loose: NDArray[np.bool_],
    shown: float,
) -> Merged:
    """Make one object of each group, then settle the groups that claim the same pixels."""
    scores = everything.scores
    candidates = {
        root: _candidate(everything, depth, members)
        for root, members in joined.members().items()
        if not all(refuted[i] for i in members)
    }
    rivals: dict[int, set[int]] = defaultdict(set)
    for i, j in conflicts:
        a, b = joined.find(i), joined.find(j)
        if a != b and a in candidates and b in candidates:
            rivals[a].add(b)
            rivals[b].add(a)

    def rank(root: int) -> tuple[float, int]:
        candidate = candidates[root]
        return -float(scores[candidate.best]) * (1 if candidate.whole else CUT_TRUST), root

    kept: set[int] = set()
    for root in sorted(candidates, key=rank):
        mask = candidates[root].mask
        covered = sum(overlap_area(mask, candidates[r].mask) for r in rivals[root] & kept)
        if covered < MAX_COVERED * mask.area:
            kept.add(root)
    result = [candidates[root] for root in sorted(kept)]
    best = [candidate.best for candidate in result]
    instances = Instances.create(
        everything.image_shape,
        (candidate.mask for candidate in result),
        scores=scores[best],
        category_ids=everything.category_ids[best],
        boxes=np.array([candidate.box for candidate in result]).reshape(-1, 4),
    )
    ends = {joined.find(int(i)) for i in np.flatnonzero(loose)}
    open_ended = (candidates[root] for root in kept & ends)
    return Merged(instances, sum(not c.whole and scores[c.best] >= shown for c in open_ended))
