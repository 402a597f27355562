"""Bring a file over HTTPS, and go on where an earlier try stopped.

No well-kept library does all of it: pooch and torch.hub start again from nothing.
"""

from __future__ import annotations

import json
import re
import shutil
import ssl
import time
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from ..segmenter import ModelError
from .entry import Report

#: Seconds without a byte after which a connection is given up.
TIMEOUT = 30.0
#: Tries in a row that may fail before and after the server first answered with data.
RETRIES, RETRIES_ONCE_BEGUN = 2, 6
#: Seconds before the first new try; doubled each time.
BACKOFF = 0.5
CHUNK = 1 << 16
#: Seconds between two reports, at least.
TICK = 0.1
#: Bytes that stay free on the disk.
RESERVE = 1 << 25
#: Answers after which another try may do.
BUSY = (408, 425, 429, 500, 502, 503, 504)


class UnreachableError(ModelError):
    """The file cannot be had from there; says why in a few words."""


class _AgainError(Exception):
    """A try has failed in a way that another may not."""


@dataclass(frozen=True, slots=True)
class _State:
    """What a part file is a part of: kept beside it, so that nothing else is added to it."""

    url: str
    etag: str = ""
    modified: str = ""
    size: int = 0

    @property
    def validator(self) -> str:
        """What a server must still have for the rest to fit; weak ETags promise too little."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


def state_file(part: Path) -> Path:
    """Where it is kept what a part file is a part of."""
    return part.with_name(part.name + ".json")


def discard(part: Path) -> None:
    """Remove a part file and what is kept beside it."""
    part.unlink(missing_ok=True)
    state_file(part).unlink(missing_ok=True)


def download(url: str, part: Path, name: str, report: Report) -> None:
    """Bring the whole file to ``part``, which may hold its beginning from an earlier try.

    Parameters
    ----------
    url : str
        Redirects from https to anything else are refused.
    part : Path
        In a folder that exists.
    name : str
        What it is called in reports.
    report : callable
        See `entry.Report`. What it raises stops the download; the part stays.

    Raises
    ------
    UnreachableError
        If the server is not there, has no such file, or stops again and again.
    ModelError
        If the disk is full or cannot be written to.
    """
    best, failures, begun = _begin(url, part)[1], 0, False
    while True:
        try:
            return _try(url, part, name, report)
        except _AgainError as error:
            length = part.stat().st_size if part.exists() else 0
            if length > best:
                best, failures, begun = length, 0, True
            failures += 1
            if failures > (RETRIES_ONCE_BEGUN if begun else RETRIES):
                raise UnreachableError(str(error)) from error
            _pause(BACKOFF * 2 ** (failures - 1), report, f"{name}: {error}; trying again")


def _try(url: str, part: Path, name: str, report: Report) -> None:
    state, done = _begin(url, part)
    if state and state.size == done > 0:
        return
    report(done, state.size if state else 0, f"connecting to {urlsplit(url).hostname}")
    headers = {"User-Agent": "napari-instseg", "Accept-Encoding": "identity"}
    if state and done:
        headers |= {"Range": f"bytes={done}-", "If-Range": state.validator}
    with _open(request.Request(url, headers=headers), part) as response:
        if response.status == 206:
            total = _rest(response.headers, done, state, part)
        else:
            done, total = 0, _total(response.headers)
        _check_disk(part, total - done)
        if not done:
            _keep(part, url, response.headers, total)
        with part.open("ab") as file:
            done = _copy(response, file, done, total, name, report)
    if total and done < total:
        raise _AgainError(f"the connection broke off after {done} of {total} bytes")


def _begin(url: str, part: Path) -> tuple[_State | None, int]:
    """Find out what is there already; what cannot be gone on with is removed."""
    try:
        state = _State(**json.loads(state_file(part).read_text("utf-8")))
        done = part.stat().st_size
        if state.url == url and state.validator and not 0 < state.size < done:
            return state, done
    except (OSError, ValueError, TypeError, AttributeError):
        pass
    discard(part)
    return None, 0


def _keep(part: Path, url: str, headers: HTTPMessage, total: int) -> None:
    """Begin an empty part file."""
    state = _State(url, headers.get("ETag", ""), headers.get("Last-Modified", ""), total)
    try:
        part.write_bytes(b"")
        state_file(part).write_text(json.dumps(asdict(state)), "utf-8")
    except OSError as error:
        raise ModelError(f"{part} cannot be written: {error}") from error


def _total(headers: HTTPMessage) -> int:
    """Read the length of a whole file, 0 if it is not told; refuse what is no such file."""
    if headers.get_content_type() == "text/html":
        raise UnreachableError(
            "a web page came instead of the file; does this network want a log-in?"
        )
    if headers.get("Content-Encoding", "identity") != "identity":
        raise UnreachableError(f"expected plain bytes, got them as {headers['Content-Encoding']}")
    length = headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else 0


def _rest(headers: HTTPMessage, done: int, state: _State | None, part: Path) -> int:
    """Check that the answer goes on where the part ends; return the length of the whole."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", headers.get("Content-Range", "").strip())
    if match and state and int(match[1]) == done and int(match[2]) == (state.size or int(match[2])):
        return int(match[2])
    discard(part)
    raise _AgainError("the server went on with another place or file")


