"""Several files that take their places together, once all of them are whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from ...segmenter import InputError
from ..atomic import replacing_folder
from ..journal import Journal

#: Folders that are one thing, and not to be mixed with what was there before.
WHOLE = (".zarr", ".geff")


@contextmanager
def staging(folder: Path, replace: bool = True) -> Iterator[Path]:
    """Give a folder to write into, whose content moves to another if nothing fails.

    Parameters
    ----------
    folder : Path
        Where files are to be; made if it is not there. Folders in it are filled up, files
        replaced.
    replace : bool
        False: refuse to replace any file.

    Yields
    ------
    Path
        An empty folder in ``folder``.

    Raises
    ------
    InputError
        If a file were to be replaced, and must not be.

    Notes
    -----
    If the body raises (Ctrl-C too), what it wrote is removed and ``folder`` is as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stage = folder / f".{uuid4().hex}.partial"
    stage.mkdir()
    try:
        yield stage
        if not replace:
            _refuse(stage, folder)
        _publish(stage, folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def refuse_there(path: Path) -> None:
    """Say that a file or folder is not replaced.

    Raises
    ------
    InputError
        If it is there.
    """
    if path.exists():
        raise InputError(f"{path} is there: choose another name, or replace it (--overwrite)")


def _refuse(stage: Path, folder: Path) -> None:
    """Check that nothing in a folder would be replaced by what is in another."""
    for new in sorted(stage.iterdir()):
        target = folder / new.name
        if new.is_dir() and new.suffix not in WHOLE and target.is_dir():
            _refuse(new, target)
        else:
            refuse_there(target)


def _publish(stage: Path, folder: Path) -> None:
    """Move all that is in a folder into another."""
    for new in sorted(stage.iterdir()):
        target = folder / new.name
        Journal.of(target).settle()
        if not new.is_dir():
            new.replace(target)
        elif new.suffix in WHOLE:
            with replacing_folder(target) as partial:
                new.replace(partial)
        else:
            target.mkdir(exist_ok=True)
            _publish(new, target)
