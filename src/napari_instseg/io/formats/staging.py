"""Several files that take their places together, once all of them are whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from ..atomic import replacing_folder

#: Folders that are one thing, and not to be mixed with what was there before.
WHOLE = (".zarr", ".geff")


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Give a folder to write into, whose content moves to another if nothing fails.

    Parameters
    ----------
    folder : Path
        Where files are to be; made if it is not there. Folders in it are filled up, files
        replaced.

    Yields
    ------
    Path
        An empty folder in ``folder``.

    Notes
    -----
    If the body raises (Ctrl-C too), what it wrote is removed and ``folder`` is as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stage = folder / f".{uuid4().hex}.partial"
    stage.mkdir()
    try:
        yield stage
        _publish(stage, folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _publish(stage: Path, folder: Path) -> None:
    """Move all that is in a folder into another."""
    for new in sorted(stage.iterdir()):
        target = folder / new.name
        if not new.is_dir():
            new.replace(target)
        elif new.suffix in WHOLE:
            with replacing_folder(target) as partial:
                new.replace(partial)
        else:
            target.mkdir(exist_ok=True)
            _publish(new, target)
