"""Tables of any kind out; the file's ending says how."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ..segmenter import InputError
from .atomic import replacing
from .formats.registry import FORMATS, Format


def check_table(path: Path) -> None:
    """Check that a table can be written there.

    Raises
    ------
    InputError
        If there is no such format, or its package is missing.
    """
    _format(path).function("table")


def write_table(path: Path, table: pd.DataFrame) -> Path:
    """Write a table as CSV, Parquet or Excel; the folder is made if it is not there.

    Parameters
    ----------
    path : Path
        Replaced if it exists, whole or not at all.
    table : DataFrame

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    InputError
        As of `check_table`, or if the table does not fit into the format.
    OSError
        If it cannot be written.
    """
    write = _format(path).function("table")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        write(partial, table)
    return path


def _format(path: Path) -> Format:
    formats = [one for one in FORMATS if one.table]
    for one in formats:
        if one.fits(path):
            return one
    endings = ", ".join(ending for one in formats for ending in one.endings)
    raise InputError(f"{path}: expected a table that ends in one of {endings}")
