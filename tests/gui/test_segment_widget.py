from __future__ import annotations

import time
from typing import Any

import napari
import napari.layers
import numpy as np
import pytest
from gui.clicks import WAIT, click
from gui.fakes import FakeModel, squares
from napari.utils import progress as napari_progress
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QApplication, QPushButton

from napari_instseg.gui import layers as gui_layers
from napari_instseg.gui.axes import choose_axis
from napari_instseg.gui.docks import dock_of
from napari_instseg.gui.segment_widget import SegmentWidget
from napari_instseg.segmenter import DeviceMemoryError, ModelError


def run(qtbot: Any, dock: SegmentWidget, button: QPushButton | None = None) -> None:
    """Click Run (or another button) and wait for the end."""
    click(qtbot, button or dock.run_button)
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)


def named(viewer: napari.Viewer, name: str) -> napari.layers.Labels:
    return viewer.layers[name]


def small_tiles(dock: SegmentWidget) -> None:
    dock.form.more.tile_size.setValue(64)
    dock.form.more.overlap.setValue(16)


def last_notification() -> str:
    return notification_manager.records[-1].message


def test_a_run_from_click_to_layers(
    viewer: napari.Viewer, dock: SegmentWidget, model: FakeModel, qtbot: Any
) -> None:
    layer = viewer.add_image(squares(), name="cells", scale=(0.5, 0.5), units="um")
    run(qtbot, dock)
    assert [x.name for x in viewer.layers] == [
        "cells", "cells panoptic", "cells semantic", "cells instances",
    ]  # fmt: skip
    instances = named(viewer, "cells instances")
    assert instances.data.max() == len(instances.features) == 13
    np.testing.assert_allclose(instances.extent.world, layer.extent.world)
    assert str(instances.units[0]) == "micrometer"
    assert dock.status.text().startswith("13 nuclei · ")
    assert dock.status.text().endswith(" s · a fake device")
    assert dock.form.more.device.itemText(0) == "Automatic (a fake device)"
    assert dock.run_button.text() == "Run"
    assert dock.view_button.isEnabled()
    assert not dock.progress.isVisible()

    # The slider repaints from the raw instances: the model is not asked again.
    tiles = model.tiles
    dock.form.threshold.setValue(0.9)
    qtbot.waitUntil(lambda: instances.data.max() == 2, timeout=WAIT)
    qtbot.waitUntil(lambda: len(instances.features) == 2, timeout=WAIT)
    assert named(viewer, "cells semantic").features["segments"].tolist() == [2]
    assert instances.metadata["napari_instseg"]["settings"]["score_threshold"] == 0.9
    dock.form.threshold.setValue(0.0)
    qtbot.waitUntil(lambda: len(instances.features) == 20, timeout=WAIT)
    assert dock.status.text().startswith("20 nuclei")
    assert model.tiles == tiles

    # Another run updates the layers; the model is still loaded.
    layer.data = squares(2, 5)
    run(qtbot, dock)
    assert len(viewer.layers) == 4
    assert instances.data.shape == (32, 80)
    assert instances.data.max() == 10
    assert len(model.loads) == 1

    # Fewer outputs, another image: new layers, only those asked for.
    viewer.add_image(np.stack([squares()] * 3, axis=-1), rgb=True, name="tissue")
    assert dock.form.layer() is viewer.layers["tissue"]
    dock.form.outputs["semantic"].setChecked(False)
    dock.form.outputs["panoptic"].setChecked(False)
    run(qtbot, dock)
    assert [x.name for x in viewer.layers][4:] == ["tissue", "tissue instances"]


def test_hand_edits_survive_slider_and_run(
    viewer: napari.Viewer, dock: SegmentWidget, qtbot: Any
) -> None:
    viewer.add_image(squares(), name="cells")
    run(qtbot, dock)
    instances, panoptic = named(viewer, "cells instances"), named(viewer, "cells panoptic")
    instances.fill((8, 8), 99)
    painted = instances.data.copy()
    dock.form.threshold.setValue(0.9)
    qtbot.waitUntil(lambda: panoptic.data.max() == 2, timeout=WAIT)
    np.testing.assert_array_equal(instances.data, painted)
    assert "edited by hand" in dock.status.text()
    run(qtbot, dock)
    np.testing.assert_array_equal(instances.data, painted)
    assert named(viewer, "cells instances [1]").data.max() == 2
    assert "edited" not in dock.status.text()


