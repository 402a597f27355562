"""Holes in objects are filled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...checked import Check
from .base import OfObjects
from .scene import Region, find_boxes


@dataclass(frozen=True, slots=True)
class FillHoles(OfObjects):
    """Fill what objects enclose; what others have stays theirs.

    Parameters
    ----------
    ids : tuple of int, optional
        Their numbers; None is all.
    each_plane : bool
        Fill what is enclosed within its plane. Else, in a stack, only what is so from above and
        below, too.
    """

    each_plane: bool = False
    NAME: ClassVar[str] = "fill_holes"
    LOCAL: ClassVar[bool] = False
    CHECKS: ClassVar[tuple[Check, ...]] = (
        *OfObjects.CHECKS,
        ("each_plane", lambda e: isinstance(e.each_plane, bool), "True or False"),
    )

    def change(self, region: Region, ids: tuple[int, ...]) -> NDArray[np.int32]:
        """See `Edit.change`."""
        labels = region.labels.copy()
        for (volume,) in region.volumes(labels):
            planes = np.ndindex(*volume.shape[:-2]) if self.each_plane else [()]
            for plane in planes:
                _fill(volume[plane], ids)
        return labels


def _fill(labels: NDArray[np.int32], ids: tuple[int, ...]) -> None:
    for number, box in find_boxes(labels, ids):
        part = labels[box]
        inside = ndimage.binary_fill_holes(part == number)
        part[inside & (part == 0)] = number
