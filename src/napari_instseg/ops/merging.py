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

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ..instances import Instances, Mask
from .masks import corners, overlap_area, paint_labels, paint_visible, union
from .tiling import Tile

#: Objects of two tiles are one if they share this much of their union inside the strip.
MIN_IOU = 0.5
#: Of two versions, the lesser goes if this much of it lies under the other.
MAX_COVERED = 0.5
#: An object that ends this close (px) to an edge of its tile counts as cut by it: a model's
#: mask often stops just short of the edge.
CUT_MARGIN = 1
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
    if not tiles:
        return Merged(Instances.empty(plane_shape))
    if len(tiles) == 1:
        return Merged(parts[0])
    parts = [_uncovered(part, tile, min_visible) for part, tile in zip(parts, tiles, strict=True)]
    everything = Instances.concatenate(parts)
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    first = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    depth = _depths(everything, owner, tiles, plane_shape)
    cut = depth <= CUT_MARGIN
    joined = _Groups(owner, cut)
    alike: list[tuple[float, int, int]] = []
    conflicts: set[tuple[int, int]] = set()
    refuted = np.zeros(len(everything), bool)
    loose = np.zeros(len(everything), bool)
    for a, b in _neighbours(tiles):
        strip = tiles[a].intersection(tiles[b])
        if strip is None:
            continue
        ids = [_touching(everything, range(first[t], first[t + 1]), strip) for t in (a, b)]
        table = _cross_table(everything, ids[0], ids[1], strip)
        beyond = [_beyond(everything, members, strip) for members in ids]
        iou = _iou(table, beyond, [cut[members] for members in ids])
        pairs = _match(iou)
        alike += [(-iou[i, j], ids[0][i], ids[1][j]) for i, j in pairs]
        shared = zip(*np.nonzero(table[1:, 1:]), strict=True)
        conflicts.update((ids[0][i], ids[1][j]) for i, j in shared)
        matched = ({i for i, _ in pairs}, {j for _, j in pairs})
        for side, other in ((0, b), (1, a)):
            seen = table.sum(axis=1 - side)[1:]
            for k, index in enumerate(ids[side]):
                if k in matched[side] or not cut[index] or seen[k] == 0:
                    continue
                inside = tiles[other].contains(_bounds(everything, index))
                (refuted if inside else loose)[index] = True
    for _, i, j in sorted(alike):
        joined.join(i, j)
    return _resolve(everything, depth, joined, conflicts, refuted, loose, shown)


def _uncovered(part: Instances, tile: Tile, min_visible: float) -> Instances:
    """Leave out what better objects of the same tile mostly hide: other views of them."""
    rank = np.empty(len(part), np.int32)
    rank[np.argsort(-part.scores, kind="stable")] = np.arange(1, len(part) + 1)
    masks = [mask.shift(-tile.top, -tile.left) for mask in part.masks]
    visible, area = paint_visible(np.zeros(tile.shape, np.int32), masks, rank, min_visible)
    kept = visible >= min_visible * area
    return part if kept.all() else part.take(kept)


def _neighbours(tiles: Sequence[Tile]) -> list[tuple[int, int]]:
    """Pairs of tiles that share pixels; tiles are sorted by row, so the search stops early."""
    order = sorted(range(len(tiles)), key=lambda t: (tiles[t].top, tiles[t].left))
    pairs = []
    for position, a in enumerate(order):
        for b in order[position + 1 :]:
            if tiles[b].top >= tiles[a].bottom:
                break
            if tiles[a].intersection(tiles[b]) is not None:
                pairs.append((a, b))
    return pairs


def _bounds(instances: Instances, index: int) -> Tile:
    rows, cols = instances.masks[index].slices
    return Tile(rows.start, cols.start, rows.stop, cols.stop)


def _depths(
    instances: Instances,
    owner: NDArray[np.intp],
    tiles: Sequence[Tile],
    plane_shape: tuple[int, int],
) -> NDArray[np.float64]:
    """Distance (px) of each object to the nearest edge of its tile that cuts the plane.

    Zero for an object that such an edge cuts; infinite in a tile without such edges.
    """
    bounds = corners(instances.masks)
    frame = np.array([tile.edges for tile in tiles])[owner]
    height, width = plane_shape
    inner = np.stack(
        [frame[:, 0] > 0, frame[:, 1] > 0, frame[:, 2] < height, frame[:, 3] < width], axis=1
    )
    distance = np.abs(bounds - frame).astype(np.float64)
    distance[~inner] = np.inf
    return np.asarray(distance.min(axis=1, initial=np.inf), np.float64)


def _touching(instances: Instances, members: range, strip: Tile) -> list[int]:
    """Members whose crop reaches into the strip."""
    return [i for i in members if _bounds(instances, i).intersection(strip) is not None]


def _cross_table(
    instances: Instances, ids_a: list[int], ids_b: list[int], strip: Tile
) -> NDArray[np.int64]:
    """Pixels shared by each pair inside the strip; row and column 0 stand for nothing."""
    origin, shape = (strip.top, strip.left), strip.shape
    labels_a = paint_labels(instances.take(ids_a), shape, origin)
    labels_b = paint_labels(instances.take(ids_b), shape, origin)
    rows, cols = len(ids_a) + 1, len(ids_b) + 1
    codes = labels_a.ravel().astype(np.int64) * cols + labels_b.ravel()
    return np.bincount(codes, minlength=rows * cols).reshape(rows, cols)


def _beyond(instances: Instances, ids: list[int], strip: Tile) -> NDArray[np.int64]:
    """Pixels of each object outside the strip, which the other tile cannot see."""
    (top, left), shape = (strip.top, strip.left), strip.shape
    inside = Mask((top, left), np.ones(shape, bool))
    masks = [instances.masks[i] for i in ids]
    return np.array([m.area - overlap_area(m, inside) for m in masks], np.int64)


def _iou(
    table: NDArray[np.int64],
    beyond: Sequence[NDArray[np.int64]],
    cut: Sequence[NDArray[np.bool_]],
) -> NDArray[np.float64]:
    """IoU of each pair inside the strip.

    What lies beyond it counts, too, for a pair whose other object is not cut: that one ends
    inside its tile.
    """
    shared = table[1:, 1:]
    total = table[1:].sum(axis=1)[:, np.newaxis] + table[:, 1:].sum(axis=0)[np.newaxis] - shared
    total = total + beyond[0][:, np.newaxis] * ~cut[1] + beyond[1] * ~cut[0][:, np.newaxis]
    return np.asarray(shared / np.maximum(total, 1), np.float64)


def _match(iou: NDArray[np.float64]) -> list[tuple[int, int]]:
    """One-to-one pairs with the largest total IoU, each at least `MIN_IOU`."""
    iou = np.where(iou < MIN_IOU, 0, iou)
    pairs = zip(*linear_sum_assignment(iou, maximize=True), strict=True)
    return [(int(i), int(j)) for i, j in pairs if iou[i, j] > 0]


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
