"""What a dock copies runs as it is, and gives the labels that the dock gives."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pandas as pd
import pytest
import tifffile
from gui.clicks import WAIT, click
from gui.prompt.hands import ALT, CTRL, SHIFT, Hands
from helpers import ComponentSegmenter
from prompters import BrightnessPrompter, pretend
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

import napari_instseg as nis
from napari_instseg import Editor, api
from napari_instseg.cli import main
from napari_instseg.gui.batch_widget import BatchWidget
from napari_instseg.gui.copying import COMMAND, PYTHON
from napari_instseg.gui.everything_widget import EverythingWidget
from napari_instseg.gui.label_layers import label_set_of
from napari_instseg.gui.limits_form import DETECTOR, LAYER
from napari_instseg.gui.prompt.widget import NOTHING, PromptWidget
from napari_instseg.gui.review.copying import NO_COMMAND, NO_LABELS, NOT_MADE
from napari_instseg.gui.review.widget import ReviewWidget
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


def copied(dock: Any, name: str) -> str:
    QApplication.clipboard().clear()
    dock.copy_button.actions_by_name[name].trigger()
    return QApplication.clipboard().text()


def executed(text: str, viewer: napari.Viewer | None, what: str = "result") -> Any:
    names: dict[str, Any] = {"viewer": viewer}
    exec(compile(text, "copied", "exec"), names)
    return names[what]


def call(text: str) -> None:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines
    for line in lines:
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

    # What was corrected in the viewer since is in the recipe, and comes again.
    outputs = ("instances", "panoptic")
    editor = Editor(label_set_of(viewer, viewer.layers[f"{layer.name} instances"]))
    editor.apply("split_line", id=1, line=[(20.3, 5), (20.3, 40)])
    editor.apply("delete", ids=[2])
    again = nis.replay(json.loads(json.dumps(editor.labels.recipe)), file)
    for output in outputs:
        np.testing.assert_array_equal(again.read(output), editor.labels.read(output))
    assert labels.max() < again.instances.max()

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


#: Middles of the objects.
ONE, TWO, THREE, FOUR = (20, 20), (45, 64), (100, 90), (99, 30)


def exported(text: str, viewer: napari.Viewer) -> None:
    """Do in napari's console what the remark of a command asks for."""
    (line,) = [line for line in text.splitlines() if "write it first" in line]
    exec(line.partition("console: ")[2], {"nis": nis, "viewer": viewer})


def prompts_in(qtbot: Any, viewer: napari.Viewer, dock: PromptWidget) -> Hands:
    """Press Start and wait."""
    click(qtbot, dock.start_button)
    qtbot.waitUntil(lambda: dock.running is not None, timeout=WAIT)
    return Hands(viewer, qtbot, dock.ground().layer)


def settled(dock: PromptWidget) -> bool:
    drafts = dock.running.prompting.drafts
    return bool(len(drafts)) and not drafts.unanswered()


def point(hands: Hands, dock: PromptWidget, at: tuple[int, int]) -> None:
    """Click an object, and accept it."""
    hands.click(*at)
    accept(hands, dock)


def accept(hands: Hands, dock: PromptWidget) -> None:
    hands.until(lambda: settled(dock))
    hands.press(Qt.Key.Key_Return)
    assert not len(dock.running.prompting.drafts)


