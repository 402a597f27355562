"""Downloads from a real server on this machine, which breaks off, lies and redirects."""

from __future__ import annotations

import hashlib
import json
import shutil
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib import request
from urllib.error import URLError

import pytest

from napari_instseg.models import downloads, transfer
from napari_instseg.models.downloads import DamagedFileError, fetch, remove, verify
from napari_instseg.segmenter import ModelError

BODY = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(BODY).hexdigest()
URL = "https://weights.example/zoo/model.pkl"


@dataclass
class Behaviour:
    """What the server does; changed by tests."""

    body: bytes = BODY
    etag: str = '"one"'
    modified: str = ""
    ranges: bool = True
    length: bool = True
    content_type: str = "application/octet-stream"
    #: Answers with these, one a request, before it gives the file.
    statuses: list[int] = field(default_factory=list)
    #: Breaks off after so many bytes, one a request.
    drops: list[int] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    #: How the place in an answer to a range is told; formatted with start, end, size.
    content_range: str = "bytes {0}-{1}/{2}"
    #: Waits for it before the last byte.
    gate: threading.Event | None = None
    requests: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    behaviour: Behaviour

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        do = self.behaviour
        wanted = self.headers.get("Range", "")
        do.requests.append((self.path, wanted))
        if self.path in do.redirects:
            self.send_response(302)
            self.send_header("Location", do.redirects[self.path])
            self.end_headers()
        elif do.statuses:
            self.send_error(do.statuses.pop(0))
        else:
            self._give(wanted)

    def _give(self, wanted: str) -> None:
        do, start = self.behaviour, 0
        fits = self.headers.get("If-Range") in (do.etag, do.modified)
        if do.ranges and wanted and fits:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(do.body):
                self.send_error(416)
                return
            self.send_response(206)
            place = do.content_range.format(start, len(do.body) - 1, len(do.body))
            self.send_header("Content-Range", place)
        else:
            self.send_response(200)
        self.send_header("Content-Type", do.content_type)
        for name, value in (("ETag", do.etag), ("Last-Modified", do.modified)):
            if value:
                self.send_header(name, value)
        rest = do.body[start:]
        if do.length:
            self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if do.gate:
            self.wfile.write(rest[:-1])
            self.wfile.flush()
            do.gate.wait(30)
            rest = rest[-1:]
        self.wfile.write(rest[: do.drops.pop(0)] if do.drops else rest)


