"""The Review dock, with a user's mouse and keys."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import napari
import numpy as np
import pytest
from gui.clicks import LEFT, WAIT, Heard, click
from gui.prompt.hands import CTRL, SHIFT, Hands
from gui.review.conftest import Add
from gui.review.objects import LABELS
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtWidgets import QApplication

from napari_instseg import InputError
from napari_instseg.gui.docks import dock_of
from napari_instseg.gui.form_rows import DOCK_WIDTH
from napari_instseg.gui.review.highlight import NAME
from napari_instseg.gui.review.widget import NO_LAYER, NO_OBJECTS, ReviewWidget

Reach = Callable[[napari.layers.Layer], Hands]


def click_row(qtbot: Any, review: ReviewWidget, label: int, keys: Any = None) -> None:
    view = review.rows.view
    (row,) = review.rows.model.rows_of([label])
    view.scrollTo(review.rows.model.index(int(row), 0))
    at = view.visualRect(review.rows.model.index(int(row), 0)).center()
    qtbot.mouseClick(view.viewport(), LEFT, keys or Qt.KeyboardModifier.NoModifier, at)
    QApplication.processEvents()


def looked_at(viewer: napari.Viewer) -> tuple[float, float]:
    row, col = viewer.scene.camera.center[-2:]
    return float(row), float(col)


def outlined(viewer: napari.Viewer, layer: napari.layers.Labels) -> set[int]:
    """Labels of the pixels under the outline layer's."""
    if NAME not in viewer.layers:
        return set()
    over = viewer.layers[NAME]
    pixels = np.argwhere(over.data)
    world = [over.data_to_world(pixel) for pixel in pixels]
    found = {int(layer.data[tuple(np.round(layer.world_to_data(w)).astype(int))]) for w in world}
    # On both sides of the edge.
    return found - {0}


def drag(qtbot: Any, plot: Any, path: list[tuple[float, float]]) -> None:
    """Drag over a plot, from point to point in its own coordinates."""
    port = plot.plot.viewport()
    at = [
        plot.plot.mapFromScene(plot.plot.getViewBox().mapViewToScene(QPointF(x, y)))
        for x, y in path
    ]
    qtbot.mouseMove(port, at[0])
    qtbot.wait(20)
    qtbot.mousePress(port, LEFT, pos=at[0])
    for begin, end in pairwise(at):
        for share in (0.3, 0.7, 1.0):
            step = begin + (end - begin) * share
            # pyqtgraph looks at no more than 100 moves a second.
            qtbot.wait(20)
            qtbot.mouseMove(port, QPoint(step.x(), step.y()))
    qtbot.wait(20)
    qtbot.mouseRelease(port, LEFT, pos=at[-1])
    qtbot.wait(80)


def test_a_row_moves_camera_and_sliders_and_a_click_finds_the_row(
    viewer: napari.Viewer, review: ReviewWidget, add: Add, hands: Reach, qtbot: Any
) -> None:
    stack = np.zeros((3, *LABELS.shape), np.int32)
    stack[0][LABELS <= 10] = LABELS[LABELS <= 10]
    stack[2][LABELS > 10] = LABELS[LABELS > 10]
    layer = add(stack, axes="ZYX", scale=[4, 0.5, 0.5], translate=[0, 100, 7])[0]
    table = review.session.table.set_index("index")
    # A result numbers by score; its rows say where an object is.
    deep = int(table.index[table["z"] == 2][3])
    row, col = (int(table.loc[deep, f"{k}_min"]) + 3.5 for k in ("row", "col"))
    viewer.dims.set_current_step(0, 0)
    click_row(qtbot, review, deep)
    assert viewer.dims.current_step[0] == 2
    np.testing.assert_allclose(looked_at(viewer), (100 + row / 2, 7 + col / 2))
    assert layer.selected_label == deep
    assert outlined(viewer, layer) == {deep}
    user = hands(layer)
    other = int(table.index[table["z"] == 2][5])
    before = looked_at(viewer)
    places = [int(table.loc[other, f"{k}_min"]) + 3 for k in ("row", "col")]
    user.click(*places)
    assert review.session.chosen == (other,)
    assert review.rows.view.marked_labels() == [other]
    assert looked_at(viewer) == before
    user.click(row - 0.5, col - 0.5, keys=SHIFT)
    assert review.session.chosen == (deep, other)
    assert outlined(viewer, layer) == {deep, other}
    # In a plane without them there is nothing to outline.
    viewer.dims.set_current_step(0, 1)
    qtbot.waitUntil(lambda: NAME not in viewer.layers, timeout=WAIT)
    viewer.dims.set_current_step(0, 2)
    qtbot.waitUntil(lambda: NAME in viewer.layers, timeout=WAIT)
    user.click(0, 0)
    assert review.session.chosen == ()
    assert NAME not in viewer.layers
    # With a brush in hand a click paints.
    layer.mode = "paint"
    user.click(*places)
    assert review.session.chosen == ()


