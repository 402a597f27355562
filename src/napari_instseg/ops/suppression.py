"""Of masks that show the same object, keep the best: non-maximum suppression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..instances import Mask
from .masks import corners, mask_iou
from .nesting import touching

#: Boxes that are settled among themselves before they are held against all others.
BLOCK = 64


def suppress_boxes(boxes: ArrayLike, scores: ArrayLike, max_iou: float) -> NDArray[np.intp]:
    """Keep boxes by falling score unless one that is kept overlaps them too much.

    The same boxes in the same order as `torchvision.ops.nms`: in float32, where equal scores
    stay as they come, and an IoU of exactly ``max_iou`` is no reason to go.

    Parameters
    ----------
    boxes : (N, 4) numbers
        Two corners each, rows and columns in either order.
    scores : (N,) float
    max_iou : float
        In [0, 1].

    Returns
    -------
    (K,) intp
        Index of those that are kept, the best first.

    Examples
    --------
    >>> suppress_boxes([[0, 0, 4, 4], [0, 0, 4, 3], [2, 2, 6, 6]], [0.8, 0.9, 0.7], 0.5)
    array([1, 2])
    """
    edges = np.ascontiguousarray(np.asarray(boxes, np.float32).reshape(-1, 4).T)
    order = np.argsort(-np.asarray(scores, np.float32), kind="stable")
    kept: list[NDArray[np.intp]] = []
    while order.size:
        block, rest = order[:BLOCK], order[BLOCK:]
        block = block[_settle(_alike(edges[:, block], edges[:, block], max_iou))]
        kept.append(block)
        if rest.size:
            rest = rest[~_alike(edges[:, block], edges[:, rest], max_iou).any(axis=0)]
        order = rest
    return np.concatenate([np.empty(0, np.intp), *kept])


def _settle(alike: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Go through a few by falling score; each that stays drives out those like it."""
    stays = np.ones(len(alike), bool)
    for i in range(len(alike)):
        if stays[i]:
            stays[i + 1 :] &= ~alike[i, i + 1 :]
    return np.flatnonzero(stays)


def iou_with(box: ArrayLike, boxes: ArrayLike) -> NDArray[np.float32]:
    """IoU of one box with each of (N, 4) boxes; 0 where both have no area."""
    one = np.asarray(box, np.float32).reshape(4, 1)
    many = np.asarray(boxes, np.float32).reshape(-1, 4).T
    shared = _shared(one, many)[0]
    return np.asarray(shared / np.maximum(_area(one) + _area(many) - shared, 1e-6), np.float32)


def _alike(a: NDArray[np.float32], b: NDArray[np.float32], max_iou: float) -> NDArray[np.bool_]:
    """Whether the IoU of (4, N) and (4, M) corners exceeds a limit, for each pair."""
    shared = _shared(a, b)
    alike = shared > 0
    i, j = np.nonzero(alike)
    # As a plain number, the limit would be rounded to float32.
    alike[i, j] = _iou(a[:, i], b[:, j], shared[i, j]) > np.float64(max_iou)
    return alike


def _iou(
    a: NDArray[np.float32], b: NDArray[np.float32], shared: NDArray[np.float32]
) -> NDArray[np.float32]:
    """IoU of (4, P) corners with as many that share so much area."""
    return np.asarray(shared / (_area(a) + _area(b) - shared), np.float32)


