"""Compare the objects of two overlapping tiles inside the strip that both see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ..instances import Instances, Mask
from .arrays import joined
from .masks import corners, overlap_area, paint_labels, paint_visible
from .tiling import Tile

#: Objects of two tiles are one if they share this much of their union inside the strip.
MIN_IOU = 0.5
#: An object that ends this close (px) to an edge of its tile counts as cut by it: a model's
#: mask often stops just short of the edge.
CUT_MARGIN = 1


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What two tiles say of each other's objects, by their numbers in each tile.

    Parameters
    ----------
    alike : (K, 2) int64
        Pairs that are one object, a number of either tile.
    iou : (K,) float64
        Of these pairs, inside the strip; at least `MIN_IOU`.
    conflicts : (M, 2) int64
        Pairs that share pixels, those that are alike among them.
    conflict_iou : (M,) float64
        Of these pairs, inside the strip.
    refuted, loose : pair of int64 arrays
        Of either tile, objects cut by its edge without a counterpart that the other tile sees
        whole, or in part.
    """

    alike: NDArray[np.int64]
    iou: NDArray[np.float64]
    conflicts: NDArray[np.int64]
    conflict_iou: NDArray[np.float64]
    refuted: tuple[NDArray[np.int64], NDArray[np.int64]]
    loose: tuple[NDArray[np.int64], NDArray[np.int64]]

    @classmethod
    def empty(cls) -> Comparison:
        """Nothing to say."""
        pairs, none = np.empty((0, 2), np.int64), np.empty(0, np.int64)
        return cls(pairs, np.empty(0), pairs, np.empty(0), (none, none), (none, none))

    def renumbered(self, a: NDArray[np.intp], b: NDArray[np.intp]) -> Comparison:
        """Return it with other numbers: those that stand in ``a`` and ``b`` at the present ones."""

        def pairs(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.stack([a[numbers[:, 0]], b[numbers[:, 1]]], axis=1)

        return Comparison(
            pairs(self.alike),
            self.iou,
            pairs(self.conflicts),
            self.conflict_iou,
            (a[self.refuted[0]], b[self.refuted[1]]),
            (a[self.loose[0]], b[self.loose[1]]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What many pairs of tiles say of each other's objects, each named (tile, number in it).

    Parameters
    ----------
    alike, conflicts : (K, 2, 2) int64
        Pairs of objects; see `Comparison`.
    iou, conflict_iou : (K,) float64
        Of these; see `Comparison`.
    refuted, loose : (M, 2) int64
        Objects; see `Comparison`.
    """

    alike: NDArray[np.int64]
    iou: NDArray[np.float64]
    conflicts: NDArray[np.int64]
    conflict_iou: NDArray[np.float64]
    refuted: NDArray[np.int64]
    loose: NDArray[np.int64]

    @classmethod
    def of(cls, a: int, b: int, comparison: Comparison) -> Evidence:
        """Name the objects of two tiles after these."""
        tiles = np.array([a, b])

        def pairs(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.stack([np.broadcast_to(tiles, numbers.shape), numbers], axis=-1)

        def single(sides: tuple[NDArray[np.int64], NDArray[np.int64]]) -> NDArray[np.int64]:
            named = [
                np.stack([np.full_like(n, t), n], axis=-1)
                for t, n in zip((a, b), sides, strict=True)
            ]
            return np.concatenate(named)

        return cls(
            pairs(comparison.alike),
            comparison.iou,
            pairs(comparison.conflicts),
            comparison.conflict_iou,
            single(comparison.refuted),
            single(comparison.loose),
        )

    @classmethod
    def joined(cls, several: Sequence[Evidence]) -> Evidence:
        """Put several together."""
        none = np.empty((0, 2, 2), np.int64)
        return cls(
            np.concatenate([none, *(e.alike for e in several)]),
            joined((e.iou for e in several), np.float64),
            np.concatenate([none, *(e.conflicts for e in several)]),
            joined((e.conflict_iou for e in several), np.float64),
            np.concatenate([none[:, 0], *(e.refuted for e in several)]),
            np.concatenate([none[:, 0], *(e.loose for e in several)]),
        )


def uncovered(part: Instances, tile: Tile, min_visible: float) -> Instances:
    """Leave out what better objects of the same tile mostly hide: other views of them."""
    rank = np.empty(len(part), np.int32)
    rank[np.argsort(-part.scores, kind="stable")] = np.arange(1, len(part) + 1)
    masks = [mask.shift(-tile.top, -tile.left) for mask in part.masks]
    visible, area = paint_visible(np.zeros(tile.shape, np.int32), masks, rank, min_visible)
    kept = visible >= min_visible * area
    return part if kept.all() else part.take(kept)


def depths(
    bounds: NDArray[np.int64], frame: NDArray[np.int64], plane_shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Distance (px) of objects to the nearest edge of their tile that cuts the plane.

    Parameters
    ----------
    bounds : (N, 4) int64
        First row and column, last row and column (half-open) of each object, px.
    frame : (N, 4) or (1, 4) int64
        The same of each one's tile, or of that of all.
    plane_shape : (int, int)
        Height and width, px.

    Returns
    -------
    (N,) float64
        Zero for an object that such an edge cuts; infinite in a tile without such edges.
    """
    height, width = plane_shape
    inner = np.stack(
        [frame[:, 0] > 0, frame[:, 1] > 0, frame[:, 2] < height, frame[:, 3] < width], axis=1
    )
    distance = np.where(inner, np.abs(bounds - frame), np.inf)
    return np.asarray(distance.min(axis=1, initial=np.inf), np.float64)


def compare(
    tiles: tuple[Tile, Tile], parts: tuple[Instances, Instances], plane_shape: tuple[int, int]
) -> Comparison:
    """Compare what was found in two tiles that share a strip.

    Parameters
    ----------
    tiles : pair of Tile
    parts : pair of Instances
        In plane coordinates.
    plane_shape : (int, int)
        Height and width, px.

    Returns
    -------
    Comparison
    """
    strip = tiles[0].intersection(tiles[1])
    if strip is None:
        raise ValueError(f"expected two tiles that overlap, got {tiles[0]} and {tiles[1]}")
    bounds = [corners(part.masks) for part in parts]
    ids = [touching(b, strip) for b in bounds]
    if not len(ids[0]) and not len(ids[1]):
        return Comparison.empty()
    near = [part.take(i) for part, i in zip(parts, ids, strict=True)]
    cut = [
        depths(b[i], np.array([tile.edges]), plane_shape) <= CUT_MARGIN
        for b, i, tile in zip(bounds, ids, tiles, strict=True)
    ]
    table = _cross_table(near[0], near[1], strip)
    all_iou = _iou(table, [_beyond(n, strip) for n in near], cut)
    pairs, iou = _match(all_iou)
    refuted, loose = [], []
    for side in (0, 1):
        seen = table.sum(axis=1 - side)[1:]
        alone = cut[side] & (seen > 0)
        alone[pairs[:, side]] = False
        inside = _inside(bounds[side][ids[side]], tiles[1 - side])
        refuted.append(ids[side][alone & inside])
        loose.append(ids[side][alone & ~inside])
    shared = np.argwhere(table[1:, 1:])
    return Comparison(
        np.stack([ids[0][pairs[:, 0]], ids[1][pairs[:, 1]]], axis=1),
        iou,
        np.stack([ids[0][shared[:, 0]], ids[1][shared[:, 1]]], axis=1),
        all_iou[shared[:, 0], shared[:, 1]],
        (refuted[0], refuted[1]),
        (loose[0], loose[1]),
    )


def touching(bounds: NDArray[np.int64], strip: Tile) -> NDArray[np.intp]:
    """Numbers of the objects whose crop, of these ``bounds``, reaches into the strip."""
    top, left, bottom, right = bounds.T
    rows = (top < strip.bottom) & (bottom > strip.top)
    return np.flatnonzero(rows & (left < strip.right) & (right > strip.left))


def _inside(bounds: NDArray[np.int64], tile: Tile) -> NDArray[np.bool_]:
    edges = np.array(tile.edges)
    return np.asarray((bounds[:, :2] >= edges[:2]).all(1) & (bounds[:, 2:] <= edges[2:]).all(1))


def _cross_table(a: Instances, b: Instances, strip: Tile) -> NDArray[np.int64]:
    """Pixels shared by each pair inside the strip; row and column 0 stand for nothing."""
    origin, shape = (strip.top, strip.left), strip.shape
    labels_a, labels_b = (paint_labels(part, shape, origin) for part in (a, b))
    rows, cols = len(a) + 1, len(b) + 1
    codes = labels_a.ravel().astype(np.int64) * cols + labels_b.ravel()
    return np.bincount(codes, minlength=rows * cols).reshape(rows, cols)


def _beyond(part: Instances, strip: Tile) -> NDArray[np.int64]:
    """Pixels of each object outside the strip, which the other tile cannot see."""
    (top, left), shape = (strip.top, strip.left), strip.shape
    inside = Mask((top, left), np.ones(shape, bool))
    return np.array([m.area - overlap_area(m, inside) for m in part.masks], np.int64)


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


def _match(iou: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """One-to-one pairs with the largest total IoU, each at least `MIN_IOU`, and their IoU."""
    iou = np.where(iou < MIN_IOU, 0, iou)
    pairs = np.stack(linear_sum_assignment(iou, maximize=True), axis=1)
    found = iou[pairs[:, 0], pairs[:, 1]]
    return pairs[found > 0], found[found > 0]
