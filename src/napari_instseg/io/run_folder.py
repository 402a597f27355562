"""The folder of a run under way: what is done survives whatever ends the run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from filelock import FileLock, Timeout

from ..ops.results import TileResult
from ..ops.tiling import Tile
from ..segmenter import InputError
from .atomic import write_text
from .tile_files import read_tile, write_tile

SCHEMA = 1
ABOUT, LOCK = "run.json", "lock"
#: Folders of what was found in tiles, and of the objects that they were put together to.
TILES, OBJECTS = "tiles", "objects"

Existing = Literal["refuse", "resume", "replace"]


class RunFiles:
    """Results of tiles and planes on disk: a `Shelf` for as many processes as there are.

    Parameters
    ----------
    path : Path
    about : str
        What `ABOUT` says of the run.

    Notes
    -----
    Each file is whole or not there.
    """

    def __init__(self, path: Path, about: str) -> None:
        self.path, self._about = path, about

    def tile(self, plane: Sequence[int], tile: Tile) -> TileResult | None:
        """Read a tile's result; None if there is none, or it is damaged."""
        try:
            return read_tile(self._tile_path(TILES, plane, tile))
        except (FileNotFoundError, InputError):
            return None

    def keep_tile(self, plane: Sequence[int], tile: Tile, result: TileResult) -> None:
        """Write a tile's result.

        Raises
        ------
        InputError
            If the folder is not that of this run (any more).
        """
        self._write(TILES, plane, tile, result)

    def objects(self, plane: Sequence[int], tile: Tile) -> TileResult:
        """Read the objects of a plane that begin in a tile, and its own part of the stuff.

        Raises
        ------
        InputError
            If they are damaged.
        """
        path = self._tile_path(OBJECTS, plane, tile)
        try:
            return read_tile(path)
        except (FileNotFoundError, InputError) as error:
            # So that the plane is put together again.
            self._plane_path(plane).unlink(missing_ok=True)
            raise InputError(
                f"{path}: is gone or damaged; resume the run (--resume) to make it anew"
            ) from error

    def keep_objects(self, plane: Sequence[int], tile: Tile, result: TileResult) -> None:
        """Write the objects of a plane that begin in a tile."""
        self._write(OBJECTS, plane, tile, result)

    def plane(self, plane: Sequence[int]) -> dict[str, Any] | None:
        """Read what was said of a plane that is done; None if it is not, or that is damaged."""
        try:
            return _read(self._plane_path(plane))
        except InputError:
            return None

    def keep_plane(self, plane: Sequence[int], about: Mapping[str, Any]) -> None:
        """Say that all of a plane's objects are written, and what there is to know of it."""
        write_text(self._plane_path(plane), json.dumps(about) + "\n")

    def _write(self, kind: str, plane: Sequence[int], tile: Tile, result: TileResult) -> None:
        self._check()
        path = self._tile_path(kind, plane, tile)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tile(path, result)

    def _check(self) -> None:
        """Whoever is late must not write into what another run has begun meanwhile."""
        try:
            same = (self.path / ABOUT).read_text(encoding="utf-8") == self._about
        except OSError:
            same = False
        if not same:
            raise InputError(
                f"{self.path}: expected the folder of this run here; it has been removed, or is on "
                "a disk that not all workers share"
            )

    def _tile_path(self, kind: str, plane: Sequence[int], tile: Tile) -> Path:
        # A folder for each row of tiles: file systems are slow with a million files in one.
        name = "-".join(str(edge) for edge in tile.edges)
        return self.path / kind / _plane_name(plane) / str(tile.top) / f"{name}.npz"

    def _plane_path(self, plane: Sequence[int]) -> Path:
        return self.path / f"{_plane_name(plane)}.json"


class FolderInUseError(InputError):
    """Another run is writing into the folder."""


