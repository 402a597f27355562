"""Columns of the review table: which there are, what they are called, how values are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: Titles of columns, in the order in which they are shown; others follow.
TITLES = {
    "index": "#",
    "category": "Category",
    "score": "Score",
    "area": "Area (px)",
    "area_um2": "Area (µm²)",
    "volume": "Volume (px)",
    "volume_um3": "Volume (µm³)",
    "touches_edge": "Edge",
    "reviewed": "Reviewed",
    "edited": "Edited",
    "equivalent_diameter": "Diameter",
    "equivalent_diameter_um": "Diameter (µm)",
    "major_axis": "Major axis",
    "minor_axis": "Minor axis",
    "eccentricity": "Eccentricity",
    "solidity": "Solidity",
    "perimeter": "Perimeter",
    "feret_max": "Feret max.",
    "feret_min": "Feret min.",
    "orientation": "Orientation",
    "source": "Source",
    "hidden_area": "Hidden (px)",
    "t": "T",
    "z": "Z",
    "row": "Row",
    "col": "Column",
}
#: Not offered: others say it better.
LEFT_OUT = (
    *("category_id", "is_thing", "is_box", "row_min", "row_max", "col_min", "col_max"),
    *("t_first", "t_last", "z_first", "z_last", "y", "x"),
)
#: Offered, but not seen until somebody asks for them.
SEEN_LATER = ("source", "hidden_area", "row", "col", "orientation")
#: Of µm² that the table itself knows only in pixels.
AREA_UM2 = "area_um2"
TICK = "✓"


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A column as it is shown, sorted and filtered.

    Parameters
    ----------
    name, title : str
    values : (N,) array
        Numbers, bools, or objects (texts).
    ranks : (N,) array
        What it is sorted by: numbers, of texts their place in ``words``.
    words : tuple of str
        All different texts, in the order of the alphabet; empty for numbers.
    """

    name: str
    title: str
    values: NDArray[Any]
    ranks: NDArray[Any]
    words: tuple[str, ...] = ()

    @property
    def is_number(self) -> bool:
        """Whether it has numbers, which can be plotted."""
        return self.values.dtype.kind in "iuf"

    def text(self, row: int) -> str:
        """Write a value."""
        value = self.values[row]
        kind = self.values.dtype.kind
        if kind == "b":
            return TICK if value else ""
        if kind in "iu":
            return str(value)
        if kind == "f":
            return number_text(float(value), self.name)
        return "" if value is None or value != value else str(value)


def number_text(value: float, name: str = "") -> str:
    """Write a number in few digits; nothing for NaN.

    Examples
    --------
    >>> [number_text(x) for x in (0.12345, 12.345, 12345.6, float("nan"))]
    ['0.123', '12.3', '12346', '']
    """
    if np.isnan(value):
        return ""
    if name == "score" or (abs(value) < 1 and value):
        return f"{value:.3f}" if abs(value) >= 0.001 or name == "score" else f"{value:.2g}"
    return f"{value:.1f}" if abs(value) < 1000 else f"{value:.0f}"


def columns_of(table: pd.DataFrame, spacing: Mapping[str, float]) -> list[Column]:
    """Make columns of a table of segments.

    Parameters
    ----------
    table : DataFrame
        See `LabelSet`; what was measured may be in it, too.
    spacing : mapping of str to float
        µm per pixel by axis letter; with Y and X, areas are shown in µm², too.

    Returns
    -------
    list of Column
        Those that are known first; others, such as measurements, after them in their order.
    """
    found: dict[str, Any] = {str(name): table[name] for name in table.columns}
    if {"row_min", "row_max", "col_min", "col_max"} <= set(found):
        found["row"] = (table["row_min"] + table["row_max"] - 1) / 2
        found["col"] = (table["col_min"] + table["col_max"] - 1) / 2
    if {"Y", "X"} <= set(spacing) and AREA_UM2 not in found:
        found[AREA_UM2] = table["area"] * (spacing["Y"] * spacing["X"])
    names = [name for name in TITLES if name in found]
    names += [name for name in found if name not in TITLES and name not in LEFT_OUT]
    return [_column(name, pd.Series(found[name])) for name in names]


def _column(name: str, series: pd.Series) -> Column:
    title = TITLES.get(name, name.replace("_", " "))
    values: NDArray[Any]
    if pd.api.types.is_bool_dtype(series.dtype):
        values = series.fillna(False).to_numpy(bool)
        return Column(name, title, values, values.astype(np.int8))
    if pd.api.types.is_integer_dtype(series.dtype) and not series.isna().any():
        values = series.to_numpy(np.int64)
        return Column(name, title, values, values)
    if pd.api.types.is_numeric_dtype(series.dtype):
        values = series.to_numpy(np.float64, na_value=np.nan)
        return Column(name, title, values, values)
    codes, texts = pd.factorize(series.fillna("").astype(str))
    found = [str(text) for text in texts]
    order = sorted(range(len(found)), key=lambda i: (found[i].casefold(), found[i]))
    words = tuple(found[i] for i in order)
    ranks = np.argsort(np.array(order, np.intp))[codes] if words else np.zeros(0, np.intp)
    return Column(name, title, np.array(words, object)[ranks], ranks, words)
