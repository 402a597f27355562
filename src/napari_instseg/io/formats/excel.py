"""The table of a label set as an Excel workbook; text stays text."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font
from openpyxl.utils.exceptions import InvalidFileException

from ...label_set import LabelSet
from ...segmenter import InputError
from ..records import TEXT
from .tables import looks_like_formula, plain, typed

#: Rows of a sheet with its head, as Excel has them.
MOST_ROWS = 1_048_576
SHEET = "segments"


def write(path: Path, label_set: LabelSet) -> list[str]:
    """Write the table as a workbook (xlsx) with one sheet, one row a segment.

    Parameters
    ----------
    path : Path
    label_set : LabelSet

    Returns
    -------
    list of str
        What had to be changed.

    Raises
    ------
    InputError
        If there are more rows than a sheet has.

    Notes
    -----
    Text that begins like a formula is written as text, with Excel's own mark for that. Signs
    that a workbook cannot hold (control characters) are left out. Missing and not finite numbers
    are empty cells.
    """
    write_table(path, label_set.table)
    return []


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write any table; see `write`."""
    if len(table) >= MOST_ROWS:
        raise InputError(
            f"expected fewer than {MOST_ROWS} rows for Excel, got {len(table)}: write the "
            "table as csv or parquet"
        )
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet(SHEET)
    sheet.freeze_panes = "A2"
    heads = [_cell(sheet, str(name)) for name in table.columns]
    for head in heads:
        head.font = Font(bold=True)
    sheet.append(heads)
    for row in _rows(table):
        sheet.append([_cell(sheet, value) if isinstance(value, str) else value for value in row])
    book.save(path)


def read_excel(path: Path) -> pd.DataFrame:
    """Read a table that `write` wrote.

    Raises
    ------
    InputError
        If it is not such a table; the message names the file.
    """
    try:
        table = pd.read_excel(
            path,
            engine="openpyxl",
            keep_default_na=False,
            na_values=[""],
            dtype=dict.fromkeys(TEXT, "str"),
        )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, InvalidFileException) as error:
        raise InputError(f"{path}: cannot be read as a workbook ({error})") from error
    return typed(table, path)


def _rows(table: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Rows of Python's own values; None where a number is missing or not finite."""
    columns = []
    for name in table.columns:
        column = table[name]
        finite = column.notna() & ~column.isin([float("inf"), float("-inf")])
        columns.append([v if ok else None for v, ok in zip(plain(column), finite, strict=True)])
    return zip(*columns, strict=True)


def _cell(sheet: Any, text: str) -> Any:
    """A cell with text, whatever it looks like."""
    cell = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("", text))
    if looks_like_formula(text):
        cell.data_type = "s"
        cell.quotePrefix = True
    return cell
