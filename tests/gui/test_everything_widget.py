"""The Segment everything dock, by real clicks, with models that answer at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import napari
import napari.layers
import numpy as np
import pytest
from gui.clicks import WAIT, click
from gui.fakes import FakeModel, entry, squares
from napari.utils import progress as napari_progress
from napari.utils.notifications import notification_manager
from prompters import BrightnessPrompter
from qtpy.QtWidgets import QApplication

from napari_instseg.gui.everything_widget import EverythingWidget
from napari_instseg.gui.holder import PrompterHolder
from napari_instseg.gui.segment_widget import SegmentWidget
from napari_instseg.gui.worker import ModelHolder
from napari_instseg.models import prompters
from napari_instseg.models.entry import Report
from napari_instseg.models.prompters import LoadedPrompter
from napari_instseg.promptable import Candidates
from napari_instseg.segmenter import DeviceMemoryError, ModelError
from napari_instseg.settings import Settings

DETECTOR, LAYER = "detector", "layer"


class Prompter(BrightnessPrompter):
    """Can be held up and made to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.load_error: Exception | None = None
        self.loads: list[str] = []

    def load(self, settings: Settings, report: Report | None = None) -> LoadedPrompter:
        self.loads.append(settings.model)
        if self.load_error is not None:
            raise self.load_error
        return LoadedPrompter(self, settings.model, "fake.safetensors", "0" * 64)

    def decode(self, *args: Any, **options: Any) -> Candidates:
        self.entered.set()
        if not self.gate.wait(60):
            raise TimeoutError("nobody opened the gate")
        if self.error is not None:
            raise self.error
        return super().decode(*args, **options)


@pytest.fixture
def prompter() -> Prompter:
    return Prompter()


@pytest.fixture
def make_dock(
    viewer: napari.Viewer, prompter: Prompter, model: FakeModel, qtbot: Any
) -> Iterator[Callable[[], EverythingWidget]]:
    """Opens the dock, with models that need no weights."""
    opened: list[EverythingWidget] = []

    def make() -> EverythingWidget:
        widget = EverythingWidget(viewer, PrompterHolder(prompter.load), ModelHolder(model.load))
        viewer.window.add_dock_widget(widget, name="Segment everything", area="right")
        widget.form.model._set(entry("instant", "prompts", path=Path(__file__)))
        widget.form.points.setValue(8)
        opened.append(widget)
        return widget

    yield make
    prompter.gate.set()
    for widget in opened:
        if widget.worker is not None:
            widget.worker.quit()
            qtbot.waitUntil(lambda widget=widget: widget.worker is None, timeout=WAIT)


@pytest.fixture
def everything(make_dock: Callable[[], EverythingWidget]) -> EverythingWidget:
    return make_dock()


def run(qtbot: Any, dock: EverythingWidget) -> None:
    """Click Run and wait for the end."""
    click(qtbot, dock.run_button)
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)


def named(viewer: napari.Viewer, name: str) -> napari.layers.Labels:
    return viewer.layers[name]


def two_sizes() -> np.ndarray:
    """Squares of 8 px and of 12 px, three of each."""
    small, large = squares(1, 3), squares(1, 3, size=12)
    return np.concatenate([small, large])


def last_notification() -> str:
    return notification_manager.records[-1].message


def test_a_run_from_click_to_layers_and_sliders_without_the_model(
    viewer: napari.Viewer, everything: EverythingWidget, prompter: Prompter, qtbot: Any
) -> None:
    layer = viewer.add_image(
        two_sizes(), name="cells", scale=(0.5, 0.5), rotate=20, translate=(3, 7), units="um"
    )
    run(qtbot, everything)
    assert [x.name for x in viewer.layers] == ["cells", "cells everything instances"]
    labels = named(viewer, "cells everything instances")
    assert everything.status.text().startswith("6 objects · ")
    assert everything.status.text().endswith(" s · CPU")
    np.testing.assert_array_equal(labels.data > 0, layer.data > 0)
    np.testing.assert_allclose(labels.data_to_world((3, 5)), layer.data_to_world((3, 5)))
    assert sorted(labels.features["area"]) == [64] * 3 + [144] * 3
    recipe = labels.metadata["napari_instseg"]
    assert recipe["model"]["name"] == "instant"
    assert recipe["everything"]["points_per_side"] == 8
    assert everything.run_button.text() == "Run"
    assert not everything.progress.isVisible()

    # The sliders choose from what is there: the model is not asked again.
    asked, limits = len(prompter.decoded), everything.limits
    assert limits.area.text.text() == "16 – 36 µm²"
    limits.area.set_value(100, np.inf)
    qtbot.waitUntil(lambda: len(labels.features) == 3, timeout=WAIT)
    assert set(labels.features["area"]) == {144}
    assert everything.status.text().startswith("3 objects")
    assert labels.metadata["napari_instseg"]["everything"]["min_area"] == pytest.approx(100)
    limits.predicted_iou.setValue(0.95)
    qtbot.waitUntil(lambda: labels.data.max() == 0, timeout=WAIT)
    qtbot.waitUntil(lambda: "within the limits: widen" in everything.status.text(), timeout=WAIT)
    limits.predicted_iou.setValue(0.5)
    qtbot.waitUntil(lambda: "below 0.73 were not kept" in everything.status.text(), timeout=WAIT)
    click(qtbot, limits.reset_button)
    qtbot.waitUntil(lambda: len(labels.features) == 6, timeout=WAIT)
    assert not limits.reset_button.isEnabled()
    assert len(prompter.decoded) == asked

    # Another run updates the layers; what was edited by hand stays, and gets company.
    run(qtbot, everything)
    assert len(viewer.layers) == 2
    assert len(prompter.loads) == 1
    labels.fill((8, 8), 99)
    painted = labels.data.copy()
    limits.area.set_value(100, np.inf)
    qtbot.waitUntil(lambda: "edited by hand" in everything.status.text(), timeout=WAIT)
    run(qtbot, everything)
    np.testing.assert_array_equal(labels.data, painted)
    assert named(viewer, "cells everything instances [1]").data.max() == 3


