"""Where a run over everything asks, in one picture."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..instances import Mask
from ..promptable import Candidates, Embedding

#: Fast mode asks at every second point along each side of the grid first, those of every fourth
#: before the others.
STRIDES = (4, 2, 1)
#: Of the points of a picture, fast mode asks at most at this share.
BUDGET = 0.6
#: No picture, or part of one, has so few points that they are worth sparing.
FEW = 64
#: A point that is worth less than this is not asked at: the chance that a good mask comes of it.
LEAST_WORTH = 0.15
#: Where so many other points' masks lie, a further one is worth half: in a very large object. With
#: fewer it must not matter, for the best of many masks may come of any of an object's points.
CROWD = 32
#: After this many answers, chances are estimated anew.
ANSWERS = 64
#: How much the estimate is drawn to the mean, in answers.
CAUTION = 4.0
#: What a point is worth beyond its chance if nothing like it was asked at yet.
CURIOSITY = 0.5


class Search(Protocol):
    """Chooses points of one picture, batch by batch."""

    @property
    def done(self) -> int:
        """Number of points that need no more asking."""
        ...

    def next(self, count: int) -> NDArray[np.float32]:
        """Return up to ``count`` points, (K, 2) px of the picture; none: all is done."""
        ...

    def tell(self, good: Candidates) -> None:
        """Say which good masks the last points gave."""
        ...


def grid(points_per_side: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Points spread evenly over a picture, row by row.

    Parameters
    ----------
    points_per_side : int
    shape : (int, int)
        Height and width of the picture, px.

    Returns
    -------
    (points_per_side**2, 2) float64
        Row and column; pixel (r, c) covers r to r + 1.

    Notes
    -----
    The points are Segment Anything's, which takes whole numbers for the middle of a pixel: its
    points lie half a pixel further from the origin than they would in the middle of their cells.
    """
    steps = (np.arange(points_per_side) + 0.5) / points_per_side
    middles = (np.minimum(steps * length + 0.5, length) for length in shape)
    rows, cols = np.meshgrid(*middles, indexing="ij")
    return np.stack([rows.ravel(), cols.ravel()], axis=1)


class GridSearch:
    """Asks at every point, in their order.

    Parameters
    ----------
    points : (N, 2) float
    """

    def __init__(self, points: NDArray[np.float64]) -> None:
        self._points = points.astype(np.float32)
        self.done = 0

    def next(self, count: int) -> NDArray[np.float32]:
        """See `Search`."""
        chosen = self._points[self.done : self.done + count]
        self.done += len(chosen)
        return chosen

    def tell(self, good: Candidates) -> None:
        """See `Search`."""


