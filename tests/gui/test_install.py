"""Detectron2 missing: what the docks say, and the button that gets it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import napari
import pytest
from gui.clicks import WAIT, click
from gui.fakes import FakeModel, squares
from napari.utils.notifications import notification_manager

from napari_instseg.gui.commands import segment_active
from napari_instseg.gui.models_widget import ModelsWidget
from napari_instseg.gui.segment_widget import SegmentWidget
from napari_instseg.models.detectron2 import install
from napari_instseg.models.entry import ModelEntry
from napari_instseg.segmenter import ModelError

MASK_RCNN = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x"
LINE = "Collecting fvcore<0.1.6,>=0.1.5.post20221221 from /some/very/long/folder/of/somebody/else"


class Machine:
    """A machine without Detectron2, and an installer that only says it installs it."""

    def __init__(self) -> None:
        self.installed = False
        self.gate = threading.Event()
        self.error: Exception | None = None
        self.lines = 0

    def absent(self, entry: ModelEntry) -> tuple[str, ...]:
        return () if self.installed or "detectron2" not in entry.requires else ("detectron2",)

    def state(self) -> install.State:
        return install.State(True, "0.6", "/here") if self.installed else install.State()

    def install(self, report: Callable[[str], None]) -> install.State:
        report(LINE)
        while not self.gate.is_set():
            self.lines += 1
            report("")
            time.sleep(0.01)
        if self.error is not None:
            raise self.error
        self.installed = True
        return self.state()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(ModelEntry, "absent_modules", lambda entry: made.absent(entry))
    for name in ("state", "install"):
        monkeypatch.setattr(install, name, getattr(made, name))
    monkeypatch.setattr(install, "plan", lambda: ["Detectron2 0.6 into /here", "1. Fetch <it>"])
    return made


def test_a_run_waits_for_detectron2_and_then_goes(
    machine: Machine, viewer: napari.Viewer, dock: SegmentWidget, model: FakeModel, qtbot: Any
) -> None:
    layer = viewer.add_image(squares(), name="cells")
    assert not dock.install.isVisible()
    dock.form.model.choose(MASK_RCNN)
    assert dock.install.isVisible()
    assert not dock.run_button.isEnabled()
    assert not dock.view_button.isEnabled()
    assert "needs Detectron2: napari-instseg install detectron2" in dock.run_button.toolTip()
    assert "Detectron2 0.6 into /here" in dock.install.text.text()
    assert dock.install.button.toolTip().endswith("1. Fetch &lt;it&gt;")
    segment_active(layer, viewer)
    assert "needs Detectron2" in notification_manager.records[-1].message
    assert dock.worker is None

    # Cancelled: nothing has changed.
    click(qtbot, dock.install.button)
    task = dock.install.task
    qtbot.waitUntil(lambda: "Collecting fvcore" in task.text.text(), timeout=WAIT)
    assert not dock.install.button.isEnabled()
    assert not dock.run_button.isEnabled()
    assert dock.minimumSizeHint().width() <= 320
    # Another model can be chosen meanwhile, and the box stays as long as it works.
    dock.form.model.choose("nuclei")
    assert dock.install.isVisible()
    assert dock.run_button.isEnabled()
    click(qtbot, task.cancel_button)
    qtbot.waitUntil(lambda: not dock.install.busy, timeout=WAIT)
    assert task.text.text() == "Cancelled."
    dock.form.model.choose(MASK_RCNN)

    # Failed: it says why, and can be tried again.
    machine.gate.set()
    machine.error = ModelError("is there a network?")
    click(qtbot, dock.install.button)
    qtbot.waitUntil(lambda: task.text.text() == "Is there a network?", timeout=WAIT)
    qtbot.waitUntil(dock.install.button.isEnabled, timeout=WAIT)
    assert not dock.run_button.isEnabled()

    machine.error = None
    click(qtbot, dock.install.button)
    qtbot.waitUntil(dock.run_button.isEnabled, timeout=WAIT)
    qtbot.waitUntil(lambda: not dock.install.isVisible(), timeout=WAIT)
    click(qtbot, dock.run_button)
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    assert "cells instances" in viewer.layers
    assert model.loads == [(MASK_RCNN, "auto")]


def test_where_it_cannot_be_installed_the_reason_is_said(
    machine: Machine, viewer: napari.Viewer, dock: SegmentWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> list[str]:
        raise ModelError("no pip in this environment")

    monkeypatch.setattr(install, "plan", fail)
    dock.form.model.choose(MASK_RCNN)
    assert dock.install.task.text.text() == "No pip in this environment"
    assert not dock.install.button.isEnabled()


def test_the_models_dock_installs_it_too(
    machine: Machine, viewer: napari.Viewer, dock: SegmentWidget, qtbot: Any
) -> None:
    models = ModelsWidget()
    viewer.window.add_dock_widget(models, name="Models", area="right")
    qtbot.waitUntil(models.isVisible, timeout=WAIT)
    assert models.install.isVisible()
    assert not models.detectron2.isVisible()
    dock.form.model.choose(MASK_RCNN)
    machine.gate.set()
    click(qtbot, models.install.button)
    qtbot.waitUntil(lambda: not models.install.isVisible(), timeout=WAIT)
    assert models.detectron2.text() == "Detectron2 0.6, without its compiled extension"
    # The other dock finds out when the mouse comes back to it.
    assert not dock.run_button.isEnabled()
    dock.enterEvent(None)
    assert dock.run_button.isEnabled()
