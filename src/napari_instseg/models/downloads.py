"""Weights that are downloaded: where they are kept, how they get there, whether they are whole.

Environment variables that a user may set:

- ``NAPARI_INSTSEG_CACHE``: the folder for downloaded weights.
- ``NAPARI_INSTSEG_MIRROR``: a base URL that has the files under the paths of the original
  URLs: with ``https://mirror.example/models``, ``https://host/a/b.pkl`` is got from
  ``https://mirror.example/models/a/b.pkl``. It may be http, and is trusted.
- ``HTTPS_PROXY``, ``NO_PROXY``, ``SSL_CERT_FILE``: as other programs have it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from platformdirs import user_cache_path

from ..segmenter import ModelError
from .entry import ModelEntry, Report

CACHE = "NAPARI_INSTSEG_CACHE"
MIRROR = "NAPARI_INSTSEG_MIRROR"
LOCAL = ("localhost", "127.0.0.1", "::1")


class DamagedFileError(ModelError):
    """A file that is not what it was, or should be."""


def cache_folder() -> Path:
    """Folder for downloaded weights; it may not exist yet."""
    chosen = os.environ.get(CACHE, "").strip()
    if chosen:
        return Path(chosen).expanduser().absolute()
    return user_cache_path("napari-instseg", appauthor=False) / "models"


def fetch_weights(entry: ModelEntry, report: Report | None = None) -> str | None:
    """Download a model's weights, unless they are here or come from nowhere, and check them.

    Parameters
    ----------
    entry : ModelEntry
    report : callable, optional
        See `fetch`.

    Returns
    -------
    str, optional
        SHA-256 that they have; without a download, that they must have, if it is known.

    Raises
    ------
    ModelError
        See `fetch`.

    References
    ----------
    Detectron2's MODEL_ZOO.md: a file's name has the beginning of its MD5.
    """
    if not entry.url:
        return entry.sha256
    match = re.search(r"_([0-9a-f]{6})\.pkl$", entry.url)
    md5 = match[1] if match else ""
    return fetch(entry.url, entry.path, sha256=entry.sha256, md5=md5, report=report)


def fetch(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    md5: str = "",
    report: Report | None = None,
) -> str:
    """Download a file, unless it is there already.

    Parameters
    ----------
    url : str
        https; http only from this machine or a mirror.
    target : Path
        Where the file is to be; folders are made.
    sha256 : str, optional
        What it must hash to; without it, what came first is remembered and checked from then
        on (see `verify`).
    md5 : str
        How the MD5 of a new download must begin; finds damage, not malice.
    report : callable, optional
        See `entry.Report`. What it raises stops the download; the next one goes on from there.

    Returns
    -------
    str
        Its SHA-256.

    Raises
    ------
    ModelError
        If it cannot be had or written, or is not what it should be; says what to do.
    """
    from .transfer import UnreachableError, discard, download

    report = report or _silence
    source = _source(url)
    if target.is_file():
        return verify(target, sha256)
    with _only_one(target, report):
        if target.is_file():
            return verify(target, sha256)
        part = _beside(target, ".part")
        try:
            download(source, part, target.name, report)
        except UnreachableError as error:
            raise ModelError(_by_hand(source, target, str(error))) from error
        report(0, 0, f"checking {target.name}")
        try:
            digest = _check(part, source, sha256, md5)
            _remember(target, digest)
            part.replace(target)
            discard(part)
        except DamagedFileError:
            discard(part)
            raise
        except OSError as error:
            raise ModelError(f"{target} cannot be written: {error}") from error
    return digest


def verify(path: Path, sha256: str | None = None) -> str:
    """Check that a file is as it was when it came, and remember it if that is not known.

    Parameters
    ----------
    path : Path
        A file that `fetch` or a user put there.
    sha256 : str, optional
        What it must hash to, instead of what is remembered.

    Returns
    -------
    str
        Its SHA-256.

    Raises
    ------
    DamagedFileError
        If it differs; says how to get it again.
    ModelError
        If it cannot be read.
    """
    digest = _sha256(path)
    expected = sha256 or _remembered(path)
    if not expected:
        with suppress(OSError):  # a folder for reading only, shared by many
            _remember(path, digest)
    elif digest != expected.lower():
        raise DamagedFileError(
            f"{path} is damaged: expected SHA-256 {expected}, got {digest}; delete it and "
            f"{_beside(path, '.sha256').name} beside it, and it is downloaded again"
        )
    return digest


def checked_sha256(path: Path, sha256: str | None, damaged: str, remedy: str) -> str:
    """Hash a weights file that is to be loaded, and compare.

    Parameters
    ----------
    path : Path
    sha256 : str, optional
        What it must hash to; None takes any file.
    damaged, remedy : str
        What a file with another hash is, and what to do then.

    Returns
    -------
    str
        Its SHA-256.

    Raises
    ------
    ModelError
        If it is missing, cannot be read, or has another hash.
    """
    if not path.is_file():
        raise ModelError(f"expected a weights file at {path}; there is none")
    digest = _sha256(path)
    if sha256 is not None and digest != sha256:
        raise ModelError(f"{path} is {damaged}: expected SHA-256 {sha256}, got {digest}; {remedy}")
    return digest


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error


def disk_use(folder: Path | None = None) -> int:
    """Bytes of all files in a folder, by default that of the downloaded weights."""
    total = 0
    for path in (folder or cache_folder()).rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size if path.is_file() else 0
    return total


def remove(path: Path) -> int:
    """Remove a downloaded file, whole or partial, and what is kept beside it.

    Returns
    -------
    int
        Bytes that are free again.

    Raises
    ------
    ModelError
        If it is being downloaded or cannot be removed.
    """
    from filelock import FileLock, Timeout

    if not path.parent.is_dir():
        return 0
    freed = 0
    try:
        with FileLock(_beside(path, ".lock"), timeout=0):
            for end in ("", ".part", ".part.json", ".sha256"):
                with suppress(FileNotFoundError):
                    size = _beside(path, end).stat().st_size
                    _beside(path, end).unlink()
                    freed += size
        _beside(path, ".lock").unlink(missing_ok=True)
    except Timeout as error:
        raise ModelError(f"{path} is being downloaded: stop that first") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be removed: {error}") from error
    _remove_empty(path.parent)
    return freed


def _remove_empty(folder: Path) -> None:
    """Remove folders that are left empty, up to the cache folder."""
    top = cache_folder()
    with suppress(OSError):
        while top in folder.parents:
            folder.rmdir()
            folder = folder.parent


def _source(url: str) -> str:
    """Find where to get a URL from, and refuse what is not safe."""
    mirror = os.environ.get(MIRROR, "").strip()
    if mirror:
        base, path = urlsplit(mirror), urlsplit(url).path
        if base.scheme not in ("https", "http") or not base.hostname or base.username:
            raise ModelError(
                f"{MIRROR}: expected a URL such as https://mirror.example/models, got {mirror!r}"
            )
        joined = base.path.rstrip("/") + quote(path, safe="/%")
        return urlunsplit((base.scheme, base.netloc, joined, "", ""))
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL):
        return url
    raise ModelError(f"expected an https URL, got {url!r}")


@contextmanager
def _only_one(target: Path, report: Report) -> Iterator[None]:
    """Wait until nobody else downloads this file."""
    from filelock import FileLock, Timeout

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(_beside(target, ".lock"))
        while True:
            try:
                lock.acquire(timeout=0.2, poll_interval=0.05)
                break
            except Timeout:
                report(0, 0, f"waiting: {target.name} is being downloaded by another program")
    except OSError as error:
        raise ModelError(
            f"{target.parent} cannot be written to ({error}); choose another folder with {CACHE}"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _check(part: Path, source: str, sha256: str | None, md5: str) -> str:
    digest = file_sha256(part)
    wanted, got = sha256, digest
    if md5 and not sha256:
        wanted = md5
        with part.open("rb") as file:
            got = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if wanted and not got.startswith(wanted.lower()):
        kind = "SHA-256" if sha256 else "an MD5 that begins with"
        raise DamagedFileError(
            f"what came from {source} is not what it should be: expected {kind} {wanted}, "
            f"got {got}; it was not kept: try again, or another mirror"
        )
    return digest


def _by_hand(source: str, target: Path, reason: str) -> str:
    mirror = f" (from {MIRROR})" if os.environ.get(MIRROR) else ""
    return (
        f"{source}{mirror} cannot be downloaded: {reason}. If this machine has no network, get "
        f"that file on another one and put it here as {target}; a proxy is set with HTTPS_PROXY, "
        f"a mirror with {MIRROR}"
    )


def _remember(path: Path, digest: str) -> None:
    _beside(path, ".sha256").write_text(f"{digest} *{path.name}\n", "utf-8", newline="\n")


def _remembered(path: Path) -> str:
    beside = _beside(path, ".sha256")
    try:
        words = beside.read_text("utf-8").split()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{beside} cannot be read ({error}): delete it") from error
    if not words or len(words[0]) != 64:
        raise ModelError(f"{beside} is damaged: expected a SHA-256 and a file name; delete it")
    return words[0]


def _beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


def _silence(done: int, total: int, message: str) -> None:
    """Report to nobody."""
