"""Images whose results go to disk: labels appear tile by tile, and a stopped run goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import napari
import napari.layers
import numpy as np
import pytest
from gui.clicks import WAIT, Beats, click
from gui.fakes import FakeModel, squares
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QFileDialog

from napari_instseg.file_run import FileRun
from napari_instseg.gui import on_disk
from napari_instseg.gui.layers import image_from_layer
from napari_instseg.gui.segment_widget import SegmentWidget
from napari_instseg.gui.worker import ModelHolder
from napari_instseg.io import label_zarr
from napari_instseg.io.run_folder import RunFolder
from napari_instseg.ops import preview
from napari_instseg.pipeline import Run, run_to_end
from napari_instseg.segmenter import RGB, Prediction
from napari_instseg.settings import Settings


class HeldModel(FakeModel):
    """Waits at the gate before a certain tile."""

    def __init__(self) -> None:
        super().__init__()
        self.hold_at = -1

    def segment(self, tiles: Sequence[RGB]) -> list[Prediction]:
        if self.tiles == self.hold_at:
            self.gate.clear()
        return super().segment(tiles)


@pytest.fixture
def model() -> HeldModel:
    return HeldModel()


@pytest.fixture
def low_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures count as large ones, so that the tests are quick."""
    monkeypatch.setattr(on_disk, "LAZY_PIXELS", 10_000)
    monkeypatch.setattr(preview, "LONGEST", 100)
    monkeypatch.setattr(label_zarr, "CHUNK", 100)


def in_memory(layer: napari.layers.Image, settings: Settings) -> Any:
    return run_to_end(Run(image_from_layer(layer), FakeModel(), settings))


def finest(layer: napari.layers.Labels) -> np.ndarray:
    return np.asarray(layer.data[0] if layer.multiscale else layer.data)


def finish(qtbot: Any, dock: SegmentWidget, model: FakeModel) -> None:
    model.gate.set()
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)


def until_held(qtbot: Any, model: HeldModel) -> None:
    qtbot.waitUntil(lambda: not model.gate.is_set(), timeout=WAIT)


def last_notification() -> str:
    return notification_manager.records[-1].message


