"""The objects of many parts of a plane: their numbers at hand, their masks where they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..instances import Instances, Mask
from .arrays import joined
from .masks import corners


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """What is known of objects without their masks, some 60 bytes an object.

    Parameters
    ----------
    counts : (P,) int64
        Objects of each part, one part after the other.
    scores : (N,) float32
        In [0, 1].
    category_ids : (N,) int64
    boxes : (N, 4) float32
        XYXY, px.
    bounds : (N, 4) int64
        First row and column, last row and column (half-open) of each mask, px.
    """

    counts: NDArray[np.int64]
    scores: NDArray[np.float32]
    category_ids: NDArray[np.int64]
    boxes: NDArray[np.float32]
    bounds: NDArray[np.int64]

    @classmethod
    def of(cls, part: Instances) -> Numbers:
        """Read the numbers of one part."""
        count = np.array([len(part)], np.int64)
        return cls(count, part.scores, part.category_ids, part.boxes, corners(part.masks))

    @classmethod
    def joined(cls, several: Sequence[Numbers]) -> Numbers:
        """Put those of several parts one after the other."""
        boxes = [np.empty((0, 4), np.float32), *(numbers.boxes for numbers in several)]
        bounds = [np.empty((0, 4), np.int64), *(numbers.bounds for numbers in several)]
        return cls(
            joined((numbers.counts for numbers in several), np.int64),
            joined((numbers.scores for numbers in several), np.float32),
            joined((numbers.category_ids for numbers in several), np.int64),
            np.concatenate(boxes),
            np.concatenate(bounds),
        )


class Objects:
    """All objects of several `Instances` of one plane, numbered one part after the other.

    Only numbers are held here. Masks are fetched from ``parts`` when asked for, so that these may
    lie on disk.

    Parameters
    ----------
    image_shape : (int, int)
        Height and width of the plane, px.
    parts : sequence of Instances
        Each read once here if there are no ``numbers``; from then on its masks only.
    numbers : Numbers, optional
        Of the parts.
    """

    def __init__(
        self,
        image_shape: tuple[int, int],
        parts: Sequence[Instances],
        numbers: Numbers | None = None,
    ) -> None:
        self.image_shape, self.parts = image_shape, parts
        if numbers is None:
            numbers = Numbers.joined([Numbers.of(part) for part in parts])
        #: Part of each object, and number of the first object of each part.
        self.owner = np.repeat(np.arange(len(numbers.counts)), numbers.counts)
        self.first = np.concatenate([[0], np.cumsum(numbers.counts, dtype=np.intp)])
        self.scores, self.category_ids = numbers.scores, numbers.category_ids
        self.boxes, self.bounds = numbers.boxes, numbers.bounds

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.scores)

    def place(self, index: int) -> tuple[int, int]:
        """Return the part of an object, and its number there."""
        owner = int(self.owner[index])
        return owner, index - int(self.first[owner])

    def mask(self, index: int) -> Mask:
        """Fetch the mask of an object."""
        owner, number = self.place(index)
        return self.parts[owner].masks[number]