def test_progress_in_dock_and_activity_dock_and_cancel(
    viewer: napari.Viewer, dock: SegmentWidget, model: FakeModel, qtbot: Any
) -> None:
    viewer.add_image(squares(16, 16), name="cells")
    small_tiles(dock)
    model.gate.clear()
    click(qtbot, dock.run_button)
    qtbot.waitUntil(model.entered.is_set, timeout=WAIT)
    assert dock.run_button.text() == "Cancel"
    assert not dock.view_button.isEnabled()
    assert dock.progress.isVisible()
    assert [bar.desc for bar in napari_progress._all_instances] == ["segmentation of 'cells'"]
    click(qtbot, dock.run_button)
    assert not dock.run_button.isEnabled()
    model.gate.set()
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    assert model.tiles == 1
    assert dock.status.text().startswith("Cancelled: ")
    assert 0 < named(viewer, "cells instances").data.max() <= 16
    assert named(viewer, "cells instances").metadata["napari_instseg"]["complete"] is False
    assert dock.run_button.text() == "Run"
    assert dock.run_button.isEnabled()
    assert dock.view_button.isEnabled()
    assert not napari_progress._all_instances

    # The activity dock has a Cancel of its own.
    model.entered.clear()
    model.gate.clear()
    click(qtbot, dock.run_button)
    qtbot.waitUntil(model.entered.is_set, timeout=WAIT)
    next(iter(napari_progress._all_instances)).cancel()
    model.gate.set()
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    assert dock.status.text().startswith("Cancelled")

    # Cancelled before the first tile: the earlier result stays.
    before = named(viewer, "cells instances").data.copy()
    click(qtbot, dock.run_button)
    click(qtbot, dock.run_button)
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    if "before anything" in dock.status.text():
        np.testing.assert_array_equal(named(viewer, "cells instances").data, before)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "mat1 and mat2"),
        (
            ModelError("expected a weights file at /nowhere; there is none"),
            "expected a weights file",
        ),
    ],
)
def test_errors_are_notified_and_the_buttons_come_back(
    viewer: napari.Viewer,
    dock: SegmentWidget,
    model: FakeModel,
    qtbot: Any,
    error: Exception,
    text: str,
) -> None:
    viewer.add_image(squares())
    model.error = error
    run(qtbot, dock)
    assert text in last_notification()
    assert dock.run_button.text() == "Run"
    assert dock.run_button.isEnabled()
    assert dock.view_button.isEnabled()
    assert not dock.progress.isVisible()
    assert len(viewer.layers) == 1
    model.error = None
    run(qtbot, dock)
    assert len(viewer.layers) == 4


def test_what_does_not_fit_is_said_before_a_run(
    viewer: napari.Viewer, dock: SegmentWidget, model: FakeModel, qtbot: Any
) -> None:
    form = dock.form
    click(qtbot, dock.run_button)
    assert "expected an image layer" in last_notification()
    viewer.add_image(squares())
    for box in form.outputs.values():
        box.setChecked(False)
    click(qtbot, dock.run_button)
    assert "outputs: expected some of" in last_notification()
    form.outputs["instances"].setChecked(True)
    form.more.percentiles.set_value(90, 10)
    click(qtbot, dock.run_button)
    assert "percentiles" in last_notification()
    form.more.percentiles.set_value(0, 100)
    viewer.dims.ndisplay = 3
    click(qtbot, dock.view_button)
    assert "2-D view" in last_notification()
    viewer.dims.ndisplay = 2
    assert dock.worker is None
    assert model.tiles == 0
    run(qtbot, dock)
    assert len(viewer.layers) == 2