@pytest.mark.usefixtures("low_limits")
def test_labels_appear_while_the_viewer_stays_alive(
    viewer: napari.Viewer,
    dock: SegmentWidget,
    model: HeldModel,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    field = da.from_array(squares(18, 15, pitch=16, size=10), chunks=100)
    layer = viewer.add_image(field, name="slide", scale=(0.5, 0.5), units="um")
    dock.form.threshold.setValue(0)
    dock.form.more.tile_size.setValue(64)
    dock.form.more.overlap.setValue(32)
    assert dock.large.isVisible()
    settings = dock.form.settings()
    beats = Beats(monkeypatch, FileRun, "save")
    model.hold_at = 12
    click(qtbot, dock.run_button)
    assert dock.worker is not None
    live = viewer.layers["slide so far"]
    until_held(qtbot, model)
    qtbot.waitUntil(lambda: live.get_value((4, 4), world=True) > 0, timeout=WAIT)
    # Some are there, not all, and at their places.
    assert live.data.shape == (96, 80)
    np.testing.assert_allclose(live.extent.world[0], layer.data_to_world((1, 1)))
    half = live.data > 0
    assert half[:16].any()
    assert not half[-16:].any()
    assert dock.form.layer() is layer
    finish(qtbot, dock, model)
    labels = viewer.layers["slide instances"]
    assert [x.name for x in viewer.layers] == [
        "slide", "slide panoptic", "slide semantic", "slide instances",
    ]  # fmt: skip
    assert labels.multiscale
    final = finest(labels)
    np.testing.assert_array_equal(final, in_memory(layer, settings).instances)
    assert np.all(final[1::3, 1::3][half] > 0)
    np.testing.assert_array_equal(live.data > 0, final[1::3, 1::3] > 0)
    np.testing.assert_allclose(labels.extent.world, layer.extent.world)
    assert len(labels.features) == final.max() == 18 * 15
    assert labels.metadata["napari_instseg"]["complete"] is True
    assert labels.get_value((4, 4), world=True)[1] == final[8, 8] > 0
    assert dock.status.text().startswith("270 nuclei")
    beats.check()


@pytest.mark.usefixtures("low_limits")
def test_cancelled_closed_and_resumed(
    viewer: napari.Viewer, dock: SegmentWidget, model: HeldModel, qtbot: Any
) -> None:
    field = da.from_array(np.stack([squares(8, 8), squares(8, 8)[:, ::-1]]), chunks=(1, 64, 64))
    layer = viewer.add_image(field, name="a/b: stack", axis_labels=("t", "y", "x"))
    dock.form.more.tile_size.setValue(64)
    dock.form.more.overlap.setValue(16)
    expected = in_memory(layer, dock.form.settings())
    assert dock.run_button.text() == "Run"
    model.hold_at = 11
    click(qtbot, dock.run_button)
    until_held(qtbot, model)
    assert not dock.large.change.isEnabled()
    click(qtbot, dock.run_button)
    finish(qtbot, dock, model)
    assert model.tiles == 12
    assert dock.status.text().startswith("Cancelled. What was found is kept.")
    assert dock.run_button.text() == "Resume"
    assert "12 tiles done" in dock.large.note.text()
    assert viewer.layers["a/b: stack so far"].data[0].any()

    # Not lost by a run with other settings.
    dock.form.threshold.setValue(0.3)
    assert dock.run_button.text() == "Run"
    click(qtbot, dock.run_button)
    assert "other settings (score threshold)" in last_notification()
    assert dock.worker is None
    dock.form.threshold.setValue(0.5)

    dock.close()
    assert [x.name for x in viewer.layers] == ["a/b: stack"]
    again = SegmentWidget(viewer, ModelHolder(model.load))
    viewer.window.add_dock_widget(again, name="Segment again", area="right")
    again.form.more.tile_size.setValue(64)
    again.form.more.overlap.setValue(16)
    again.form.layer_choice.layer_changed.emit()
    assert again.run_button.text() == "Resume"
    model.hold_at = -1
    click(qtbot, again.run_button)
    finish(qtbot, again, model)
    labels = viewer.layers["a/b: stack instances"]
    np.testing.assert_array_equal(finest(labels), expected.instances)
    np.testing.assert_array_equal(labels.features["score"], expected.table["score"])
    whole = FakeModel()
    run_to_end(Run(image_from_layer(layer), whole, again.form.settings()))
    assert model.tiles == whole.tiles
    assert again.run_button.text() == "Run"
    assert not again.large.anew.isVisible()

    # Another run takes the place of the layers and of the files.
    model.hold_at = model.tiles + 5
    click(qtbot, again.run_button)
    until_held(qtbot, model)
    click(qtbot, again.run_button)
    finish(qtbot, again, model)
    assert again.large.anew.isVisible()
    np.testing.assert_array_equal(finest(labels), expected.instances)
    before, model.hold_at = model.tiles, -1
    click(qtbot, again.large.anew)
    finish(qtbot, again, model)
    assert model.tiles - before == whole.tiles
    assert labels not in viewer.layers
    assert len(viewer.layers) == 4


@pytest.mark.usefixtures("low_limits")
def test_another_folder_and_another_run_in_it(
    viewer: napari.Viewer,
    dock: SegmentWidget,
    model: HeldModel,
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer = viewer.add_image(da.from_array(squares(8, 8), chunks=64), name="slide")
    assert dock.large.root == tmp_path / "home" / "results"
    chosen = tmp_path / "elsewhere"
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(chosen))
    click(qtbot, dock.large.change)
    assert dock.large.root == chosen == on_disk.results_root()
    assert str(chosen) in dock.large.folder.toolTip()
    folder = on_disk.folder_of(chosen, image_from_layer(layer))
    with RunFolder(folder / ".slide.run", {}):
        click(qtbot, dock.run_button)
        finish(qtbot, dock, model)
    assert "another run is writing here" in last_notification()
    assert model.tiles == 0
    assert [x.name for x in viewer.layers] == ["slide"]
    click(qtbot, dock.run_button)
    finish(qtbot, dock, model)
    assert {path.name for path in folder.iterdir()} == {
        *("slide_instances.zarr", "slide_semantic.zarr", "slide_panoptic.zarr"),
        *("slide_segments.csv", "slide_recipe.json"),
    }

    # In memory as ever: a view, and pictures that are small.
    click(qtbot, dock.view_button)
    finish(qtbot, dock, model)
    assert isinstance(viewer.layers["slide view instances"].data, np.ndarray)
    viewer.add_image(squares(), name="cells")
    assert not dock.large.isVisible()
    click(qtbot, dock.run_button)
    finish(qtbot, dock, model)
    assert isinstance(viewer.layers["cells instances"].data, np.ndarray)
    assert viewer.layers["slide instances"].metadata["napari_instseg"]["complete"]
