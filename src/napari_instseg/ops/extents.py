"""Where the objects of a label image are, and how large, read part by part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from ..segmenter import InputError
from .axes import ArrayLike

#: Edge of the parts in which planes are read, px.
WINDOW = 2048


def windows(shape: tuple[int, ...], edge: int = WINDOW) -> Iterator[tuple[slice, ...]]:
    """Cut planes into windows: for each, one slice a dimension.

    Examples
    --------
    >>> [(s.start, s.stop) for _, s in windows((4, 5), 3)]
    [(0, 3), (3, 5), (0, 3), (3, 5)]
    """
    height, width = shape[-2:]
    for plane in np.ndindex(*shape[:-2]):
        leading = tuple(slice(i, i + 1) for i in plane)
        for top in range(0, height, edge):
            for left in range(0, width, edge):
                rows = slice(top, min(top + edge, height))
                yield (*leading, rows, slice(left, min(left + edge, width)))


def find_extents(labels: ArrayLike, axes: str) -> pd.DataFrame:
    """List the objects of a label image.

    Parameters
    ----------
    labels : integer array (..., Y, X)
        0 is nothing; read in windows of `WINDOW` px, so that it may be larger than memory.
    axes : str
        One letter a dimension, the last two Y and X.

    Returns
    -------
    DataFrame
        One row a label, rising: index, area (px), row_min, col_min, row_max, col_max (px,
        half-open), for each other axis, here T, t, t_first and t_last (t is the first), and
        touches_edge (rows and columns).

    Raises
    ------
    InputError
        If a label is beyond int64.
    """
    height, width = labels.shape[-2:]
    parts = [_extents(labels, where) for where in windows(tuple(labels.shape))]
    columns = ["index", "area", *(f"{k}_{end}" for end in ("min", "max") for k in range(len(axes)))]
    table = pd.DataFrame(np.concatenate([np.empty((0, len(columns)), np.int64), *parts]))
    table.columns = pd.Index(columns)
    how = {c: c.rpartition("_")[2] if "_" in c else "sum" for c in columns[1:]}
    table = table.groupby("index", as_index=False).agg(how) if len(table) else table
    found = table[["index", "area"]].copy()
    row, col = len(axes) - 2, len(axes) - 1
    for name, k, end in (
        *(("row_min", row, "min"), ("col_min", col, "min")),
        *(("row_max", row, "max"), ("col_max", col, "max")),
    ):
        found[name] = table[f"{k}_{end}"]
    for k, axis in enumerate(axes[:-2].lower()):
        found[axis] = found[f"{axis}_first"] = table[f"{k}_min"]
        found[f"{axis}_last"] = table[f"{k}_max"] - 1
    found["touches_edge"] = (found[["row_min", "col_min"]] == 0).any(axis=1) | (
        (found["row_max"] == height) | (found["col_max"] == width)
    )
    return found


def _extents(labels: ArrayLike, where: tuple[slice, ...]) -> NDArray[np.int64]:
    """Rows (label, area, first of each axis, end of each axis) of a window."""
    part: NDArray[Any] = np.asarray(labels[where])
    largest = np.iinfo(np.int64).max
    if part.dtype == np.uint64 and part.size and part.max() > largest:
        raise InputError(f"expected labels up to {largest}, got {part.max()}")
    # Numbers of this window only: the largest label says nothing of how many there are.
    codes, found = pd.factorize(part.ravel())
    areas = np.bincount(codes, minlength=len(found))
    boxes = ndimage.find_objects((codes + 1).reshape(part.shape).astype(np.int32))
    origin = [s.start for s in where]
    rows = [
        [
            int(label),
            int(area),
            *(s.start + o for s, o in zip(box, origin, strict=True)),
            *(s.stop + o for s, o in zip(box, origin, strict=True)),
        ]
        for label, area, box in zip(found, areas, boxes, strict=True)
        if label > 0
    ]
    return np.array(rows, np.int64).reshape(-1, 2 + 2 * part.ndim)
