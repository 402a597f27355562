"""The table after an edit: what is measured anew, and what is no longer known."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..volumes import DEPTH, voxel_of
from .scene import Box, Scene, find_boxes

#: Of objects that a user has changed: True.
EDITED = "edited"
#: Of objects that a user has looked at and found right: True.
REVIEWED = "reviewed"
#: Columns that tell what an object is, not what its pixels are.
LASTING = ("index", "category_id", "category", "is_thing", "score", "source", "parent", EDITED)
EDGES = ("row_min", "col_min", "row_max", "col_max")


@dataclass(frozen=True, slots=True)
class Measured:
    """An object's pixels.

    Parameters
    ----------
    area : int
        Px.
    box : Box
    planes, fullest : tuple of int
        For each axis but the last two: how many indices have pixels, and which has most.
    """

    area: int
    box: Box
    planes: tuple[int, ...]
    fullest: tuple[int, ...]


def measure(
    labels: NDArray[np.int32], ids: Sequence[int], origin: Sequence[int]
) -> dict[int, Measured]:
    """Measure those of some objects that are in a label image, which they lie in whole."""
    found = {}
    for number, where in find_boxes(labels, ids):
        own = labels[where] == number
        axes = range(own.ndim)
        start = tuple(s.start + o for s, o in zip(where, origin, strict=True))
        counts = [own.sum(axis=tuple(k for k in axes if k != axis)) for axis in axes[:-2]]
        found[number] = Measured(
            int(own.sum()),
            (start, tuple(s.stop + o for s, o in zip(where, origin, strict=True))),
            tuple(int((count > 0).sum()) for count in counts),
            tuple(int(count.argmax()) + o for count, o in zip(counts, start, strict=False)),
        )
    return found


def describe(
    row: Mapping[str, Any], found: Measured, scene: Scene, spacing: Mapping[str, float]
) -> dict[str, Any]:
    """Bring an object's row in line with its pixels.

    Numbers that follow from pixels but are not measured here become NaN: they are not known until
    somebody measures again. What a hand has drawn hides nothing and is no box.
    """
    now = {
        name: np.nan if _is_number(value) and name not in LASTING else value
        for name, value in row.items()
    }
    start, stop = found.box
    height, width = scene.shape[-2:]
    edges = dict(zip(EDGES, (*start[-2:], *stop[-2:]), strict=True))
    voxel = voxel_of(spacing)
    known: dict[str, Any] = {
        "area": found.area,
        "hidden_area": 0,
        "is_box": False,
        **edges,
        "touches_edge": min(start[-2:]) == 0 or stop[-2] == height or stop[-1] == width,
        "volume": found.area,
        "volume_um3": np.nan if voxel is None else found.area * voxel,
    }
    for k, axis in enumerate(scene.axes[:-2].lower()):
        known |= {axis: start[k], f"{axis}_first": start[k], f"{axis}_last": stop[k] - 1}
        if axis == DEPTH.lower() and "planes" in row:
            known |= {"planes": found.planes[k], axis: found.fullest[k]}
        if axis == "t":
            known |= {"frames": found.planes[k], "area_mean": found.area / found.planes[k]}
    return now | {name: value for name, value in known.items() if name in now}


def rows_by_index(table: pd.DataFrame) -> dict[int, dict[str, Any]]:
    """Rows of a table by the number of their segment."""
    names = [str(name) for name in table.columns]
    rows = (dict(zip(names, row.values(), strict=True)) for row in table.to_dict("records"))
    return {int(row["index"]): row for row in rows}


def blank(table: pd.DataFrame) -> dict[str, Any]:
    """A row of which nothing is known."""
    kinds = {"b": False, "i": 0, "u": 0, "f": np.nan}
    return {name: kinds.get(table[name].dtype.kind, "") for name in table.columns}


@dataclass(frozen=True, slots=True, eq=False)
class Swap:
    """Rows of a table that others take the place of.

    Parameters
    ----------
    table : DataFrame
        The rows that come.
    dtypes : Series
        Those of the whole table with them.
    gone : tuple of int
        Values in ``index`` of the rows that go.
    """

    table: pd.DataFrame
    dtypes: pd.Series
    gone: tuple[int, ...]

    @classmethod
    def of(
        cls, table: pd.DataFrame, gone: Collection[int], rows: Sequence[Mapping[str, Any]]
    ) -> Self:
        """Put rows in the place of others."""
        new = pd.DataFrame([*rows], columns=table.columns)
        for name in new.columns:
            new[name] = _as(new[name], table[name].dtype)
        rest = table[~table["index"].isin([*gone])]
        whole = _stacked(rest, new)
        return cls(new, whole.dtypes, tuple(sorted(gone)))

    def applied(self, table: pd.DataFrame) -> tuple[pd.DataFrame, Swap]:
        """Return the table after it, rising by index, and what takes it back."""
        out = table["index"].isin(self.gone)
        after = _stacked(table[~out], self.table).astype(dict(self.dtypes))
        back = Swap(table[out], table.dtypes, tuple(self.table["index"].tolist()))
        return after, back


def _stacked(rest: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    if not len(rest) or not len(new):
        whole = rest if len(rest) else new
    else:
        whole = pd.concat([rest, new])
    return whole.sort_values("index", kind="stable", ignore_index=True)


def _as(values: pd.Series, dtype: Any) -> pd.Series:
    """Values in a column's own type, where it holds them."""
    if dtype.kind in "iu" and values.isna().any():
        return values.astype(np.float64)
    return values.astype(dtype)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))
