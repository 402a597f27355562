"""Tables of boxes and points that people, and other programs, write."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from ..prompting.asked import Request, name_categories
from ..prompting.prompts import Prompt
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
    for line, row in rows:
        top, left, bottom, right = (_number(path, line, row, name) for name in BOX)
        try:
            prompt = Prompt(box=(top, left, bottom, right))
        except InputError as error:
            raise InputError(f"{path}, line {line}: {error}") from error
        plane = _plane(path, line, row, plane_axes)
        requests.append(Request(prompt, plane, ids[_category(row)]))
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
    objects: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for line, row in rows:
        objects.setdefault(row.get("object") or f"line {line}", []).append((line, row))
    requests = []
    for members in objects.values():
        points, labels, places = [], [], set()
        for line, row in members:
            points.append((_number(path, line, row, "row"), _number(path, line, row, "col")))
            labels.append(int(_number(path, line, row, "label")) if row.get("label") else 1)
            places.add((_plane(path, line, row, plane_axes), ids[_category(row)]))
        first = members[0][0]
        if len(places) > 1:
            raise InputError(
                f"{path}, line {first}: expected the points of one object in one plane and of one "
                "category"
            )
        try:
            prompt = Prompt(tuple(points), tuple(labels))
        except InputError as error:
            raise InputError(f"{path}, line {first}: {error}") from error
        requests.append(Request(prompt, *places.pop()))
    return requests, categories


def _read(path: Path, needed: Iterable[str]) -> list[tuple[int, dict[str, str]]]:
    """Rows by column name, with the number of their line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            delimiter = max(DELIMITERS, key=header.count)
            reader = csv.DictReader(file, delimiter=delimiter, skipinitialspace=True)
            names = [name.strip().lower() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            rows = [
                (reader.line_num, {k: (v or "").strip() for k, v in row.items() if k in names})
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


def _number(path: Path, line: int, row: dict[str, str], name: str) -> float:
    try:
        return float(row[name])
    except ValueError as error:
        raise InputError(
            f"{path}, line {line}: expected a number in {name}, got {row[name]!r}"
        ) from error


def _plane(path: Path, line: int, row: dict[str, str], plane_axes: str) -> tuple[int, ...]:
    return tuple(int(_number(path, line, row, axis)) for axis in plane_axes.lower())


def _category(row: dict[str, str]) -> str:
    return row.get("category") or "object"


def _categories(
    rows: Iterable[tuple[int, dict[str, str]]],
) -> tuple[dict[str, int], tuple[Category, ...]]:
    categories = name_categories([_category(row) for _, row in rows])
    return {category.name: category.id for category in categories}, categories
