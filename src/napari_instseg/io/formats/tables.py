"""The table of a label set as CSV; text that a spreadsheet would take for a formula stays text."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...label_set import LabelSet
from ...segmenter import InputError
from ..records import parse_csv

#: Text that Excel, LibreOffice and others calculate, perhaps behind apostrophes of ours.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def write(path: Path, label_set: LabelSet) -> list[str]:
    """Write the table as CSV: UTF-8, comma, one row a segment.

    Parameters
    ----------
    path : Path
    label_set : LabelSet

    Returns
    -------
    list of str
        Nothing to be said.

    Notes
    -----
    Text that begins with = + - @, a tab or a line end gets an apostrophe before it, so that no
    spreadsheet calculates it; `read_csv` takes it away.

    References
    ----------
    OWASP, "CSV Injection".
    """
    write_table(path, label_set.table)
    return []


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write any table; see `write`."""
    escape(table).to_csv(
        path,
        index=False,
        lineterminator="\n",
        encoding="utf-8",
        # Else line ends of other systems within text would stand there without quotes.
        quoting=csv.QUOTE_NONNUMERIC,
    )


def read_csv(path: Path) -> pd.DataFrame:
    """Read a table that `write` wrote.

    Returns
    -------
    DataFrame
        Whole numbers, fractions, text and True/False are what they were; text that is empty is
        missing.

    Raises
    ------
    InputError
        If it is not such a table; the message names the file.
    """
    return typed(unescape(parse_csv(path)), path)


def typed(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Give columns the types that they have in label sets.

    Raises
    ------
    InputError
        If it is no table of segments; the message names the file.
    """
    if "index" not in table.columns:
        raise InputError(f"{path}: expected a table with a column index, got {[*table.columns]}")
    return table.astype({"score": np.float32}) if "score" in table.columns else table


def plain(column: pd.Series) -> list[Any]:
    """Values as Python's own; fractions with as many digits as their type has.

    Examples
    --------
    >>> plain(pd.Series([0.9], dtype=np.float32))
    [0.9]
    """
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "f":
        return [float(str(value)) for value in column.to_numpy()]
    return column.to_list()


def escape(table: pd.DataFrame) -> pd.DataFrame:
    """Put an apostrophe before text that looks like a formula, in columns' names, too.

    Examples
    --------
    >>> escape(pd.DataFrame({"category": ["=1+1", "a", "'-b"]}))["category"].to_list()
    ["'=1+1", 'a', "''-b"]
    """
    return _changed(table, lambda text: f"'{text}" if _FORMULA.match(text) else text)


def unescape(table: pd.DataFrame) -> pd.DataFrame:
    """Take away what `escape` has put there."""
    return _changed(
        table, lambda text: text[1:] if text[:1] == "'" and _FORMULA.match(text, 1) else text
    )


def looks_like_formula(value: object) -> bool:
    """Whether a spreadsheet would calculate a value."""
    return isinstance(value, str) and _FORMULA.match(value) is not None


def _changed(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    changed = table.rename(columns={name: change(str(name)) for name in table.columns})
    for name in changed.columns:
        column = changed[name]
        if pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column):
            changed[name] = column.map(lambda v: change(v) if isinstance(v, str) else v)
    return changed