def _shared(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Area that each of (4, N) corners shares with each of (4, M)."""
    sides: list[NDArray[np.float32]] = []
    for first, last in ((0, 2), (1, 3)):
        side = np.minimum(a[last][:, np.newaxis], b[last])
        side -= np.maximum(a[first][:, np.newaxis], b[first])
        sides.append(np.maximum(side, 0, out=side))
    height, width = sides
    height *= width
    return height


def _area(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((corners[2] - corners[0]) * (corners[3] - corners[1]), np.float32)


def suppress_masks(masks: Sequence[Mask], scores: ArrayLike, max_iou: float) -> NDArray[np.intp]:
    """Keep masks by falling score unless one that is kept shares too many of their pixels.

    Parameters
    ----------
    masks : sequence of N Mask
    scores : (N,) float
    max_iou : float
        Of the pixels, in [0, 1].

    Returns
    -------
    (K,) intp
        Index of those that are kept, the best first; equal scores stay as they come.
    """
    order = np.argsort(-np.asarray(scores, np.float32), kind="stable")
    edges = np.ascontiguousarray(corners(masks).T, np.float32)
    areas = np.array([mask.area for mask in masks], np.float32)
    kept: list[int] = []
    while order.size:
        best, order = int(order[0]), order[1:]
        kept.append(best)
        # No more pixels are shared than the boxes share, or than the smaller mask has.
        most = np.minimum(_shared(edges[:, [best]], edges[:, order])[0], areas[order])
        most = np.minimum(most, areas[best])
        near = np.flatnonzero(most > max_iou * (areas[best] + areas[order] - most))
        alike = [k for k in near if mask_iou(masks[best], masks[order[k]]) > max_iou]
        order = np.delete(order, alike)
    return np.array(kept, np.intp)


@dataclass(frozen=True, slots=True, eq=False)
class Rivals:
    """Pairs that overlap, found once: afterwards, any limits choose in milliseconds.

    Parameters
    ----------
    better, worse : (P,) int32
        Index of the one that comes first, and of the one that goes if both are too alike.
    iou : (P,) float
    """

    better: NDArray[np.int32]
    worse: NDArray[np.int32]
    iou: NDArray[np.floating]

    @classmethod
    def of_boxes(
        cls, boxes: NDArray[np.int64], scores: ArrayLike, groups: NDArray[np.intp]
    ) -> Rivals:
        """Compare (N, 4) boxes of a group, rows and columns, by the area that they share."""
        better, worse = _pairs(boxes, scores, groups)
        edges = np.ascontiguousarray(boxes.T, np.float32)
        a, b = edges[:, better], edges[:, worse]
        height, width = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
        meet = (height > 0) & (width > 0)
        shared = (height * width)[meet]
        return cls(better[meet], worse[meet], _iou(a[:, meet], b[:, meet], shared))

    @classmethod
    def of_masks(cls, masks: Sequence[Mask], scores: ArrayLike, groups: NDArray[np.intp]) -> Rivals:
        """Compare masks of a group by the pixels that they share."""
        better, worse = _pairs(corners(masks), scores, groups)
        pairs = zip(better.tolist(), worse.tolist(), strict=True)
        iou = np.fromiter((mask_iou(masks[i], masks[j]) for i, j in pairs), float, len(better))
        return cls(better, worse, iou)

    def suppress(self, good: NDArray[np.bool_], max_iou: float) -> NDArray[np.bool_]:
        """Keep those that are good unless a better one that is kept is too much like them.

        Parameters
        ----------
        good : (N,) bool
        max_iou : float
            In [0, 1].

        Returns
        -------
        (N,) bool
            The same as `suppress_boxes` or `suppress_masks` keep of those that are good.
        """
        kept = good.copy()
        alike = self.iou > np.float64(max_iou)
        alike &= good[self.better] & good[self.worse]
        better, worse = self.better[alike], self.worse[alike]
        while len(better):
            waits, gone = np.zeros((2, len(good)), np.bool_)
            waits[worse] = True
            # Nobody who could drive these out is left.
            gone[worse[~waits[better]]] = True
            kept &= ~gone
            open_ = ~(gone[better] | gone[worse])
            better, worse = better[open_], worse[open_]
        return kept


def _pairs(
    boxes: NDArray[np.int64], scores: ArrayLike, groups: NDArray[np.intp]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Pairs of boxes of one group that share pixels, the better of each first."""
    rank = np.empty(len(boxes), np.int64)
    rank[np.argsort(-np.asarray(scores, np.float32), kind="stable")] = np.arange(len(boxes))
    # Groups stand below one another: boxes of different ones cannot meet.
    apart = groups * boxes[:, 2].max(initial=0)
    i, j = touching(boxes + apart[:, np.newaxis] * (1, 0, 1, 0))
    better, worse = np.where(rank[i] < rank[j], (i, j), (j, i)).astype(np.int32)
    return better, worse