def _copy(response: Any, file: IO[bytes], done: int, total: int, name: str, report: Report) -> int:
    """Write what comes; return the length of the file so far."""
    message, last = f"downloading {name}", 0.0
    while True:
        if time.monotonic() - last >= TICK:
            if not total:
                _check_disk(Path(file.name), CHUNK)
            report(done, total, message)
            last = time.monotonic()
        try:
            chunk = response.read(CHUNK)
        except (OSError, HTTPException) as error:
            raise _AgainError(_reason(error)) from error
        if not chunk:
            report(done, total, message)
            return done
        try:
            file.write(chunk)
            file.flush()
        except OSError as error:
            raise ModelError(f"{file.name} cannot be written: {error}") from error
        done += len(chunk)


class _Redirects(request.HTTPRedirectHandler):
    """Follow redirects, but not to where others may read and change what comes."""

    def redirect_request(
        self,
        req: request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        url: str,
    ) -> request.Request | None:
        if urlsplit(url).scheme != "https" and req.type != "http":
            raise UnreachableError(f"the server leads on to {url}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, url)


def _open(req: request.Request, part: Path) -> Any:
    opener = request.OpenerDirector()
    # Only these: no file:, ftp: or data: addresses. Proxies come from the environment.
    for handler in (
        request.ProxyHandler,
        request.HTTPHandler,
        request.HTTPSHandler,
        request.HTTPDefaultErrorHandler,
        request.HTTPErrorProcessor,
        request.UnknownHandler,
        _Redirects,
    ):
        opener.add_handler(handler())
    try:
        return opener.open(req, timeout=TIMEOUT)
    except HTTPError as error:
        with error:
            if error.code == 416:
                discard(part)
                raise _AgainError(
                    "the server's file is shorter than the part that is here"
                ) from error
            text = f"the server answers {error.code} {error.reason}"
            raise (_AgainError if error.code in BUSY else UnreachableError)(text) from error
    except (OSError, HTTPException) as error:
        cause = error.reason if isinstance(error, URLError) else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise UnreachableError(
                f"its certificate cannot be checked ({cause.verify_message}); if your network "
                "has certificates of its own, set SSL_CERT_FILE to the file with them"
            ) from error
        raise _AgainError(_reason(cause)) from error


def _reason(error: object) -> str:
    """Say in a few words what an error of the network means."""
    if isinstance(error, TimeoutError):
        return f"no answer for {TIMEOUT:g} s"
    text = error.strerror if isinstance(error, OSError) else None
    return text or str(error) or type(error).__name__


def _check_disk(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed + RESERVE > free:
        raise ModelError(
            f"the disk of {part.parent} is too full: expected {(needed + RESERVE) / 1e6:.0f} MB "
            f"free, got {free / 1e6:.0f} MB; make room, or choose another folder with "
            "NAPARI_INSTSEG_CACHE"
        )


def _pause(seconds: float, report: Report, message: str) -> None:
    """Wait, but let the user stop it."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        report(0, 0, message)
        time.sleep(min(left, TICK))
