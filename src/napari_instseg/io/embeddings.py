"""Embeddings on disk: a Zarr store with a limit to its size, shared by all runs."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

import numpy as np

from ..promptable import Embedding

#: Default limit of the store, bytes.
LIMIT = 5_000_000_000
#: After cleaning, this much of the limit is in use, so that not each write cleans.
FILLED = 0.9
#: A write that was left half done is removed after this long, s.
STALE = 3600.0
#: Folders with a write under way, or on their way out, begin with this.
PARTIAL = "partial-"
#: What reading a damaged entry may raise: files cut short, other bytes, other JSON.
DAMAGE = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(RuntimeError, MemoryError),
)


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """What a cache holds: entries, their bytes, and the most bytes it may hold."""

    folder: Path
    count: int
    size: int
    limit: int


class EmbeddingCache:
    """Embeddings by key, as float16, in a folder that several processes may share.

    Each entry is a Zarr group of its own. It is written aside and moved to its place, so that
    it is whole or not there; a checksum (CRC-32C) finds damage, and a damaged entry is removed.
    Where the limit is exceeded, the entries that were not used for longest go.

    Parameters
    ----------
    folder : Path
        Made when the first entry is written.
    limit_bytes : int
        Most bytes that the entries may take.

    Notes
    -----
    No failure of the disk stops a run: `put` says in `problem` what went wrong, and writes
    nothing from then on.
    """

    def __init__(self, folder: str | Path, limit_bytes: int = LIMIT) -> None:
        self.folder = Path(folder)
        self.limit_bytes = limit_bytes
        #: Why nothing can be written, for people; empty while all is well.
        self.problem = ""
        self._lock = Lock()
        self._room: int | None = None

    def __contains__(self, key: str) -> bool:
        return self._entry(key).is_dir()

    def get(self, key: str) -> Embedding | None:
        """Read an entry; None if there is none, or it is damaged and now removed.

        Parameters
        ----------
        key : str
            Lower-case hexadecimal digits.
        """
        if key not in self:
            return None
        entry = self._entry(key)
        try:
            embedding = _read(entry)
        except DAMAGE:
            # Perhaps another process is removing it; perhaps it is damaged.
            self._remove(entry)
            return None
        with suppress(OSError):
            os.utime(entry)
        return embedding

    def put(self, key: str, embedding: Embedding) -> bool:
        """Keep an embedding; return whether it is there now.

        Raises
        ------
        ValueError
            If it has numbers that are not finite.
        """
        if key in self:
            return True
        half = embedding.half()
        if self.problem or half.nbytes > self.limit_bytes:
            return False
        if not all(np.isfinite(array).all() for array in embedding.arrays):
            raise ValueError("expected an embedding of finite numbers, got others")
        partial = self.folder / f"{PARTIAL}{os.getpid()}-{uuid4().hex}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write(partial, half)
            self._make_room(_size(partial))
            self._entry(key).parent.mkdir(exist_ok=True)
            self._place(partial, self._entry(key))
        except OSError as error:
            self.problem = f"embeddings cannot be kept in {self.folder}: {error}"
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return key in self

    def info(self) -> CacheInfo:
        """Count what there is."""
        sizes = [size for _, _, size in self._entries()]
        return CacheInfo(self.folder, len(sizes), sum(sizes), self.limit_bytes)

    def trim(self, limit_bytes: int | None = None) -> int:
        """Remove the entries that were not used for longest.

        Parameters
        ----------
        limit_bytes : int, optional
            How much may stay; the cache's limit if not given.

        Returns
        -------
        int
            Bytes that are in use now.
        """
        limit = self.limit_bytes if limit_bytes is None else limit_bytes
        entries = sorted(self._entries())
        used = sum(size for _, _, size in entries)
        for _, entry, size in entries:
            if used <= limit:
                break
            self._remove(entry)
            used -= size
        self._remove_stale()
        return used

    def clear(self) -> CacheInfo:
        """Remove all entries; return what there was."""
        before = self.info()
        self.trim(0)
        return before

    def _entry(self, key: str) -> Path:
        return self.folder / key[:2] / key

    def _entries(self) -> Iterator[tuple[float, Path, int]]:
        """Last use, folder and size of each entry; what vanishes meanwhile is left out."""
        for entry in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            with suppress(OSError):
                yield entry.stat().st_mtime, entry, _size(entry)

    def _make_room(self, size: int) -> None:
        """Clean if this many bytes more may exceed the limit."""
        with self._lock:
            if self._room is None or self._room < size:
                used = self.info().size
                if used + size > self.limit_bytes:
                    used = self.trim(int(self.limit_bytes * FILLED) - size)
                # Other processes write, too: after a part of the room, it is measured again.
                self._room = (self.limit_bytes - used) // 4 + size
            self._room -= size

    def _place(self, partial: Path, entry: Path) -> None:
        try:
            partial.replace(entry)
        except OSError as error:
            # Another process may have been faster.
            if not entry.is_dir() and error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise

    def _remove(self, entry: Path) -> None:
        """Remove an entry; no reader sees a part of it."""
        aside = self.folder / f"{PARTIAL}{os.getpid()}-{uuid4().hex}"
        with suppress(OSError):
            entry.replace(aside)
            shutil.rmtree(aside, ignore_errors=True)

    def _remove_stale(self) -> None:
        for partial in self.folder.glob(f"{PARTIAL}*"):
            with suppress(OSError):
                if time.time() - partial.stat().st_mtime > STALE:
                    shutil.rmtree(partial, ignore_errors=True)


def _size(entry: Path) -> int:
    """Bytes of the files of an entry."""
    total = 0
    for path in entry.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _write(folder: Path, embedding: Embedding) -> None:
    # Zarr takes a while to import, and is not needed before.
    import zarr
    from zarr.codecs import BytesCodec, Crc32cCodec

    group = zarr.open_group(str(folder), mode="w", zarr_format=3)
    for number, array in enumerate(embedding.arrays):
        # NaN is what a missing chunk reads as.
        written = group.create_array(
            str(number),
            shape=array.shape,
            chunks=array.shape,
            dtype=array.dtype,
            serializer=BytesCodec(),
            compressors=(Crc32cCodec(),),
            fill_value=float("nan"),
        )
        written[...] = array
    described = _describe(embedding)
    group.attrs.update({**described, "check": _check(described)})


def _read(folder: Path) -> Embedding:
    """Read an entry.

    Raises
    ------
    Exception
        One of `DAMAGE` if it is damaged.
    """
    import zarr

    group = zarr.open_group(str(folder), mode="r", zarr_format=3)
    described: dict[str, Any] = dict(group.attrs)
    if described.pop("check") != _check(described):
        raise ValueError("the description is damaged")
    arrays = []
    for number, (shape, dtype) in enumerate(
        zip(described["shapes"], described["dtypes"], strict=True)
    ):
        array = zarr.open_array(group.store, path=str(number), mode="r")
        # Looked at before any memory is taken for it.
        if [*array.shape] != shape or [*array.chunks] != shape or array.dtype.str != dtype:
            raise ValueError("the description of an array is damaged")
        arrays.append(np.asarray(array[...]))
        if np.isnan(arrays[-1].flat[0]):
            raise ValueError("an array is missing")
    height, width = described["picture_shape"]
    return Embedding(tuple(arrays), (int(height), int(width)), described["model"])


def _describe(embedding: Embedding) -> dict[str, Any]:
    return {
        "picture_shape": list(embedding.picture_shape),
        "model": embedding.model,
        "shapes": [list(array.shape) for array in embedding.arrays],
        "dtypes": [array.dtype.str for array in embedding.arrays],
    }


def _check(described: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]