def test_the_form_becomes_settings(viewer: napari.Viewer, dock: SegmentWidget) -> None:
    form = dock.form
    viewer.add_image(
        np.zeros((3, 32, 32), np.uint16), axis_labels=("c", "y", "x"), contrast_limits=(10, 500)
    )
    assert form.image().axes == "CYX"
    assert [form.more.channel.itemText(i) for i in range(4)] == ["All", "0", "1", "2"]
    form.more.channel.choose(2)
    form.more.intensity.choose("layer")
    form.more.invert.setChecked(True)
    form.more.diameter.choose("value")
    form.more.diameter_value.setValue(12.5)
    form.more.diameter_unit.choose("um")
    form.more.tile_size.setValue(512)
    form.more.overlap.setValue(64)
    form.more.device.choose("cpu")
    settings = form.settings()
    assert settings.channels == (2,)
    assert settings.limits == ((10.0, 500.0),)
    assert settings.invert
    assert (settings.diameter, settings.diameter_unit) == (12.5, "um")
    assert (settings.tile_size, settings.overlap, settings.device) == (512, 64, "cpu")
    assert settings.precision == "auto"
    form.more.precision.choose("float32")
    assert form.settings().precision == "float32"
    form.more.intensity.choose("fixed")
    form.more.limits.set_value(1, 2)
    assert form.settings().limits == ((1.0, 2.0),)
    form.more.diameter.choose("auto")
    assert form.settings().diameter == "auto"
    form.more.tile_size.setValue(64)
    assert form.more.overlap.value() == 32
    # The user decides what is a channel.
    choose_axis(form.layer(), 0, "Z")
    assert form.more.channel.count() == 1
    assert form.settings().channels is None


def test_planes_are_linked_for_images_with_z(
    viewer: napari.Viewer, dock: SegmentWidget, model: FakeModel, qtbot: Any
) -> None:
    stack = dock.form.more.stack
    dock.form.more.toggleButton().click()
    viewer.add_image(np.stack([squares()] * 3), name="time", axis_labels=("t", "y", "x"))
    assert not stack.isVisible()
    viewer.add_image(
        np.stack([squares()] * 3),
        name="stack",
        axis_labels=("z", "y", "x"),
        scale=(2, 1, 1),
        units="um",
    )
    assert stack.isVisible()
    assert not stack.gap.isVisible()
    assert not dock.form.settings().link
    stack.link.choose(True)
    stack.gap.setValue(2)
    stack.planes.setValue(2)
    stack.overlap.setValue(0.45)
    stack.fill.setChecked(True)
    assert stack.waists.isChecked()
    stack.waists.setChecked(False)
    assert stack.gap.isVisible()
    settings = dock.form.settings()
    assert not settings.link_waists
    assert (settings.link, settings.link_overlap, settings.link_gap) == (True, 0.45, 2)
    assert (settings.min_planes, settings.link_fill) == (2, True)
    QApplication.processEvents()
    assert dock.form.minimumSizeHint().width() + 16 <= dock.minimumWidth()

    run(qtbot, dock)
    labels = named(viewer, "stack instances")
    assert labels.data.shape[0] == 3
    assert labels.data.max() == len(labels.features) == 13
    np.testing.assert_array_equal(labels.data[0], labels.data[2])
    assert set(labels.features["planes"]) == {3}
    np.testing.assert_array_equal(labels.features["volume_um3"], labels.features["area"] * 2)
    assert dock.status.text().startswith("13 nuclei")
    tiles = model.tiles
    dock.form.threshold.setValue(0.9)
    qtbot.waitUntil(lambda: labels.data.max() == 2, timeout=WAIT)
    qtbot.waitUntil(lambda: len(labels.features) == 2, timeout=WAIT)
    assert named(viewer, "stack semantic").features["segments"].tolist() == [2]
    assert model.tiles == tiles

    # Of a single plane there is nothing to link; the user decides what Z is.
    stack.planes.setValue(1)
    dock.form.threshold.setValue(0.5)
    run(qtbot, dock, dock.view_button)
    assert named(viewer, "stack view instances").data.max() == 13
    choose_axis(viewer.layers["stack"], 0, "T")
    assert not stack.isVisible()
    assert not dock.form.settings().link


def test_a_stack_is_seen_from_three_sides(
    viewer: napari.Viewer, dock: SegmentWidget, model: FakeModel, qtbot: Any
) -> None:
    volume = np.zeros((40, 64, 64), np.uint8)
    volume[5:15, 10:20, 10:20] = volume[20:35, 30:45, 40:55] = 255
    viewer.add_image(volume, name="stack", axis_labels=("z", "y", "x"), scale=(1, 1, 1), units="um")
    stack = dock.form.more.stack
    stack.link.choose(True)
    stack.ortho.setChecked(True)
    assert dock.form.settings().ortho
    run(qtbot, dock)
    labels = named(viewer, "stack instances")
    assert len(labels.features) == 2
    np.testing.assert_array_equal(labels.data > 0, volume > 0)
    # Each of 40 + 64 + 64 planes once.
    assert model.tiles == 168
    assert labels.metadata["napari_instseg"]["settings"]["ortho"]


