"""Several objects become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ...checked import Check
from .base import Edit, are_ids
from .scene import Region, Scene


@dataclass(frozen=True, slots=True)
class Merge(Edit):
    """Make one object of several.

    Parameters
    ----------
    ids : tuple of int
        Two numbers or more; the first stays, with its row. They need not touch.
    """

    ids: tuple[int, ...]
    NAME: ClassVar[str] = "merge"
    CHECKS: ClassVar[tuple[Check, ...]] = (
        ("ids", lambda e: are_ids(e.ids) and len(e.ids) > 1, "two different numbers or more"),
    )

    def resolved(self, scene: Scene) -> Self:
        """See `Edit.resolved`."""
        scene.known(self.ids)
        return self

    def targets(self, scene: Scene) -> tuple[int, ...]:
        """See `Edit.targets`."""
        return self.ids

    def change(self, region: Region, ids: tuple[int, ...]) -> NDArray[np.int32]:
        """See `Edit.change`."""
        return np.where(np.isin(region.labels, self.ids), np.int32(self.ids[0]), region.labels)
