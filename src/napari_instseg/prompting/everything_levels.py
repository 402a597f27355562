"""Objects found at several levels of a plane, brought together.

Each level sees whole what is no larger than the overlap of its tiles. So a coarser level is
asked only for larger objects; there it

- replaces the parts of its object that the finer level saw cut by tiles' edges;
- gives way to what the finer level saw whole: it loses those pixels, and all of it goes if
  little else is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..instances import Instances, Mask
from ..ops.comparing import CUT_MARGIN
from ..ops.masks import corners, overlap_area, without
from ..ops.tiling import Tile

#: Of an object that is covered by this much, the other version stays.
COVERED = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """Objects of one level, in px of the plane; ``whole`` (N,) if a tile saw all of it."""

    instances: Instances
    whole: NDArray[np.bool_]


def seen_whole(
    instances: Instances, tiles: Sequence[Tile], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Whether some tile shows an object uncut.

    Parameters
    ----------
    instances : Instances
        Merged from the tiles, in px of their level.
    tiles : sequence of Tile
    shape : (int, int)
        Height and width of the level, px.
    """
    bounds = corners(instances.masks)
    frames = np.array([tile.edges for tile in tiles], np.int64).reshape(-1, 4)
    inside, spans = [], []
    for axis, end in enumerate(shape):
        # Tiles stand in rows and columns: there are few different spans along each axis.
        span, number = np.unique(frames[:, [axis, axis + 2]], axis=0, return_inverse=True)
        first = np.where(span[:, 0] == 0, 0, span[:, 0] + CUT_MARGIN + 1)
        last = np.where(span[:, 1] == end, end, span[:, 1] - CUT_MARGIN - 1)
        within = bounds[:, axis, np.newaxis] >= first
        within &= bounds[:, axis + 2, np.newaxis] <= last
        inside.append(within.astype(np.float32))
        spans.append(number.ravel())
    there = np.zeros((inside[0].shape[1], inside[1].shape[1]), np.float32)
    there[spans[0], spans[1]] = 1
    return np.asarray(((inside[0] @ there) * inside[1]).any(axis=1), np.bool_)


def larger_than(bounds: NDArray[np.int64], extent: float) -> NDArray[np.bool_]:
    """Whether (N, 4) boxes (see `corners`) have a side longer than this, px."""
    return np.asarray((bounds[:, 2:] - bounds[:, :2]).max(axis=1, initial=0) > extent, np.bool_)


def join_levels(levels: Sequence[Level]) -> Instances:
    """Bring the objects of all levels together.

    Parameters
    ----------
    levels : sequence of Level
        At least one, the finest first.
    """
    found = levels[0]
    for coarser in levels[1:]:
        found = _add(found, coarser)
    return found.instances


def _add(fine: Level, coarse: Level) -> Level:
    """Add a coarser level's objects, the best first."""
    stays = np.ones(len(fine.instances), bool)
    bounds = corners(fine.instances.masks)
    added: list[tuple[int, Mask]] = []
    for index in np.argsort(-coarse.instances.scores, kind="stable"):
        mask = coarse.instances.masks[index]
        rows, cols = mask.slices
        near = np.flatnonzero(
            stays
            & (bounds[:, :2] < (rows.stop, cols.stop)).all(axis=1)
            & (bounds[:, 2:] > (rows.start, cols.start)).all(axis=1)
        )
        shared = np.array([overlap_area(fine.instances.masks[i], mask) for i in near], np.int64)
        areas = np.array([fine.instances.masks[i].area for i in near], np.int64)
        replaced = ~fine.whole[near] & (shared >= COVERED * areas)
        others = [fine.instances.masks[i] for i in near[~replaced]]
        others += [other for _, other in added]
        left = without(mask, others)
        if left is None or left.area <= (1 - COVERED) * mask.area:
            continue
        stays[near[replaced]] = False
        added.append((int(index), left))
    kept = fine.instances.take(stays)
    new = [index for index, _ in added]
    instances = Instances.create(
        kept.image_shape,
        [*kept.masks, *(mask for _, mask in added)],
        scores=np.concatenate([kept.scores, coarse.instances.scores[new]]),
        category_ids=np.concatenate([kept.category_ids, coarse.instances.category_ids[new]]),
    )
    return Level(instances, np.concatenate([fine.whole[stays], coarse.whole[new]]))
