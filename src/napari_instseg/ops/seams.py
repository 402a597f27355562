"""Places where the objects of two tiles met, for whoever wants to look at them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .objects import Objects
from .scaling import Resampling

#: What became of the objects of two tiles that share pixels, or of one that ends at an edge.
JOINED, AMBIGUOUS, LOOSE = "joined", "ambiguous", "loose"
KINDS = (JOINED, AMBIGUOUS, LOOSE)
#: Objects that share less of their union are neighbours, not an open question.
LEAST_IOU = 0.1
#: Decimals of bounds and IoU in the image's grid.
DIGITS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Seams:
    """Places in a plane where tiles met.

    Parameters
    ----------
    bounds : (N, 4) float64
        First row and column, last row and column (half-open), px.
    iou : (N,) float64
        IoU of the two objects inside the strip that both tiles see; 0 for a loose end.
    kind : (N,) int64
        Number in `KINDS`: one object now; two objects that share much, of which one may have been
        dropped; the end of an object at a tile's edge, with no counterpart beyond it.
    """

    bounds: NDArray[np.float64]
    iou: NDArray[np.float64]
    kind: NDArray[np.int64]

    def __len__(self) -> int:
        """Return their number."""
        return len(self.iou)

    @classmethod
    def find(
        cls,
        objects: Objects,
        pairs: NDArray[np.int64],
        iou: NDArray[np.float64],
        group: NDArray[np.int64],
        loose: NDArray[np.int64],
        shown: float,
    ) -> Seams:
        """Gather them.

        Parameters
        ----------
        objects : Objects
            Of all tiles.
        pairs, iou : (M, 2) int64, (M,) float64
            Objects that share pixels, and how much.
        group : (M, 2) int64
            Which object of the plane each one is a part of.
        loose : (L,) int64
            Loose ends.
        shown : float
            Objects with a lower score do not count.
        """
        one = group[:, 0] == group[:, 1]
        asked = (one | (iou >= LEAST_IOU)) & (objects.scores[pairs] >= shown).all(axis=1)
        pairs, iou, one = pairs[asked], iou[asked], one[asked]
        loose = loose[objects.scores[loose] >= shown]
        a, b = objects.bounds[pairs[:, 0]], objects.bounds[pairs[:, 1]]
        both = np.concatenate([np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])], 1)
        return cls(
            np.concatenate([both, objects.bounds[loose]]).astype(np.float64),
            np.concatenate([iou, np.zeros(len(loose))]),
            np.concatenate([np.where(one, 0, 1), np.full(len(loose), 2)]).astype(np.int64),
        )

    def moved(self, resampling: Resampling, top: int, left: int) -> Seams:
        """Return them in the image's grid: that of the source, and an offset (px)."""
        (height, width), (tall, wide) = resampling.source, resampling.target
        factor = np.array([height / max(1, tall), width / max(1, wide)] * 2)
        bounds = self.bounds * factor + [top, left, top, left]
        return Seams(np.round(bounds, DIGITS), np.round(self.iou, DIGITS), self.kind)

    def to_json(self) -> list[list[float]]:
        """Return values that `json` can write: bounds, IoU and kind of each."""
        rows = np.column_stack([self.bounds, self.iou, self.kind])
        return rows.tolist()  # type: ignore[no-any-return]

    @classmethod
    def from_json(cls, rows: list[list[float]]) -> Seams:
        """Return what `to_json` told of."""
        values = np.array(rows, np.float64).reshape(-1, 6)
        return cls(values[:, :4], values[:, 4], values[:, 5].astype(np.int64))
