"""The Models dock, with a real server on this machine where it downloads."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import napari
import pytest
from gui.clicks import WAIT, click, click_row, in_dialog, row_of
from gui.fakes import squares
from qtpy.QtWidgets import QMessageBox

from napari_instseg.gui.model_files import FilesDialog
from napari_instseg.gui.models_widget import ModelsWidget
from napari_instseg.gui.segment_widget import SegmentWidget
from napari_instseg.gui.worker import ModelHolder
from napari_instseg.models import downloads, library, zoo
from napari_instseg.models.entry import LoadedModel, Report
from napari_instseg.settings import Settings

MASK_RCNN = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x"
TITLE = "Mask R-CNN R50-FPN, 3x"
CONFIG = "MODEL:\n  META_ARCHITECTURE: RetinaNet\n"
PROGRESS = re.compile(r"^Downloading model_final_\w+\.pkl: [1-6] of 12 MB$")
BODY = bytes(range(256)) * 50_000  # 12.8 MB


class Server(ThreadingHTTPServer):
    """Gives the first half of a file, and the rest when the gate is open."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.gate = threading.Event()

    def handle_error(self, *args: object) -> None:
        """Clients that go away are what is tested."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.send_header("ETag", '"one"')
        self.send_header("Content-Length", str(len(BODY) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
        self.end_headers()
        half, piece = len(BODY) // 2, len(BODY) // 20
        # As slowly as a network, so that progress is reported on the way.
        for place in range(start, half, piece):
            self.wfile.write(BODY[place : min(place + piece, half)])
            self.server.gate.wait(0.1)
        self.server.gate.wait(60)
        self.wfile.write(BODY[max(start, half) :])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv(downloads.MIRROR, f"http://127.0.0.1:{made.server_port}/")
    # The file's name tells the MD5 of the real one.
    digest = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
    listed = {**zoo._list(), "models": [_pretend(m, digest) for m in zoo._list()["models"]]}
    monkeypatch.setattr(zoo, "_list", lambda: listed)
    zoo._entries.cache_clear()
    yield made
    made.gate.set()
    made.shutdown()
    thread.join()
    made.server_close()
    zoo._entries.cache_clear()


def _pretend(model: dict[str, Any], digest: str) -> dict[str, Any]:
    if model["config"] != f"{MASK_RCNN}.yaml":
        return model
    return {**model, "url": f"https://weights.example/model_final_{digest[:6]}.pkl"}


@pytest.fixture
def models(viewer: napari.Viewer, qtbot: Any) -> ModelsWidget:
    widget = ModelsWidget()
    viewer.window.add_dock_widget(widget, name="Models", area="right")
    qtbot.waitUntil(widget.isVisible, timeout=WAIT)
    return widget


def answer(qtbot: Any, button: QMessageBox.StandardButton) -> list[Any]:
    return in_dialog(lambda box: click(qtbot, box.button(button)), QMessageBox)


def test_download_cancel_resume_and_remove(
    server: Server, models: ModelsWidget, qtbot: Any
) -> None:
    assert models.disk.text().startswith("Downloaded: 0 MB in ")
    click_row(qtbot, models.models, "Nuclei")
    assert not models.download_button.isEnabled()
    assert not models.remove_button.isEnabled()
    click_row(qtbot, models.models, TITLE)
    assert "178 MB, not downloaded" in models.info.text()
    click(qtbot, models.download_button)
    text = models.task.text
    qtbot.waitUntil(lambda: PROGRESS.search(text.text()) is not None, timeout=WAIT)
    assert models.task.bar.maximum() == 12
    assert not models.download_button.isEnabled()
    # Cancel does not wait for a server that has stopped talking.
    click(qtbot, models.task.cancel_button)
    assert models.task.worker is None
    assert text.text() == "Cancelled."
    entry = zoo.find(MASK_RCNN)
    assert not entry.present
    server.gate.set()
    # The download that nobody waits for ends with the next bytes; another goes on from there.
    click(qtbot, models.download_button)
    qtbot.waitUntil(lambda: models.task.worker is None, timeout=WAIT)
    assert entry.path.read_bytes() == BODY
    assert row_of(models.models, TITLE).text(4) == "✓"
    assert models.models.entry() == entry
    assert models.disk.text().startswith("Downloaded: 13 MB in ")

    met = answer(qtbot, QMessageBox.StandardButton.No)
    click(qtbot, models.remove_button)
    assert met
    assert entry.present
    met = answer(qtbot, QMessageBox.StandardButton.Yes)
    click(qtbot, models.remove_button)
    assert met
    assert not entry.present
    assert models.task.text.text() == "Removed; 13 MB are free again."
    assert models.disk.text().startswith("Downloaded: 0 MB in ")
    assert row_of(models.models, TITLE).text(4) == "↓"


def test_a_download_within_a_run_is_cancelled_at_once(
    server: Server, viewer: napari.Viewer, qtbot: Any
) -> None:
    def load(settings: Settings, report: Report | None = None) -> LoadedModel:
        downloads.fetch_weights(zoo.find(settings.model), report)
        raise AssertionError("the download was not stopped")

    dock = SegmentWidget(viewer, ModelHolder(load))
    viewer.window.add_dock_widget(dock, name="Segment", area="right")
    qtbot.waitUntil(dock.isVisible, timeout=WAIT)
    viewer.add_image(squares())
    dock.form.model.choose(MASK_RCNN)
    click(qtbot, dock.run_button)
    qtbot.waitUntil(lambda: PROGRESS.search(dock.status.text()) is not None, timeout=WAIT)
    assert dock.progress.maximum() == 12
    assert dock.progress.isVisible()
    click(qtbot, dock.run_button)
    assert dock.worker is None
    assert dock.status.text() == "Cancelled before anything was found."
    assert dock.run_button.text() == "Run"
    assert not dock.progress.isVisible()
    server.gate.set()


def test_without_a_network_it_is_said_what_to_do(
    server: Server, models: ModelsWidget, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(downloads.MIRROR, "http://127.0.0.1:9/")
    monkeypatch.setattr("napari_instseg.models.transfer.BACKOFF", 0.001)
    click_row(qtbot, models.models, TITLE)
    click(qtbot, models.download_button)
    qtbot.waitUntil(lambda: models.task.worker is None, timeout=WAIT)
    assert "get that file on another one and put it here" in models.task.text.text()


def test_promptable_models_are_listed_downloaded_and_added(
    models: ModelsWidget, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(
        "napari_instseg.gui.models_widget.downloads.fetch_weights",
        lambda entry, report: fetched.append(entry.name),
    )
    assert row_of(models.models, "Nuclei, by prompts").parent().text(0) == "Built-in"
    click_row(qtbot, models.models, "MobileSAM ViT-T")
    assert row_of(models.models, "MobileSAM ViT-T").parent().text(0) == "Segment Anything"
    line = "prompts · SA-1B · 41 MB, not downloaded · Apache-2.0"
    assert models.info.text().splitlines()[1] == line
    click(qtbot, models.download_button)
    qtbot.waitUntil(lambda: models.task.worker is None, timeout=WAIT)
    assert fetched == ["mobile-sam"]
    models.models.task.choose("prompts")
    assert {e.outputs for e in models.models.shown()} == {("prompts",)}

    # One of the user's own needs no config, and no particular suffix.
    (tmp_path / "vit_t.pt").write_bytes(b"mask_decoder.transformer.layers.0")

    def fill(dialog: FilesDialog) -> None:
        qtbot.keyClicks(dialog.name, "my sam")
        dialog.weights.path.setText(str(tmp_path / "vit_t.pt"))
        click(qtbot, dialog.ok_button)

    met = in_dialog(fill, FilesDialog)
    click(qtbot, models.add_button)
    assert met
    qtbot.waitUntil(lambda: models.task.worker is None, timeout=WAIT)
    (added,) = library.entries()
    assert (added.name, added.outputs) == ("my sam", ("prompts",))


def test_own_models_are_added_and_removed(models: ModelsWidget, tmp_path: Path, qtbot: Any) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "model.pth").write_bytes(bytes(1000))

    def fill(dialog: FilesDialog) -> None:
        assert not dialog.ok_button.isEnabled()
        qtbot.keyClicks(dialog.name, "my cells")
        dialog.config.path.setText(str(tmp_path / "config.yaml"))
        assert dialog.weights.value() == str(tmp_path / "model.pth")
        click(qtbot, dialog.ok_button)

    met = in_dialog(fill, FilesDialog)
    click(qtbot, models.add_button)
    assert met
    qtbot.waitUntil(lambda: models.task.worker is None, timeout=WAIT)
    (added,) = library.entries()
    assert (added.name, added.outputs) == ("my cells", ("boxes",))
    assert models.models.entry() == added
    assert row_of(models.models, "my cells").parent().text(0) == "Yours"
    assert "Yours: " in models.disk.text()

    # The same name again: said in the dock.
    in_dialog(fill, FilesDialog)
    click(qtbot, models.add_button)
    qtbot.waitUntil(lambda: models.task.worker is None, timeout=WAIT)
    assert "my cells" in models.task.text.text()
    assert len(library.entries()) == 1

    answer(qtbot, QMessageBox.StandardButton.Yes)
    click(qtbot, models.remove_button)
    assert library.entries() == ()
    assert (tmp_path / "model.pth").is_file()
    assert models.models.entry().name == "nuclei"


def test_the_folder_opens_in_the_file_manager(
    models: ModelsWidget, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(
        "napari_instseg.gui.models_widget.QDesktopServices.openUrl",
        lambda url: opened.append(url.toLocalFile()),
    )
    click_row(qtbot, models.models, "Nuclei")
    click(qtbot, models.folder_button)
    assert Path(opened[0]) == zoo.LIST.parent
    # Not made yet: the next folder above it that is there.
    click_row(qtbot, models.models, TITLE)
    click(qtbot, models.folder_button)
    assert Path(opened[1]) == tmp_path


def test_it_becomes_a_tab_of_the_segment_dock(
    viewer: napari.Viewer, dock: SegmentWidget, models: ModelsWidget, qtbot: Any
) -> None:
    window = models.window()
    docks = [viewer.window.dock_widgets[name].parent() for name in ("Segment", "Models")]
    qtbot.waitUntil(lambda: docks[1] in window.tabifiedDockWidgets(docks[0]), timeout=WAIT)
    assert models.isVisible()
    assert models.minimumSizeHint().width() <= 320
