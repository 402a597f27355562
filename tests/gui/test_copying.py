"""What a dock copies runs as it is, and gives the labels that the dock gives."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
import tifffile
from gui.clicks import WAIT, click
from helpers import ComponentSegmenter
from prompters import BrightnessPrompter, pretend
from qtpy.QtWidgets import QApplication

from napari_instseg import api
from napari_instseg.cli import main
from napari_instseg.gui.batch_widget import BatchWidget
from napari_instseg.gui.copying import COMMAND, PYTHON
from napari_instseg.gui.everything_widget import EverythingWidget
from napari_instseg.gui.limits_form import DETECTOR, LAYER
from napari_instseg.gui.run_dock import RunDock
from napari_instseg.gui.segment_widget import SegmentWidget
from napari_instseg.io.images import read_labels
from napari_instseg.models import registry
from napari_instseg.models.entry import LoadedModel


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docks, Python and commands load the same: models that answer by rules."""

    def load(name: str, device: str = "auto", **options: Any) -> LoadedModel:
        return LoadedModel(ComponentSegmenter(), name, f"{name}.safetensors", "a" * 64)

    for module in (registry, api):
        monkeypatch.setattr(module, "load", load)
    pretend(monkeypatch, BrightnessPrompter())


@pytest.fixture
def pixels() -> np.ndarray:
    y, x = np.indices((130, 120))
    field = np.zeros((130, 120), np.uint8)
    for i, (row, col, radius) in enumerate([(20, 20, 7), (45, 64, 9), (100, 90, 10), (99, 30, 5)]):
        field[(y - row) ** 2 + (x - col) ** 2 <= radius**2] = 200 - 12 * i
    return field


@pytest.fixture
def file(tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "my cells" / "it's a.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, pixels)
    monkeypatch.chdir(tmp_path)
    return path


def run(qtbot: Any, dock: RunDock) -> None:
    click(qtbot, dock.run_button)
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)


def copied(dock: RunDock, name: str) -> str:
    QApplication.clipboard().clear()
    dock.copy_button.actions_by_name[name].trigger()
    return QApplication.clipboard().text()


def executed(text: str, viewer: napari.Viewer) -> Any:
    names: dict[str, Any] = {"viewer": viewer}
    exec(compile(text, "copied", "exec"), names)
    return names["result"]


def call(text: str) -> None:
    (line,) = [line for line in text.splitlines() if not line.startswith("#")]
    assert main(shlex.split(line)[1:]) == 0


def test_the_segment_dock(viewer: napari.Viewer, qtbot: Any, file: Path) -> None:
    (layer,) = viewer.open(file, plugin="napari")
    dock = SegmentWidget(viewer)
    viewer.window.add_dock_widget(dock)
    dock.form.threshold.setValue(0.88)
    dock.form.outputs["semantic"].setChecked(False)
    dock.form.more.intensity.choose("fixed")
    dock.form.more.limits.set_value(0, 210)
    run(qtbot, dock)
    labels = viewer.layers[f"{layer.name} instances"].data
    assert 0 < labels.max() < 4
    text = copied(dock, PYTHON)
    assert dock.status.text() == "Copied as Python."
    assert repr(str(file)) in text
    assert "viewer" not in text
    np.testing.assert_array_equal(executed(text, viewer).instances, labels)
    call(copied(dock, COMMAND))
    np.testing.assert_array_equal(read_labels("results/it's a_instances.tif"), labels)
    assert not Path("results/it's a_semantic.tif").exists()

    # Pixels that are in no file, a name that needs quotes, axes and sizes of the user's own.
    stack = np.stack([np.asarray(layer.data)] * 3)
    other = viewer.add_image(stack, name='"odd" name', scale=(2, 0.5, 0.5), units="um")
    dock.form.layer_choice.choose(other.unique_id)
    run(qtbot, dock)
    labels = viewer.layers['"odd" name instances'].data
    text = copied(dock, PYTHON)
    assert "image = viewer.layers['\"odd\" name']" in text
    np.testing.assert_array_equal(executed(text, viewer).instances, labels)
    assert "is in no file: save it as image.tif first" in copied(dock, COMMAND)

    # The file has other pixels by now: the layer counts.
    tifffile.imwrite(file, np.asarray(layer.data) // 2)
    dock.form.layer_choice.choose(layer.unique_id)
    assert "viewer.layers[" in copied(dock, PYTHON)


def test_nothing_to_copy(viewer: napari.Viewer) -> None:
    dock = SegmentWidget(viewer)
    viewer.window.add_dock_widget(dock)
    assert copied(dock, PYTHON) == ""


def test_the_everything_dock(viewer: napari.Viewer, qtbot: Any, file: Path) -> None:
    (layer,) = viewer.open(file, plugin="napari")
    dock = EverythingWidget(viewer)
    viewer.window.add_dock_widget(dock)
    form = dock.form
    form.points.setValue(16)
    form.more.intensity.choose("fixed")
    form.more.limits.set_value(0, 200)
    dock.limits.stability.setValue(0.7)
    run(qtbot, dock)
    labels = viewer.layers[f"{layer.name} everything instances"].data
    assert labels.max() == 4
    np.testing.assert_array_equal(executed(copied(dock, PYTHON), viewer).instances, labels)
    call(copied(dock, COMMAND))
    np.testing.assert_array_equal(read_labels("results/it's a_instances.tif"), labels)

    form.source.choose(DETECTOR)
    run(qtbot, dock)
    labels = viewer.layers[f"{layer.name} refined instances"].data
    assert labels.max() == 4
    np.testing.assert_array_equal(executed(copied(dock, PYTHON), viewer).instances, labels)
    text = copied(dock, COMMAND)
    call(f"{text.strip()} --overwrite\n")
    np.testing.assert_array_equal(read_labels("results/it's a_instances.tif"), labels)

    form.source.choose(LAYER)
    form.objects.choose(viewer.layers[f"{layer.name} everything instances"].unique_id)
    run(qtbot, dock)
    labels = viewer.layers[f"{layer.name} refined instances"].data
    np.testing.assert_array_equal(executed(copied(dock, PYTHON), viewer).instances > 0, labels > 0)


def test_the_batch_dock(viewer: napari.Viewer, qtbot: Any, file: Path, pixels: np.ndarray) -> None:
    tifffile.imwrite(file.parent / "b.tif", pixels[::-1])
    dock = BatchWidget(viewer)
    viewer.window.add_dock_widget(dock)
    form, out = dock.form, file.parents[1] / "out"
    form.threshold.setValue(0.88)
    form.add([str(file.parent)])
    form.folder.path.setText(str(out))
    qtbot.waitUntil(lambda: len(dock.table.jobs()) == 2 and dock.listing.worker is None)
    qtbot.waitUntil(dock.run_button.isEnabled, timeout=WAIT)
    run(qtbot, dock)
    names = ("it's a_instances.tif", "b_instances.tif")
    wanted = [read_labels(out / name) for name in names]
    assert all(labels.max() > 0 for labels in wanted)
    python, command = copied(dock, PYTHON), copied(dock, COMMAND)
    for text, start in ((python, lambda text: exec(text, {})), (command, call)):
        for path in out.glob("*"):
            path.unlink()
        start(text)
        for name, labels in zip(names, wanted, strict=True):
            np.testing.assert_array_equal(read_labels(out / name), labels)