def test_cancel_keeps_what_was_found(
    viewer: napari.Viewer, everything: EverythingWidget, prompter: Prompter, qtbot: Any
) -> None:
    viewer.add_image(squares(8, 8), name="cells")
    everything.form.outputs.boxes["semantic"].setChecked(True)
    everything.form.mode.choose("exact")
    prompter.gate.clear()
    click(qtbot, everything.run_button)
    qtbot.waitUntil(prompter.entered.is_set, timeout=WAIT)
    assert everything.run_button.text() == "Cancel"
    assert everything.progress.isVisible()
    assert [bar.desc for bar in napari_progress._all_instances] == ["segmentation of 'cells'"]
    click(qtbot, everything.run_button)
    assert everything.status.text() == "Cancelling after this batch…"
    assert not everything.run_button.isEnabled()
    prompter.gate.set()
    qtbot.waitUntil(lambda: everything.worker is None, timeout=WAIT)
    assert prompter.decoded == [16]
    labels = named(viewer, "cells everything instances")
    found = int(labels.data.max())
    assert 0 < found <= 16
    assert labels.metadata["napari_instseg"]["complete"] is False
    assert everything.status.text().startswith(f"Cancelled: {found} object")
    assert named(viewer, "cells everything semantic").data.max() == 1
    assert everything.run_button.isEnabled()
    assert not napari_progress._all_instances
    # A part can be chosen from, too.
    everything.limits.predicted_iou.setValue(0.95)
    qtbot.waitUntil(lambda: labels.data.max() == 0, timeout=WAIT)


def test_errors_are_notified_and_the_button_comes_back(
    viewer: napari.Viewer, everything: EverythingWidget, prompter: Prompter, qtbot: Any
) -> None:
    click(qtbot, everything.run_button)
    assert "expected an image layer" in last_notification()
    viewer.add_image(squares(), name="cells")
    prompter.load_error = ModelError("http://nowhere cannot be reached; get that file elsewhere")
    run(qtbot, everything)
    assert "get that file elsewhere" in last_notification()
    prompter.load_error = None
    prompter.error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    run(qtbot, everything)
    assert "mat1 and mat2" in last_notification()
    assert everything.status.text() == "Failed: see the notification."
    assert everything.run_button.isEnabled()
    prompter.error = DeviceMemoryError("no room")
    run(qtbot, everything)
    assert everything.prompters.name == ""
    prompter.error = None
    assert len(viewer.layers) == 1

    # What is missing is said before a run.
    everything.form.model._set(entry("gone", "prompts", path=Path("/nowhere/x.pth"), url=""))
    assert not everything.run_button.isEnabled()
    assert "The model 'Gone' needs the file" in everything.status.text()
    everything.form.model._set(entry("instant", "prompts", path=Path(__file__)))
    assert everything.status.text() == ""
    everything.form.source.choose(LAYER)
    click(qtbot, everything.run_button)
    assert "expected a Labels, Points or Shapes layer" in last_notification()
    everything.form.source.choose("grid")
    run(qtbot, everything)
    assert named(viewer, "cells everything instances").data.max() == 20
    viewer.add_image(np.zeros((64, 80), np.uint8), name="dark")
    run(qtbot, everything)
    assert everything.status.text().startswith("Nothing was found. Lower “Pred. IoU”")


