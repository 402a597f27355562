"""One object through the planes of a stack, by mouse and keys in the Prompt dock."""

from __future__ import annotations

from typing import Any

import napari
import numpy as np
from gui.clicks import WAIT, click
from gui.prompt.conftest import Begin
from gui.prompt.hands import CTRL, SHIFT, Hands
from numpy.typing import NDArray
from prompters import BrightnessPrompter
from qtpy.QtCore import Qt

from napari_instseg.gui.prompt.widget import PromptWidget

COUNT, SIZE, MIDDLE = 15, 64, 7


def ball() -> NDArray[np.bool_]:
    planes, rows, cols = np.indices((COUNT, SIZE, SIZE)) + 0.5
    inside: NDArray[np.bool_] = np.hypot(np.hypot(planes - 0.5 - MIDDLE, rows - 24), cols - 32) < 6
    return inside


def begin_in_stack(viewer: napari.Viewer, begin: Begin, dock: PromptWidget) -> Hands:
    """Start in the middle of a stack with a ball, and accept that plane of it."""
    layer = viewer.add_image(
        ball().astype(np.uint8) * 255, name="cells", scale=(3, 0.5, 0.5), translate=(5, 0, 0)
    )
    viewer.dims.set_point(0, 5 + 3 * MIDDLE)
    hands = begin.on(layer)  # type: ignore[attr-defined]
    assert dock.running is not None
    drafts = dock.running.prompting.drafts
    hands.click(24, 32)
    hands.until(lambda: bool(len(drafts)) and not drafts.unanswered())
    hands.press(Qt.Key.Key_Return)
    return hands


def planes_of(data: NDArray[Any], number: int) -> list[int]:
    return np.unique(np.nonzero(data == number)[0]).tolist()


def test_an_object_goes_through_the_planes_and_back_by_one_undo(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin, qtbot: Any
) -> None:
    hands = begin_in_stack(viewer, begin, prompt_dock)
    labels, box, truth = viewer.layers["cells objects"], prompt_dock.propagate, ball()
    assert planes_of(labels.data, 1) == [MIDDLE]
    click(qtbot, prompt_dock.stack.toggleButton())
    click(qtbot, box.run_button)
    qtbot.waitUntil(lambda: not box.busy, timeout=WAIT)
    assert viewer.layers["propagation preview"].data.any()
    # Nothing is painted before it is accepted.
    assert planes_of(labels.data, 1) == [MIDDLE]
    before = labels.data.copy()

    click(qtbot, box.planes.accept_button)
    assert np.unique(labels.data).tolist() == [0, 1]
    both, either = (labels.data == 1) & truth, (labels.data == 1) | truth
    assert both.sum() > 0.9 * either.sum()
    found = planes_of(labels.data, 1)
    assert found == list(range(found[0], found[-1] + 1))
    assert {2, 12} <= set(found)
    accepted = labels.data.copy()
    assert "propagation preview" not in viewer.layers
    # One row of the table has all of it.
    assert labels.features["index"].tolist() == [1]
    assert labels.features["area"].tolist() == [np.count_nonzero(accepted)]
    assert prompt_dock.status.text() == "1 object"

    hands.press(Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(labels.data, before)
    hands.until(lambda: labels.features["area"].tolist() == [np.count_nonzero(before)])
    hands.press(Qt.Key.Key_Z, CTRL | SHIFT)
    np.testing.assert_array_equal(labels.data, accepted)


def test_stop_while_it_propagates_leaves_no_preview(
    viewer: napari.Viewer,
    prompt_dock: PromptWidget,
    begin: Begin,
    prompter: BrightnessPrompter,
    qtbot: Any,
    monkeypatch: Any,
) -> None:
    import threading

    gate, entered = threading.Event(), threading.Event()
    begin_in_stack(viewer, begin, prompt_dock)
    box, inner = prompt_dock.propagate, prompter.decode

    def decode(*args: Any, **options: Any) -> Any:
        if len(prompter.decoded) > 4:
            entered.set()
            assert gate.wait(60)
        return inner(*args, **options)

    monkeypatch.setattr(prompter, "decode", decode)
    click(qtbot, prompt_dock.stack.toggleButton())
    click(qtbot, box.run_button)
    qtbot.waitUntil(entered.is_set, timeout=WAIT)
    click(qtbot, prompt_dock.start_button)
    assert prompt_dock.running is None
    gate.set()
    qtbot.waitUntil(lambda: not box.busy, timeout=WAIT)
    assert [layer.name for layer in viewer.layers] == ["cells", "cells objects"]
    assert not box.planes.isVisible()
