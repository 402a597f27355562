"""The objects of many parts of a plane: their numbers at hand, their masks where they are kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..instances import Instances, Mask
from .masks import corners


class Objects:
    """All objects of several `Instances` of one plane, numbered one part after the other.

    Only numbers are held here. Masks are fetched from ``parts`` when asked for, so that these may
    lie on disk: memory grows by some 60 bytes an object.

    Parameters
    ----------
    image_shape : (int, int)
        Height and width of the plane, px.
    parts : sequence of Instances
        Each read once here; from then on its masks only.
    """

    def __init__(self, image_shape: tuple[int, int], parts: Sequence[Instances]) -> None:
        self.image_shape, self.parts = image_shape, parts
        columns = [(p.scores, p.category_ids, p.boxes, corners(p.masks)) for p in parts]
        counts = [len(scores) for scores, *_ in columns]
        #: Part of each object, and number of the first object of each part.
        self.owner = np.repeat(np.arange(len(counts)), counts)
        self.first = np.concatenate([[0], np.cumsum(counts, dtype=np.intp)])
        empty = Instances.empty(image_shape)
        columns.append((empty.scores, empty.category_ids, empty.boxes, corners(())))
        scores, ids, boxes, bounds = (np.concatenate(c) for c in zip(*columns, strict=True))
        self.scores: NDArray[np.float32] = scores
        self.category_ids: NDArray[np.int64] = ids
        self.boxes: NDArray[np.float32] = boxes
        #: First row and column, last row and column (half-open) of each mask: (N, 4), px.
        self.bounds: NDArray[np.int64] = bounds

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.scores)

    def mask(self, index: int) -> Mask:
        """Fetch the mask of an object."""
        owner = int(self.owner[index])
        return self.parts[owner].masks[index - int(self.first[owner])]