class Server(ThreadingHTTPServer):
    def handle_error(self, *args: object) -> None:
        """Say nothing: clients that go away are what is tested."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Behaviour]:
    behaviour = Behaviour()
    handler = type("_", (Handler,), {"behaviour": behaviour})
    httpd = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    behaviour.url = f"http://127.0.0.1:{httpd.server_port}"
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NAPARI_INSTSEG_MIRROR", behaviour.url + "/mirror/")
    monkeypatch.setenv("NAPARI_INSTSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(transfer, "BACKOFF", 0.001)
    monkeypatch.setattr(transfer, "TIMEOUT", 5.0)
    yield behaviour
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "a" / "model.pkl"


def part_of(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def names(target: Path) -> set[str]:
    """What is in the folder, without the lock that may stay."""
    return {path.name for path in target.parent.iterdir() if path.suffix != ".lock"}


class StopError(Exception):
    """What a report raises when the user presses Cancel."""


def stop_at(limit: int):
    def report(done: int, total: int, message: str) -> None:
        if done >= limit:
            raise StopError

    return report


@pytest.fixture
def every_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "TICK", 0.0)


class TestWhole:
    def test_it_comes_with_progress_and_is_remembered(self, server, target, every_report):
        seen: list[tuple[int, int, str]] = []
        assert fetch(URL, target, report=lambda *said: seen.append(said)) == SHA256
        assert target.read_bytes() == BODY
        assert names(target) == {"model.pkl", "model.pkl.sha256"}
        assert (target.parent / "model.pkl.sha256").read_text() == f"{SHA256} *model.pkl\n"
        assert server.requests == [("/mirror/zoo/model.pkl", "")]
        counts = [done for done, _, message in seen if message == "downloading model.pkl"]
        assert counts == sorted(counts)
        assert (len(BODY), len(BODY), "downloading model.pkl") in seen
        assert len(counts) >= 10

    def test_what_is_here_is_not_downloaded_again(self, server, target):
        fetch(URL, target)
        assert fetch(URL, target, sha256=SHA256) == SHA256
        assert len(server.requests) == 1

    def test_a_known_hash_is_checked_and_nothing_wrong_is_kept(self, server, target):
        with pytest.raises(DamagedFileError, match=f"expected SHA-256 {'0' * 64}, got {SHA256}"):
            fetch(URL, target, sha256="0" * 64)
        assert names(target) == set()
        assert fetch(URL, target, sha256=SHA256.upper()) == SHA256

    def test_the_beginning_of_an_md5_is_checked(self, server, target):
        with pytest.raises(DamagedFileError, match="an MD5 that begins with abcdef, got"):
            fetch(URL, target, md5="abcdef")
        begin = hashlib.md5(BODY, usedforsecurity=False).hexdigest()[:6]
        assert fetch(URL, target, md5=begin) == SHA256

    def test_a_length_that_is_not_told(self, server, target, every_report):
        server.length = False
        totals: set[int] = set()
        assert fetch(URL, target, report=lambda _, total, __: totals.add(total)) == SHA256
        assert totals == {0}

    def test_an_empty_file(self, server, target):
        server.body = b""
        assert fetch(URL, target) == hashlib.sha256(b"").hexdigest()


class TestBrokenOff:
    def test_it_goes_on_where_it_broke_off(self, server, target):
        server.drops = [300_000, 1, 500_000]
        assert fetch(URL, target) == SHA256
        ranges = [wanted for _, wanted in server.requests]
        assert ranges == ["", "bytes=300000-", "bytes=300001-", "bytes=800001-"]

    def test_by_the_date_if_there_is_no_etag(self, server, target):
        server.etag, server.modified = 'W/"weak"', "Sat, 01 Jan 2022 00:00:00 GMT"
        server.drops = [400_000]
        assert fetch(URL, target) == SHA256
        assert server.requests[1][1] == "bytes=400000-"

    @pytest.mark.parametrize("missing", ["ranges", "etag"])
    def test_it_starts_again_where_it_cannot_go_on(self, server, target, missing):
        setattr(server, missing, "" if missing == "etag" else False)
        server.drops = [300_000, 600_000]
        assert fetch(URL, target) == SHA256
        assert len(server.requests) == 3

    def test_stopped_by_the_user_the_part_stays_for_the_next_time(
        self, server, target, every_report
    ):
        with pytest.raises(StopError):
            fetch(URL, target, report=stop_at(400_000))
        done = part_of(target).stat().st_size
        assert 400_000 <= done < len(BODY)
        assert not target.exists()
        assert fetch(URL, target) == SHA256
        assert server.requests[-1][1] == f"bytes={done}-"

    def test_a_part_of_another_version_is_not_gone_on_with(self, server, target, every_report):
        with pytest.raises(StopError):
            fetch(URL, target, report=stop_at(400_000))
        server.body, server.etag = b"new" * 1000, '"two"'
        assert fetch(URL, target) == hashlib.sha256(b"new" * 1000).hexdigest()
        assert target.read_bytes() == b"new" * 1000

    def test_a_part_longer_than_the_file(self, server, target):
        # The validator fits, but the server's file ends before the part does.
        part = part_of(target)
        part.parent.mkdir(parents=True)
        part.write_bytes(b"x" * 2_000_000)
        state = {"url": f"{server.url}/mirror/zoo/model.pkl", "etag": '"one"'}
        transfer.state_file(part).write_text(json.dumps(state))
        assert fetch(URL, target) == SHA256
        assert [wanted for _, wanted in server.requests] == ["bytes=2000000-", ""]

    @pytest.mark.parametrize("state", [None, "", "[]", "{}", '{"url": "other"}', "\0"])
    def test_a_part_of_unknown_origin_is_not_used(self, server, target, state):
        part = part_of(target)
        part.parent.mkdir(parents=True)
        part.write_bytes(b"junk")
        if state is not None:
            transfer.state_file(part).write_text(state)
        assert fetch(URL, target) == SHA256
        assert server.requests == [("/mirror/zoo/model.pkl", "")]

    def test_a_whole_part_needs_no_server(self, server, target, every_report):
        def stop_when_checked(done: int, total: int, message: str) -> None:
            if message.startswith("checking"):
                raise StopError

        with pytest.raises(StopError):
            fetch(URL, target, report=stop_when_checked)
        assert fetch(URL, target) == SHA256
        assert len(server.requests) == 1

    @pytest.mark.parametrize("lie", ["bytes 5-9/10", "bytes {0}-{1}/77", "nonsense"])
    def test_another_place_than_asked_for_is_refused(self, server, target, lie):
        server.drops, server.content_range = [300_000], lie
        assert fetch(URL, target) == SHA256
        assert [wanted for _, wanted in server.requests] == ["", "bytes=300000-", ""]

    def test_busy_servers_are_asked_again(self, server, target):
        server.statuses = [503, 429]
        assert fetch(URL, target) == SHA256

    def test_it_gives_up_in_the_end_and_says_what_to_do_by_hand(self, server, target):
        server.statuses = [503] * 9
        with pytest.raises(ModelError) as caught:
            fetch(URL, target)
        text = str(caught.value)
        assert f"{server.url}/mirror/zoo/model.pkl" in text
        assert f"put it here as {target}" in text
        assert "503" in text
        assert "HTTPS_PROXY" in text
        assert len(server.requests) == 1 + transfer.RETRIES

    def test_a_server_that_always_breaks_off_at_the_same_place(self, server, target):
        server.ranges, server.drops = False, [1000] * 20
        with pytest.raises(ModelError, match="broke off after 1000 of 1048576 bytes"):
            fetch(URL, target)
        assert len(server.requests) == 1 + transfer.RETRIES_ONCE_BEGUN

    def test_stopping_while_waiting_for_the_next_try(self, server, target, monkeypatch):
        monkeypatch.setattr(transfer, "BACKOFF", 30.0)
        server.statuses = [503]

        def report(done: int, total: int, message: str) -> None:
            if "trying again" in message:
                raise StopError

        with pytest.raises(StopError):
            fetch(URL, target, report=report)


class TestRefused:
    @pytest.mark.parametrize("status", [403, 404, 410])
    def test_a_file_that_is_not_there(self, server, target, status):
        server.statuses = [status]
        with pytest.raises(ModelError, match=f"the server answers {status}"):
            fetch(URL, target)
        assert len(server.requests) == 1

    def test_nobody_answers(self, server, target, monkeypatch):
        monkeypatch.setenv("NAPARI_INSTSEG_MIRROR", "http://127.0.0.1:9")
        with pytest.raises(ModelError, match=r"cannot be downloaded: .*put it here as"):
            fetch(URL, target)

    def test_a_login_page_is_no_model(self, server, target):
        server.content_type = "text/html; charset=utf-8"
        with pytest.raises(ModelError, match="a web page came instead of the file"):
            fetch(URL, target)

    @pytest.mark.parametrize(
        "url", ["http://weights.example/m.pkl", "file:///etc/passwd", "ftp://x/y", "m.pkl", ""]
    )
    def test_only_https(self, server, target, monkeypatch, url):
        monkeypatch.delenv("NAPARI_INSTSEG_MIRROR")
        with pytest.raises(ModelError, match="expected an https URL"):
            fetch(url, target)

    @pytest.mark.parametrize(
        "mirror", ["file:///tmp", "mirror.example", "https://", "https://me:secret@m.example"]
    )
    def test_a_mirror_is_a_plain_base_url(self, server, target, monkeypatch, mirror):
        monkeypatch.setenv("NAPARI_INSTSEG_MIRROR", mirror)
        with pytest.raises(ModelError, match="NAPARI_INSTSEG_MIRROR: expected a URL such as"):
            fetch(URL, target)

    @pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
    def test_redirects_to_files_are_refused(self, server, target, place):
        server.redirects["/mirror/zoo/model.pkl"] = place
        with pytest.raises(ModelError, match="cannot be downloaded"):
            fetch(URL, target)
        assert not target.exists()

    def test_redirects_from_https_stay_there(self):
        secure = request.Request("https://weights.example/m.pkl")
        handler = transfer._Redirects()
        with pytest.raises(
            ModelError, match=r"leads on to http://x\.example/m, which is not https"
        ):
            handler.redirect_request(secure, None, 302, "", {}, "http://x.example/m")
        there = handler.redirect_request(secure, None, 302, "", {}, "https://x.example/m")
        assert there.full_url == "https://x.example/m"

    def test_redirects_of_a_mirror_are_followed_with_the_range(self, server, target):
        server.redirects["/mirror/zoo/model.pkl"] = "/elsewhere"
        server.drops = [300_000]
        assert fetch(URL, target) == SHA256
        assert server.requests[-1] == ("/elsewhere", "bytes=300000-")

    def test_certificates_that_cannot_be_checked(self, server, target, monkeypatch):
        error = ssl.SSLCertVerificationError("no")
        error.verify_message = "self-signed certificate in certificate chain"

        def fail(*args: object, **options: object) -> None:
            raise URLError(error)

        monkeypatch.setattr(request.OpenerDirector, "open", fail)
        with pytest.raises(ModelError, match=r"self-signed .*set SSL_CERT_FILE"):
            fetch(URL, target)

    def test_a_full_disk_is_noticed_before(self, server, target, monkeypatch):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
        with pytest.raises(ModelError, match=r"too full: expected 35 MB free, got 1 MB"):
            fetch(URL, target)
        assert names(target) == set()

    def test_a_folder_that_cannot_be_made(self, server, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(ModelError, match="choose another folder with NAPARI_INSTSEG_CACHE"):
            fetch(URL, tmp_path / "file" / "model.pkl")


def test_proxies_of_the_environment_are_used(server, target, monkeypatch):
    monkeypatch.setenv("NAPARI_INSTSEG_MIRROR", "http://mirror.invalid")
    monkeypatch.setenv("http_proxy", server.url)
    assert fetch(URL, target) == SHA256
    assert server.requests == [("http://mirror.invalid/zoo/model.pkl", "")]


class TestOnlyOne:
    def test_two_at_a_time_download_once(self, server, target):
        server.gate = threading.Event()
        waiting = threading.Event()
        found: list[str] = []

        def report(done: int, total: int, message: str) -> None:
            if message.startswith("waiting"):
                waiting.set()

        threads = [
            threading.Thread(target=lambda: found.append(fetch(URL, target, report=report)))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        assert waiting.wait(20)
        with pytest.raises(ModelError, match="is being downloaded: stop that first"):
            remove(target)
        server.gate.set()
        for thread in threads:
            thread.join(20)
        assert found == [SHA256, SHA256]
        assert len(server.requests) == 1

    def test_a_lock_that_was_left_behind_does_not_matter(self, server, target):
        target.parent.mkdir(parents=True)
        (target.parent / "model.pkl.lock").write_text("")
        assert fetch(URL, target) == SHA256


class TestKept:
    def test_a_file_put_there_by_hand_is_remembered(self, tmp_path):
        path = tmp_path / "model.pkl"
        path.write_bytes(BODY)
        assert verify(path) == SHA256
        path.write_bytes(BODY[:-1])
        with pytest.raises(DamagedFileError, match=r"is damaged: expected .*delete it and model"):
            verify(path)

    def test_a_damaged_sum_is_said(self, tmp_path):
        path = tmp_path / "model.pkl"
        path.write_bytes(b"x")
        (tmp_path / "model.pkl.sha256").write_text("oops\n")
        with pytest.raises(ModelError, match=r"model\.pkl\.sha256 is damaged: .*delete it"):
            verify(path)
        with pytest.raises(ModelError, match="cannot be read"):
            verify(tmp_path / "no.pkl")

    def test_disk_use_and_removing(self, server, target, tmp_path, every_report):
        assert downloads.disk_use() == 0
        with pytest.raises(StopError):
            fetch(URL, target, report=stop_at(400_000))
        assert downloads.disk_use() > 400_000
        fetch(URL, target)
        assert downloads.disk_use() == pytest.approx(len(BODY), abs=200)
        assert remove(target) == pytest.approx(len(BODY), abs=200)
        assert not target.parent.exists()
        assert remove(target) == 0

    def test_the_folder_is_the_users_choice(self, monkeypatch, tmp_path):
        monkeypatch.setenv("NAPARI_INSTSEG_CACHE", str(tmp_path))
        assert downloads.cache_folder() == tmp_path
        monkeypatch.setenv("NAPARI_INSTSEG_CACHE", " ")
        assert downloads.cache_folder().parts[-2:] != tmp_path.parts[-2:]
        assert downloads.cache_folder().is_absolute()
