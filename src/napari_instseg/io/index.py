"""An ``index.csv`` that tells what kind each image of a data set is."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path


def read_kinds(folders: Iterable[Path]) -> dict[str, str]:
    """Read kinds by image name from the first folder with an ``index.csv``.

    Parameters
    ----------
    folders : iterable of Path
        Where to look, the nearest first. Of the file the columns ``name`` and ``kind`` count.

    Returns
    -------
    dict of str to str
        Only images with a name and a kind; empty if there is no such file.
    """
    for folder in folders:
        index = folder / "index.csv"
        if index.is_file():
            with index.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            return {row["name"]: row["kind"] for row in rows if row.get("name") and row.get("kind")}
    return {}