@pytest.mark.parametrize("kind", ["labels", "points", "shapes"])
def test_objects_of_a_layer_are_drawn_anew(
    viewer: napari.Viewer,
    everything: EverythingWidget,
    prompter: Prompter,
    qtbot: Any,
    kind: str,
) -> None:
    layer = viewer.add_image(
        squares(2, 3), name="cells", scale=(0.5, 0.25), rotate=30, translate=(5, -4)
    )
    middles = [(7.5, 7.5), (23.5, 39.5)]
    if kind == "labels":
        # Drawn a little too large, with numbers of the user's own.
        drawn = np.zeros((32, 48), np.int64)
        for number, (row, col) in zip((7, 1_000_000), middles, strict=True):
            drawn[int(row) - 4 : int(row) + 6, int(col) - 4 : int(col) + 6] = number
        source = viewer.add_labels(drawn, scale=(0.5, 0.25), rotate=30, translate=(5, -4))
    elif kind == "points":
        source = viewer.add_points([layer.data_to_world(point) for point in middles])
    else:
        corners = [
            [layer.data_to_world((r + a, c + b)) for a, b in ((-6, -6), (-6, 6), (6, 6), (6, -6))]
            for r, c in middles
        ]
        source = viewer.add_shapes(corners, shape_type="polygon")
    everything.form.source.choose(LAYER)
    assert everything.form.objects.layer() is source
    assert everything.form.layer() is layer
    run(qtbot, everything)
    labels = named(viewer, "cells refined instances")
    expected = np.zeros((32, 48), bool)
    expected[4:12, 4:12] = expected[20:28, 36:44] = True
    np.testing.assert_array_equal(labels.data > 0, expected)
    assert labels.features["score"].to_numpy() == pytest.approx(
        [0.9 if kind == "points" else 0.95] * 2
    )
    np.testing.assert_allclose(labels.data_to_world((3, 5)), layer.data_to_world((3, 5)))
    assert prompter.decoded == [2]


def test_the_selected_result_is_offered_and_keeps_class_and_score(
    viewer: napari.Viewer,
    dock: SegmentWidget,
    make_dock: Callable[[], EverythingWidget],
    qtbot: Any,
) -> None:
    viewer.add_image(squares(2, 3), name="cells")
    dock.form.outputs["semantic"].setChecked(False)
    dock.form.outputs["panoptic"].setChecked(False)
    click(qtbot, dock.run_button)
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    found = named(viewer, "cells instances")
    viewer.add_image(squares(), name="other")
    viewer.layers.selection.active = found
    everything = make_dock()
    form = everything.form
    assert (form.kind(), form.objects.layer(), form.layer().name) == (LAYER, found, "cells")
    run(qtbot, everything)
    refined = named(viewer, "cells refined instances")
    columns = ["index", "category", "score"]
    assert refined.features[columns].equals(found.features[columns])
    assert set(refined.features["category"]) == {"nucleus"}
    assert not found.visible
    assert everything.status.text().startswith(f"{len(found.features)} nuclei")


def test_detector_and_prompts_in_one_run(
    viewer: napari.Viewer,
    everything: EverythingWidget,
    prompter: Prompter,
    model: FakeModel,
    qtbot: Any,
) -> None:
    viewer.add_image(squares(2, 5), name="cells")
    form = everything.form
    form.source.choose(DETECTOR)
    assert form.detector.isVisibleTo(form)
    assert not form.points.isVisibleTo(form)
    steps: list[int] = []
    update = everything.progress.update_to
    everything.progress.update_to = lambda done, total: (steps.append(done), update(done, total))
    run(qtbot, everything)
    labels = named(viewer, "cells refined instances")
    assert set(labels.features["category"]) == {"nucleus"}
    assert labels.features["score"].iloc[0] == pytest.approx(0.95)
    assert labels.features["score"].min() >= 0.5
    assert steps == sorted(steps)
    assert steps[-1] == 1000
    assert labels.metadata["napari_instseg"]["detector"]["model"]["name"] == "nuclei"
    # The detector's score is a limit, too.
    tiles, asked = model.tiles, len(prompter.decoded)
    everything.limits.score.setValue(0.9)
    qtbot.waitUntil(lambda: len(labels.features) == 1, timeout=WAIT)
    everything.limits.score.setValue(0.0)
    qtbot.waitUntil(lambda: len(labels.features) == 10, timeout=WAIT)
    assert (model.tiles, len(prompter.decoded)) == (tiles, asked)
    assert everything.status.text().startswith("10 nuclei")

    # Cancelled while the detector runs: what it has found is kept as it is.
    viewer.add_image(squares(3, 3), name="others")
    model.gate.clear()
    model.entered.clear()
    click(qtbot, everything.run_button)
    qtbot.waitUntil(model.entered.is_set, timeout=WAIT)
    click(qtbot, everything.run_button)
    model.gate.set()
    qtbot.waitUntil(lambda: everything.worker is None, timeout=WAIT)
    assert everything.status.text().startswith("Cancelled: ")
    assert len(prompter.decoded) == asked
    assert named(viewer, "others refined instances").data.max() > 0