def test_the_prompt_dock(viewer: napari.Viewer, qtbot: Any, file: Path) -> None:
    viewer.window.resize(1300, 850)
    (layer,) = viewer.open(file, plugin="napari")
    dock = PromptWidget(viewer)
    viewer.window.add_dock_widget(dock, area="right")
    assert not dock.copy_button.isEnabled()
    assert dock.copy_button.toolTip() == NOTHING
    hands = prompts_in(qtbot, viewer, dock)
    labels = viewer.layers[f"{layer.name} objects"]

    # The dilated one of three candidates; clicks that correct each other; a box beside a click,
    # accepted in one go, each with its number.
    hands.click(*ONE)
    hands.until(lambda: settled(dock))
    hands.press(Qt.Key.Key_Tab)
    chosen = dock.running.prompting.drafts.last.mask.area
    accept(hands, dock)
    assert (labels.data == 1).sum() == chosen
    hands.click(*TWO)
    hands.until(lambda: settled(dock))
    hands.click(*FOUR)
    hands.until(lambda: settled(dock))
    hands.click(*FOUR, keys=ALT)
    accept(hands, dock)
    hands.click(*THREE)
    hands.until(lambda: settled(dock))
    hands.drag([(92, 22), (106, 38)], keys=SHIFT)
    accept(hands, dock)
    assert sorted(np.unique(labels.data)) == [0, 1, 2, 3, 4]
    text = copied(dock, PYTHON)
    assert dock.status.text() == "Copied as Python."
    assert "session.draw([" in text
    assert "viewer" not in text
    np.testing.assert_array_equal(executed(text, None, "labels").instances, labels.data)
    call(copied(dock, COMMAND))
    np.testing.assert_array_equal(read_labels("results/it's a_instances.tif"), labels.data)

    # An object is taken up again and painted anew; a stroke is undone; another stays.
    hands.move(*TWO)
    hands.press(Qt.Key.Key_E)
    hands.until(lambda: settled(dock))
    hands.click(*THREE, keys=ALT)
    accept(hands, dock)
    labels.paint((45, 64), 9)
    hands.press(Qt.Key.Key_Z, CTRL)
    assert 9 not in labels.data
    labels.brush_size = 5
    labels.paint((60, 10), 7)
    wanted = labels.data.copy()
    assert 7 in wanted
    text = copied(dock, PYTHON)
    assert "editor.apply(" in text
    made = executed(text, None, "labels")
    np.testing.assert_array_equal(made.instances, wanted)
    assert made.table["index"].tolist() == [1, 2, 3, 4, 7]
    text = copied(dock, COMMAND)
    exported(text, viewer)
    call(text)
    np.testing.assert_array_equal(read_labels("replayed/it's a_instances.tif"), wanted)

    # The session is over, and goes on in the same layer.
    click(qtbot, dock.start_button)
    text = copied(dock, PYTHON)
    np.testing.assert_array_equal(executed(text, None, "labels").instances, wanted)
    prompts_in(qtbot, viewer, dock)
    assert dock.labels() is labels
    labels.fill((99, 30), 0)
    qtbot.waitUntil(lambda: len(labels.metadata["napari_instseg"]["prompts"]) == 4, timeout=WAIT)
    again = nis.replay(json.loads(json.dumps(labels.metadata["napari_instseg"])), file)
    np.testing.assert_array_equal(again.instances, labels.data)
    dock.close()


