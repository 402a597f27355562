"""What an edit changed in a label image: small enough to keep all of them for undo."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .scene import Box


@dataclass(frozen=True, slots=True)
class Patch:
    """The change of a box of pixels, compressed.

    Parameters
    ----------
    box : Box
        In the whole image.
    packed : bytes
        Old xor new labels, int32, by zlib: what is the same is 0.
    """

    box: Box
    packed: bytes

    @classmethod
    def between(
        cls, before: NDArray[np.int32], after: NDArray[np.int32], origin: tuple[int, ...]
    ) -> Self | None:
        """Compare two states of a part that begins at ``origin``; None if they are the same."""
        changed = before != after
        if not changed.any():
            return None
        others = range(changed.ndim)
        spans = [
            np.flatnonzero(changed.any(axis=tuple(k for k in others if k != axis)))[[0, -1]]
            for axis in others
        ]
        first, last = (tuple(int(span[i]) for span in spans) for i in (0, 1))
        crop = tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))
        delta = np.ascontiguousarray(before[crop] ^ after[crop])
        start = tuple(a + o for a, o in zip(first, origin, strict=True))
        stop = tuple(b + 1 + o for b, o in zip(last, origin, strict=True))
        return cls((start, stop), zlib.compress(delta.data, 1))

    def applied(self, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        """Go from the old to the new labels of the box, or back."""
        delta = np.frombuffer(zlib.decompress(self.packed), np.int32)
        return labels ^ delta.reshape(labels.shape)