def test_planes_view_and_a_drawn_region(
    viewer: napari.Viewer, everything: EverythingWidget, qtbot: Any
) -> None:
    stack = np.zeros((3, 64, 64), np.uint8)
    stack[1] = squares(4, 4)
    layer = viewer.add_image(stack, name="cells", scale=(2, 0.5, 0.5))
    form = everything.form
    texts = [form.region.itemText(i) for i in range(form.region.count())]
    assert texts == ["This plane", "All planes", "View"]
    viewer.dims.set_point(0, 2)
    run(qtbot, everything)
    labels = named(viewer, "cells view everything instances")
    assert labels.data.shape == (1, 64, 64)
    assert labels.data.max() == 16
    np.testing.assert_allclose(labels.data_to_world((0, 7, 9)), layer.data_to_world((1, 7, 9)))
    assert labels.metadata["napari_instseg"]["view"] == {"Z": 1}

    form.region.choose("all")
    run(qtbot, everything)
    whole = named(viewer, "cells everything instances")
    assert whole.data.shape == (3, 64, 64)
    assert set(whole.features["z"]) == {1}
    assert not labels.visible

    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    camera.center, camera.zoom = (0, 8, 8), camera.zoom * 4
    QApplication.processEvents()
    qtbot.waitUntil(lambda: layer.corner_pixels[1, 1] < 64, timeout=WAIT)
    form.region.choose("view")
    run(qtbot, everything)
    view = labels.metadata["napari_instseg"]["view"]
    assert 0 < labels.data.max() < 16
    assert view["Y"][1] < 64

    # A shape of the user's own marks a region: it becomes a choice as soon as it is there.
    shapes = viewer.add_shapes(
        [[[1, 0, 0], [1, 0, 31], [1, 15, 31], [1, 15, 0]]],
        shape_type="polygon",
        name="here",
        scale=(2, 0.5, 0.5),
    )
    form.region.choose(shapes.unique_id)
    assert form.region.currentText() == "Shape in “here”"
    run(qtbot, everything)
    assert labels.metadata["napari_instseg"]["view"] == {"Z": 1, "Y": [0, 16], "X": [0, 32]}
    assert labels.data.max() == 2
    viewer.layers.remove(shapes)
    assert form.region.currentText() == "This plane"


def test_closing_the_dock_in_a_run_cancels_and_lets_go(
    viewer: napari.Viewer, everything: EverythingWidget, prompter: Prompter, qtbot: Any
) -> None:
    viewer.add_image(squares(8, 8))
    prompter.gate.clear()
    click(qtbot, everything.run_button)
    qtbot.waitUntil(prompter.entered.is_set, timeout=WAIT)
    everything.close()
    prompter.gate.set()
    qtbot.waitUntil(lambda: everything.worker is None, timeout=WAIT)
    assert len(prompter.decoded) == 1
    count = everything.form.layer_choice.count()
    viewer.add_image(squares())
    viewer.add_shapes([[[0, 0], [5, 5]]])
    assert everything.form.layer_choice.count() == count


def test_the_dock_fits_its_width_whatever_is_chosen(
    viewer: napari.Viewer, everything: EverythingWidget, qtbot: Any
) -> None:
    viewer.add_image(np.zeros((2, 3, 32, 32)), axis_labels=("t", "c", "y", "x"))
    click(qtbot, everything.form.more.toggleButton())
    for kind in ("grid", DETECTOR, LAYER):
        everything.form.source.choose(kind)
        QApplication.processEvents()
        for part in (everything.form, everything.limits):
            assert part.minimumSizeHint().width() + 16 <= everything.minimumWidth() <= 320
    values = everything.form.more.values()
    assert not {"tile_size", "overlap"} & set(values)
    everything.form.more.tile_size.setValue(128)
    assert everything.form.settings().tile_size == 128


@pytest.mark.slow
@pytest.mark.skipif(not prompters.built_in().present, reason="the built-in model is not here")
def test_the_built_in_model_on_the_sample(viewer: napari.Viewer, qtbot: Any) -> None:
    viewer.open_sample("napari-instseg", "fluorescence")
    dock = EverythingWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Segment everything", area="right")
    run(qtbot, dock)
    labels = named(viewer, "fluorescence everything instances")
    grid = int(labels.data.max())
    assert grid >= 60
    dock.form.source.choose(DETECTOR)
    run(qtbot, dock)
    refined = named(viewer, "fluorescence refined instances")
    assert refined.data.max() >= 100
    assert set(refined.features["category"]) == {"nucleus"}
