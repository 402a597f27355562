"""What two neighbouring tiles say of the strip that both show; see `merging`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ..instances import Instances, Mask
from .masks import corners, overlap_area, paint_labels, paint_visible
from .tiling import Tile

#: Objects of two tiles are one if they share this much of their union inside the strip.
MIN_IOU = 0.5
#: An object that ends this close (px) to an edge of its tile counts as cut by it: a model's
#: mask often stops just short of the edge.
CUT_MARGIN = 1
NOWHERE = Tile(0, 0, 0, 0)
#: Index of two tiles' objects.
Ids: TypeAlias = tuple[NDArray[np.intp], NDArray[np.intp]]
NONE: Ids = (np.empty(0, np.intp), np.empty(0, np.intp))


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a tile shows of the ``part`` that it brings: N objects, all within ``reach``."""

    part: Instances
    tile: Tile
    instances: Instances
    bounds: NDArray[np.int64]
    depth: NDArray[np.float64]
    reach: Tile

    @classmethod
    def of(
        cls, part: Instances, tile: Tile, plane_shape: tuple[int, int], min_visible: float
    ) -> Seen:
        """Look at what a tile brings; ``min_visible``: see `Rules`."""
        instances = _uncovered(part, tile, min_visible)
        bounds = corners(instances.masks)
        reach = NOWHERE
        if len(bounds):
            reach = Tile(*bounds[:, :2].min(axis=0).tolist(), *bounds[:, 2:].max(axis=0).tolist())
        return cls(part, tile, instances, bounds, _depths(bounds, tile, plane_shape), reach)

    @property
    def cut(self) -> NDArray[np.bool_]:
        """Whether an edge of the tile cuts each object."""
        return self.depth <= CUT_MARGIN

    def touching(self, strip: Tile) -> NDArray[np.intp]:
        """Objects whose crop reaches into the strip."""
        reach = (self.bounds[:, :2] < (strip.bottom, strip.right)).all(axis=1)
        return np.flatnonzero(reach & (self.bounds[:, 2:] > (strip.top, strip.left)).all(axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What two tiles say of objects, by number among those of each that reach into their strip.

    ``alike`` are IoU and pairs; of cut objects without a pair, the other tile either shows that
    they are none (``refuted``) or does not (``loose``), the first tile's and the second's.
    """

    alike: Sequence[tuple[float, int, int]]
    conflicts: Sequence[tuple[int, int]]
    refuted: tuple[list[int], list[int]]
    loose: tuple[list[int], list[int]]


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """What two tiles say of the pixels that they share; None if neither has objects there."""

    a: Seen
    b: Seen
    ids: Ids = NONE
    said: Said | None = None


def compare(a: Seen, b: Seen, last: Strip | None = None) -> Strip:
    """Compare what two tiles show of the strip that they share.

    What they said the last time holds as long as the same objects reach into it.
    """
    strip = a.tile.intersection(b.tile)
    if strip is None or not (a.reach.intersection(strip) or b.reach.intersection(strip)):
        return Strip(a, b)
    sides, ids = (a, b), (a.touching(strip), b.touching(strip))
    if not (len(ids[0]) or len(ids[1])):
        return Strip(a, b)
    if last is not None:
        then = zip((last.a, last.b), last.ids, strict=True)
        if all(
            _same(*now, *old) for now, old in zip(zip(sides, ids, strict=True), then, strict=True)
        ):
            return Strip(a, b, ids, last.said)
    table = _cross_table(sides, ids, strip)
    pairs = _pairs(table, sides, ids, strip)
    refuted: tuple[list[int], list[int]] = ([], [])
    loose: tuple[list[int], list[int]] = ([], [])
    for side, (one, other) in enumerate(((a, b), (b, a))):
        seen = table.sum(axis=1 - side)[1:]
        matched = {pair[1 + side] for pair in pairs}
        for k in np.flatnonzero(one.cut[ids[side]] & (seen > 0)).tolist():
            if k not in matched:
                bounds = one.bounds[ids[side][k]].tolist()
                (refuted if other.tile.contains(Tile(*bounds)) else loose)[side].append(k)
    conflicts = [(i, j) for i, j in np.argwhere(table[1:, 1:]).tolist()]
    return Strip(a, b, ids, Said(pairs, conflicts, refuted, loose))


def _same(now: Seen, ids: NDArray[np.intp], then: Seen, old: NDArray[np.intp]) -> bool:
    """Whether objects are the very same."""
    if len(ids) != len(old):
        return False
    masks, known = now.instances.masks, then.instances.masks
    same = all(masks[i] is known[j] for i, j in zip(ids.tolist(), old.tolist(), strict=True))
    return same and np.array_equal(now.instances.scores[ids], then.instances.scores[old])


def _pairs(
    table: NDArray[np.int64], sides: tuple[Seen, Seen], ids: Ids, strip: Tile
) -> list[tuple[float, int, int]]:
    """IoU and numbers of those that are one object."""
    if 1 in table.shape:
        return []
    both = tuple(zip(sides, ids, strict=True))
    beyond = [_beyond(one.instances, which, strip) for one, which in both]
    iou = _iou(table, beyond, [one.cut[which] for one, which in both])
    return [(float(iou[i, j]), i, j) for i, j in _match(iou)]


def _uncovered(part: Instances, tile: Tile, min_visible: float) -> Instances:
    """Leave out what better objects of the same tile mostly hide: other views of them."""
    if len(part) < 2:
        return part
    rank = np.empty(len(part), np.int32)
    rank[np.argsort(-part.scores, kind="stable")] = np.arange(1, len(part) + 1)
    masks = [mask.shift(-tile.top, -tile.left) for mask in part.masks]
    visible, area = paint_visible(np.zeros(tile.shape, np.int32), masks, rank, min_visible)
    kept = visible >= min_visible * area
    return part if kept.all() else part.take(kept)


def _depths(
    bounds: NDArray[np.int64], tile: Tile, plane_shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Distance (px) of each object to the nearest edge of its tile that cuts the plane.

    Zero for an object that such an edge cuts; infinite in a tile without such edges.
    """
    height, width = plane_shape
    inner = np.array([tile.top > 0, tile.left > 0, tile.bottom < height, tile.right < width])
    distance = np.where(inner, np.abs(bounds - tile.edges), np.inf)
    return np.asarray(distance.min(axis=1, initial=np.inf), np.float64)


def _cross_table(sides: tuple[Seen, Seen], ids: Ids, strip: Tile) -> NDArray[np.int64]:
    """Pixels shared by each pair inside the strip; row and column 0 stand for nothing."""
    origin, shape = (strip.top, strip.left), strip.shape
    labels_a, labels_b = (
        paint_labels(one.instances, shape, origin, which)
        for one, which in zip(sides, ids, strict=True)
    )
    rows, cols = (len(which) + 1 for which in ids)
    codes = labels_a.ravel() * np.int32(cols) + labels_b.ravel()
    return np.bincount(codes, minlength=rows * cols).reshape(rows, cols)


def _beyond(instances: Instances, ids: NDArray[np.intp], strip: Tile) -> NDArray[np.int64]:
    """Pixels of each object outside the strip, which the other tile cannot see."""
    inside = Mask((strip.top, strip.left), np.ones(strip.shape, bool))
    masks = [instances.masks[i] for i in ids.tolist()]
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
    if not iou.any():
        return []
    pairs = zip(*linear_sum_assignment(iou, maximize=True), strict=True)
    return [(int(i), int(j)) for i, j in pairs if iou[i, j] > 0]
