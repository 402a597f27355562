"""Tables of boxes and points that people, and other programs, write."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..prompting.prompts import Prompt
from ..prompting.requests import Request, name_categories
from ..segmenter import Category, InputError

BOX = ("row_min", "col_min", "row_max", "col_max")
POINT = ("row", "col")
DELIMITERS = ",;\t"


def read_boxes(path: Path, plane_axes: str) -> tuple[list[Request], tuple[Category, ...]]:
    """Read a table of boxes, one row an object.

    Parameters
    ----------
    path : Path
        CSV with the columns `BOX`, one for each of ``plane_axes``, and perhaps category.
    plane_axes : str
        Letters of the image's plane axes.

    Raises
    ------
    InputError
        If the file cannot be read; says which line.
    """
    rows = _read(path, (*BOX, *plane_axes.lower()))
    ids, categories = _categories(rows)
    requests = []
    for row in rows:
        top, left, bottom, right = map(row.number, BOX)
        prompt = row.prompt(box=(top, left, bottom, right))
        requests.append(Request(prompt, row.plane(plane_axes), ids[row.category]))
    return requests, categories


def read_points(path: Path, plane_axes: str) -> tuple[list[Request], tuple[Category, ...]]:
    """Read a table of points; rows with the same entry in the column object are one object.

    Parameters
    ----------
    path : Path
        CSV with the columns `POINT`, one for each of ``plane_axes``, and perhaps label, object
        and category. Without object, each point is an object.
    plane_axes : str
        Letters of the image's plane axes.

    Raises
    ------
    InputError
        If the file cannot be read; says which line.
    """
    rows = _read(path, (*POINT, *plane_axes.lower()))
    ids, categories = _categories(rows)
    objects: dict[str, list[_Row]] = {}
    for row in rows:
        objects.setdefault(row.cells.get("object") or f"line {row.line}", []).append(row)
    requests = []
    for members in objects.values():
        points, labels, places = [], [], set()
        for row in members:
            points.append((row.number("row"), row.number("col")))
            labels.append(int(row.number("label")) if row.cells.get("label") else 1)
            places.add((row.plane(plane_axes), ids[row.category]))
        first = members[0]
        if len(places) > 1:
            raise InputError(
                f"{first}: expected the points of one object in one plane and of one category"
            )
        prompt = first.prompt(tuple(points), tuple(labels))
        requests.append(Request(prompt, *places.pop()))
    return requests, categories


@dataclass(frozen=True, slots=True)
class _Row:
    """Cells by column name, and where they are."""

    path: Path
    line: int
    cells: dict[str, str]

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}"

    def number(self, name: str) -> float:
        try:
            return float(self.cells[name])
        except ValueError as error:
            raise InputError(
                f"{self}: expected a number in {name}, got {self.cells[name]!r}"
            ) from error

    def plane(self, plane_axes: str) -> tuple[int, ...]:
        return tuple(int(self.number(axis)) for axis in plane_axes.lower())

    @property
    def category(self) -> str:
        return self.cells.get("category") or "object"

    def prompt(self, *args: Any, **options: Any) -> Prompt:
        """Make a `Prompt`; what is wrong with it is said of this row."""
        try:
            return Prompt(*args, **options)
        except InputError as error:
            raise InputError(f"{self}: {error}") from error


def _read(path: Path, needed: Iterable[str]) -> list[_Row]:
    """Read all rows; check that the columns are there."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            delimiter = max(DELIMITERS, key=header.count)
            reader = csv.DictReader(file, delimiter=delimiter, skipinitialspace=True)
            names = [name.strip().lower() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            rows = [
                _Row(
                    path,
                    reader.line_num,
                    {k: (v or "").strip() for k, v in row.items() if k in names},
                )
                for row in reader
            ]
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from error
    missing = [name for name in needed if name not in names]
    if missing:
        raise InputError(
            f"{path}: expected columns {', '.join(needed)}; {', '.join(missing)} are not there, "
            f"but {', '.join(names) or 'nothing'}"
        )
    if not rows:
        raise InputError(f"{path}: expected a row for each prompt, got none")
    return rows


def _categories(rows: Iterable[_Row]) -> tuple[dict[str, int], tuple[Category, ...]]:
    categories = name_categories([row.category for row in rows])
    return {category.name: category.id for category in categories}, categories