def test_where_tiles_met_is_shown_on_request(
    viewer: napari.Viewer, dock: SegmentWidget, qtbot: Any
) -> None:
    picture = np.zeros((100, 160), np.uint8)
    picture[20:40, 50:80] = 255
    viewer.add_image(picture, name="wide")
    dock.form.more.tile_size.setValue(96)
    dock.form.more.overlap.setValue(32)
    run(qtbot, dock)
    assert named(viewer, "wide instances").data.max() == 1
    assert dock.seams_button.isVisibleTo(dock)
    click(qtbot, dock.seams_button)
    seams = viewer.layers["wide seams"]
    assert seams.features["kind"].tolist() == ["joined"]
    # A part of the image has none to show.
    run(qtbot, dock, dock.view_button)
    assert not dock.seams_button.isVisibleTo(dock)


def test_layers_come_and_go(viewer: napari.Viewer, dock: SegmentWidget) -> None:
    choice = dock.form.layer_choice
    assert choice.layer() is None
    one = viewer.add_image(squares(), name="one")
    two = viewer.add_image(squares(), name="two")
    viewer.add_labels(squares().astype(int), name="labels")
    assert [choice.itemText(i) for i in range(choice.count())] == ["two", "one"]
    assert choice.layer() is two
    viewer.layers.selection.active = one
    assert choice.layer() is one
    one.name = "uno"
    assert choice.currentText() == "uno"
    viewer.layers.remove(one)
    assert choice.layer() is two


def test_memory_is_freed_on_request(
    viewer: napari.Viewer, dock: SegmentWidget, model: FakeModel, qtbot: Any
) -> None:
    viewer.add_image(squares())
    click(qtbot, dock.form.more.toggleButton())
    free = dock.form.more.free_button
    assert not free.isEnabled()
    run(qtbot, dock)
    model.gate.clear()
    model.entered.clear()
    click(qtbot, dock.run_button)
    qtbot.waitUntil(model.entered.is_set, timeout=WAIT)
    assert not free.isEnabled()
    model.gate.set()
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    assert len(model.loads) == 1
    click(qtbot, free)
    assert dock.models.name == ""
    assert not free.isEnabled()
    run(qtbot, dock)
    assert len(model.loads) == 2


@pytest.mark.parametrize("error", [DeviceMemoryError("no room"), MemoryError(), ModelError("odd")])
def test_memory_is_freed_when_it_runs_out(
    viewer: napari.Viewer, dock: SegmentWidget, model: FakeModel, qtbot: Any, error: Exception
) -> None:
    viewer.add_image(squares())
    run(qtbot, dock)
    model.error = error
    with qtbot.capture_exceptions():
        run(qtbot, dock)
    kept = isinstance(error, ModelError)
    assert bool(dock.models.name) == kept
    model.error = None
    run(qtbot, dock)
    assert len(model.loads) == (1 if kept else 2)


def test_segment_view_takes_the_visible_part_of_the_current_plane(
    viewer: napari.Viewer, dock: SegmentWidget, qtbot: Any
) -> None:
    stack = np.zeros((3, 256, 256), np.uint8)
    stack[1] = squares(16, 16)
    layer = viewer.add_image(stack, name="cells", scale=(2, 0.5, 0.5))
    viewer.dims.set_point(0, 2)
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    camera.center, camera.zoom = (0, 32, 32), camera.zoom * 4
    dock.form.threshold.setValue(0)
    QApplication.processEvents()
    qtbot.waitUntil(lambda: layer.corner_pixels[1, 1] < 256, timeout=WAIT)
    run(qtbot, dock, dock.view_button)
    labels = named(viewer, "cells view instances")
    assert labels.data.shape == (1, 256, 256)
    view = labels.metadata["napari_instseg"]["view"]
    assert view["Z"] == 1
    (top, bottom), (left, right) = view["Y"], view["X"]
    assert 0 <= top < 64 < bottom < 200
    inside = labels.data[0, top:bottom, left:right]
    assert inside.max() == labels.data.max() > 3
    outside = labels.data[0].copy()
    outside[top:bottom, left:right] = 0
    assert outside.max() == 0
    np.testing.assert_allclose(labels.data_to_world((0, 7, 9)), layer.data_to_world((1, 7, 9)))
    # Visible on its own plane only.
    viewer.dims.set_point(0, 0)
    assert labels.get_value(layer.data_to_world((0, 8, 8)), world=True) is None


