"""What an edit is told: the objects that there are, and a cut-out part of their label image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from ...segmenter import Category, InputError

#: First and last (half-open) index along each axis.
Box: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
#: Reads a box of a label image; what it returns may be written to.
Reader: TypeAlias = Callable[[Box], NDArray[np.int32]]
#: Axes along which pixels are neighbours; of others (T, ...) each index is edited by itself.
SPACE = "ZYX"


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """The objects of a label image, before an edit.

    Parameters
    ----------
    shape : tuple of int
    axes : str
        One letter a dimension, the last two Y and X.
    sampling : tuple of float
        Distance of neighbouring pixels along each axis, in px of X.
    table : DataFrame
        See `LabelSet.table`.
    boxes : mapping of int to Box
        Of each object.
    categories : tuple of Category
    """

    shape: tuple[int, ...]
    axes: str
    sampling: tuple[float, ...]
    table: pd.DataFrame
    boxes: Mapping[int, Box]
    categories: tuple[Category, ...]

    @property
    def next_id(self) -> int:
        """The lowest number above all segments'."""
        index = self.table["index"]
        return int(index.max()) + 1 if len(index) else 1

    @property
    def stuff_ids(self) -> NDArray[np.int64]:
        """Numbers of the segments that are no objects."""
        stuff = ~self.table["is_thing"].to_numpy(bool)
        numbers: NDArray[np.int64] = self.table["index"].to_numpy(np.int64)[stuff]
        return numbers

    def known(self, ids: Sequence[int] | None) -> tuple[int, ...]:
        """Check that there are objects with these numbers; None: all of them, rising.

        Raises
        ------
        InputError
            If there are not.
        """
        if ids is None:
            return tuple(sorted(self.boxes))
        unknown = [number for number in ids if number not in self.boxes]
        if unknown:
            raise InputError(
                f"no object has the number {', '.join(map(str, unknown[:8]))}: expected numbers "
                "of objects as in the table's column 'index'"
            )
        return tuple(ids)

    def category(self, number: int) -> Category:
        """Find a category of objects.

        Raises
        ------
        InputError
            If there is none with this id, or it is stuff.
        """
        for category in self.categories:
            if category.id == number and category.is_thing:
                return category
        things = ", ".join(f"{c.id} ({c.name})" for c in self.categories if c.is_thing)
        raise InputError(f"category_id: expected one of {things}, got {number}")

    def check_plane(self, plane: Sequence[int]) -> tuple[int, ...]:
        """Check an index along each axis but the last two.

        Raises
        ------
        InputError
            If it is none.
        """
        planes = self.shape[:-2]
        inside = len(plane) == len(planes) and all(
            0 <= i < size for i, size in zip(plane, planes, strict=True)
        )
        if not inside:
            raise InputError(
                f"plane: expected an index along each of the axes {self.axes[:-2]!r} of sizes "
                f"{planes}, got {tuple(plane)}"
            )
        return tuple(plane)

    def around(self, distance: float) -> tuple[int, ...]:
        """How many pixels a distance in px of X is at most, along each axis."""
        return tuple(
            math.ceil(distance / step) if axis in SPACE else 0
            for axis, step in zip(self.axes, self.sampling, strict=True)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A part of the label image of objects.

    Parameters
    ----------
    labels : int32 array (..., Y, X)
        Objects, 0 is nothing.
    origin : tuple of int
        Index of its first pixel in the whole image.
    scene : Scene
        As it was before the edit; `next_id` of a region may be higher.
    """

    labels: NDArray[np.int32]
    origin: tuple[int, ...]
    scene: Scene

    def volumes(self, *arrays: NDArray[np.int32]) -> Iterator[tuple[NDArray[np.int32], ...]]:
        """Views of arrays like ``labels``, at each index of the axes that are not in space."""
        others = [k for k, axis in enumerate(self.scene.axes) if axis not in SPACE]
        moved = [np.moveaxis(array, others, range(len(others))) for array in arrays]
        for index in np.ndindex(*moved[0].shape[: len(others)]):
            yield tuple(array[index] for array in moved)

    @property
    def steps(self) -> tuple[float, ...]:
        """Distance of pixels along each axis of `volumes`."""
        pairs = zip(self.scene.axes, self.scene.sampling, strict=True)
        return tuple(step for axis, step in pairs if axis in SPACE)


def union(boxes: Sequence[Box]) -> Box:
    """Return the box around boxes.

    Examples
    --------
    >>> union([((0, 4), (2, 6)), ((1, 1), (3, 5))])
    ((0, 1), (3, 6))
    """
    starts, stops = zip(*boxes, strict=True)
    first = tuple(min(along) for along in zip(*starts, strict=True))
    return first, tuple(max(along) for along in zip(*stops, strict=True))


def widen(box: Box, by: Sequence[int], shape: Sequence[int]) -> Box:
    """Make a box larger on all sides, as far as the image goes."""
    first = tuple(max(0, start - n) for start, n in zip(box[0], by, strict=True))
    last = (min(size, stop + n) for stop, n, size in zip(box[1], by, shape, strict=True))
    return first, tuple(last)


def slices(box: Box, origin: Sequence[int] | None = None) -> tuple[slice, ...]:
    """Return what indexes a box, in an array whose first pixel is at ``origin``."""
    at = (0,) * len(box[0]) if origin is None else origin
    return tuple(slice(a - o, b - o) for a, b, o in zip(*box, at, strict=True))


def find_boxes(
    labels: NDArray[np.int32], ids: Sequence[int]
) -> Iterator[tuple[int, tuple[slice, ...]]]:
    """Find where objects lie in a label image: those that there are, in the order given."""
    known = np.sort(np.asarray(ids, np.int32))
    if not len(known):
        return
    at = np.minimum(np.searchsorted(known, labels), len(known) - 1)
    codes = np.where(known[at] == labels, at + 1, 0)
    found = dict(zip(known.tolist(), ndimage.find_objects(codes, len(known)), strict=True))
    for number in ids:
        box = found[number]
        if box is not None:
            yield number, box
