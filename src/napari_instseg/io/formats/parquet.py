"""The table of a label set as Parquet, with the types of all columns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ...label_set import LabelSet
from ...segmenter import InputError
from .tables import typed


def write(path: Path, label_set: LabelSet) -> list[str]:
    """Write the table as Parquet (Zstandard); pandas, polars, R and others read it.

    Returns
    -------
    list of str
        Nothing to be said.

    Raises
    ------
    InputError
        If a column holds values of several types.
    """
    write_table(path, label_set.table)
    return []


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write any table; see `write`."""
    try:
        columns = pa.Table.from_pandas(table, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(f"expected one type a column for Parquet ({error})") from error
    pq.write_table(columns, path, compression="zstd")


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a table that `write` wrote.

    Raises
    ------
    InputError
        If it is not such a table; the message names the file.
    """
    try:
        return typed(pq.read_table(path).to_pandas(), path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({error})") from error
