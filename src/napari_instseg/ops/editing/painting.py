"""Pixels that were painted by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ...checked import Check, is_whole
from ...segmenter import InputError
from .base import Edit
from .runs import decode, encode
from .scene import Box, Region, Scene

#: In runs: a pixel that is as it was.
KEEP = -1


@dataclass(frozen=True, slots=True)
class Paint(Edit):
    """Give pixels to objects, whatever they were.

    Parameters
    ----------
    start, stop : tuple of int
        First and last (half-open) index of a box, along each axis.
    runs : tuple of int
        The box's pixels in C order as value, length, value, length, ...: the number of an object
        (a new one, too), 0 to erase, -1 to leave a pixel as it is.
    category_id : int, optional
        Of new objects; None: the first category of things.
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]
    runs: tuple[int, ...]
    category_id: int | None = None
    NAME: ClassVar[str] = "paint"
    LOCAL: ClassVar[bool] = False
    CHECKS: ClassVar[tuple[Check, ...]] = (
        ("start", lambda e: all(is_whole(i, 0) for i in e.start), "whole numbers, 0 or more"),
        ("stop", lambda e: all(is_whole(i, 1) for i in e.stop), "whole numbers, 1 or more"),
        (
            "runs",
            lambda e: all(is_whole(i, KEEP, 2**31 - 1) for i in e.runs),
            "whole numbers from -1 to 2³¹ - 1",
        ),
        (
            "category_id",
            lambda e: e.category_id is None or is_whole(e.category_id, 1),
            "a category's id",
        ),
    )

    @classmethod
    def of(
        cls, start: tuple[int, ...], values: NDArray[np.int32], category_id: int | None = None
    ) -> Self:
        """Make it of the values of a box that begins at ``start``; `KEEP` leaves a pixel."""
        stop = tuple(a + n for a, n in zip(start, values.shape, strict=True))
        return cls(start, stop, encode(values), category_id)

    def resolved(self, scene: Scene) -> Self:
        """See `Edit.resolved`."""
        check_box((self.start, self.stop), scene)
        values = set(np.unique(decode(self.runs, self._shape)).tolist()) - {0, KEEP}
        stuff = values & set(scene.stuff_ids.tolist())
        if stuff:
            raise InputError(
                f"number {min(stuff)} is that of a segment of stuff: paint with "
                f"{scene.next_id} for a new object"
            )
        if not values - scene.boxes.keys():
            return self
        things = [category.id for category in scene.categories if category.is_thing]
        if self.category_id is None and things:
            return replace(self, category_id=things[0])
        scene.category(self.category_id or 0)
        return self

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(b - a for a, b in zip(self.start, self.stop, strict=True))

    def targets(self, scene: Scene) -> tuple[int, ...]:
        """See `Edit.targets`."""
        return ()

    def box(self, scene: Scene) -> Box | None:
        """See `Edit.box`."""
        return self.start, self.stop

    def change(self, region: Region, ids: tuple[int, ...]) -> NDArray[np.int32]:
        """See `Edit.change`."""
        values = decode(self.runs, self._shape)
        return np.where(values == KEEP, region.labels, values)

    def new_category(self) -> int:
        """See `Edit.new_category`."""
        return self.category_id or 0


def check_box(box: Box, scene: Scene) -> None:
    """Check that a box lies in the image.

    Raises
    ------
    InputError
        If it does not.
    """
    start, stop = box
    good = len(start) == len(stop) == len(scene.shape) and all(
        a < b <= n for a, b, n in zip(start, stop, scene.shape, strict=True)
    )
    if not good:
        raise InputError(
            f"expected a box within the image of shape {scene.shape}, got {start} to {stop}"
        )
