"""Objects are numbered anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from .base import Edit
from .scene import Box, Region, Scene


@dataclass(frozen=True, slots=True)
class Renumber(Edit):
    """Number objects 1..N in the order that they are in, and stuff from N + 1 on."""

    NAME: ClassVar[str] = "renumber"

    def resolved(self, scene: Scene) -> Self:
        """See `Edit.resolved`."""
        return self

    def targets(self, scene: Scene) -> tuple[int, ...]:
        """See `Edit.targets`."""
        numbers = new_numbers(scene)
        return tuple(number for number in sorted(scene.boxes) if numbers[number] != number)

    def box(self, scene: Scene) -> Box | None:
        """All of the image if stuff gets other numbers."""
        numbers = new_numbers(scene)
        same = all(numbers[number] == number for number in scene.stuff_ids.tolist())
        return None if same else ((0,) * len(scene.shape), scene.shape)

    def change(self, region: Region, ids: tuple[int, ...]) -> NDArray[np.int32]:
        """See `Edit.change`."""
        return renumbered(region.labels, new_numbers(region.scene))


def new_numbers(scene: Scene) -> dict[int, int]:
    """New number of each segment by its old one."""
    old = [*sorted(scene.boxes), *sorted(scene.stuff_ids.tolist())]
    return {number: new for new, number in enumerate(old, start=1)}


def renumbered(labels: NDArray[np.int32], numbers: Mapping[int, int]) -> NDArray[np.int32]:
    """Give labels other numbers; those not named stay.

    Examples
    --------
    >>> renumbered(np.array([0, 5, 7], np.int32), {5: 1, 7: 2})
    array([0, 1, 2], dtype=int32)
    """
    found, at = np.unique(labels, return_inverse=True)
    new = np.array([numbers.get(int(label), int(label)) for label in found], np.int32)
    return new[at].reshape(labels.shape)
