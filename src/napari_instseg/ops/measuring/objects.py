"""Pieces put together to objects."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..volumes import DEPTH
from .columns import Columns, ellipse_columns, known_sizes, place_columns, size_columns
from .pieces import Groups, Pieces, Values


class Objects:
    """Objects of a label image, with all that adds up.

    Parameters
    ----------
    pieces : Pieces
    axes : str
        Of the label image.
    spacing : mapping of str to float
        µm per pixel by axis letter.
    through : bool
        Whether objects go through Z, if there is one; those of other axes are apart.
    """

    def __init__(
        self, pieces: Pieces, axes: str, spacing: Mapping[str, float], *, through: bool
    ) -> None:
        self._pieces, self._axes, self._spacing = pieces, axes, spacing
        #: Axes along which objects reach.
        self.letters = "ZYX" if through and DEPTH in axes else "YX"
        self._apart = [k for k, axis in enumerate(axes) if axis not in self.letters]
        keys = np.column_stack([pieces.label, pieces.plane[:, self._apart]])
        self._keys, codes = np.unique(keys, axis=0, return_inverse=True)
        self._groups = Groups(codes.reshape(-1), len(self._keys))

    @property
    def label(self) -> NDArray[np.int64]:
        """Label of each object."""
        return self._keys[:, 0]

    @property
    def keys(self) -> Columns:
        """What tells objects apart: label, and index along the axes that they do not go through."""
        letters = [self._axes[k].lower() for k in self._apart]
        return dict(zip(["index", *letters], self._keys.T, strict=True))

    @property
    def sizes(self) -> tuple[float, ...] | None:
        """µm per pixel along the axes of objects, None where one is not known."""
        return known_sizes(self.letters, self._spacing)

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """First and last index (half-open) along all axes of the label image: (N, 2, ndim)."""
        pieces = self._pieces
        first = np.concatenate([pieces.plane, pieces.box[:, :2]], axis=1)
        stop = np.concatenate([pieces.plane + 1, pieces.box[:, 2:]], axis=1)
        low, high = self._groups.reduce(np.minimum, first), self._groups.reduce(np.maximum, stop)
        return np.stack([low, high], axis=1)

    @property
    def geometry(self) -> dict[str, Columns]:
        """Columns of size, place and second moments, by measure."""
        pieces, groups, letters = self._pieces, self._groups, self.letters
        count = groups.sum(pieces.area)
        depth = [pieces.plane[:, [self._axes.index(axis)]] for axis in letters[:-2]]
        total = np.concatenate(
            [*(z * pieces.area[:, np.newaxis] for z in depth), pieces.total], axis=1
        )
        middle = groups.sum(total) / count[:, np.newaxis]
        own = np.zeros((len(total), len(letters), len(letters)))
        own[:, -2:, -2:] = pieces.scatter
        scatter = groups.scatter(pieces.area, total / pieces.area[:, np.newaxis], own)
        variance = scatter / count[:, np.newaxis, np.newaxis]
        along = [self._axes.index(axis) for axis in letters]
        return {
            **size_columns(count, letters, self._spacing),
            **place_columns(middle, self.boxes[..., along], letters, self._spacing),
            **ellipse_columns(variance, letters, self._spacing),
        }

    @property
    def values(self) -> list[Values]:
        """Grey values of each channel."""
        return [values.merged(self._groups) for values in self._pieces.values]

    def pieces_of(
        self, chosen: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.integer[Any]]]:
        """Block and object of each piece of some objects."""
        kept = chosen[self._groups.codes]
        return self._pieces.block[kept], self._groups.codes[kept]

    def spatial(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask along all axes of the label image as one along those of objects."""
        sizes = zip(self._axes, mask.shape, strict=True)
        return mask.reshape([size for axis, size in sizes if axis in self.letters])


def goes_through(pieces: Pieces, axes: str) -> bool:
    """Whether any label is in several planes along Z, at the same place along other axes."""
    if DEPTH not in axes:
        return False
    rest = [k for k, axis in enumerate(axes[:-2]) if axis != DEPTH]
    rows = np.column_stack([pieces.label, pieces.plane[:, rest], pieces.plane])
    planes = np.unique(rows, axis=0)
    return len(np.unique(planes[:, : 1 + len(rest)], axis=0)) < len(planes)
