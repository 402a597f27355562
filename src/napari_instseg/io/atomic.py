"""Files and folders that are either whole or not there."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to, which takes the place of ``path`` if nothing fails.

    Parameters
    ----------
    path : Path
        The file to be made or replaced; its folder must exist.

    Yields
    ------
    Path
        A name in the same folder, with the same suffix.

    Notes
    -----
    If the body raises (Ctrl-C too), what it wrote is removed and ``path`` is as it was.
    """
    # Processes of several machines may have one number.
    partial = _beside(path, f"{uuid4().hex}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give a folder to write into, which takes the place of ``path`` if nothing fails.

    Parameters
    ----------
    path : Path
        The folder to be made or replaced; the one that it lies in must exist.

    Yields
    ------
    Path
        A name beside it that begins with a dot, so that no listing takes it for a result. It is
        for the body to make.

    Notes
    -----
    If the body raises (Ctrl-C too), what it wrote is removed and ``path`` is as it was. A folder
    cannot be put over another: if the process is killed as it exchanges them, there is none.
    """
    partial, old = (_beside(path, f"{os.getpid()}.{kind}") for kind in ("partial", "old"))
    try:
        yield partial
        if path.exists():
            path.replace(old)
        try:
            partial.replace(path)
        except OSError:
            if old.exists():
                old.replace(path)
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _beside(path: Path, mark: str) -> Path:
    """Name a file beside another; as much of that one's name as there is room for, 255 bytes."""
    end = f".{mark}{path.suffix}"
    room = 254 - len(os.fsencode(end))
    return path.with_name(f".{os.fsencode(path.stem)[:room].decode('utf-8', 'ignore')}{end}")


def sweep(folder: Path, prefix: str) -> None:
    """Remove what killed processes have left half written of files whose names begin so.

    Only to be called where nobody else writes these.
    """
    for left in folder.glob(f".{glob.escape(prefix)}*.partial.*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def discard(path: Path) -> None:
    """Remove a file, or a folder and all in it; nothing if there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with Unix line ends, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
