"""All that a model answered on one picture, in little memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..instances import Mask
from ..ops.arrays import joined
from ..ops.masks import corners
from ..ops.suppression import iou_with, suppress_boxes, suppress_masks
from ..promptable import Candidates
from .everything_settings import BOXES, EverythingSettings
from .views import View

#: Of masks whose boxes overlap by more than this IoU, and that are about as large, only those
#: are kept that another one does not outdo in all respects.
SAME_BOX, SAME_AREA = 0.9, 0.9
#: As in Segment Anything, a box goes from its first to its last pixel.
OUTER_EDGE = (0, 0, 1, 1)


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
    sizes : (M,) int64
        Bytes of each mask's pixels.
    bits : (sum of sizes,) uint8
        The pixels inside the bounds, mask by mask, eight a byte: in one piece, since many small
        ones would keep the memory around them from being used again.
    """

    view: View
    predicted_iou: NDArray[np.float32]
    stability: NDArray[np.float32]
    areas: NDArray[np.int64]
    bounds: NDArray[np.int64]
    sizes: NDArray[np.int64]
    bits: NDArray[np.uint8]

    @classmethod
    def join(cls, view: View, parts: Sequence[PictureMasks]) -> PictureMasks:
        """Put the masks of several batches together."""
        none = np.empty(0, np.float32)
        whole = np.empty(0, np.int64)
        empty = cls(view, none, none, whole, whole.reshape(0, 4), whole, np.empty(0, np.uint8))
        every = [empty, *parts]
        return cls(
            view,
            np.concatenate([part.predicted_iou for part in every]),
            np.concatenate([part.stability for part in every]),
            np.concatenate([part.areas for part in every]),
            np.concatenate([part.bounds for part in every]),
            np.concatenate([part.sizes for part in every]),
            np.concatenate([part.bits for part in every]),
        )

    @classmethod
    def of(cls, view: View, candidates: Candidates) -> PictureMasks:
        """Keep what a model answered; masks without pixels are left out."""
        tight = [mask.tight() for mask in candidates.masks]
        index = [i for i, mask in enumerate(tight) if mask is not None]
        masks = [mask.shift(view.tile.top, view.tile.left) for mask in tight if mask is not None]
        bits = [np.packbits(mask.pixels) for mask in masks]
        return cls(
            view,
            candidates.predicted_iou[index],
            candidates.stability[index],
            np.array([mask.area for mask in masks], np.int64),
            corners(masks),
            np.array([len(own) for own in bits], np.int64),
            joined(bits, np.uint8),
        )

    def __len__(self) -> int:
        return len(self.areas)

    @property
    def nbytes(self) -> int:
        """Memory of the arrays, bytes."""
        arrays = (self.predicted_iou, self.stability, self.areas, self.bounds, self.sizes)
        return sum(array.nbytes for array in arrays) + self.bits.nbytes

    def mask(self, index: int) -> Mask:
        """Return one mask."""
        return next(self.masks([index]))

    def masks(self, which: Sequence[int]) -> Iterator[Mask]:
        """Unpack some masks."""
        ends = np.cumsum(self.sizes)
        for index in which:
            top, left, bottom, right = self.bounds[index].tolist()
            shape, end = (bottom - top, right - left), ends[index]
            bits = self.bits[end - self.sizes[index] : end]
            pixels = np.unpackbits(bits, count=shape[0] * shape[1]).view(np.bool_)
            yield Mask((top, left), pixels.reshape(shape))

    def take(self, which: ArrayLike) -> PictureMasks:
        """Select masks by index, in that order."""
        index = np.asarray(which, np.intp)
        ends = np.cumsum(self.sizes)
        bits = (self.bits[ends[i] - self.sizes[i] : ends[i]] for i in index)
        return PictureMasks(
            self.view,
            self.predicted_iou[index],
            self.stability[index],
            self.areas[index],
            self.bounds[index],
            self.sizes[index],
            joined(bits, np.uint8),
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
            kept = suppress_masks([*self.masks(index.tolist())], scores, wanted.nms)
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


def side_by_side(pictures: Sequence[PictureMasks]) -> list[PictureMasks]:
    """Move the masks of some pictures into one piece of memory, each picture a part of it.

    Many small arrays would lie between what comes and goes, so that ever more is needed.
    """
    if not pictures:
        return []
    whole = PictureMasks.join(pictures[0].view, pictures)
    found: list[PictureMasks] = []
    mask = byte = 0
    for picture in pictures:
        masks = slice(mask, mask + len(picture))
        bits = slice(byte, byte + len(picture.bits))
        found.append(
            PictureMasks(
                picture.view,
                whole.predicted_iou[masks],
                whole.stability[masks],
                whole.areas[masks],
                whole.bounds[masks],
                whole.sizes[masks],
                whole.bits[bits],
            )
        )
        mask, byte = masks.stop, bits.stop
    return found


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
