"""All masks of a run side by side: any limits choose from them at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..ops.arrays import joined
from ..ops.suppression import Rivals
from .everything_settings import BOXES, EverythingSettings
from .picture_masks import OUTER_EDGE, PictureMasks, good_enough

#: A mask with more of its picture than this, or that reaches all of the picture's edges, is
#: what lies around objects.
BACKGROUND = 0.5


class Choosing:
    """Chooses masks of many pictures; which of them overlap is found out once.

    Parameters
    ----------
    pictures : sequence of PictureMasks
    px : sequence of float
        For each, how many px of the plane one of its level is.
    """

    def __init__(self, pictures: Sequence[PictureMasks], px: Sequence[float]) -> None:
        self._pictures = pictures
        counts = np.array([len(picture) for picture in pictures], np.intp)
        self._owner = np.repeat(np.arange(len(pictures)), counts)
        self._first = np.cumsum(counts) - counts
        self._scores = joined((p.predicted_iou for p in pictures), np.float32)
        self._stability = joined((p.stability for p in pictures), np.float32)
        self._areas = joined((p.areas * one for p, one in zip(pictures, px, strict=True)), float)
        # By falling score in each picture; equal scores stay as they come.
        self._order = np.lexsort((-self._scores, self._owner))

    def __call__(self, wanted: EverythingSettings) -> list[NDArray[np.intp]]:
        """Choose masks that are good enough, and of those that are alike the best.

        Returns
        -------
        list of (K,) intp
            Index in each picture, by falling predicted IoU; without background, unless masks
            may overlap.
        """
        good = good_enough(wanted, self._scores, self._stability, self._areas)
        rivals = self._boxes if wanted.nms_by == BOXES else self._masks
        kept = rivals.suppress(good, wanted.nms)
        if not wanted.overlapping:
            kept &= ~self._background
        index = self._order[kept[self._order]]
        owner = self._owner[index]
        ends = np.cumsum(np.bincount(owner, minlength=len(self._pictures)))
        index -= self._first[owner]
        return [index[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]

    @cached_property
    def _boxes(self) -> Rivals:
        return Rivals.of_boxes(self._bounds - OUTER_EDGE, self._scores, self._owner)

    @cached_property
    def _masks(self) -> Rivals:
        masks = [mask for p in self._pictures for mask in p.masks(range(len(p)))]
        return Rivals.of_masks(masks, self._scores, self._owner)

    @cached_property
    def _background(self) -> NDArray[np.bool_]:
        tiles = [picture.view.tile for picture in self._pictures]
        edges = np.array([tile.edges for tile in tiles], np.int64).reshape(-1, 4)
        height, width = (edges[:, 2:] - edges[:, :2]).T
        areas = joined((picture.areas for picture in self._pictures), np.int64)
        filling = areas > BACKGROUND * (height * width)[self._owner]
        return np.asarray(filling | (self._bounds == edges[self._owner]).all(axis=1), np.bool_)

    @property
    def _bounds(self) -> NDArray[np.int64]:
        none = np.empty((0, 4), np.int64)
        return np.concatenate([none, *(picture.bounds for picture in self._pictures)])
