"""Prompts by real mouse and keys on a real canvas."""

from __future__ import annotations

from typing import Any

import napari
import napari.layers
import numpy as np
import pytest
from gui.fakes import squares
from gui.prompt.conftest import Begin
from gui.prompt.hands import ALT, CTRL, MIDDLE, RIGHT, SHIFT, Hands
from prompters import BrightnessPrompter
from qtpy.QtCore import Qt

from napari_instseg.gui.prompt.controller import Prompting
from napari_instseg.gui.prompt.widget import PromptWidget

#: Centres of the first squares, and a place between them.
ONE, TWO, THREE, FOUR, DARK = (8, 8), (8, 24), (24, 8), (24, 24), (16, 16)


def objects(viewer: napari.Viewer) -> napari.layers.Labels:
    return viewer.layers["cells objects"]


def prompting(dock: PromptWidget) -> Prompting:
    assert dock.running is not None
    return dock.running.prompting


def settled(dock: PromptWidget) -> bool:
    drafts = prompting(dock).drafts
    return bool(len(drafts)) and not drafts.unanswered()


def area(dock: PromptWidget) -> int:
    """Pixels of the masks that would be accepted."""
    return sum(d.mask.area for d in prompting(dock).drafts if d.mask is not None)


def hover_area(dock: PromptWidget) -> int:
    """Pixels of the mask under the mouse, or in the box that is dragged."""
    hover = prompting(dock).asking.hover
    return 0 if hover is None or hover.mask is None else hover.mask.area


def corners(preview: napari.layers.Labels) -> tuple[Any, Any]:
    """First and last corner in the world of what is drawn."""
    drawn = np.argwhere(preview.data)
    return (
        preview.data_to_world(drawn.min(axis=0) - 0.5),
        preview.data_to_world(drawn.max(axis=0) + 0.5),
    )


def square(*centers: tuple[int, int], shape: tuple[int, int] = (64, 80)) -> np.ndarray:
    expected = np.zeros(shape, int)
    for number, (row, col) in enumerate(centers, start=1):
        expected[row - 4 : row + 4, col - 4 : col + 4] = number
    return expected


