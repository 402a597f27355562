"""Files and folders that are either whole or not there."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from errno import EINVAL, ENOSYS, ENOTSUP
from pathlib import Path
from uuid import uuid4

#: Files that are waited for at a time: many file systems take several to the disk at once.
AT_ONCE = 8
#: Of what tells a file from the one in whose place it will be, with its dots; bytes.
LONGEST_MARK = 42
#: Names of what is half written, or exchanged; see `_beside`.
LEFT = re.compile(
    r"\.(?P<beginning>.+)\.[0-9a-f]+\.(?P<kind>partial|old)(?P<suffix>\.[^.]+)?", re.DOTALL
)


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
    If the body raises (Ctrl-C too), what it wrote is removed and ``path`` is as it was. After a
    power cut it is whole, or as it was, too: see `to_disk`.
    """
    # Processes of several machines may have one number.
    partial = _beside(path, f"{uuid4().hex}.partial")
    try:
        yield partial
        to_disk(partial)
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
        to_disk(partial)
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


def to_disk(path: Path) -> None:
    """Wait until a file, or all files in a folder, are on the disk and not in memory alone.

    Else a file that was given its name may be empty after a power cut.

    Raises
    ------
    OSError
        If they cannot be written there: some network shares say so only now.
    """
    if not path.is_dir():
        _file_to_disk(path)
        return
    files = [Path(top, name) for top, _, names in os.walk(path) for name in names]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for _ in threads.map(_file_to_disk, files):
            pass


def _file_to_disk(path: Path) -> None:
    # Windows asks for a file that may be written to.
    with path.open("r+b") as stream:
        try:
            os.fsync(stream.fileno())
        except OSError as error:
            # Some file systems have no such thing.
            if error.errno not in (EINVAL, ENOSYS, ENOTSUP):
                raise


def _beside(path: Path, mark: str) -> Path:
    """Name a file beside another."""
    return path.with_name(f".{_beginning(path)}.{mark}{path.suffix}")


def _beginning(path: Path) -> str:
    """As much of a name as there is room for beside dots and marks: 255 bytes in all."""
    room = 254 - LONGEST_MARK - len(os.fsencode(path.suffix))
    return os.fsencode(path.stem)[:room].decode("utf-8", "ignore")


def sweep(paths: Iterable[Path]) -> None:
    """Remove what killed processes have left half written of files and folders.

    Only to be called where nobody else writes these. Each folder is listed once: there may be
    thousands of other results in it.
    """
    folders: dict[Path, dict[tuple[str, str], Path]] = {}
    for path in paths:
        folders.setdefault(path.parent, {})[_beginning(path), path.suffix] = path
    for folder, known in folders.items():
        for left in folder.iterdir():
            if not (parts := LEFT.fullmatch(left.name)):
                continue
            of = known.get((parts["beginning"], parts["suffix"] or ""))
            # Where the new one is missing, the old one may be all that there is.
            if of is not None and (parts["kind"] == "partial" or of.exists()):
                _remove(left)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


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
