"""The Evaluate dock, by clicks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pandas as pd
import pytest
from gui.clicks import WAIT, click
from gui.fakes import result_of
from mistakes import FOUND, TRUTH
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_instseg.gui import error_layers
from napari_instseg.gui.copying import PYTHON
from napari_instseg.gui.error_layers import COLORS, NAME
from napari_instseg.gui.evaluate_form import EvaluateForm
from napari_instseg.gui.evaluate_widget import EvaluateWidget
from napari_instseg.gui.layers import add_segmentation, image_from_layer
from napari_instseg.gui.review.highlight import NAME as CHOSEN

KINDS = ["spurious", "split (2)", "merged (2)", "poor boundary"]


@pytest.fixture
def evaluate(viewer: napari.Viewer, qtbot: Any) -> Iterator[EvaluateWidget]:
    widget = EvaluateWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Evaluate", area="right")
    viewer.window.resize(1300, 900)
    yield widget
    widget.task.cancel()
    qtbot.waitUntil(lambda: widget.task.worker is None, timeout=WAIT)


def run(qtbot: Any, dock: EvaluateWidget) -> None:
    click(qtbot, dock.run_button)
    qtbot.waitUntil(lambda: dock.task.worker is None, timeout=WAIT)


def listed(dock: EvaluateWidget) -> list[str]:
    model = dock.errors.model
    return [model.data(model.index(row, 0)) for row in range(model.rowCount())]


def test_two_layers_and_each_error(
    viewer: napari.Viewer,
    evaluate: EvaluateWidget,
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dock = evaluate
    run(qtbot, dock)
    assert "expected two Labels layers" in dock.task.text.text()
    place = {"scale": (0.5, 0.5), "translate": (3, 2), "units": "um"}
    truth = viewer.add_labels(TRUTH, name="truth", **place)
    found = viewer.add_labels(FOUND, name="found", **place)
    assert (dock.form.predicted.layer(), dock.form.truth.layer()) == (found, truth)
    # Clicking a layer in the list changes nothing.
    viewer.layers.selection.active = truth
    assert dock.form.predicted.layer() is found
    run(qtbot, dock)
    assert dock.scores.value_of("AP at IoU 0.5") == "0.444"
    assert dock.scores.value_of("Objects: truth, found") == "6, 7"
    assert dock.scores.value_of("Over-, under-segmented") == "1, 1"
    assert listed(dock) == KINDS
    errors = viewer.layers[NAME]
    assert errors.data.dtype == np.uint8
    assert np.unique(errors.data).tolist() == [0, 2, 3, 4, 5]
    assert tuple(errors.scale) == (0.5, 0.5)
    np.testing.assert_allclose(errors.colormap.color_dict[3][:3], COLORS[3], atol=1e-3)
    # It is not offered as a truth, and what was active is so still.
    assert dock.form.truth.findText(NAME) == -1
    assert viewer.layers.selection.active is truth

    dock.copy_button.actions_by_name[PYTHON].trigger()
    copied = QApplication.clipboard().text()
    assert "nis.evaluate(viewer.layers['found'], viewer.layers['truth'])" in copied
    names: dict[str, Any] = {"viewer": viewer}
    exec(compile(copied, "copied", "exec"), names)
    assert names["report"].pooled.matches[0.5].true_positives == 4

    click(qtbot, dock.errors.next_button)
    assert dock.errors.place.text() == "1 of 4"
    # The middle of M, in the world.
    assert tuple(viewer.scene.camera.center[-2:]) == pytest.approx((3 + 1.5, 2 + 0.25))
    click(qtbot, dock.errors.next_button)
    outline = viewer.layers[CHOSEN]
    # Around B, a pixel wide; it lies at the image's upper edge.
    low, high = (outline.data_to_world(place) for place in ((0, 0), outline.data.shape))
    np.testing.assert_allclose((low, high), ((3, 2 + 4 * 0.5), (3 + 3 * 0.5, 2 + 10 * 0.5)))
    click(qtbot, dock.errors.back_button)
    click(qtbot, dock.errors.back_button)
    assert dock.errors.place.text() == "4 of 4"

    view = dock.errors.view
    port, cell = view.viewport(), view.visualRect(dock.errors.model.index(2, 0)).center()
    qtbot.mouseClick(port, Qt.MouseButton.LeftButton, pos=QPoint(cell.x(), cell.y()))
    assert dock.errors.place.text() == "3 of 4"
    dock.errors.kinds.choose("split")
    assert listed(dock) == KINDS[1:2]
    assert dock.errors.place.text() == "1 error"

    path = tmp_path / "mine"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(path), "JSON (*.json)"))
    click(qtbot, dock.save_button)
    report = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert report["errors"]["merged"] == 1
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(path), "CSV (*.csv)"))
    click(qtbot, dock.save_button)
    assert pd.read_csv(path.with_suffix(".csv"))["over_segmented"].tolist() == [1, 1]
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *args: (str(tmp_path / "no" / "a.csv"), "")
    )
    click(qtbot, dock.save_button)
    assert "cannot be written" in dock.task.text.text()

    # Once corrected, there is less to do; what was shown goes.
    found.data = np.where(TRUTH > 4, FOUND, TRUTH)
    run(qtbot, dock)
    assert [layer.name for layer in viewer.layers].count(NAME) == 1
    assert CHOSEN not in viewer.layers
    viewer.window.remove_dock_widget(dock)
    assert NAME not in viewer.layers


def test_of_a_result_the_instances_are_the_prediction(
    viewer: napari.Viewer, evaluate: EvaluateWidget, qtbot: Any
) -> None:
    form = evaluate.form
    image = viewer.add_image(np.zeros(FOUND.shape, np.uint8), name="cells")
    result = result_of(image_from_layer(image), FOUND)
    (found, *_) = add_segmentation(viewer, result, image)
    run(qtbot, evaluate)
    assert "expected two Labels layers" in evaluate.task.text.text()
    truth = viewer.add_labels(TRUTH, name="truth")
    assert form.layers() == (found, truth)
    viewer.add_labels(TRUTH, name="another")
    assert form.layers() == (found, truth)
    again = EvaluateForm(viewer)
    viewer.layers.remove("another")
    viewer.layers.remove("truth")
    assert viewer.add_labels(TRUTH, name="truth") is again.layers()[1]
    assert again.layers()[0] is found
    again.disconnect_viewer()


def test_errors_of_a_stack_move_the_sliders_and_categories_count(
    viewer: napari.Viewer, evaluate: EvaluateWidget, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock = evaluate
    truth, found = np.stack([TRUTH, TRUTH, TRUTH]), np.stack([TRUTH, TRUTH, TRUTH])
    found[2, :, 10:12] = 0
    rows = pd.DataFrame({"index": range(1, 7), "category_id": 1, "category": "cell"})
    rows = rows.assign(is_thing=True, score=1.0, area=1, source="drawn")
    other = rows.assign(category=["cell"] * 5 + ["dust"], category_id=[1] * 5 + [2])
    options = {"axis_labels": ("t", "y", "x")}
    viewer.add_labels(truth, name="truth", features=rows, **options)
    layer = viewer.add_labels(found, name="found", features=other, **options)
    dock.form.fold.expand(animate=False)
    click(qtbot, dock.form.boundary)
    run(qtbot, dock)
    assert dock.scores.value_of("Images") == "3"
    assert dock.scores.value_of("Boundary distance") == "0.00 px"
    # Frame by frame.
    assert listed(dock) == [*["wrong category"] * 2, "missed", "wrong category"]
    viewer.dims.set_point(0, 0)
    dock.errors.kinds.choose("missed")
    click(qtbot, dock.errors.next_button)
    assert viewer.dims.current_step[0] == 2
    dock.form.categories.choose("one")
    # As if it were too large to be painted at once.
    monkeypatch.setattr(error_layers, "IN_MEMORY", 10)
    whole = viewer.layers[NAME].data
    run(qtbot, dock)
    assert listed(dock) == ["missed"]
    errors = viewer.layers[NAME]
    assert not isinstance(errors.data, np.ndarray)
    np.testing.assert_array_equal(np.asarray(errors.data) == 1, whole == 1)
    assert errors.get_value((2, 0, 10)) == 1
    layer.features = rows.assign(category="nucleus")
    dock.form.categories.choose("name")
    run(qtbot, dock)
    assert "category of the prediction (nucleus)" in dock.task.text.text()


class Slow:
    """A label image whose parts are long in coming; knows how many were asked for."""

    shape, dtype, ndim = (40_000, 40_000), np.dtype(np.int32), 2

    def __init__(self) -> None:
        self.reads = 0

    def __getitem__(self, where: Any) -> Any:
        self.reads += 1
        return np.zeros([len(range(*part.indices(40_000))) for part in where], np.int32)


def test_cancel(
    viewer: napari.Viewer, evaluate: EvaluateWidget, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock, slow = evaluate, Slow()
    from napari_instseg.label_set import LabelSet

    for name in ("truth", "found"):
        viewer.add_labels(TRUTH, name=name)
    labels = LabelSet.from_labels(slow, "YX", listed=False)
    monkeypatch.setattr(
        "napari_instseg.gui.evaluate_widget.label_set_of", lambda *args, **more: labels
    )
    click(qtbot, dock.run_button)
    qtbot.waitUntil(lambda: slow.reads > 2, timeout=WAIT)
    assert not dock.run_button.isEnabled()
    click(qtbot, dock.task.cancel_button)
    qtbot.waitUntil(lambda: dock.task.worker is None, timeout=WAIT)
    # Of 400 windows, twice.
    assert slow.reads < 700
    assert dock.task.text.text() == "Cancelled."
    assert dock.run_button.isEnabled()
    assert NAME not in viewer.layers


def test_errors_stay_those_of_the_last_run_that_was_done(
    viewer: napari.Viewer, evaluate: EvaluateWidget, qtbot: Any
) -> None:
    dock = evaluate
    layers = [viewer.add_labels(labels, name="x") for labels in (TRUTH, FOUND, TRUTH[:2])]
    dock.form.truth.setCurrentText(layers[0].name)
    dock.form.predicted.setCurrentText(layers[1].name)
    run(qtbot, dock)
    assert [layer for layer, _ in dock._sides] == [layers[1], layers[0]]
    dock.form.predicted.setCurrentText(layers[2].name)
    assert dock.form.layers() == (layers[2], layers[0])
    run(qtbot, dock)
    assert "shape" in dock.task.text.text()
    assert [layer for layer, _ in dock._sides] == [layers[1], layers[0]]


def test_two_folders(
    viewer: napari.Viewer, evaluate: EvaluateWidget, qtbot: Any, tmp_path: Path
) -> None:
    dock = evaluate
    for folder, labels in (("truth", TRUTH), ("found", FOUND)):
        (tmp_path / folder).mkdir()
        for name in ("a", "b"):
            np.save(tmp_path / folder / f"{name}.npy", labels)
    dock.form.compare.choose("folders")
    assert dock.form.predicted.isHidden()
    run(qtbot, dock)
    assert "expected two folders" in dock.task.text.text()
    dock.form.predicted_folder.path.setText(str(tmp_path / "found"))
    dock.form.truth_folder.path.setText(str(tmp_path / "truth"))
    run(qtbot, dock)
    assert dock.scores.value_of("Objects: truth, found") == "12, 14"
    assert dock.scores.value_of("b") == "0.444"
    assert not dock.errors.isVisible()
    (tmp_path / "found" / "a.npy").unlink()
    run(qtbot, dock)
    assert "1 of 2 label images have no prediction" in dock.task.text.text().replace("\u200b", "")
