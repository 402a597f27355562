from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import napari
import pytest
from gui.fakes import FakeModel
from qtpy.QtWidgets import QApplication
from superqt.utils import WorkerBase

from napari_instseg.gui.segment_widget import SegmentWidget
from napari_instseg.gui.worker import ModelHolder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A viewer needs a display: say so instead of aborting in Qt."""
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        here = pytest.mark.skip(reason="needs a display: install Xvfb (scripts/setup-x.sh does)")
        for item in items:
            if "make_napari_viewer" in getattr(item, "fixturenames", ()):
                item.add_marker(here)


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees, fills or empties the folders of whoever runs it."""
    monkeypatch.setenv("NAPARI_INSTSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NAPARI_INSTSEG_DATA_HOME", str(tmp_path / "home"))


@pytest.fixture
def viewer(
    make_napari_viewer: Callable[..., napari.Viewer],
) -> Iterator[napari.Viewer]:
    """A real window; no worker outlives it, since one that does aborts the process later."""
    opened = make_napari_viewer(show=True)
    yield opened
    WorkerBase.await_workers(60_000)
    QApplication.processEvents()
    # Closing takes layers away one by one, and a window that draws between may read what vispy
    # has freed (napari issue 6472).
    opened.window._qt_viewer.canvas.native.setUpdatesEnabled(False)


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def dock(viewer: napari.Viewer, model: FakeModel, qtbot: Any) -> Iterator[SegmentWidget]:
    """The Segment dock in a viewer, with a model that needs no weights."""
    widget = SegmentWidget(viewer, ModelHolder(model.load))
    viewer.window.add_dock_widget(widget, name="Segment", area="right")
    yield widget
    model.gate.set()
    if widget.worker is not None:
        widget.worker.quit()
        qtbot.waitUntil(lambda: widget.worker is None, timeout=60_000)