def test_stack_multichannel_and_pyramid_in_one_viewer(
    viewer: napari.Viewer, dock: SegmentWidget, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock.form.threshold.setValue(0)
    viewer.add_image(
        np.broadcast_to(squares(), (2, 3, 64, 80)), name="tz", axis_labels=("t", "z", "y", "x")
    )
    run(qtbot, dock)
    labels = named(viewer, "tz instances")
    assert labels.data.shape == (2, 3, 64, 80)
    assert labels.data.max() == 120
    assert set(labels.features["t"]) == {0, 1}
    two = np.stack([squares(), np.zeros((64, 80), np.uint8)])
    viewer.add_image(two, name="channels", axis_labels=("c", "y", "x"))
    run(qtbot, dock)
    assert named(viewer, "channels instances").data.shape == (64, 80)
    monkeypatch.setattr(gui_layers, "MAX_PLANE_PIXELS", 10_000)
    viewer.add_image([np.kron(squares(), np.ones((2, 2), np.uint8)), squares()], name="pyramid")
    run(qtbot, dock)
    pyramid = named(viewer, "pyramid instances")
    assert pyramid.data.shape == (64, 80)
    np.testing.assert_allclose(pyramid.scale[-2:], (2, 2))
    assert "level 1" in dock.warnings.text()


def test_the_dock_fits_its_width_and_more_unfolds(
    viewer: napari.Viewer, dock: SegmentWidget, qtbot: Any
) -> None:
    viewer.add_image(np.zeros((2, 3, 32, 32)), axis_labels=("t", "c", "y", "x"))
    more = dock.form.more
    assert not more.isExpanded()
    click(qtbot, more.toggleButton())
    assert more.isExpanded()
    assert more.text() == "▾ More"
    dock.form.more.diameter.choose("value")
    dock.form.more.intensity.choose("fixed")
    QApplication.processEvents()
    assert dock.form.minimumSizeHint().width() + 16 <= dock.minimumWidth() <= 320


def begin_to_run(viewer: napari.Viewer, dock: SegmentWidget, model: FakeModel, qtbot: Any) -> None:
    """Run on an image of many tiles; the model waits in the first one."""
    viewer.add_image(squares(16, 16))
    small_tiles(dock)
    model.gate.clear()
    click(qtbot, dock.run_button)
    qtbot.waitUntil(model.entered.is_set, timeout=WAIT)


def test_closing_the_dock_cancels_and_lets_go(
    viewer: napari.Viewer, dock: SegmentWidget, model: FakeModel, qtbot: Any
) -> None:
    begin_to_run(viewer, dock, model, qtbot)
    dock.close()
    model.gate.set()
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    assert model.tiles == 1
    count = dock.form.layer_choice.count()
    viewer.add_image(squares())
    assert dock.form.layer_choice.count() == count


def test_the_x_of_the_dock_cancels(
    viewer: napari.Viewer, dock: SegmentWidget, model: FakeModel, qtbot: Any
) -> None:
    begin_to_run(viewer, dock, model, qtbot)
    around = dock_of(dock)
    assert around is not None
    click(qtbot, around.title.close_button)  # type: ignore[attr-defined]
    model.gate.set()
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    assert model.tiles == 1


def test_the_slider_is_fast_with_5000_objects(
    viewer: napari.Viewer, dock: SegmentWidget, qtbot: Any
) -> None:
    viewer.add_image(squares(71, 71, pitch=29, size=20), name="many")
    dock.form.more.tile_size.setValue(4096)
    dock.form.threshold.setValue(0)
    run(qtbot, dock)
    labels = named(viewer, "many instances")
    assert labels.data.max() == 5041
    times = []
    for value in np.linspace(0.3, 0.9, 7):
        # Blocked, so that the call below is all that happens.
        dock.form.blockSignals(True)
        dock.form.threshold.setValue(value)
        dock.form.blockSignals(False)
        begin = time.thread_time()
        dock._repaint(hidden=False)
        times.append(time.thread_time() - begin)
    # The budget is 50 ms of an idle machine; CPU time leaves others' work out, mostly.
    assert min(times) < 0.1, times
