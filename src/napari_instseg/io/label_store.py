"""Label images that are edited where they are: in memory, or in Zarr with their coarser levels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..ops.axes import ArrayLike
from ..ops.pyramid import halve
from ..segmenter import Category, InputError
from . import ngff
from .zarr import is_zarr_data

#: Largest array that is read into memory to be edited there, bytes.
MOST_IN_MEMORY = 2**32
Box = tuple[Sequence[int], Sequence[int]]


class LabelStore(Protocol):
    """A label image that parts can be read from and written to."""

    @property
    def array(self) -> ArrayLike:
        """The label image."""
        ...

    @property
    def largest(self) -> int:
        """The largest label that it can hold."""
        ...

    def read(self, box: Box) -> NDArray[np.int32]:
        """Read a box; the array may be written to."""
        ...

    def write(self, box: Box, labels: NDArray[np.int32]) -> None:
        """Write a box."""
        ...

    def describe(self, rows: pd.DataFrame, categories: Sequence[Category], output: str) -> None:
        """Keep what the store says of its labels in step with the table."""
        ...


class ArrayStore:
    """A label image in memory.

    Parameters
    ----------
    array : integer array
        Written to.

    Raises
    ------
    InputError
        If it is read-only, or has numbers beyond int32.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        if not array.flags.writeable:
            raise InputError("expected label images that can be written to, got read-only ones")
        _check(array)
        self.array: NDArray[Any] = array
        self.largest = _largest(array.dtype)

    def read(self, box: Box) -> NDArray[np.int32]:
        """Read a box."""
        return np.array(self.array[_slices(box)], np.int32)

    def write(self, box: Box, labels: NDArray[np.int32]) -> None:
        """Write a box."""
        self.array[_slices(box)] = labels

    def describe(self, rows: pd.DataFrame, categories: Sequence[Category], output: str) -> None:
        """An array says nothing of its labels."""


