"""Label images and files beside them that change together, whatever stops the program."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EXDEV
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from ..settings import OUTPUTS
from .atomic import replacing, to_disk
from .records import SUFFIXES
from .zarr import is_zarr

#: In a journal: files as they were, and names of those that were not there.
OLD, NEW = "old", "new"


class Journal:
    """Keeps files as they were until a change of several is complete.

    Parameters
    ----------
    folder : Path
        Where the files lie; of others nothing is kept.
    name : str
        Of what is changed, in the journal's own name.

    Notes
    -----
    A file is copied into the journal before it changes for the first time, and the journal's
    folder is renamed and removed when all is done and on the disk. So where one is left, the
    process was killed in the middle, or the power went: `settle` moves the files back, which
    needs no room on the disk. Who replaces label images must settle before, or the old files come
    back into the new ones.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = Path(os.path.abspath(folder))
        self.path = self.folder / f".{name}.edit"
        self._lock = FileLock(self.path.with_name(f"{self.path.name}.lock"), timeout=0)

    @classmethod
    def of(cls, image: Path) -> Self:
        """The one of a label image: of all those of its result, if it is of one."""
        for end in (output + suffix for output in OUTPUTS for suffix in SUFFIXES.values()):
            if image.name.endswith(end):
                return cls(image.parent, image.name.removesuffix(end) + "labels")
        return cls(image.parent, image.name)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Let the body change files: all that it wants to, or none if it fails.

        Raises
        ------
        OSError
            If another process is about to change them, or a file cannot be written.
        """
        with self._alone():
            self._restore()
            try:
                yield
                for _, file in self._kept():
                    if file.exists():
                        to_disk(file)
                done = self._set_aside()
            except BaseException:
                self._restore()
                raise
            shutil.rmtree(done, ignore_errors=True)

    def holds(self, file: Path) -> bool:
        """Whether a file is kept: it lies in the folder, or in a Zarr that is linked to there."""
        file = Path(os.path.abspath(file))
        if not file.is_relative_to(self.folder):
            return False
        top = self.folder / file.relative_to(self.folder).parts[0]
        # A link to anything else may have come with others' files.
        home = top if top.is_symlink() and is_zarr(top) else self.folder
        return file.parent.resolve().is_relative_to(home.resolve())

    def keep(self, file: Path) -> None:
        """Keep a file as it is now, or remember that there is none, before it is changed.

        Raises
        ------
        OSError
            If it cannot be copied.
        """
        file = Path(os.path.abspath(file))
        if not self.holds(file):
            return
        old, new = (self.path / kind / file.relative_to(self.folder) for kind in (OLD, NEW))
        if old.exists() or new.exists():
            return
        place = old if file.exists() else new
        place.parent.mkdir(parents=True, exist_ok=True)
        # It is in the journal whole, or not at all.
        partial = self.path / "partial"
        if file.exists():
            shutil.copyfile(file, partial)
            to_disk(partial)
        else:
            partial.touch()
        partial.replace(place)

    def settle(self) -> bool:
        """Put everything back as it was before a change that was cut off; whether there was one.

        Raises
        ------
        OSError
            If a process is making a change now, or the files cannot be written to.
        """
        if not self.path.exists():
            return False
        with self._alone():
            return self._restore()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with self._lock:
                try:
                    yield
                finally:
                    # On Windows a file that is open cannot be removed.
                    with suppress(OSError):
                        Path(self._lock.lock_file).unlink()
        except Timeout as error:
            raise BlockingIOError(f"{self.folder}: another process is changing it now") from error

    def _restore(self) -> bool:
        # A journal that came with others' files must not reach beyond them.
        if self.path.is_symlink():
            self.path.unlink()
        if not self.path.exists():
            return False
        for kept, file in self._kept():
            if kept.is_relative_to(self.path / OLD):
                _move(kept, file)
            else:
                file.unlink(missing_ok=True)
        shutil.rmtree(self._set_aside(), ignore_errors=True)
        return True

    def _kept(self) -> Iterator[tuple[Path, Path]]:
        """What is in the journal, each with the file that it is of."""
        for kind in (OLD, NEW):
            if (self.path / kind).is_symlink():
                continue
            for top, _, names in os.walk(self.path / kind):
                for kept in (Path(top, name) for name in names):
                    name = kept.relative_to(self.path / kind)
                    file = self.folder / name
                    # A Zarr may have been removed since.
                    gone = not (self.folder / name.parts[0]).exists() and len(name.parts) > 1
                    if not (kept.is_symlink() or gone) and self.holds(file):
                        yield kept, file

    def _set_aside(self) -> Path:
        """Say that all is done, at one stroke; return the folder to be removed."""
        done = self.path.with_name(f"{self.path.name}.done")
        # Of a process that was killed as it did so.
        shutil.rmtree(done, ignore_errors=True)
        if self.path.exists():
            self.path.replace(done)
        return done


def _move(kept: Path, file: Path) -> None:
    try:
        kept.replace(file)
    except OSError as error:
        if error.errno != EXDEV:
            raise
        # Through a link, on another disk.
        with replacing(file) as partial:
            shutil.copyfile(kept, partial)
        kept.unlink()


def settle(image: Path) -> bool:
    """Take back an edit of a label image in Zarr that was cut off.

    Parameters
    ----------
    image : Path
        Its folder.

    Returns
    -------
    bool
        Whether there was one, and files have changed.

    Warns
    -----
    UserWarning
        What was found, and what became of it.
    """
    journal = Journal.of(image)
    try:
        found = journal.settle()
    except BlockingIOError:
        found, text = False, "are being edited by another process: open them again after that"
    except OSError as error:
        found = False
        text = (
            "were being edited when the program was stopped, and this cannot be taken back "
            f"({error}): label images, table and log may differ; open them where they can be "
            "written to"
        )
    else:
        text = (
            "were being edited when the program was stopped: that edit was taken back, and label "
            "images, table and log are as before it"
        )
        if not found:
            return False
    warnings.warn(f"{image}: the labels {text}", stacklevel=2)
    return found
