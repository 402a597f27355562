"""Corrections with the mouse: buttons, lines, clicks, regions, and napari's own brush."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import napari
import numpy as np
import pytest
from gui.clicks import WAIT, Heard, click
from gui.fakes import NUCLEUS, result_of
from gui.prompt.hands import CTRL, NONE, RIGHT, SHIFT, Hands
from label_sets import check_consistent
from qtpy.QtCore import Qt

from napari_instseg.editing import replay
from napari_instseg.gui.label_layers import label_set_of
from napari_instseg.gui.layers import add_segmentation, image_from_layer
from napari_instseg.gui.review import edit_panel
from napari_instseg.gui.review.edit_panel import ALL
from napari_instseg.gui.review.widget import ReviewWidget
from napari_instseg.ops.editing import parts
from napari_instseg.ops.editing.work import Work
from napari_instseg.segmenter import Category, InputError

TISSUE = Category(3, "tissue", is_thing=False)


def picture() -> np.ndarray:
    """Two touching discs as one object (1), one with a hole (2), one at the border (3)."""
    labels = np.zeros((80, 100), np.int32)
    rows, cols = np.ogrid[:80, :100]
    for number, row, col, radius in (
        (1, 25, 20, 12),
        (1, 25, 42, 12),
        (2, 25, 75, 14),
        (3, 75, 30, 12),
    ):
        labels[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = number
    labels[23:27, 73:77] = 0
    return labels


class Bench:
    """A viewer with a result, its Review dock, and a hand over the canvas."""

    def __init__(
        self, viewer: napari.Viewer, qtbot: Any, labels: np.ndarray, *, stuff: bool
    ) -> None:
        self.viewer, self.qtbot = viewer, qtbot
        viewer.window.resize(1500, 950)
        if labels.ndim == 2:
            self._add_result(labels, stuff)
        else:
            self.layers = [viewer.add_labels(labels, scale=(2, 1, 1))]
        self.widget = ReviewWidget(viewer)
        viewer.window.add_dock_widget(self.widget, name="Review", area="right")
        viewer.layers.selection.active = self.layers[0]
        viewer.reset_view()
        qtbot.waitUntil(lambda: self.widget.session is not None, timeout=WAIT)
        self.hands = Hands(viewer, qtbot, self.layers[0])
        self.panel = self.widget.edit
        self.widget.tabs.setCurrentWidget(self.panel)

    def _add_result(self, labels: np.ndarray, stuff: bool) -> None:
        viewer = self.viewer
        image = viewer.add_image(np.where(labels > 0, 200, 30).astype(np.uint8), name="cells")
        ground = np.full(labels.shape, TISSUE.id) if stuff else None
        result = result_of(
            image_from_layer(image), labels, categories=(NUCLEUS, TISSUE), threshold=0, stuff=ground
        )
        self.first = result.label_set
        self.layers = add_segmentation(viewer, result, image)

    @property
    def session(self) -> Any:
        assert self.widget.session is not None
        return self.widget.session

    @property
    def data(self) -> np.ndarray:
        return np.asarray(self.layers[0].data)

    @property
    def edits(self) -> list[str]:
        return [entry["edit"] for entry in self.session.editor.edits]

    def press(self, text: str) -> None:
        click(self.qtbot, self.panel.buttons[text])

    def check(self) -> None:
        """Whether layers, table and editor say the same."""
        check_consistent(self.session.labels)
        now = label_set_of(self.viewer, self.layers[0])
        for output in ("instances", "semantic", "panoptic"):
            np.testing.assert_array_equal(now.read(output), self.session.labels.read(output))
        assert now.table["index"].tolist() == self.session.labels.table["index"].tolist()
        assert now.recipe["edits"] == list(self.session.editor.edits)


@pytest.fixture
def bench(viewer: napari.Viewer, qtbot: Any) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(*, stuff: bool = True, labels: np.ndarray | None = None) -> Bench:
        made.append(Bench(viewer, qtbot, picture() if labels is None else labels, stuff=stuff))
        return made[-1]

    yield make
    for one in made:
        one.widget.close()


def test_one_after_the_other_and_all_the_way_back(bench: Callable[..., Bench]) -> None:
    b = bench()
    first = [np.array(layer.data) for layer in b.layers]
    # A line across object 1, which is two.
    b.press("Split by line")
    b.hands.drag([(5, 31), (45, 31)])
    assert b.edits == ["split_line"]
    new = b.session.editor.next_id - 1
    assert b.data[25, 20] != b.data[25, 42]
    assert {int(b.data[25, 20]), int(b.data[25, 42])} == {1, new}
    b.press("Split by line")
    assert b.panel.pencil is None
    # A click chooses again, a key deletes.
    b.hands.click(25, 20)
    assert b.session.chosen == (int(b.data[25, 20]),)
    b.hands.press(Qt.Key.Key_Delete)
    assert b.edits[-1] == "delete"
    assert b.data[25, 20] == 0
    # A hole is filled, and the brush paints over it all.
    b.hands.click(25, 65)
    b.press("Fill holes")
    assert b.data[25, 75] == 2
    layer = b.layers[0]
    layer.mode, layer.brush_size, layer.selected_label = "paint", 5, 2
    b.hands.drag([(50, 60), (50, 90)])
    b.hands.until(lambda: b.edits[-1] == "paint")
    assert b.data[50, 75] == 2
    b.check()
    after = np.array(b.data)
    log = list(b.session.editor.edits)
    assert b.edits == ["split_line", "delete", "fill_holes", "paint"]
    assert b.session.labels.read("semantic")[25, 20] == TISSUE.id
    again = replay(b.first, log)
    for output in ("instances", "semantic", "panoptic"):
        np.testing.assert_array_equal(again.read(output), b.session.labels.read(output))
    np.testing.assert_array_equal(again.instances, after)
    # With the brush in hand, too, one key takes one of them back, in their order.
    b.hands.press(Qt.Key.Key_Z, CTRL)
    assert b.edits == ["split_line", "delete", "fill_holes"]
    assert b.data[50, 75] == 0
    layer.mode = "pan_zoom"
    b.hands.press(Qt.Key.Key_Z, CTRL)
    assert b.data[25, 75] == 0
    for _ in range(2):
        b.hands.press(Qt.Key.Key_Z, CTRL)
    for layer, old in zip(b.layers, first, strict=True):
        np.testing.assert_array_equal(layer.data, old)
    for _ in range(4):
        b.hands.press(Qt.Key.Key_Z, CTRL | SHIFT)
    np.testing.assert_array_equal(b.data, after)
    b.check()


def test_clicks_and_regions(bench: Callable[..., Bench]) -> None:
    b = bench(stuff=False)
    b.press("Split by clicks")
    b.hands.click(25, 20)
    b.hands.click(60, 60)
    b.hands.click(60, 60, RIGHT)
    assert b.panel.pencil is not None
    assert b.panel.pencil.count == 1
    b.hands.click(25, 42)
    b.hands.press(Qt.Key.Key_Return)
    assert b.edits == ["split_points"]
    assert len({int(b.data[25, 20]), int(b.data[25, 42])}) == 2
    b.hands.press(Qt.Key.Key_Escape)
    assert b.panel.pencil is None
    # Of all objects only what is in a region is left, then only what is outside of another.
    b.panel.scope.choose(ALL)
    b.press("Cut")
    b.hands.drag([(5, 5), (5, 95), (45, 95), (45, 5)])
    assert set(np.unique(b.data)) == {0, 1, 2, 4}
    b.panel.keep.choose("outside")
    b.hands.drag([(5, 55), (5, 95), (25, 95), (25, 55)])
    assert not b.data[15, 70:80].any()
    assert b.data[30, 75] == 2
    b.check()


def test_a_line_that_divides_nothing_is_told_of(bench: Callable[..., Bench]) -> None:
    b = bench()
    before = np.array(b.data)
    with Heard() as heard:
        b.press("Split by line")
        b.hands.drag([(20, 15), (30, 25)])
        b.hands.drag([(60, 60), (60, 90)])
    assert "does not divide object 1" in heard[0]
    assert "crosses no object" in heard[1]
    assert not b.edits
    np.testing.assert_array_equal(b.data, before)


def test_buttons_for_all_and_what_they_are_for(bench: Callable[..., Bench]) -> None:
    b = bench()
    for text in ("Delete", "Merge", "Smooth"):
        assert not b.panel.buttons[text].isEnabled()
    b.press("Remove at edges")
    assert 3 not in b.data
    b.panel.scope.choose(ALL)
    area = np.count_nonzero(b.data)
    b.press("Grow")
    assert np.count_nonzero(b.data) > area
    b.press("Shrink")
    b.press("Smooth")
    b.hands.click(25, 20)
    b.hands.click(25, 65, keys=SHIFT)
    b.press("Merge")
    assert set(np.unique(b.data)) == {0, b.session.chosen[0]}
    b.press("Renumber")
    assert set(np.unique(b.data)) == {0, 1}
    b.check()


def test_strokes_with_a_number_of_stuff_make_a_new_object(bench: Callable[..., Bench]) -> None:
    b = bench()
    layer = b.layers[0]
    taken = int(b.session.labels.stuff["index"].iloc[0])
    layer.selected_label = taken
    layer.mode, layer.brush_size = "paint", 3
    b.hands.click(60, 80, keys=NONE)
    b.hands.until(lambda: b.edits == ["paint"])
    assert b.data[60, 80] == taken + 1 == layer.selected_label
    layer.mode = "fill"
    layer.selected_label = 0
    b.hands.click(25, 20)
    b.hands.until(lambda: len(b.edits) == 2)
    assert 1 not in b.data
    b.check()
    # Another plugin's way to write.
    layer.data_setitem((np.array([0, 1]), np.array([0, 0])), 2)
    b.hands.until(lambda: len(b.edits) == 3)
    assert b.data[:2, 0].tolist() == [2, 2]
    b.check()
    # The other outputs follow; they are not painted on.
    semantic = b.layers[1]
    semantic.visible = True
    b.qtbot.wait(50)
    old = np.array(semantic.data)
    with Heard() as heard:
        semantic.data_setitem((np.array([5]), np.array([5])), 1)
        b.hands.until(lambda: len(heard) == 1)
    assert "paint there" in heard[0]
    np.testing.assert_array_equal(semantic.data, old)


def test_edits_of_many_have_a_thread_and_can_be_cancelled(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edit_panel, "MANY", 0)
    b = bench()
    gate, waited = threading.Event(), threading.Event()
    look = Work.look

    def slow(self: Work, part: Any) -> Any:
        waited.set()
        assert gate.wait(60)
        return look(self, part)

    monkeypatch.setattr(Work, "look", slow)
    monkeypatch.setattr(parts, "ROWS", 32)
    before = [np.array(layer.data) for layer in b.layers]
    b.panel.scope.choose(ALL)
    b.press("Grow")
    b.hands.until(waited.is_set)
    assert not b.panel.buttons["Shrink"].isEnabled()
    assert not b.widget.session.can_undo
    with pytest.raises(InputError, match="under way"):
        b.session.apply("delete", ids=[1])
    b.panel.task.cancel()
    gate.set()
    b.hands.until(lambda: not b.session.busy)
    assert not b.edits
    for layer, old in zip(b.layers, before, strict=True):
        np.testing.assert_array_equal(layer.data, old)
    b.press("Grow")
    b.hands.until(lambda: b.edits == ["grow"])
    b.hands.until(b.panel.buttons["Shrink"].isEnabled)
    assert np.count_nonzero(b.data) > np.count_nonzero(before[0])
    b.check()


def test_in_a_stack_on_one_plane_or_on_all(bench: Callable[..., Bench]) -> None:
    stack = np.zeros((3, 40, 60), np.int32)
    stack[:, 10:30, 10:50] = 1
    b = bench(labels=stack)
    b.viewer.dims.set_current_step(0, 1)
    b.press("Split by line")
    b.hands.drag([(5, 40), (35, 40)])
    assert sorted(np.unique(b.data[1], return_counts=True)[0]) == [0, 1, 2]
    assert set(np.unique(b.data[[0, 2]])) == {0, 1}
    b.hands.press(Qt.Key.Key_Z, CTRL)
    b.panel.through.setChecked(True)
    b.hands.drag([(5, 40), (35, 40)])
    assert (b.data[:, 20, 45] == 2).all()
    assert (b.data[:, 20, 15] == 1).all()
    b.press("Cut")
    b.panel.through.setChecked(False)
    b.panel.scope.choose(ALL)
    b.hands.drag([(5, 5), (5, 30), (35, 30), (35, 5)])
    assert set(np.unique(b.data[1])) == {0, 1}
    assert set(np.unique(b.data[[0, 2]])) == {0, 1, 2}
    check_consistent(b.session.labels)
    # The keys of the table are those of the canvas.
    b.session.select([2])
    b.qtbot.keyClick(b.widget.rows.view, Qt.Key.Key_Delete)
    assert 2 not in b.data
    b.qtbot.keyClick(b.widget.rows.view, Qt.Key.Key_Z, CTRL)
    assert 2 in b.data