class ZarrStore:
    """A label image in Zarr; of one in OME-Zarr, the coarser levels follow.

    Only chunks in which something changes are written.

    Parameters
    ----------
    array : zarr.Array
        Level 0, in a folder.

    Raises
    ------
    InputError
        If it is not in a folder.
    OSError
        If it cannot be opened for writing.
    """

    def __init__(self, array: Any) -> None:
        import zarr

        root = getattr(array.store, "root", None)
        if root is None:
            raise InputError("expected a Zarr array in a folder, to edit it there")
        self.array: Any = zarr.open_array(Path(root, array.path), mode="r+")
        self.largest = _largest(self.array.dtype)
        self._group, self._levels = _pyramid(Path(root, array.path), self.array)

    def read(self, box: Box) -> NDArray[np.int32]:
        """Read a box."""
        part = np.asarray(self.array[_slices(box)])
        _check(part)
        return np.array(part, np.int32)

    def write(self, box: Box, labels: NDArray[np.int32]) -> None:
        """Write a box, at all levels."""
        _write_chunks(self.array, box, labels)
        finer = self.array
        for coarser in self._levels:
            *leading, rows, cols = zip(*box, strict=True)
            ends = [(start // 2, -(-stop // 2)) for start, stop in (rows, cols)]
            spans = [*leading, *ends]
            box = tuple(a for a, _ in spans), tuple(b for _, b in spans)
            wide = [*leading, *((2 * a, 2 * b) for a, b in ends)]
            part = np.asarray(finer[tuple(slice(a, b) for a, b in wide)])
            _write_chunks(coarser, box, halve(part))
            finer = coarser

    def describe(self, rows: pd.DataFrame, categories: Sequence[Category], output: str) -> None:
        """Write colours and properties, as a run does."""
        if self._group is None:
            return
        from .results import image_label

        ome = dict(self._group.attrs["ome"])
        source = ome.get(ngff.IMAGE_LABEL, {}).get("source", {}).get("image")
        ome[ngff.IMAGE_LABEL] = image_label(rows, categories, output, source)
        self._group.attrs["ome"] = ome


def open_store(array: ArrayLike) -> LabelStore:
    """Open a label image where it is, to change it there.

    Raises
    ------
    InputError
        If it can only be read.
    """
    if isinstance(array, np.ndarray):
        return ArrayStore(array)
    if is_zarr_data(array):
        return ZarrStore(array)
    raise InputError(
        f"labels of type {type(array).__name__} can only be read: write them as OME-Zarr, or edit "
        "a copy in memory"
    )


def copy_to_memory(array: ArrayLike) -> ArrayStore:
    """Copy a label image into memory.

    Raises
    ------
    InputError
        If it is larger than `MOST_IN_MEMORY`, and not there already.
    """
    size = 4 * int(np.prod(array.shape))
    if size > MOST_IN_MEMORY and not isinstance(array, np.ndarray):
        raise InputError(
            f"labels of shape {tuple(array.shape)} take {size / 2**30:.0f} GiB: edit them where "
            "they are, in OME-Zarr (in_place=True)"
        )
    whole = np.asarray(array[...])
    _check(whole)
    return ArrayStore(np.array(whole, np.int32))


def _largest(dtype: Any) -> int:
    """The largest label of a type, as far as edits go."""
    if np.dtype(dtype).kind == "b":
        return 1
    return min(int(np.iinfo(dtype).max), int(np.iinfo(np.int32).max))


def _check(labels: NDArray[Any]) -> None:
    """Refuse numbers that would become others."""
    most = int(np.iinfo(np.int32).max)
    if labels.dtype.kind == "b" or not labels.size or np.iinfo(labels.dtype).max <= most:
        return
    if int(labels.max()) > most or int(labels.min()) < 0:
        raise InputError(
            f"expected labels from 0 to {most}, got {labels.min()} to {labels.max()}: number the "
            "objects anew, as with skimage.segmentation.relabel_sequential"
        )


def _pyramid(folder: Path, array: Any) -> tuple[Any, list[Any]]:
    """The label image in OME-Zarr that an array is level 0 of, and its coarser levels.

    The group only if it is of version 0.5: properties of earlier ones are left alone.
    """
    import zarr

    try:
        group = zarr.open_group(folder.parent, mode="r+")
    except (FileNotFoundError, zarr.errors.GroupNotFoundError):
        return None, []
    # Up to 0.4 it is at the top.
    ome = group.attrs.get("ome", dict(group.attrs))
    if not isinstance(ome, dict) or not ome.get("multiscales"):
        return None, []
    names = [level["path"] for level in ome["multiscales"][0]["datasets"]]
    if not names or names[0] != folder.name:
        return None, []
    levels: list[Any] = [group[name] for name in names[1:]]
    shape = array.shape
    for level in levels:
        shape = (*shape[:-2], *((n + 1) // 2 for n in shape[-2:]))
        if level.shape != shape:
            raise InputError(
                f"{folder.parent}: expected levels that halve Y and X, got one of shape "
                f"{level.shape} instead of {shape}"
            )
    described = "ome" in group.attrs and ngff.IMAGE_LABEL in ome
    return (group if described else None), levels


def _write_chunks(array: Any, box: Box, labels: NDArray[Any]) -> None:
    """Write the parts of chunks that differ."""
    for where in _chunks(box, array.shards or array.chunks):
        here = tuple(slice(s.start - o, s.stop - o) for s, o in zip(where, box[0], strict=True))
        if not np.array_equal(array[where], labels[here]):
            array[where] = labels[here].astype(array.dtype)


def _chunks(box: Box, sizes: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    ranges = [
        range(start // size, -(-stop // size))
        for start, stop, size in zip(*box, sizes, strict=True)
    ]
    for index in np.ndindex(*map(len, ranges)):
        yield tuple(
            slice(max(start, r[i] * size), min(stop, (r[i] + 1) * size))
            for i, r, start, stop, size in zip(index, ranges, *box, sizes, strict=True)
        )


def _slices(box: Box) -> tuple[slice, ...]:
    return tuple(slice(a, b) for a, b in zip(*box, strict=True))
