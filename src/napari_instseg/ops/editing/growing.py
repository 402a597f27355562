"""Objects become wider or narrower by some pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import expand_labels

from ...checked import Check
from .base import OfObjects
from .scene import Region, Scene, find_boxes


@dataclass(frozen=True, slots=True)
class _Distance(OfObjects):
    """An edit with a distance.

    Parameters
    ----------
    ids : tuple of int, optional
        Numbers of objects; None is all.
    distance : float
        In px of X, in (0, 500]; in a stack also along Z, in real size.
    """

    distance: float = 1.0
    CHECKS: ClassVar[tuple[Check, ...]] = (
        *OfObjects.CHECKS,
        ("distance", lambda e: 0 < e.distance <= 500, "px in (0, 500]"),
    )

    def reach(self, scene: Scene) -> tuple[int, ...]:
        """See `Edit.reach`."""
        return scene.around(self.distance)


@dataclass(frozen=True, slots=True)
class Grow(_Distance):
    """Give objects the free pixels within a distance; where two want one, the nearer has it.

    Parameters
    ----------
    ids : tuple of int, optional
        Numbers of objects; None is all.
    distance : float
        In px of X, in (0, 500]; in a stack also along Z, in real size.

    References
    ----------
    `skimage.segmentation.expand_labels`.
    """

    NAME: ClassVar[str] = "grow"

    def change(self, region: Region, ids: tuple[int, ...]) -> NDArray[np.int32]:
        """See `Edit.change`."""
        labels = region.labels.copy()
        chosen = np.where(np.isin(labels, ids), labels, np.int32(0))
        for volume, seeds in region.volumes(labels, chosen):
            wider = expand_labels(seeds, self.distance, spacing=region.steps)
            np.copyto(volume, wider, where=volume == 0)
        return labels


@dataclass(frozen=True, slots=True)
class Shrink(_Distance):
    """Take from objects the pixels within a distance of what is not theirs.

    An object that is nowhere wider goes. The image's border takes nothing.

    Parameters
    ----------
    ids : tuple of int, optional
        Numbers of objects; None is all.
    distance : float
        In px of X, in (0, 500]; in a stack also along Z, in real size.
    """

    NAME: ClassVar[str] = "shrink"

    def change(self, region: Region, ids: tuple[int, ...]) -> NDArray[np.int32]:
        """See `Edit.change`."""
        labels = region.labels.copy()
        for volume, before in region.volumes(labels, region.labels):
            for number, tight in find_boxes(before, ids):
                box = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in tight)
                own = before[box] == number
                if own.all():
                    continue  # There is nothing else here that it could be near to.
                depth = ndimage.distance_transform_edt(own, sampling=region.steps)
                volume[box][own & (depth <= self.distance)] = 0
        return labels
