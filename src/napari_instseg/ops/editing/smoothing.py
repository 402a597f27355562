"""Edges of objects are smoothed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...checked import Check
from .base import OfObjects
from .scene import Region, Scene, find_boxes


@dataclass(frozen=True, slots=True)
class Smooth(OfObjects):
    """Give each pixel to an object if most pixels around are the object's.

    Only pixels that nobody else has are taken. An object of which nothing would be left stays
    as it is.

    Parameters
    ----------
    ids : tuple of int, optional
        Their numbers; None is all.
    radius : float
        How far around is looked, px of X, in (0, 50]; in a stack also along Z, as far as that is
        in real size.
    """

    radius: float = 2.0
    NAME: ClassVar[str] = "smooth"
    LOCAL: ClassVar[bool] = False
    CHECKS: ClassVar[tuple[Check, ...]] = (
        *OfObjects.CHECKS,
        ("radius", lambda e: 0 < e.radius <= 50, "px in (0, 50]"),
    )

    def reach(self, scene: Scene) -> tuple[int, ...]:
        """See `Edit.reach`."""
        return scene.around(self.radius)

    def change(self, region: Region, ids: tuple[int, ...]) -> NDArray[np.int32]:
        """See `Edit.change`."""
        labels = region.labels.copy()
        kernel = ball(self.radius, region.steps)
        for (volume,) in region.volumes(labels):
            for number, box in find_boxes(volume, ids):
                _smooth(volume[_wider(box, kernel.shape)], number, kernel)
        return labels


def _smooth(labels: NDArray[np.int32], number: int, kernel: NDArray[np.int32]) -> None:
    own = labels == number
    around = ndimage.correlate(own.astype(np.int32), kernel, mode="nearest")
    after = (2 * around > kernel.sum()) & (own | (labels == 0))
    if after.any():
        labels[own] = 0
        labels[after] = number


def ball(radius: float, steps: tuple[float, ...]) -> NDArray[np.int32]:
    """Make a ball of ones, each axis with a step of its own.

    Examples
    --------
    >>> ball(1, (1, 1))
    array([[0, 1, 0],
           [1, 1, 1],
           [0, 1, 0]], dtype=int32)
    """
    reach = [int(radius / step) for step in steps]
    grid = np.ogrid[tuple(slice(-n, n + 1) for n in reach)]
    squares: Any = sum((g * step) ** 2 for g, step in zip(grid, steps, strict=True))
    return np.asarray(squares <= radius**2, np.int32)


def _wider(box: tuple[slice, ...], kernel: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(
        slice(max(0, s.start - n // 2), s.stop + n // 2) for s, n in zip(box, kernel, strict=True)
    )
