"""What needs a Python process of its own, or the built-in model."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

import napari
import numpy as np
import pytest
from gui.clicks import Beats
from superqt.utils import WorkerBase

from napari_instseg.gui.segment_widget import SegmentWidget
from napari_instseg.models.registry import find
from napari_instseg.models.torchvision import TorchvisionSegmenter

pytestmark = pytest.mark.usefixtures("qapp")
MISSING = find("nuclei").missing()
needs_weights = pytest.mark.skipif(bool(MISSING), reason=f"the built-in model {MISSING}")

#: Opens a viewer and the dock, and then does what is in BODY.
PRELUDE = """
import sys, time
import numpy as np
import napari
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer()
viewer.add_image(np.random.default_rng(0).random((96, 96)))
_, dock = viewer.window.add_plugin_dock_widget("napari-instseg", "Segment")
for _ in range(20):
    QApplication.processEvents()
"""


def in_new_process(body: str) -> subprocess.CompletedProcess[str]:
    code = PRELUDE + textwrap.dedent(body) + "\nviewer.close()\nprint('end reached')\n"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False
    )


def test_opening_the_docks_leaves_torch_unloaded() -> None:
    done = in_new_process(
        """
        dock.form.more.expand()
        dock.form.model.open()
        _, models = viewer.window.add_plugin_dock_widget("napari-instseg", "Models")
        viewer.window.add_plugin_dock_widget("napari-instseg", "Segment everything")
        viewer.window.add_plugin_dock_widget("napari-instseg", "Batch")
        viewer.add_labels(np.eye(96, dtype=int))
        _, review = viewer.window.add_plugin_dock_widget("napari-instseg", "Review")
        QApplication.processEvents()
        assert "pyqtgraph" not in sys.modules
        review.tabs.setCurrentWidget(review.filter)
        assert "pyqtgraph" in sys.modules
        QApplication.processEvents()
        heavy = ("torch", "torchvision", "triton", "detectron2")
        loaded = [name for name in heavy if name in sys.modules]
        assert not loaded, loaded
        """
    )
    assert done.returncode == 0, done.stderr
    assert "end reached" in done.stdout


@needs_weights
def test_torchvision_may_be_imported_after_the_viewer_opened() -> None:
    # Without prepare_torchvision this ends with a segmentation fault under Mesa's OpenGL.
    done = in_new_process(
        """
        assert "torch" not in sys.modules
        dock.run_button.click()
        end = time.monotonic() + 180
        while dock.worker is not None and time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.01)
        assert "torchvision" in sys.modules
        assert "instances" in viewer.layers[-1].name, dock.status.text()
        """
    )
    assert done.returncode == 0, f"{done.returncode}\n{done.stderr}"
    assert "end reached" in done.stdout


@needs_weights
def test_the_viewer_stays_alive_during_a_run(
    viewer: napari.Viewer, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment", area="right")
    rng = np.random.default_rng(0)
    viewer.add_image(rng.integers(0, 255, (384, 384), np.uint8))
    widget.form.more.tile_size.setValue(256)
    widget.form.more.overlap.setValue(32)
    beats = Beats(monkeypatch, TorchvisionSegmenter, "segment")
    widget.run_button.click()
    qtbot.waitUntil(lambda: widget.worker is None, timeout=240_000)
    WorkerBase.await_workers(60_000)
    beats.check()