def test_in_3d_the_first_object_on_the_way_is_found(
    viewer: napari.Viewer, review: ReviewWidget, add: Add, hands: Reach, qtbot: Any
) -> None:
    stack = np.zeros((6, 48, 48), np.int32)
    stack[1:3, 10:30, 10:30], stack[4:6, 10:30, 10:30] = 1, 2
    layer = viewer.add_labels(stack, name="two")
    qtbot.waitUntil(lambda: review.session is not None, timeout=WAIT)
    viewer.dims.ndisplay = 3
    viewer.reset_view()
    qtbot.wait(200)
    canvas = viewer.window._qt_viewer.canvas.native
    middle = QPoint(canvas.width() // 2, canvas.height() // 2)
    qtbot.mouseMove(canvas, middle)
    qtbot.mousePress(canvas, LEFT, pos=middle)
    qtbot.mouseRelease(canvas, LEFT, pos=middle)
    (first,) = review.session.chosen
    assert NAME not in viewer.layers
    review.session.hide(np.array([first]))
    review.session.select(())
    qtbot.mousePress(canvas, LEFT, pos=middle)
    qtbot.mouseRelease(canvas, LEFT, pos=middle)
    assert review.session.chosen == ()
    viewer.dims.ndisplay = 2
    review.session.show_all()
    review.session.select([3 - first], look=True)
    assert outlined(viewer, layer) == {3 - first}


def test_handles_of_the_histogram_hide_and_a_button_deletes(
    viewer: napari.Viewer, review: ReviewWidget, add: Add, hands: Reach, qtbot: Any
) -> None:
    layers = add()
    instances, _, panoptic = layers
    before = instances.data.copy()
    review.tabs.setCurrentWidget(review.filter)
    review.filter.column.choose("score")
    qtbot.wait(200)
    plot = review.filter.plot
    low, high = plot.handles.getRegion()
    np.testing.assert_allclose((low, high), (0.1, 0.9), atol=1e-6)
    _, (bottom, top) = plot.plot.getViewBox().viewRange()
    middle = (bottom + top) / 2
    drag(qtbot, plot, [(low, middle), (0.52, middle)])
    qtbot.waitUntil(lambda: review.rows.model.rowCount() < 20, timeout=WAIT)
    limit = review.filter.limits.value()[0]
    assert 0.45 < limit < 0.6
    scores = review.session.table["score"].to_numpy()
    kept = review.session.table["index"].to_numpy()[scores >= limit]
    assert set(review.rows.model.shown_labels()) == set(kept)
    # Hidden, not deleted.
    np.testing.assert_array_equal(instances.data, before)
    for layer in (instances, panoptic):
        layer.visible = True
        view = np.array(layer._slice.image.view)
        # There is nothing at (0, 0).
        drawn = view != view[0, 0]
        np.testing.assert_array_equal(drawn, np.isin(layer.data, kept))
    assert "of 20 objects" in review.status.text()
    user = hands(instances)
    gone = next(i for i in range(1, 21) if i not in kept)
    where = np.argwhere(before == gone).mean(axis=0)
    user.click(*where)
    assert review.session.chosen == ()
    click(qtbot, review.filter.delete_button)
    np.testing.assert_array_equal(instances.data, np.where(np.isin(before, kept), before, 0))
    np.testing.assert_array_equal(panoptic.data, instances.data)
    assert review.rows.model.rowCount() == len(kept) == len(instances.features)
    (entry,) = review.session.editor.edits
    assert entry["edit"] == "filter"
    assert entry["column"] == "score"
    assert instances.metadata["napari_instseg"]["edits"] == [entry]
    click(qtbot, review.undo_button)
    np.testing.assert_array_equal(instances.data, before)
    assert review.rows.model.rowCount() == 20
    assert (np.array(instances._slice.image.view) != 0).sum() == (before > 0).sum()
    assert not review.undo_button.isEnabled()
    assert review.redo_button.isEnabled()


def test_a_line_around_points_chooses_their_objects(
    viewer: napari.Viewer, review: ReviewWidget, add: Add, qtbot: Any
) -> None:
    layer = add()[0]
    review.tabs.setCurrentWidget(review.scatter)
    review.scatter.across.choose("col")
    review.scatter.upward.choose("score")
    qtbot.wait(200)
    drag(
        qtbot,
        review.scatter.plot,
        [(30, 0.55), (80, 0.55), (80, 0.95), (30, 0.95), (30, 0.55)],
    )
    table = review.session.table
    col = (table["col_min"] + table["col_max"] - 1) / 2
    wanted = table.loc[(col > 30) & (col < 80) & (table["score"] > 0.55), "index"]
    assert len(wanted) > 3
    assert set(review.session.chosen) == set(wanted)
    assert set(review.rows.view.marked_labels()) == set(wanted)
    assert outlined(viewer, layer) == set(wanted)


def test_number_keys_give_classes_in_the_canvas_and_in_the_table(
    viewer: napari.Viewer, review: ReviewWidget, add: Add, hands: Reach, qtbot: Any
) -> None:
    layer, semantic, _ = add()
    user = hands(layer)
    viewer.layers.selection.active = layer
    place = np.argwhere(layer.data == 4).mean(axis=0)
    user.click(*place)
    assert review.session.chosen == (4,)
    review.tabs.setCurrentWidget(review.classes)
    click(qtbot, review.classes.classes.add_button)
    item = review.classes.classes.table.item(1, 1)
    item.setText("cell")
    user.press(Qt.Key.Key_2)
    row = review.session.table.set_index("index").loc[4]
    assert (row["category_id"], row["category"], row["edited"]) == (2, "cell", True)
    assert set(np.unique(semantic.data[layer.data == 4])) == {2}
    assert layer.features.set_index("index").loc[4, "category"] == "cell"
    click_row(qtbot, review, 7)
    qtbot.keyClick(review.rows.view, Qt.Key.Key_2)
    assert review.session.table.set_index("index").loc[7, "category"] == "cell"
    qtbot.keyClick(review.rows.view, Qt.Key.Key_9)
    review.classes.classes.table.item(0, 1).setText("mitosis")
    assert set(review.session.table["category"]) == {"cell", "mitosis"}
    assert set(layer.features["category"]) == {"cell", "mitosis"}
    click(qtbot, review.undo_button)
    assert review.classes.classes.table.item(0, 1).text() == "nucleus"
    user.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert review.session.table.set_index("index").loc[7, "category"] == "nucleus"
    # With a brush in hand, and when the dock is hidden, keys are napari's; strokes can be undone.
    assert len(layer.keymap) > 9
    layer.mode = "paint"
    assert {str(key) for key in layer.keymap} == {"Ctrl+Z", "Ctrl+Shift+Z"}
    layer.mode = "pan_zoom"
    assert len(layer.keymap) > 9
    review.parentWidget().hide()
    assert not layer.keymap


def test_doubtful_objects_one_after_the_other(
    viewer: napari.Viewer, review: ReviewWidget, add: Add, hands: Reach, qtbot: Any
) -> None:
    layer = add()[0]
    user = hands(layer)
    viewer.layers.selection.active = layer
    review.tabs.setCurrentWidget(review.doubtful)
    panel = review.doubtful
    qtbot.waitUntil(lambda: panel.pictures.count() == 20, timeout=WAIT)
    table = review.session.table
    worst = table.sort_values("score", kind="stable")["index"].tolist()
    click(qtbot, panel.buttons["next"])
    assert (panel.current, review.session.chosen) == (worst[0], (worst[0],))
    qtbot.waitUntil(lambda: panel.drawing.worker is None, timeout=WAIT)
    image = panel.pictures.item(0).icon().pixmap(88, 88).toImage()
    colors = {
        image.pixelColor(x, y).getRgb()[:3]
        for x in range(image.width())
        for y in range(image.height())
    }
    assert len(colors) > 2
    user.press(Qt.Key.Key_A)
    assert review.session.table.set_index("index").loc[worst[0], "reviewed"]
    assert panel.current == worst[1]
    user.press(Qt.Key.Key_N)
    user.press(Qt.Key.Key_P)
    assert panel.current == worst[1]
    user.press(Qt.Key.Key_R)
    assert not (layer.data == worst[1]).any()
    assert review.session.chosen == (worst[2],) == (panel.current,)
    click(qtbot, panel.buttons["accept"])
    assert panel.said.text().startswith("17 left")
    reviewed = layer.features.set_index("index")["reviewed"]
    assert reviewed[reviewed].index.tolist() == sorted([worst[0], worst[2]])
    click(qtbot, review.undo_button)
    click(qtbot, review.undo_button)
    assert (layer.data == worst[1]).any()
    assert panel.pictures.count() == 19
    viewer.layers.selection.active = viewer.layers["cells"]
    click(qtbot, panel.buttons["fix"])
    assert review.tabs.currentWidget() is review.edit
    assert viewer.layers.selection.active is layer


def test_measures_become_columns_and_are_forgotten_with_the_pixels(
    viewer: napari.Viewer, review: ReviewWidget, add: Add, qtbot: Any
) -> None:
    add(scale=[0.5, 0.5], units="um")
    review.tabs.setCurrentWidget(review.measure)
    assert [layer.name for layer in review.measure.chosen()] == ["cells"]
    click(qtbot, review.measure.button)
    qtbot.waitUntil(lambda: review.rows.model.column("solidity") is not None, timeout=WAIT)
    model = review.rows.model
    assert set(model.column("cells_mean").values) == {200.0}
    assert set(model.column("area_um2").values) == {16.0}
    np.testing.assert_allclose(model.column("eccentricity").values, 0, atol=1e-6)
    session = review.session
    session.apply("categorize", ids=[3], category_id=1)
    session.apply("review", ids=[3])
    assert not np.isnan(model.column("solidity").values).any()
    session.apply("grow", ids=[3], distance=1)
    assert model.labels[np.isnan(model.column("solidity").values)].tolist() == [3]
    assert model.column("area").values[model.labels == 3] > 64


def test_two_results_each_with_its_own_edits(
    viewer: napari.Viewer, review: ReviewWidget, add: Add, qtbot: Any
) -> None:
    first = add(name="one")[0]
    session = review.session
    session.apply("delete", ids=[1])
    review.rows.search.setText("5")
    assert review.rows.model.shown_labels().tolist() == [5]
    assert (np.array(first._slice.image.view) != 0).sum() == 64
    second = add(np.where(LABELS > 4, LABELS - 4, 0), name="two")[0]
    # What was hidden there is seen again.
    assert (np.array(first._slice.image.view) != 0).sum() == 19 * 64
    assert review.rows.model.rowCount() == 16
    review.session.apply("delete", ids=[2])
    assert (first.data == 2).any()
    viewer.layers.selection.active = first
    assert review.session is session
    assert review.rows.model.rowCount() == 19
    click(qtbot, review.undo_button)
    assert (first.data == 1).any()
    assert not (second.data == 2).any()
    # A semantic layer stands for its result.
    viewer.layers.selection.active = viewer.layers["two semantic"]
    assert review.session.layer is second
    viewer.layers.remove(second)
    qtbot.wait(20)
    assert review.session is not None
    viewer.layers.clear()
    assert review.session is None
    assert review.rows.model.rowCount() == 0
    assert review.rows.view.empty_text == NO_LAYER


def test_any_labels_and_none(viewer: napari.Viewer, review: ReviewWidget, qtbot: Any) -> None:
    assert review.rows.view.empty_text == NO_LAYER
    nothing = viewer.add_labels(np.zeros((20, 30), np.uint8), name="nothing")
    qtbot.waitUntil(lambda: review.session is not None, timeout=WAIT)
    assert review.rows.view.empty_text == NO_OBJECTS
    assert review.status.text() == "0 objects"
    for place in range(review.tabs.count()):
        review.tabs.setCurrentIndex(place)
        qtbot.wait(20)
    for key in "ARNP15":
        review.shortcuts.press(key)
    assert review.session.chosen == ()
    viewer.layers.remove(nothing)
    drawn = viewer.add_labels(LABELS.T.astype(np.uint16), name="drawn")
    qtbot.waitUntil(lambda: review.session is not None, timeout=WAIT)
    assert review.rows.model.rowCount() == 20
    review.session.select([6], look=True)
    assert outlined(viewer, drawn) == {6}
    review.session.apply("delete", ids=[6])
    assert not (drawn.data == 6).any()
    # Whoever replaces the data is followed.
    drawn.data = np.pad(LABELS.T[:16], ((0, 64), (0, 0))).astype(np.uint16)
    drawn.features = {}
    qtbot.waitUntil(lambda: review.rows.model.rowCount() == 4, timeout=WAIT)


def test_without_pyqtgraph_limits_are_typed(
    request: pytest.FixtureRequest, qtbot: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(
        "napari_instseg.gui.review.plot_panels.importlib.util.find_spec", lambda name: None
    )
    review: ReviewWidget = request.getfixturevalue("review")
    request.getfixturevalue("add")()
    for panel in (review.scatter, review.filter):
        review.tabs.setCurrentWidget(panel)
        qtbot.wait(20)
        assert "pip install" in panel.plot.text()
    review.filter.column.choose("score")
    review.filter.limits.low.setValue(0.5)
    qtbot.waitUntil(lambda: review.rows.model.rowCount() == 10, timeout=WAIT)
    click(qtbot, review.filter.clear_button)
    assert review.rows.model.rowCount() == 20


@pytest.mark.parametrize("closed", ["widget", "dock"])
def test_closing_shows_all_and_gives_the_canvas_back(
    viewer: napari.Viewer, review: ReviewWidget, add: Add, qtbot: Any, closed: str
) -> None:
    layer = add()[0]
    callbacks = list(viewer.mouse_drag_callbacks)
    review.session.select([3])
    review.rows.search.setText("3")
    if closed == "dock":
        viewer.window.remove_dock_widget(review)
    else:
        review.close()
    assert NAME not in viewer.layers
    assert (np.array(layer._slice.image.view) != 0).sum() == (LABELS > 0).sum()
    assert len(viewer.mouse_drag_callbacks) == len(callbacks) - 1
    assert not layer.keymap


def test_strokes_of_before_stay_and_are_no_edits(
    viewer: napari.Viewer, review: ReviewWidget, qtbot: Any
) -> None:
    layer = viewer.add_labels(LABELS.copy(), name="painted")
    review.sessions.end_all()
    layer.data_setitem(np.nonzero(LABELS == 2), 0)
    review.sessions.choose()
    review.session.apply("delete", ids=[1])
    assert not np.isin(layer.data, [1, 2]).any()
    assert [edit["edit"] for edit in review.session.editor.edits] == ["delete"]


def test_an_edit_that_ends_after_its_session_changes_no_layer(
    viewer: napari.Viewer, review: ReviewWidget
) -> None:
    layer = viewer.add_labels(LABELS.copy(), name="painted")
    viewer.layers.selection.active = layer
    review.sessions.choose()
    session = review.session
    work = session.begin("delete", ids=[1])
    layer.data = np.where(LABELS == 3, 3, 0)
    session.close()
    before = layer.features.copy()
    session.end("delete", work(lambda progress: None))
    assert layer.features.equals(before)
    review.sessions._by_layer.clear()
    review.sessions.current = None


def test_all_layers_are_removed_with_an_object_chosen(
    viewer: napari.Viewer, review: ReviewWidget, qtbot: Any
) -> None:
    for name in ("one", "two", "three"):
        viewer.add_labels(LABELS.copy(), name=name)
    review.session.select([3])
    assert NAME in viewer.layers
    viewer.layers.select_all()
    viewer.layers.remove_selected()
    qtbot.waitUntil(lambda: not len(viewer.layers), timeout=WAIT)


def test_several_levels_in_memory_are_not_corrected(
    viewer: napari.Viewer, review: ReviewWidget
) -> None:
    layer = viewer.add_labels([LABELS.copy(), LABELS[::2, ::2].copy()], multiscale=True)
    viewer.layers.selection.active = layer
    review.sessions.choose()
    with pytest.raises(InputError, match="several levels in memory"):
        review.session.apply("delete", ids=[1])
    assert (layer.data[0] == LABELS).all()


def test_what_is_painted_while_the_dock_is_hidden(
    viewer: napari.Viewer, review: ReviewWidget, add: Add, hands: Reach, qtbot: Any
) -> None:
    layer, dock = add()[0], dock_of(review)
    user = hands(layer)
    review.session.apply("delete", ids=[1])
    dock.hide()
    # A brush has napari's own undo.
    layer.mode = "paint"
    layer.paint((5, 5), 99)
    QApplication.processEvents()
    user.press(Qt.Key.Key_Z, CTRL)
    assert 99 not in layer.data
    # What stays is an edit once the dock is seen again.
    layer.paint((5, 5), 98)
    dock.show()
    qtbot.waitUntil(lambda: 98 in review.session.table["index"].to_numpy(), timeout=WAIT)
    user.press(Qt.Key.Key_Z, CTRL)
    assert 98 not in layer.data
    assert 1 not in layer.data
    user.press(Qt.Key.Key_Z, CTRL)
    assert 1 in layer.data
    # Another tool gives the layer other labels meanwhile: it is read again.
    dock.hide()
    layer.data = np.where(layer.data == 2, 0, layer.data)
    assert review.session is None
    dock.show()
    assert 2 not in review.session.labels.read("instances")
    assert not review.session.can_undo


def test_a_dock_that_was_closed_leaves_layers_alone(
    viewer: napari.Viewer, review: ReviewWidget, add: Add, hands: Reach, qtbot: Any
) -> None:
    add()
    other = viewer.add_labels(LABELS.copy(), name="other")
    qtbot.waitUntil(lambda: review.session.layer is other, timeout=WAIT)
    viewer.layers.selection.active = viewer.layers["cells instances"]
    dock_of(review).destroyOnClose()
    viewer.layers.selection.active = other
    assert review.session is None
    other.mode = "paint"
    other.paint((5, 5), 99)
    QApplication.processEvents()
    hands(other).press(Qt.Key.Key_Z, CTRL)
    assert 99 not in other.data


def test_all_is_legible_in_the_narrowest_dock(
    viewer: napari.Viewer, review: ReviewWidget, add: Add, qtbot: Any
) -> None:
    add()
    viewer.window._qt_window.resizeDocks([dock_of(review)], [DOCK_WIDTH], Qt.Orientation.Horizontal)
    qtbot.waitUntil(lambda: review.width() < DOCK_WIDTH + 10, timeout=WAIT)
    bar, keep = review.tabs.tabBar(), review.edit.keep
    assert bar.tabRect(bar.count() - 1).right() <= review.tabs.width()
    widest = max(keep.fontMetrics().horizontalAdvance(keep.itemText(i)) for i in range(2))
    # Beside the arrow.
    qtbot.waitUntil(lambda: keep.width() > widest + 25, timeout=WAIT)


def test_the_outline_goes_with_its_layer(
    viewer: napari.Viewer, review: ReviewWidget, add: Add, qtbot: Any
) -> None:
    layer = add()[0]
    review.session.select([7])
    assert outlined(viewer, layer) == {7}
    layer.scale = (2, 3)
    layer.translate = (50, -20)
    qtbot.waitUntil(
        lambda: NAME in viewer.layers and tuple(viewer.layers[NAME].scale) == (2, 3), timeout=WAIT
    )
    assert outlined(viewer, layer) == {7}


def test_a_number_that_is_too_large_is_not_painted(
    viewer: napari.Viewer, review: ReviewWidget, qtbot: Any
) -> None:
    layer = viewer.add_labels(LABELS.astype(np.int64), name="wide")
    qtbot.waitUntil(lambda: review.session is not None, timeout=WAIT)
    with Heard() as heard:
        # As int32 it would be 5.
        layer.paint((1, 1), 2**32 + 5)
        qtbot.waitUntil(lambda: len(heard) == 1, timeout=WAIT)
    assert "'wide': expected labels from 0 to 2147483647, got" in heard[0]
    np.testing.assert_array_equal(layer.data, LABELS)
    assert not review.session.can_undo
