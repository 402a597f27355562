"""All that a model answered on one picture, in little memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..instances import Mask
from ..ops.masks import corners
from ..ops.suppression import iou_with, suppress_boxes, suppress_masks
from ..promptable import Candidates
from .everything_settings import BOXES, EverythingSettings
from .views import View

#: Masks whose crop is smaller than this (px) are kept as they are.
SMALL = 4096
#: Of masks whose boxes overlap by more than this IoU, and that are about as large, only those
#: are kept that another one does not outdo in all respects.
SAME_BOX, SAME_AREA = 0.9, 0.9
#: As in Segment Anything, a box goes from its first to its last pixel.
OUTER_EDGE = (0, 0, 1, 1)


@dataclass(frozen=True, slots=True, eq=False)
class PackedMask:
    """A mask with eight pixels a byte."""

    origin: tuple[int, int]
    shape: tuple[int, int]
    bits: NDArray[np.uint8]

    @classmethod
    def of(cls, mask: Mask) -> PackedMask:
        """Pack a mask."""
        height, width = mask.pixels.shape
        return cls(mask.origin, (height, width), np.packbits(mask.pixels))

    def unpack(self) -> Mask:
        """Return the mask."""
        count = self.shape[0] * self.shape[1]
        pixels = np.unpackbits(self.bits, count=count).view(np.bool_)
        return Mask(self.origin, pixels.reshape(self.shape))


@dataclass(frozen=True, slots=True, eq=False)
class PictureMasks:
    """M masks of one picture, in px of its level.

    Parameters
    ----------
    view : View
    predicted_iou, stability : (M,) float32
        As in `promptable.Candidates`.
    areas : (M,) int64
    bounds : (M, 4) int64
        First row and column, last row and column (half-open).
    crops : tuple of M Mask or PackedMask
    """

    view: View
    predicted_iou: NDArray[np.float32]
    stability: NDArray[np.float32]
    areas: NDArray[np.int64]
    bounds: NDArray[np.int64]
    crops: tuple[Mask | PackedMask, ...]

    @classmethod
    def join(cls, view: View, parts: Sequence[PictureMasks]) -> PictureMasks:
        """Put the masks of several batches together."""
        none = cls.empty(view)
        every = [none, *parts]
        return cls(
            view,
            np.concatenate([part.predicted_iou for part in every]),
            np.concatenate([part.stability for part in every]),
            np.concatenate([part.areas for part in every]),
            np.concatenate([part.bounds for part in every]),
            tuple(crop for part in every for crop in part.crops),
        )

    @classmethod
    def empty(cls, view: View) -> PictureMasks:
        """No masks."""
        none = np.empty(0, np.float32)
        return cls(view, none, none, np.empty(0, np.int64), np.empty((0, 4), np.int64), ())

    @classmethod
    def of(cls, view: View, candidates: Candidates) -> PictureMasks:
        """Keep what a model answered; masks without pixels are left out."""
        tight = [mask.tight() for mask in candidates.masks]
        index = [i for i, mask in enumerate(tight) if mask is not None]
        masks = [mask.shift(view.tile.top, view.tile.left) for mask in tight if mask is not None]
        return cls(
            view,
            candidates.predicted_iou[index],
            candidates.stability[index],
            np.array([mask.area for mask in masks], np.int64),
            corners(masks),
            tuple(_compact(mask) for mask in masks),
        )

    def __len__(self) -> int:
        return len(self.crops)

    def mask(self, index: int) -> Mask:
        """Return one mask."""
        crop = self.crops[index]
        return crop if isinstance(crop, Mask) else crop.unpack()

    def take(self, which: ArrayLike) -> PictureMasks:
        """Select masks by index, in that order."""
        index = np.asarray(which, np.intp)
        return PictureMasks(
            self.view,
            self.predicted_iou[index],
            self.stability[index],
            self.areas[index],
            self.bounds[index],
            tuple(self.crops[i] for i in index),
        )

    def choose(self, wanted: EverythingSettings, px: float) -> NDArray[np.intp]:
        """Choose masks that are good enough, and of those that are alike the best.

        Parameters
        ----------
        wanted : EverythingSettings
        px : float
            How many px of the plane one of the level is.

        Returns
        -------
        (K,) intp
            By falling predicted IoU.
        """
        good = good_enough(wanted, self.predicted_iou, self.stability, self.areas * px)
        index = np.flatnonzero(good)
        scores = self.predicted_iou[index]
        if wanted.nms_by == BOXES:
            kept = suppress_boxes(self.bounds[index] - OUTER_EDGE, scores, wanted.nms)
        else:
            kept = suppress_masks([self.mask(int(i)) for i in index], scores, wanted.nms)
        return index[kept]

    def pruned(self, wanted: EverythingSettings, px: float) -> PictureMasks:
        """Leave out masks that another one outdoes, but none that ``wanted`` chooses.

        What is chosen afterwards is the same with the limits of ``wanted``, and about the same
        with others: who goes has a better twin.
        """
        stays = np.ones(len(self), bool)
        order = np.argsort(-self.predicted_iou, kind="stable")
        while order.size:
            best, order = order[0], order[1:]
            areas = self.areas[best], self.areas[order]
            twin = self.stability[order] <= self.stability[best]
            twin &= np.minimum(*areas) >= SAME_AREA * np.maximum(*areas)
            twin &= iou_with(self.bounds[best], self.bounds[order]) > SAME_BOX
            stays[order[twin]] = False
            order = order[~twin]
        stays[self.choose(wanted, px)] = True
        return self.take(np.flatnonzero(stays))


def good_enough(
    wanted: EverythingSettings,
    predicted_iou: NDArray[np.float32],
    stability: NDArray[np.float32],
    areas: NDArray[np.floating],
) -> NDArray[np.bool_]:
    """Whether masks, with areas in px of the plane, are within the limits."""
    good = (predicted_iou > wanted.min_predicted_iou) & (stability >= wanted.min_stability)
    good &= (areas >= wanted.min_area) & (areas <= (wanted.max_area or np.inf))
    return np.asarray(good, np.bool_)


def _compact(mask: Mask) -> Mask | PackedMask:
    if mask.pixels.size >= SMALL:
        return PackedMask.of(mask)
    # A crop may be a window into something larger, which would stay in memory with it.
    return Mask(mask.origin, mask.pixels.copy())