def test_the_review_dock(viewer: napari.Viewer, qtbot: Any, file: Path) -> None:
    viewer.window.resize(1400, 950)
    (layer,) = viewer.open(file, plugin="napari")
    segment, review = SegmentWidget(viewer), ReviewWidget(viewer)
    viewer.window.add_dock_widget(review, area="right")
    assert not review.copy_button.isEnabled()
    assert review.copy_button.toolTip() == NO_LABELS
    viewer.window.add_dock_widget(segment, area="left")
    segment.form.threshold.setValue(0.5)
    run(qtbot, segment)
    labels = viewer.layers[f"{layer.name} instances"]
    qtbot.waitUntil(
        lambda: review.session is not None and review.session.layer is labels, timeout=WAIT
    )
    qtbot.wait(200)
    found = labels.data.copy()
    assert found.max() > 2
    text = copied(review, PYTHON)
    assert review.status.text() == "Copied as Python."
    np.testing.assert_array_equal(executed(text, None, "labels").instances, found)

    # A row is chosen and deleted, another is cut, and one is painted.
    one, two = (int(found[at]) for at in (ONE, TWO))
    review.session.select([one])
    click(qtbot, review.edit.buttons["Delete"])
    review.session.apply("split_line", id=two, line=[(45.3, 50), (45.3, 80)])
    labels.brush_size = 5
    labels.paint((60, 10), 77)
    text = copied(review, PYTHON)
    assert text.count("editor.apply(") == 3
    made = executed(text, None, "labels")
    for output in ("instances", "semantic", "panoptic"):
        np.testing.assert_array_equal(made.read(output), review.session.labels.read(output))
    np.testing.assert_array_equal(made.instances, labels.data)
    assert 77 in labels.data
    assert one not in labels.data
    text = copied(review, COMMAND)
    exported(text, viewer)
    call(text)
    np.testing.assert_array_equal(read_labels("replayed/it's a_instances.tif"), labels.data)

    # What was measured is measured again: in files, in layers; what is gone is named.
    other = viewer.add_image(layer.data // 3, name="other")
    gone = viewer.add_image(layer.data // 4, name="gone")
    for row in range(review.measure.images.count()):
        review.measure.images.item(row).setCheckState(Qt.CheckState.Checked)
    review.measure.measure()
    qtbot.waitUntil(lambda: len(review.session.measured.columns) > 2, timeout=WAIT)
    viewer.layers.remove(gone)
    text = copied(review, PYTHON)
    assert text.count("# not measured") == 1
    again, seen = executed(text, viewer, "table"), review.session.measured
    kept = [name for name in again if name in seen]
    assert {"perimeter", "it's a_mean", "other_sum"} <= {*kept}
    assert not [name for name in again if name.startswith("gone")]
    pd.testing.assert_frame_equal(again[kept], seen[kept], check_dtype=False)
    text = copied(review, COMMAND)
    exported(text, viewer)
    shutil.rmtree("replayed")
    assert len(text.splitlines()) > 2
    call(text)
    table = pd.read_csv("replayed/measured.csv")
    kept = [name for name in table if name in seen]
    assert "it's a_mean" in kept
    np.testing.assert_allclose(table[kept], seen[kept], rtol=1e-6)
    assert f"{other.name}_mean" not in table

    # The viewer shows another image by now: that is said.
    layer.data = layer.data // 2
    assert copied(review, PYTHON) == ""


def test_labels_from_a_file_are_reviewed(
    viewer: napari.Viewer, qtbot: Any, file: Path, pixels: np.ndarray
) -> None:
    path = file.with_name("some labels.tif")
    tifffile.imwrite(path, (pixels > 0).astype(np.uint16) * 5)
    review = ReviewWidget(viewer)
    viewer.window.add_dock_widget(review, area="right")
    (layer,) = viewer.open(path, plugin="napari", layer_type="labels")
    qtbot.waitUntil(lambda: review.session is not None, timeout=WAIT)
    review.session.apply("grow", ids=[5], distance=2.0)
    text = copied(review, PYTHON)
    np.testing.assert_array_equal(executed(text, None, "labels").instances, layer.data)
    assert (layer.data > 0).sum() > (pixels > 0).sum()
    command = review.copy_button.actions_by_name[COMMAND]
    assert not command.isEnabled()
    assert command.toolTip() == NO_COMMAND

    drawn = viewer.add_labels(layer.data.copy(), name="drawn")
    review.choice.choose(drawn.unique_id)
    qtbot.waitUntil(lambda: review.session is not None and review.session.layer is drawn)
    assert not review.copy_button.isEnabled()
    assert review.copy_button.toolTip() == NOT_MADE


def test_prompts_in_a_stack_and_what_was_propagated(viewer: napari.Viewer, qtbot: Any) -> None:
    planes, rows, cols = np.indices((7, 64, 64)) + 0.5
    ball = np.hypot(np.hypot(planes - 3.5, rows - 24), cols - 32) < 6
    viewer.window.resize(1300, 850)
    viewer.add_image(ball.astype(np.uint8) * 255, name="cells", scale=(3, 0.5, 0.5))
    dock = PromptWidget(viewer)
    viewer.window.add_dock_widget(dock, area="right")
    viewer.dims.set_point(0, 9)
    hands = prompts_in(qtbot, viewer, dock)
    point(hands, dock, (24, 32))
    labels, box = viewer.layers["cells objects"], dock.propagate
    click(qtbot, dock.stack.toggleButton())
    click(qtbot, box.run_button)
    qtbot.waitUntil(lambda: not box.busy, timeout=WAIT)
    click(qtbot, box.planes.accept_button)
    assert len(np.unique(np.nonzero(labels.data)[0])) > 3
    text = copied(dock, PYTHON)
    assert "session.draw(" in text
    assert "image = viewer.layers['cells']" in text
    made = executed(text, viewer, "labels")
    np.testing.assert_array_equal(made.instances, labels.data)
    assert made.axes == "ZYX"
    dock.close()


def test_prompts_into_the_result_of_a_run(viewer: napari.Viewer, qtbot: Any, file: Path) -> None:
    viewer.window.resize(1300, 850)
    (layer,) = viewer.open(file, plugin="napari")
    segment, dock = SegmentWidget(viewer), PromptWidget(viewer)
    viewer.window.add_dock_widget(segment, area="left")
    segment.form.threshold.setValue(0.95)
    run(qtbot, segment)
    labels = viewer.layers[f"{layer.name} instances"]
    before, recipe = labels.data.copy(), labels.metadata["napari_instseg"]
    assert before[ONE] > 0
    assert before[FOUR] == 0
    viewer.window.add_dock_widget(dock, area="right")
    dock.setup.target.choose(labels.unique_id)
    assert dock.copy_button.isEnabled()
    hands = prompts_in(qtbot, viewer, dock)
    assert dock.labels() is labels
    point(hands, dock, FOUR)
    assert labels.data[FOUR] == before.max() + 1
    text = copied(dock, PYTHON)
    assert "nis.segment(" in text
    np.testing.assert_array_equal(executed(text, None, "labels").instances, labels.data)
    added = labels.metadata["napari_instseg"]
    assert {**added, "edits": []} == {**recipe, "edits": []}
    assert [edit["edit"] for edit in added["edits"]] == ["paint"]
    dock.close()