def test_click_accept_undo_redo(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin
) -> None:
    hands = begin(squares())
    labels = objects(viewer)
    assert viewer.layers.selection.active is labels
    hands.click(*ONE)
    hands.until(lambda: settled(prompt_dock))
    assert labels.data.max() == 0
    assert prompt_dock.panel.object.text() == "1 · mask 1 of 3 · IoU 0.90"
    hands.press(Qt.Key.Key_Return)
    np.testing.assert_array_equal(labels.data, square(ONE))
    hands.click(*TWO)
    hands.until(lambda: settled(prompt_dock))
    hands.press(Qt.Key.Key_C)
    np.testing.assert_array_equal(labels.data, square(ONE, TWO))
    assert labels.features["index"].tolist() == [1, 2]
    assert labels.features["area"].tolist() == [64, 64]

    # Each accepted object is one step of napari's own undo; the table follows.
    hands.press(Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(labels.data, square(ONE))
    hands.until(lambda: labels.features["index"].tolist() == [1])
    hands.press(Qt.Key.Key_Z, CTRL)
    assert labels.data.max() == 0
    hands.press(Qt.Key.Key_Z, CTRL | SHIFT)
    hands.press(Qt.Key.Key_Z, CTRL | SHIFT)
    np.testing.assert_array_equal(labels.data, square(ONE, TWO))
    hands.until(lambda: labels.features["index"].tolist() == [1, 2])


@pytest.mark.parametrize("by", ["right", "alt"])
def test_clicks_that_are_not_on_the_object(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin, by: str
) -> None:
    hands = begin(squares())
    hands.click(*ONE)
    hands.click(*TWO)
    hands.until(lambda: settled(prompt_dock) and area(prompt_dock) == 128)
    zoom = viewer.scene.camera.zoom
    if by == "right":
        hands.click(*TWO, button=RIGHT)
    else:
        hands.click(*TWO, keys=ALT)
    hands.until(lambda: settled(prompt_dock) and area(prompt_dock) == 64)
    # Neither napari's zoom box nor its right-drag zoom had a part in it.
    assert viewer.scene.camera.zoom == zoom
    hands.press(Qt.Key.Key_Backspace)
    hands.until(lambda: settled(prompt_dock) and area(prompt_dock) == 128)
    hands.press(Qt.Key.Key_Return)
    labels = objects(viewer)
    assert labels.data[ONE] == labels.data[TWO] == 1


def test_a_box_is_previewed_while_it_is_dragged(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin
) -> None:
    hands = begin(squares())
    center = tuple(viewer.scene.camera.center)
    hands.drag([(1, 1), (30, 14)], let_go=False)
    hands.until(lambda: hover_area(prompt_dock) == 128)
    assert len(prompting(prompt_dock).drafts) == 0
    hands.release(30, 14)
    hands.until(lambda: settled(prompt_dock))
    hands.press(Qt.Key.Key_C)
    labels = objects(viewer)
    assert labels.data[ONE] == labels.data[THREE] == 1
    assert np.count_nonzero(labels.data) == 128
    assert tuple(viewer.scene.camera.center) == center


def test_hover_shows_what_a_click_would_give(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin
) -> None:
    hands = begin(squares())
    asking = prompting(prompt_dock).asking
    hands.move(*TWO)
    hands.until(lambda: asking.hover is not None and asking.hover.mask is not None)
    preview = viewer.layers["prompt preview"]
    assert viewer.layers.selection.active is objects(viewer)
    first, last = corners(preview)
    np.testing.assert_allclose(first, (3.5, 19.5))
    np.testing.assert_allclose(last, (11.5, 27.5))
    hands.move(*DARK)
    hands.until(lambda: not preview.data.any())
    # Enter takes what is under the mouse.
    hands.move(*ONE)
    hands.until(lambda: bool(preview.data.any()))
    hands.press(Qt.Key.Key_Return)
    np.testing.assert_array_equal(objects(viewer).data, square(ONE))
    prompt_dock.panel.preview.setChecked(False)
    hands.press(Qt.Key.Key_Escape)
    hands.move(*TWO)
    assert asking.hover is None


def test_tab_goes_through_the_candidates(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin
) -> None:
    hands = begin(squares())
    hands.click(*ONE)
    hands.until(lambda: settled(prompt_dock))
    areas = []
    for _ in range(4):
        areas.append(area(prompt_dock))
        hands.press(Qt.Key.Key_Tab)
    assert areas == [64, 36, 96, 64]
    assert prompt_dock.panel.object.text() == "1 · mask 2 of 3 · IoU 0.70"
    hands.press(Qt.Key.Key_Return)
    assert np.count_nonzero(objects(viewer).data) == 36
    # A box has one mask; Tab asks for those of an ambiguous prompt.
    hands.drag([(1, 17), (14, 30)])
    hands.until(lambda: settled(prompt_dock))
    draft = prompting(prompt_dock).drafts.last
    assert draft is not None
    assert len(draft.answers) == 1
    hands.press(Qt.Key.Key_Tab)
    hands.until(lambda: len(draft.answers) == 4)
    assert draft.choice == 1


def test_shift_starts_many_objects_and_decodes_them_as_one_batch(
    viewer: napari.Viewer,
    prompt_dock: PromptWidget,
    begin: Begin,
    prompter: BrightnessPrompter,
) -> None:
    hands = begin(squares())
    labels = objects(viewer)
    for at in (ONE, TWO, THREE):
        hands.click(*at, keys=SHIFT)
    hands.until(lambda: settled(prompt_dock) and area(prompt_dock) == 192)
    assert prompt_dock.panel.object.text().startswith("3 at once")
    hands.drag([(17, 17), (30, 30)], keys=SHIFT)
    hands.until(lambda: settled(prompt_dock) and area(prompt_dock) == 256)
    # A plain click corrects the last one.
    hands.click(*FOUR, button=RIGHT)
    hands.until(lambda: settled(prompt_dock) and area(prompt_dock) == 192)
    hands.press(Qt.Key.Key_Return)
    np.testing.assert_array_equal(labels.data, square(ONE, TWO, THREE))
    hands.press(Qt.Key.Key_Z, CTRL)
    assert labels.data.max() == 0

    # Asked at once, they are one batch.
    state = prompting(prompt_dock)
    for at in (ONE, TWO, THREE):
        state.asking.begin(()).add(_step(at))
    prompter.decoded.clear()
    state.asking.ask()
    hands.until(lambda: settled(prompt_dock))
    assert prompter.decoded == [3]


def _step(at: tuple[int, int]) -> Any:
    from napari_instseg.gui.prompt.drafts import Step

    return Step(((at[0] + 0.5, at[1] + 0.5),))


def test_escape_forgets(viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin) -> None:
    hands = begin(squares())
    hands.click(*ONE)
    hands.click(*TWO, keys=SHIFT)
    hands.until(lambda: settled(prompt_dock))
    assert viewer.layers["prompt preview"].data.any()
    hands.press(Qt.Key.Key_Escape)
    assert len(prompting(prompt_dock).drafts) == 0
    assert not viewer.layers["prompt preview"].data.any()
    hands.press(Qt.Key.Key_Return)
    assert objects(viewer).data.max() == 0


def test_scribble_lasso_and_polygon(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin
) -> None:
    hands = begin(squares())
    labels = objects(viewer)

    def tool(name: str) -> None:
        hands.qtbot.mouseClick(prompt_dock.panel.tools[name], Qt.MouseButton.LeftButton)

    tool("scribble")
    hands.drag([(8, 6), (8, 26)])
    hands.until(lambda: settled(prompt_dock) and area(prompt_dock) == 128)
    hands.drag([(6, 23), (10, 25)], button=RIGHT)
    hands.until(lambda: settled(prompt_dock) and area(prompt_dock) == 64)
    hands.press(Qt.Key.Key_Return)
    np.testing.assert_array_equal(labels.data, square(ONE))

    tool("lasso")
    hands.drag([(1, 18), (1, 30), (14, 30), (14, 18), (2, 18)])
    hands.until(lambda: settled(prompt_dock) and area(prompt_dock) == 64)
    hands.press(Qt.Key.Key_Return)
    np.testing.assert_array_equal(labels.data, square(ONE, TWO))

    tool("polygon")
    for corner in ((17, 2), (17, 14), (30, 14)):
        hands.click(*corner)
    zoom = viewer.scene.camera.zoom
    hands.double_click(30, 2)
    hands.until(lambda: settled(prompt_dock) and area(prompt_dock) == 64)
    assert viewer.scene.camera.zoom == zoom
    hands.press(Qt.Key.Key_Return)
    np.testing.assert_array_equal(labels.data, square(ONE, TWO, THREE))

    # Enter closes a polygon, too, and does not accept it.
    for corner in ((17, 18), (17, 30), (30, 24)):
        hands.click(*corner)
    hands.press(Qt.Key.Key_Return)
    hands.until(lambda: settled(prompt_dock))
    assert labels.data.max() == 3


def test_objects_of_labels_are_prompts(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin
) -> None:
    hands = begin(squares())
    labels = objects(viewer)
    other = np.zeros((32, 40), np.uint8)
    other[3:5, 10:14] = 7
    viewer.add_labels(other, name="rough", scale=(2, 2), translate=(0.5, 0.5))
    viewer.layers.selection.active = labels
    panel = prompt_dock.panel
    hands.qtbot.mouseClick(panel.tools["labels"], Qt.MouseButton.LeftButton)
    assert [panel.source.itemText(i) for i in range(2)] == ["Accepted objects", "rough"]
    panel.source.choose(viewer.layers["rough"].unique_id)
    hands.click(8, 24)
    hands.until(lambda: settled(prompt_dock))
    draft = prompting(prompt_dock).drafts.last
    assert draft is not None
    mask = draft.steps[0].mask
    assert mask is not None
    assert (mask.origin, mask.pixels.shape) == ((6, 20), (4, 8))
    hands.press(Qt.Key.Key_Return)
    accepted = labels.data.copy()
    assert accepted[8, 24] == 1

    # Accepted objects are taken up again, with the mask as it is.
    panel.source.choose(None)
    hands.click(8, 24)
    assert labels.selected_label == 1
    assert area(prompt_dock) == np.count_nonzero(accepted)
    hands.press(Qt.Key.Key_Escape)
    np.testing.assert_array_equal(labels.data, accepted)


def test_an_object_is_edited(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin
) -> None:
    hands = begin(squares())
    labels = objects(viewer)
    hands.click(*ONE)
    hands.click(*TWO)
    hands.until(lambda: settled(prompt_dock) and area(prompt_dock) == 128)
    hands.press(Qt.Key.Key_Return)
    hands.click(*THREE)
    hands.until(lambda: settled(prompt_dock))
    hands.press(Qt.Key.Key_Return)
    assert labels.selected_label == 2
    hands.move(*TWO)
    hands.press(Qt.Key.Key_E)
    assert labels.selected_label == 1
    assert area(prompt_dock) == 128
    hands.click(*TWO, button=RIGHT)
    # A mask goes to the model on a grid of its own: a corner may be lost there.
    hands.until(lambda: settled(prompt_dock) and area(prompt_dock) in (63, 64))
    hands.press(Qt.Key.Key_Return)
    expected = square(ONE)
    expected[20:28, 4:12] = 2
    assert np.count_nonzero(labels.data != expected) <= 1
    hands.press(Qt.Key.Key_Z, CTRL)
    assert labels.data[TWO] == 1


def test_other_objects_are_kept_unless_told_otherwise(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin
) -> None:
    hands = begin(squares())
    labels = objects(viewer)
    hands.drag([(1, 1), (14, 8)])
    hands.until(lambda: settled(prompt_dock))
    first = area(prompt_dock)
    assert 0 < first < 64
    hands.press(Qt.Key.Key_Return)
    hands.click(*ONE)
    hands.until(lambda: settled(prompt_dock))
    hands.press(Qt.Key.Key_Return)
    assert np.count_nonzero(labels.data == 1) == first
    assert np.count_nonzero(labels.data == 2) == 64 - first
    prompt_dock.panel.overwrite.setChecked(True)
    hands.click(*ONE)
    hands.until(lambda: settled(prompt_dock))
    hands.press(Qt.Key.Key_Return)
    assert np.unique(labels.data).tolist() == [0, 3]
    hands.press(Qt.Key.Key_Z, CTRL)
    assert np.unique(labels.data).tolist() == [0, 1, 2]


def test_number_keys_choose_the_class(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin
) -> None:
    hands = begin(squares())
    labels = objects(viewer)
    classes = prompt_dock.panel.classes
    hands.qtbot.mouseClick(classes.add_button, Qt.MouseButton.LeftButton)
    item = classes.table.item(1, 1)
    assert item is not None
    item.setText("mitosis")
    for at, key in ((ONE, Qt.Key.Key_1), (TWO, Qt.Key.Key_2), (THREE, Qt.Key.Key_1)):
        hands.press(key)
        hands.click(*at)
        hands.until(lambda: settled(prompt_dock))
        hands.press(Qt.Key.Key_Return)
    # A key of a class that is not there does nothing, nor does napari's own tool of that key.
    hands.press(Qt.Key.Key_3)
    assert labels.mode == "pan_zoom"
    table = labels.features
    assert table["category_id"].tolist() == [1, 2, 1]
    assert table["category"].tolist() == ["object", "mitosis", "object"]
    hands.until(lambda: not np.allclose(labels.get_color(1), labels.get_color(2)))
    blue = classes.classes()[1].color
    assert np.argmax(labels.get_color(2)[:3]) == np.argmax(blue)
    # Going on in the layer brings its classes back.
    prompt_dock.stop()
    classes.set_classes(())
    begin.on(viewer.layers["cells"])  # type: ignore[attr-defined]
    assert [one.name for one in classes.classes()] == ["object", "mitosis"]


def test_the_view_moves_with_space_ctrl_or_the_middle_button(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin
) -> None:
    hands = begin(squares())
    camera = viewer.scene.camera

    def moved_by(**how: Any) -> np.ndarray:
        before = np.array(camera.center[-2:])
        hands.drag([(20, 20), (30, 40)], **how)
        return np.array(camera.center[-2:]) - before

    np.testing.assert_allclose(moved_by(button=MIDDLE), (-10, -20), atol=0.5)
    np.testing.assert_allclose(moved_by(keys=CTRL), (-10, -20), atol=0.5)
    hands.native.setFocus()
    hands.qtbot.keyPress(hands.native, Qt.Key.Key_Space)
    assert (moved_by() < -5).all()
    hands.qtbot.keyRelease(hands.native, Qt.Key.Key_Space)
    assert len(prompting(prompt_dock).drafts) == 0
    assert abs(moved_by()).max() == 0
    assert camera.mouse_pan


def points_of(hands: Hands, dock: PromptWidget) -> np.ndarray:
    return np.array([p for d in prompting(dock).drafts for s in d.steps for p in s.points])


def test_scaled_rotated_and_moved(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin
) -> None:
    hands = begin(squares(), scale=(0.5, 0.25), rotate=30, translate=(100, -40), units="um")
    labels = objects(viewer)
    hands.click(*FOUR)
    hands.until(lambda: settled(prompt_dock))
    np.testing.assert_allclose(points_of(hands, prompt_dock), [np.add(FOUR, 0.5)], atol=0.5)
    first, last = corners(viewer.layers["prompt preview"])
    np.testing.assert_allclose(first, hands.layer.data_to_world((19.5, 19.5)), atol=1e-6)
    np.testing.assert_allclose(last, hands.layer.data_to_world((27.5, 27.5)), atol=1e-6)
    hands.press(Qt.Key.Key_Return)
    expected = np.zeros((64, 80), int)
    expected[20:28, 20:28] = 1
    np.testing.assert_array_equal(labels.data, expected)
    np.testing.assert_allclose(labels.extent.world, hands.layer.extent.world)


def test_a_plane_of_a_stack_with_rolled_dims(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin
) -> None:
    stack = np.zeros((5, 64, 80), np.uint8)
    stack[3] = squares()
    layer = viewer.add_image(stack, name="cells", scale=(4, 0.5, 0.5), translate=(10, 0, 0))
    viewer.dims.set_point(0, 10 + 4 * 3)
    hands = begin.on(layer)  # type: ignore[attr-defined]
    labels = objects(viewer)
    hands.click(*TWO)
    hands.until(lambda: settled(prompt_dock))
    hands.press(Qt.Key.Key_Return)
    expected = np.zeros(stack.shape, int)
    expected[3, 4:12, 20:28] = 1
    np.testing.assert_array_equal(labels.data, expected)
    assert labels.features["z"].tolist() == [3]
    # Rows and columns swapped on screen.
    viewer.dims.order = (0, 2, 1)
    viewer.reset_view()
    hands.settle()
    hands.click(*THREE)
    hands.until(lambda: settled(prompt_dock))
    hands.press(Qt.Key.Key_Return)
    expected[3, 20:28, 4:12] = 2
    np.testing.assert_array_equal(labels.data, expected)
    # A view across the planes is not for prompts, and says so.
    viewer.dims.order = (1, 0, 2)
    assert "rows and columns" in prompt_dock.status.text()
    assert not labels.keymap


def test_rgb_and_multichannel(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin
) -> None:
    hands = begin(np.stack([squares()] * 3, axis=-1), rgb=True)
    hands.click(*ONE)
    hands.until(lambda: settled(prompt_dock))
    hands.press(Qt.Key.Key_Return)
    np.testing.assert_array_equal(objects(viewer).data, square(ONE))
    prompt_dock.stop()
    two = np.stack([squares(), squares()])
    hands = begin(two, name="channels", axis_labels=("c", "y", "x"))
    hands.click(*TWO)
    hands.until(lambda: settled(prompt_dock))
    hands.press(Qt.Key.Key_Return)
    labels = viewer.layers["channels objects"]
    assert labels.data.shape == (64, 80)
    assert labels.data[TWO] == 1
