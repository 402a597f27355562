"""What an edit did to each object and segment of stuff."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .scene import Box, find_boxes


class Tally:
    """Counts pixels that labels lost, and where they gained some, part by part."""

    def __init__(self) -> None:
        self.lost: Counter[int] = Counter()
        self.gained: Counter[int] = Counter()
        #: Where labels gained pixels.
        self.boxes: defaultdict[int, list[Box]] = defaultdict(list)

    def note(
        self, before: NDArray[np.int32], after: NDArray[np.int32], origin: Sequence[int]
    ) -> None:
        """Compare two states of a part that begins at ``origin``; 0 is nothing."""
        changed = before != after
        self.lost.update(_counts(before[changed]))
        gained = _counts(after[changed])
        self.gained.update(gained)
        if not gained:
            return
        new = np.where(changed, after, np.int32(0))
        for number, where in find_boxes(new, sorted(gained)):
            start = tuple(s.start + o for s, o in zip(where, origin, strict=True))
            stop = tuple(s.stop + o for s, o in zip(where, origin, strict=True))
            self.boxes[number].append((start, stop))

    @property
    def labels(self) -> set[int]:
        """Labels that lost or gained pixels."""
        return {*self.lost, *self.gained}


def _counts(values: NDArray[np.int32]) -> dict[int, int]:
    found, counts = np.unique(values[values > 0], return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))