class RunFolder(RunFiles):
    """`RunFiles` of one run with one image and one set of settings, for one process alone.

    Sent to other processes it is `RunFiles`, which work for the one that has the folder.

    Parameters
    ----------
    path : Path
        Made if it is not there.
    identity : mapping
        What decides the results; values that JSON can hold.
    existing : {"refuse", "resume", "replace"}
        What to do about an unfinished run that is there.

    Raises
    ------
    InputError
        If another run is using the folder, it holds an unfinished run that is not to be resumed,
        or one with another image or other settings.
    OSError
        If it cannot be written to.

    Notes
    -----
    Each file is whole or not there. A process that is killed gives its lock back.
    """

    def __init__(
        self, path: Path, identity: Mapping[str, Any], *, existing: Existing = "refuse"
    ) -> None:
        super().__init__(path, "")
        path.mkdir(parents=True, exist_ok=True)
        # One thread may begin a run, and another end it.
        self._lock = FileLock(path / LOCK, thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise FolderInUseError(
                f"{path}: another run is writing here; wait for it, stop it, or choose another "
                "folder"
            ) from error
        try:
            self._begin(identity, existing)
            self._about = (path / ABOUT).read_text(encoding="utf-8")
        except BaseException:
            self._lock.release()
            raise

    def _begin(self, identity: Mapping[str, Any], existing: Existing) -> None:
        if existing == "replace":
            self._clear()
        wanted = json.loads(json.dumps({"schema": SCHEMA, **identity}))
        there = read_about(self.path)
        if there is not None:
            if existing == "refuse":
                raise InputError(
                    f"{self.path}: holds an unfinished run; go on with it (--resume), or begin "
                    "anew (--overwrite)"
                )
            differing = [*_differing(wanted, there)]
            if differing:
                raise InputError(
                    f"{self.path}: holds an unfinished run with another {' and '.join(differing)}; "
                    "resume with the same ones, or begin anew (--overwrite)"
                )
            return
        write_text(self.path / ABOUT, json.dumps(wanted, indent=2) + "\n")

    def __reduce__(self) -> tuple[type[RunFiles], tuple[Path, str]]:
        """Send it without the lock."""
        return RunFiles, (self.path.resolve(), self._about)

    def __enter__(self) -> Self:
        """Return the folder; it is given back at the end."""
        return self

    def __exit__(self, *error: object) -> None:
        """See `close`."""
        self.close()

    def close(self) -> None:
        """Give the folder back; one without any result is removed. More than once does no harm."""
        if not self._lock.is_locked:
            return
        empty = not self.holds_results
        if empty:
            self._clear()
        self._lock.release()
        if empty:
            shutil.rmtree(self.path, ignore_errors=True)

    def remove(self) -> None:
        """Remove all results: they are not needed any more."""
        if self._lock.is_locked:
            self._clear()
        self.close()

    @property
    def holds_results(self) -> bool:
        """Whether a tile's result is there."""
        return (self.path / TILES).is_dir()

    def _clear(self) -> None:
        # The lock's file stays as long as the lock is held: nobody can begin in between. The folder
        # may have gone with its disk.
        for entry in self.path.iterdir() if self.path.is_dir() else ():
            if entry.name != LOCK:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def read_about(path: Path) -> dict[str, Any] | None:
    """Read what identifies the run in a folder; None if there is none.

    Raises
    ------
    InputError
        If it is damaged.
    """
    about = path / ABOUT
    return _read(about) if about.is_file() else None


def run_folder(output: Path, stem: str) -> Path:
    """Name the folder of an unfinished run.

    Examples
    --------
    >>> run_folder(Path("out"), "cells").name
    '.cells.run'
    """
    return output / f".{stem}.run"


def _differing(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> Iterator[str]:
    """Say in what two runs differ: settings, and in brackets which."""
    for key, now in wanted.items():
        then = there.get(key)
        if isinstance(now, dict) and isinstance(then, dict):
            names = sorted(k for k in {*now, *then} if now.get(k) != then.get(k))
            if names:
                yield f"{key} ({', '.join(names)})"
        elif now != then:
            yield key


def _plane_name(plane: Sequence[int]) -> str:
    return "-".join(["plane", *(str(index) for index in plane)])


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); begin anew (--overwrite)") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: not of a run; begin anew (--overwrite)")
    return values
