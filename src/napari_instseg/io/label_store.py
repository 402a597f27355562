"""Label images that are edited where they are: in memory, or in Zarr with their coarser levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..label_set import LARGEST, as_int32, check_int32
from ..ops.axes import ArrayLike
from ..ops.pyramid import halve
from ..segmenter import Category, InputError
from . import ngff
from .zarr import is_zarr, is_zarr_data

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
        check_int32(array)
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

    Attributes
    ----------
    folder : Path
        Of level 0.
    keep : callable
        Called with each file before it is changed.

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
        self.folder = Path(root, array.path)
        self.array: Any = zarr.open_array(self.folder, mode="r+")
        self.largest = _largest(self.array.dtype)
        self._group, self._levels = _pyramid(self.folder, self.array)
        self.keep: Callable[[Path], None] = _ignore

    def read(self, box: Box) -> NDArray[np.int32]:
        """Read a box."""
        return as_int32(self.array[_slices(box)])

    def write(self, box: Box, labels: NDArray[np.int32]) -> None:
        """Write a box, at all levels."""
        self._write(self.array, box, labels)
        finer = self.array
        for coarser in self._levels:
            *leading, rows, cols = zip(*box, strict=True)
            ends = [(start // 2, -(-stop // 2)) for start, stop in (rows, cols)]
            spans = [*leading, *ends]
            box = tuple(a for a, _ in spans), tuple(b for _, b in spans)
            wide = [*leading, *((2 * a, 2 * b) for a, b in ends)]
            part = np.asarray(finer[tuple(slice(a, b) for a, b in wide)])
            self._write(coarser, box, halve(part))
            finer = coarser

    def _write(self, array: Any, box: Box, labels: NDArray[Any]) -> None:
        """Write the parts of chunks that differ."""
        sizes = array.shards or array.chunks
        for where in _chunks(box, sizes):
            here = tuple(slice(s.start - o, s.stop - o) for s, o in zip(where, box[0], strict=True))
            if not np.array_equal(array[where], labels[here]):
                chunk = tuple(s.start // size for s, size in zip(where, sizes, strict=True))
                key = array.metadata.encode_chunk_key(chunk)
                self.keep(Path(array.store.root, array.path, key))
                array[where] = labels[here].astype(array.dtype)

    def describe(self, rows: pd.DataFrame, categories: Sequence[Category], output: str) -> None:
        """Write colours and properties, as a run does."""
        if self._group is None:
            return
        from .results import image_label

        ome = dict(self._group.attrs["ome"])
        source = ome.get(ngff.IMAGE_LABEL, {}).get("source", {}).get("image")
        ome[ngff.IMAGE_LABEL] = image_label(rows, categories, output, source)
        # Only of version 0.5, which is Zarr 3.
        self.keep(Path(self._group.store.root, self._group.path, "zarr.json"))
        self._group.attrs["ome"] = ome


def home_of(array: ArrayLike) -> Path | None:
    """Find the folder of the label image in Zarr that an array is of; None: it is none."""
    root = getattr(getattr(array, "store", None), "root", None)
    if not is_zarr_data(array) or root is None:
        return None
    folder = Path(root, getattr(array, "path", ""))
    return folder.parent if is_zarr(folder.parent) else folder


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
    return ArrayStore(as_int32(array[...]))


def _largest(dtype: Any) -> int:
    """The largest label of a type, as far as edits go."""
    if np.dtype(dtype).kind == "b":
        return 1
    return min(int(np.iinfo(dtype).max), LARGEST)


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


def _ignore(file: Path) -> None:
    """Where nobody keeps files."""


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
