"""Objects are cut at the edge of a drawn region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon as fill_polygon

from ...checked import Check, is_whole
from .base import OfObjects, is_row
from .painting import check_box
from .runs import decode
from .scene import Region, Scene
from .splitting import Point

KEEP_INSIDE, KEEP_OUTSIDE = "inside", "outside"


@dataclass(frozen=True, slots=True)
class Cut(OfObjects):
    """Keep of objects only what lies in a region, or only what lies outside.

    Parameters
    ----------
    ids : tuple of int, optional
        Their numbers; None is all.
    keep : {"inside", "outside"}
    polygon : tuple of (row, col), optional
        Corners of the region, px; pixel (r, c) covers r to r + 1 and c to c + 1, and belongs to
        it if its centre does.
    start, stop : tuple of int, optional
        Or a box: its first and last (half-open) index along each axis.
    runs : tuple of int, optional
        Or pixels of this box, in C order: value, length, ...; 1 is in the region, 0 is not.
    plane : tuple of int, optional
        Cut only on this plane (index along each axis but the last two); None cuts on all.
    """

    keep: str = KEEP_INSIDE
    polygon: tuple[Point, ...] | None = None
    start: tuple[int, ...] | None = None
    stop: tuple[int, ...] | None = None
    runs: tuple[int, ...] | None = None
    plane: tuple[int, ...] | None = None
    NAME: ClassVar[str] = "cut"
    CHECKS: ClassVar[tuple[Check, ...]] = (
        *OfObjects.CHECKS,
        ("keep", lambda e: e.keep in (KEEP_INSIDE, KEEP_OUTSIDE), "'inside' or 'outside'"),
        (
            "polygon",
            lambda e: (
                e.polygon is None or (len(e.polygon) > 2 and all(is_row(p, 2) for p in e.polygon))
            ),
            "three points (row, col) or more",
        ),
        *(
            (
                name,
                lambda e, name=name: (
                    getattr(e, name) is None or all(is_whole(i, 0) for i in getattr(e, name))
                ),
                "whole numbers, 0 or more",
            )
            for name in ("start", "stop", "runs", "plane")
        ),
        (
            "start",
            lambda e: (e.start is None) == (e.stop is None) == (e.polygon is not None),
            "either a polygon or a box's start and stop",
        ),
        ("runs", lambda e: e.runs is None or e.start is not None, "start and stop beside runs"),
    )

    def resolved(self, scene: Scene) -> Self:
        """See `Edit.resolved`."""
        scene.known(self.ids)
        if self.plane is not None:
            scene.check_plane(self.plane)
        if self.start is not None and self.stop is not None:
            check_box((self.start, self.stop), scene)
        return self

    def change(self, region: Region, ids: tuple[int, ...]) -> NDArray[np.int32]:
        """See `Edit.change`."""
        labels = region.labels
        gone = self._inside(region) == (self.keep == KEEP_OUTSIDE)
        if self.plane is not None:
            here = np.zeros(labels.shape, bool)
            index = tuple(i - o for i, o in zip(self.plane, region.origin, strict=False))
            if all(0 <= i < n for i, n in zip(index, labels.shape, strict=False)):
                here[index] = True
            gone &= here
        return np.where(gone & np.isin(labels, ids), np.int32(0), labels)

    def _inside(self, region: Region) -> NDArray[np.bool_]:
        """Which of a region's pixels lie in that which was drawn."""
        shape = region.labels.shape
        inside = np.zeros(shape, bool)
        if self.polygon is not None:
            rows, cols = (np.array(self.polygon) - region.origin[-2:] - 0.5).T
            inside[(..., *fill_polygon(rows, cols, shape[-2:]))] = True
            return inside
        start, stop = np.array(self.start), np.array(self.stop)
        first = np.maximum(start, region.origin)
        last = np.minimum(stop, np.add(region.origin, shape))
        if (first >= last).any():
            return inside
        values = (
            np.ones(stop - start, np.int32)
            if self.runs is None
            else decode(self.runs, tuple(stop - start))
        )
        theirs = tuple(slice(a, b) for a, b in zip(first - start, last - start, strict=True))
        mine = zip(first - region.origin, last - region.origin, strict=True)
        inside[tuple(slice(a, b) for a, b in mine)] = values[theirs] > 0
        return inside
