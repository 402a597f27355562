"""A table brought in line with its label image before the first edit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ...segmenter import Category, InputError
from .rows import EDGES, EDITED, REVIEWED, Swap, blank, rows_by_index
from .scene import Box


def prepared(table: pd.DataFrame) -> pd.DataFrame:
    """Sort rows by index, and add the columns `EDITED` and `REVIEWED`.

    Raises
    ------
    InputError
        If two rows have one number.
    """
    # Categorical columns hold no new values.
    named = {c: object for c in table.columns if isinstance(table[c].dtype, pd.CategoricalDtype)}
    table = table.astype(named).sort_values("index", ignore_index=True)
    twice = table.loc[table["index"].duplicated(), "index"]
    if len(twice):
        raise InputError(f"the table: expected one row a segment, two have {int(twice.iloc[0])}")
    whole = {"index": np.int64, "category_id": np.int64, "is_thing": bool}
    marks = {
        name: table[name].astype(bool) if name in table else False for name in (EDITED, REVIEWED)
    }
    return table.astype(whole).assign(**marks)


def in_step(
    table: pd.DataFrame, found: pd.DataFrame, category: Category | None, source: str
) -> pd.DataFrame:
    """Let a table have the objects that a label image has, where it was painted on meanwhile.

    Parameters
    ----------
    table : DataFrame
        As of `prepared`.
    found : DataFrame
        As `find_extents` has it.
    category : Category or None
        Of objects without a row.
    source : str
        Of these, for the table.

    Raises
    ------
    InputError
        If an object has no row, and there is no category of things.
    """
    rows = rows_by_index(table[table["is_thing"]])
    seen = rows_by_index(found)
    stuff = set(table.loc[~table["is_thing"], "index"])
    if stuff & seen.keys():
        raise InputError(
            f"object {min(stuff & seen.keys())} has the number of a segment of stuff: renumber it"
        )
    new: list[dict[str, Any]] = []
    for number, extent in seen.items():
        if number in rows and int(rows[number]["area"]) == int(extent["area"]):
            continue
        row = rows.get(number) or _first_row(table, number, category, source)
        new.append(row | {name: value for name, value in extent.items() if name in row})
    gone = [number for number in rows if number not in seen]
    if not new and not gone:
        return table
    return Swap.of(table, [*gone, *(row["index"] for row in new)], new).applied(table)[0]


def _first_row(
    table: pd.DataFrame, number: int, category: Category | None, source: str
) -> dict[str, Any]:
    if category is None:
        raise InputError(f"object {number}: expected a row in the table, or a category of things")
    return blank(table) | {
        "index": number,
        "category_id": category.id,
        "category": category.name,
        "is_thing": True,
        "score": 1.0,
        "source": source,
    }


def boxes_in(table: pd.DataFrame, axes: str) -> dict[int, Box] | None:
    """Read where objects lie from their rows; None if these do not say it."""
    firsts, lasts = [], []
    for axis in axes[:-2].lower():
        ends = (f"{axis}_first", f"{axis}_last")
        first, last = ends if {*ends} <= {*table.columns} else (axis, axis)
        firsts.append(first)
        lasts.append(last)
    if not {*firsts, *lasts, *EDGES} <= {*table.columns}:
        return None
    things = table[table["is_thing"]]
    starts = things[[*firsts, *EDGES[:2]]].to_numpy(np.int64)
    stops = things[[*lasts, *EDGES[2:]]].to_numpy(np.int64)
    stops[:, : len(lasts)] += 1
    numbers = things["index"].tolist()
    boxes = zip(map(tuple, starts.tolist()), map(tuple, stops.tolist()), strict=True)
    return dict(zip(numbers, boxes, strict=True))
