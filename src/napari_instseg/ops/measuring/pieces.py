"""What each block has of each object: numbers that add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .blocks import Block

#: Sums of whole numbers are exact below this.
SAFE = 2.0**62


class Groups:
    """Rows that belong together, to be added up.

    Parameters
    ----------
    codes : (N,) integer array
        Group of each row, 0 to ``count`` − 1, each at least once.
    count : int
    """

    def __init__(self, codes: NDArray[np.integer[Any]], count: int) -> None:
        self.codes, self.count = codes, count
        self._order = np.argsort(codes, kind="stable")
        self._starts = np.searchsorted(codes[self._order], np.arange(count))

    def reduce(self, how: np.ufunc, rows: NDArray[Any]) -> NDArray[Any]:
        """Combine the rows of each group, such as by `np.minimum`."""
        reduced: NDArray[Any] = how.reduceat(rows[self._order], self._starts, axis=0)
        return reduced

    def sum(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Add up; whole numbers exactly, but as floats where int64 has no room for them."""
        if rows.dtype.kind != "f" and float(np.abs(rows.astype(np.float64)).sum()) > SAFE:
            rows = rows.astype(np.float64)
        return self.reduce(np.add, rows)

    def scatter(
        self, count: NDArray[Any], mean: NDArray[np.float64], own: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Sum of products of deviations from the group's mean.

        Parameters
        ----------
        count : (N,) array
            Of what each row stands for.
        mean : (N, D) float64
        own : (N, D, D) float64
            Sums of products of deviations from the row's mean.

        References
        ----------
        Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
        variances", 1979.
        """
        weight = count[:, np.newaxis]
        middle = self.sum(weight * mean) / np.maximum(self.sum(weight), 1)
        away = mean - middle[self.codes]
        products = weight[..., np.newaxis] * away[:, :, np.newaxis] * away[:, np.newaxis]
        return self.sum(own + products)


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """Grey values of one channel: count, sum, extremes and scatter of each row, NaN left out."""

    count: NDArray[np.int64]
    total: NDArray[Any]
    low: NDArray[Any]
    high: NDArray[Any]
    scatter: NDArray[np.float64]

    def merged(self, groups: Groups) -> Values:
        """Add up the rows of each group."""
        mean, own = self.mean[:, np.newaxis], self.scatter[:, np.newaxis, np.newaxis]
        empty = self.count == 0
        return Values(
            groups.sum(self.count),
            groups.sum(self.total),
            groups.reduce(np.fmin, self.low),
            groups.reduce(np.fmax, self.high),
            groups.scatter(self.count, np.where(empty[:, np.newaxis], 0.0, mean), own)[:, 0, 0],
        )

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of each row; NaN where there is no value."""
        with np.errstate(invalid="ignore", divide="ignore"):
            mean: NDArray[np.float64] = np.where(self.count > 0, self.total, np.nan) / self.count
        return mean

    @property
    def deviation(self) -> NDArray[np.float64]:
        """Standard deviation of each row, as of all values that there are (no n − 1)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.sqrt(np.where(self.count > 0, self.scatter, np.nan) / self.count)


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """What blocks have of objects, one row for each object of a plane of a block.

    Parameters
    ----------
    block : (P,) int64
        Its number.
    plane : (P, A) int64
        Index along each axis but the last two.
    label, area : (P,) int64
    total : (P, 2) int64
        Sum of rows and columns, px.
    scatter : (P, 2, 2) float64
        Sums of products of deviations from mean row and column, px².
    box : (P, 4) int64
        First row and column, last row and column (half-open), px.
    values : tuple of Values
        One a channel.
    """

    block: NDArray[np.int64]
    plane: NDArray[np.int64]
    label: NDArray[np.int64]
    area: NDArray[np.int64]
    total: NDArray[np.int64]
    scatter: NDArray[np.float64]
    box: NDArray[np.int64]
    values: tuple[Values, ...]

    @classmethod
    def joined(cls, several: Sequence[Self]) -> Self:
        """Put those of several blocks one after the other."""
        names = [field.name for field in fields(cls) if field.name != "values"]
        rows = {name: _joined(several, name) for name in names}
        channels = zip(*(pieces.values for pieces in several), strict=True)
        of = [field.name for field in fields(Values)]
        values = [Values(**{name: _joined(parts, name) for name in of}) for parts in channels]
        return cls(**rows, values=tuple(values))


def _joined(several: Sequence[Any], name: str) -> Any:
    return np.concatenate([getattr(one, name) for one in several])


def find_pieces(
    number: int, block: Block, labels: NDArray[Any], channels: Sequence[NDArray[Any]]
) -> Pieces:
    """Measure a block.

    Parameters
    ----------
    number : int
        Of the block.
    block : tuple of slice
        Where it is.
    labels : integer array
        Of the block; 0 and less is nothing.
    channels : sequence of array
        Pixels, with the same shape.

    Notes
    -----
    Runs of equal labels along rows are counted, not pixels.
    """
    height, width = labels.shape[-2:]
    flat = labels.reshape(-1, width)
    begins = np.ones(flat.shape, np.bool_)
    np.not_equal(flat[:, 1:], flat[:, :-1], out=begins[:, 1:])
    begin = np.flatnonzero(begins)
    length = np.diff(begin, append=flat.size)
    found = flat.reshape(-1)[begin]
    kept = np.flatnonzero(found > 0)
    line, col = np.divmod(begin[kept], max(1, width))
    plane, row = np.divmod(line, max(1, height))
    row, col = row + block[-2].start, col + block[-1].start
    codes, names = pd.factorize(found[kept])
    codes, keys = pd.factorize(plane * max(1, len(names)) + codes)
    groups = Groups(codes, len(keys))
    plane, name = np.divmod(keys, max(1, len(names)))
    size, end = length[kept], col + length[kept]
    return Pieces(
        np.full(len(keys), number, np.int64),
        _index(plane, labels.shape[:-2], block[:-2]),
        np.asarray(names)[name].astype(np.int64),
        groups.sum(size),
        groups.sum(np.stack([row * size, size * col + size * (size - 1) // 2], axis=1)),
        _scatter(groups, row, col, size),
        np.concatenate(
            [
                groups.reduce(np.minimum, np.stack([row, col], axis=1)),
                groups.reduce(np.maximum, np.stack([row + 1, end], axis=1)),
            ],
            axis=1,
        ),
        tuple(_values(groups, pixels, begin, length, kept) for pixels in channels),
    )


def _index(
    plane: NDArray[np.int64], shape: tuple[int, ...], block: tuple[slice, ...]
) -> NDArray[np.int64]:
    """Index along each plane axis of the whole, from the number of the plane in the block."""
    if not shape:
        return np.empty((len(plane), 0), np.int64)
    inside = np.stack(np.unravel_index(plane, shape), axis=1).astype(np.int64)
    return inside + np.array([span.start for span in block], np.int64)


def _scatter(
    groups: Groups, row: NDArray[np.int64], col: NDArray[np.int64], size: NDArray[np.int64]
) -> NDArray[np.float64]:
    mean = np.stack([row, col + (size - 1) / 2], axis=1)
    own = np.zeros((len(row), 2, 2))
    own[:, 1, 1] = size * (size.astype(np.float64) ** 2 - 1) / 12
    return groups.scatter(size, mean, own)


def _values(
    groups: Groups,
    pixels: NDArray[Any],
    begin: NDArray[np.intp],
    length: NDArray[np.intp],
    kept: NDArray[np.intp],
) -> Values:
    """Measure one channel: by run, then by object."""
    flat = _summable(pixels.reshape(-1))
    known: NDArray[np.bool_] | None = None
    if flat.dtype.kind == "f":
        known = ~np.isnan(flat)
        known = None if known.all() else known
    if not len(kept):
        nothing = np.zeros(0, flat.dtype)
        return Values(np.zeros(0, np.int64), nothing, nothing, nothing, np.zeros(0))
    filled = flat if known is None else np.where(known, flat, 0)
    total = np.add.reduceat(filled, begin)
    count = length if known is None else np.add.reduceat(known, begin, dtype=np.int64)
    mean = total / np.maximum(count, 1)
    away = flat - np.repeat(mean, length)
    if known is not None:
        away[~known] = 0
    np.square(away, out=away)
    runs = Values(
        count[kept].astype(np.int64),
        total[kept],
        np.fmin.reduceat(flat, begin)[kept],
        np.fmax.reduceat(flat, begin)[kept],
        np.add.reduceat(away, begin)[kept],
    )
    return runs.merged(groups)


def _summable(values: NDArray[Any]) -> NDArray[Any]:
    """Integers as int64, whose sums are exact, unless there is no room for these; else floats."""
    if values.dtype.kind in "bui":
        roomy = values.dtype.itemsize < 8
        if not roomy and values.size:
            largest = max(abs(float(values.min())), abs(float(values.max())))
            roomy = largest * values.size < SAFE
        return values.astype(np.int64 if roomy else np.float64)
    return values.astype(np.float64)
