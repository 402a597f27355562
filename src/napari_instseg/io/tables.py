"""Tables of any kind out; the file's ending says how."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ..segmenter import InputError
from .atomic import replacing

#: Endings of tables that can be written.
SUFFIXES = (".csv",)


def check_table(path: Path) -> None:
    """Check that a table can be written there.

    Raises
    ------
    InputError
        If there is no such format.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: expected a table that ends in {' or '.join(SUFFIXES)}")


def write_table(path: Path, table: pd.DataFrame) -> Path:
    """Write a table; the folder is made if it is not there.

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
        As of `check_table`.
    OSError
        If it cannot be written.
    """
    check_table(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        table.to_csv(partial, index=False, lineterminator="\n")
    return path