class AdaptiveSearch:
    """Asks at a part of the points, then where it is worth most.

    What the encoder says of the points asked at, and whether good masks came of them, tells
    what to expect of the others: most of a picture's background is never asked at, nor all of a
    very large object.

    Parameters
    ----------
    points : (N, 2) float
    strides : (N,) int
        Of `STRIDES`: the largest come first; those of 1 only where it is worth it.
    features : (N, C) float32
        What the encoder says of each point; see `features_at`.
    """

    def __init__(
        self,
        points: NDArray[np.float64],
        strides: NDArray[np.int64],
        features: NDArray[np.float32],
    ) -> None:
        self._points = points.astype(np.float32)
        self._pixels = np.floor(points).astype(np.intp)
        self._features = _normal(features)
        self._first = np.argsort(-strides, kind="stable")[: np.count_nonzero(strides > 1)]
        few = min(len(points), FEW)
        self._budget = max(len(self._first), round(BUDGET * len(points)), few)
        self._asked = np.zeros(len(points), bool)
        self._answered = np.zeros(len(points), bool)
        self._covers = np.zeros(len(points), np.int64)
        self._last = np.empty(0, np.intp)
        self._chances: tuple[int, NDArray[np.float64]] | None = None
        self._ended = len(points) == 0

    @property
    def done(self) -> int:
        """See `Search`."""
        return len(self._points) if self._ended else int(np.count_nonzero(self._asked))

    def next(self, count: int) -> NDArray[np.float32]:
        """See `Search`."""
        used = int(np.count_nonzero(self._asked))
        chosen = self._first[used : used + count]
        if not len(chosen):
            chosen = self._best(min(count, self._budget - used))
        self._asked[chosen] = True
        self._last = chosen
        self._ended = len(chosen) == 0
        return self._points[chosen]

    def tell(self, good: Candidates) -> None:
        """See `Search`."""
        self._answered[self._last[np.unique(good.prompts)]] = True
        for prompt in np.unique(good.prompts):
            covered = np.zeros(len(self._points), bool)
            for index in np.flatnonzero(good.prompts == prompt):
                covered |= lies_in(self._pixels, good.masks[index])
            self._covers += covered

    def _best(self, count: int) -> NDArray[np.intp]:
        """The open points that are worth most."""
        worth = self._chance() / (1 + self._covers / CROWD)
        worth[self._asked] = 0
        order = np.argsort(-worth, kind="stable")[: max(count, 0)]
        return order[worth[order] >= LEAST_WORTH]

    def _chance(self) -> NDArray[np.float64]:
        """Estimate the chance of a good mask at each point from the answers: ridge regression."""
        known = int(np.count_nonzero(self._asked))
        if self._chances is not None and known - self._chances[0] < ANSWERS:
            return self._chances[1].copy()
        x, y = self._features[self._asked], self._answered[self._asked].astype(np.float64)
        # Where good masks come of most points asked at, these are not like the others.
        middle, mean = (x.mean(axis=0), y.mean()) if known else (0.0, 1.0)
        x, features = x - middle, self._features - middle
        inverse = np.linalg.inv(x.T @ x + CAUTION * np.eye(x.shape[1]))
        expected = mean + features @ (inverse @ (x.T @ (y - mean)))
        # 1 for a point unlike all that were asked at, 0 for one like many.
        new = CAUTION * np.einsum("ij,jk,ik->i", features, inverse, features, optimize=True)
        chance: NDArray[np.float64] = np.clip(expected, 0, 1) + CURIOSITY * np.clip(new, 0, 1)
        self._chances = known, chance
        return chance.copy()


def features_at(
    points: NDArray[np.float64], embedding: Embedding, stretches: bool = False
) -> NDArray[np.float32]:
    """What the encoder says of each of (N, 2) points: (N, C), of the coarsest map's cells.

    ``stretches``: see `promptable.Habits`.
    """
    cells = embedding.arrays[0]
    _, height, width = cells.shape
    tall, wide = embedding.picture_shape
    # The longest side of a picture spans the map; the rest of it is padding.
    cell = max(tall, wide) / max(height, width)
    sides = (tall / height, wide / width) if stretches else (cell, cell)
    at = (points / sides).astype(np.intp)
    rows, cols = np.minimum(at, (height - 1, width - 1)).T
    return np.asarray(cells[:, rows, cols].T, np.float32)


def _normal(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Channels of mean 0, and rows of about length 1."""
    values = features.astype(np.float64)
    values = values - values.mean(axis=0, keepdims=True) if len(values) else values
    scale = np.sqrt(np.square(values).mean()) if values.size else 0.0
    return np.asarray(values / ((scale or 1.0) * np.sqrt(max(1, values.shape[1]))), np.float64)


def lies_in(pixels: NDArray[np.intp], mask: Mask) -> NDArray[np.bool_]:
    """Whether each of (N, 2) pixels (row, col) belongs to a mask."""
    at = pixels - mask.origin
    inside = np.asarray(((at >= 0) & (at < mask.pixels.shape)).all(axis=1), np.bool_)
    rows, cols = at[inside].T
    inside[inside] = mask.pixels[rows, cols]
    return inside


def strides_of(points_per_side: int) -> NDArray[np.int64]:
    """For each point of `grid`, the largest of `STRIDES` whose coarser grid it is in."""
    index = np.arange(points_per_side)
    found = np.ones((points_per_side, points_per_side), np.int64)
    for stride in sorted(STRIDES)[1:]:
        on = index % stride == 1
        found[np.ix_(on, on)] = stride
    return found.ravel()
