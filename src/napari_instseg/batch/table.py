"""One table of the objects of all inputs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..io.atomic import replacing
from ..io.records import TABLE
from ..segmenter import InputError
from .jobs import Job
from .status import DONE, SKIPPED, STOPPED

#: No input can have a table of this name: theirs end in "_segments.csv".
ALL = "all-segments.csv"
#: The first columns: path of the input, and name of its results.
FIRST = ("file", "name")


def write_all(jobs: Sequence[Job], output: Path) -> Path | None:
    """Write one table of the objects of all inputs that have results.

    Parameters
    ----------
    jobs : sequence of Job
    output : Path
        The folder with their results.

    Returns
    -------
    Path or None
        The table, "all-segments.csv": the columns of each input's own, after ``file`` and
        ``name``; those that an input does not have are empty. None if there are no results.

    Raises
    ------
    InputError
        If a table cannot be read or written; the message names it.

    Notes
    -----
    Rows are copied one by one, in the order of the inputs, from the tables that lie there: it
    takes no more memory for more inputs, and is the same in whatever order they ended.
    """
    tables = [(job, path) for job in jobs if (path := _table(job)) is not None]
    if not tables:
        return None
    target = output / ALL
    try:
        columns = list(dict.fromkeys(name for _, path in tables for name in _header(path)))
        with (
            replacing(target) as partial,
            partial.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*FIRST, *columns])
            for job, path in tables:
                writer.writerows(_rows(job, path, columns))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{target}: cannot be written ({error})") from error
    return target


def _table(job: Job) -> Path | None:
    """Find the table of an input that has results."""
    if job.status not in (DONE, STOPPED, SKIPPED):
        return None
    return next((path for path in job.files if path.name.endswith(TABLE)), None)


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file), [])


def _rows(job: Job, path: Path, columns: Sequence[str]) -> Iterator[Iterable[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        own = next(reader, [])
        where = [own.index(name) if name in own else None for name in columns]
        for row in reader:
            yield (str(job.path), job.name, *("" if i is None else row[i] for i in where))
