"""The dock: start, stop, what is bound while it is open, tiles on demand."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import napari
import napari.layers
import numpy as np
import pytest
from gui.clicks import WAIT, Beats, click
from gui.fakes import squares
from gui.prompt.conftest import Begin
from gui.prompt.hands import CTRL, Hands
from napari.utils.notifications import notification_manager
from prompters import BrightnessPrompter
from qtpy.QtCore import Qt

from napari_instseg.gui.everything_widget import EverythingWidget
from napari_instseg.gui.prompt.widget import PromptWidget
from napari_instseg.promptable import Embedding
from napari_instseg.segmenter import RGB

ONE, TWO = (8, 8), (8, 24)


def settled(dock: PromptWidget) -> bool:
    assert dock.running is not None
    drafts = dock.running.prompting.drafts
    return bool(len(drafts)) and not drafts.unanswered()


def bound(viewer: napari.Viewer) -> list[Any]:
    return [
        *(len(layer.keymap) for layer in viewer.layers),
        *(f.__name__ for f in viewer.mouse_drag_callbacks),
        *(f.__name__ for f in viewer.mouse_double_click_callbacks),
        *(f.__name__ for f in viewer.mouse_move_callbacks),
        len(viewer.keymap),
    ]


def many(factor: int = 1) -> np.ndarray:
    """16 by 16 squares; no two tiles are alike, since those are encoded once."""
    noise = np.random.default_rng(0).integers(0, 20, (256 * factor, 256 * factor))
    return (np.kron(squares(16, 16), np.ones((factor, factor))) + noise).astype(np.uint8)


def stay(viewer: napari.Viewer) -> None:
    """Add a layer that stays: Mesa may crash when the last one goes and the welcome screen comes.

    That is napari's own; seen with napari 0.9.2, vispy 0.17 and llvmpipe.
    """
    viewer.add_image(np.zeros((4, 4), np.uint8), name="other")


def test_keys_and_mouse_are_given_back(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin, qtbot: Any
) -> None:
    layer = viewer.add_image(squares(), name="cells")
    mine = lambda layer: None  # noqa: E731
    layer.bind_key("C", mine)
    before = bound(viewer)
    hands = begin.on(layer)  # type: ignore[attr-defined]
    labels = viewer.layers["cells objects"]
    assert len(labels.keymap) > 15
    hands.click(*ONE)
    hands.until(lambda: settled(prompt_dock))
    assert [x.name for x in viewer.layers] == ["cells", "cells objects", "prompt preview"]

    # A brush, or another layer, has its own keys.
    labels.mode = "paint"
    assert not labels.keymap
    assert "Paused" in prompt_dock.status.text()
    labels.mode = "pan_zoom"
    viewer.layers.selection.active = layer
    assert len(layer.keymap) > 15
    assert not labels.keymap

    # Undo works there, too.
    hands.press(Qt.Key.Key_Return)
    assert labels.data[ONE] == 1
    hands.press(Qt.Key.Key_Z, CTRL)
    assert labels.data[ONE] == 0

    # Hidden: as if it were not there; shown: as before.
    prompt_dock.hide()
    assert [x.name for x in viewer.layers] == ["cells", "cells objects"]
    assert list(layer.keymap.values()) == [mine]
    assert not labels.keymap
    prompt_dock.show()
    qtbot.waitUntil(lambda: len(layer.keymap) > 15, timeout=WAIT)
    prompt_dock.close()
    viewer.layers.remove(labels)
    assert bound(viewer) == before
    assert list(layer.keymap.values()) == [mine]


def test_stop_and_go_on_in_the_same_layer(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin, qtbot: Any
) -> None:
    hands = begin(squares())
    hands.click(*ONE)
    hands.until(lambda: settled(prompt_dock))
    hands.press(Qt.Key.Key_Return)
    click(qtbot, prompt_dock.start_button)
    assert prompt_dock.running is None
    assert prompt_dock.start_button.text() == "Start"
    assert [x.name for x in viewer.layers] == ["cells", "cells objects"]
    hands = begin.on(viewer.layers["cells"])  # type: ignore[attr-defined]
    assert len(viewer.layers) == 2
    hands.click(*TWO)
    hands.until(lambda: settled(prompt_dock))
    hands.press(Qt.Key.Key_Return)
    labels = viewer.layers["cells objects"]
    assert (labels.data[ONE], labels.data[TWO]) == (1, 2)
    # The table of the first session is kept.
    assert labels.features["index"].tolist() == [1, 2]


def test_the_session_ends_with_its_layers(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin
) -> None:
    stay(viewer)
    begin(squares())
    viewer.layers.remove("cells objects")
    assert prompt_dock.running is None
    assert "removed" in prompt_dock.status.text()
    layer = viewer.layers["cells"]
    begin.on(layer)  # type: ignore[attr-defined]
    layer.data = squares() // 2
    assert prompt_dock.running is None
    assert "other pixels" in prompt_dock.status.text()
    begin.on(layer)  # type: ignore[attr-defined]
    viewer.layers.remove(layer)
    assert prompt_dock.running is None


class SlowPrompter(BrightnessPrompter):
    """Encodes when it is allowed to."""

    def __init__(self, input_size: int = 64) -> None:
        super().__init__(input_size)
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()
        self.error: Exception | None = None

    def encode(self, pictures: Sequence[RGB]) -> list[Embedding]:
        self.entered.set()
        assert self.gate.wait(60)
        if self.error is not None:
            raise self.error
        return super().encode(pictures)


@pytest.fixture
def prompter() -> SlowPrompter:
    return SlowPrompter()


def test_cancel_while_it_starts(
    viewer: napari.Viewer, prompt_dock: PromptWidget, prompter: SlowPrompter, qtbot: Any
) -> None:
    viewer.add_image(squares(), name="cells")
    prompter.gate.clear()
    click(qtbot, prompt_dock.start_button)
    qtbot.waitUntil(prompter.entered.is_set, timeout=WAIT)
    assert not prompt_dock.start_button.isEnabled()
    click(qtbot, prompt_dock.task.cancel_button)
    assert prompt_dock.start_button.isEnabled()
    assert prompt_dock.running is None
    prompter.gate.set()
    qtbot.wait(50)
    assert prompt_dock.running is None
    assert [x.name for x in viewer.layers] == ["cells"]


def test_the_layer_is_removed_while_it_starts(
    viewer: napari.Viewer, prompt_dock: PromptWidget, prompter: SlowPrompter, qtbot: Any
) -> None:
    stay(viewer)
    layer = viewer.add_image(squares(), name="cells")
    prompter.gate.clear()
    click(qtbot, prompt_dock.start_button)
    qtbot.waitUntil(prompter.entered.is_set, timeout=WAIT)
    viewer.layers.remove(layer)
    prompter.gate.set()
    qtbot.waitUntil(lambda: prompt_dock.task.worker is None, timeout=WAIT)
    assert prompt_dock.running is None
    assert [x.name for x in viewer.layers] == ["other"]


def test_a_click_waits_for_its_tile_and_neighbours_are_encoded_ahead(
    viewer: napari.Viewer, prompt_dock: PromptWidget, prompter: SlowPrompter, begin: Begin
) -> None:
    # 16 by 16 squares: tiles of 64 px show 4 by 4 of them.
    hands = begin(many())
    running = prompt_dock.running
    assert running is not None
    hands.until(lambda: running.prompting.asking.encoder.left == 0)
    assert 1 < len(prompter.encoded) <= 13
    prompter.gate.clear()
    hands.click(248, 248)
    assert "Encoding" in prompt_dock.status.text()
    # Meanwhile what is encoded answers, and the click is not forgotten.
    prompter.gate.set()
    hands.until(lambda: settled(prompt_dock))
    hands.press(Qt.Key.Key_Return)
    assert viewer.layers["cells objects"].data[248, 248] == 1


def test_removed_while_a_tile_is_encoded(
    viewer: napari.Viewer, prompt_dock: PromptWidget, prompter: SlowPrompter, begin: Begin
) -> None:
    hands = begin(many())
    running = prompt_dock.running
    assert running is not None
    hands.until(lambda: running.prompting.asking.encoder.left == 0)
    prompter.entered.clear()
    prompter.gate.clear()
    hands.click(248, 248)
    hands.until(prompter.entered.is_set)
    viewer.layers.remove(hands.layer)
    assert prompt_dock.running is None
    prompter.gate.set()
    hands.qtbot.wait(100)
    assert [x.name for x in viewer.layers] == ["cells objects"]


def test_errors_are_told(
    viewer: napari.Viewer, prompt_dock: PromptWidget, prompter: SlowPrompter, begin: Begin
) -> None:
    hands = begin(many())
    running = prompt_dock.running
    assert running is not None
    hands.until(lambda: running.prompting.asking.encoder.left == 0)
    prompter.error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    hands.click(248, 248)
    hands.until(lambda: "Failed" in prompt_dock.status.text())
    assert "mat1 and mat2" in notification_manager.records[-1].message
    prompter.error = None
    hands.press(Qt.Key.Key_Escape)
    hands.click(248, 248)
    hands.until(lambda: settled(prompt_dock))


def test_nothing_to_prompt_in_is_said(
    viewer: napari.Viewer, prompt_dock: PromptWidget, qtbot: Any
) -> None:
    click(qtbot, prompt_dock.start_button)
    assert "expected an image layer" in notification_manager.records[-1].message
    viewer.add_image(np.zeros((4, 32, 32)))
    viewer.dims.ndisplay = 3
    click(qtbot, prompt_dock.start_button)
    assert "in 2-D" in notification_manager.records[-1].message


def test_the_dock_fits_its_width(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin
) -> None:
    begin(np.stack([squares()] * 3))
    assert prompt_dock.stack.isVisible()
    for part in (prompt_dock.setup, prompt_dock.panel, prompt_dock.keys, prompt_dock.stack):
        assert part.minimumSizeHint().width() + 16 <= 320, part


def test_everything_opens_on_the_same_image(
    viewer: napari.Viewer, prompt_dock: PromptWidget, qtbot: Any
) -> None:
    layer = viewer.add_image(squares(), name="cells")
    viewer.add_image(squares(), name="others")
    viewer.layers.selection.active = layer
    prompt_dock.show_everything()
    prompt_dock.show_everything()
    found = [x for x in viewer.window.dock_widgets.values() if isinstance(x, EverythingWidget)]
    assert len(found) == 1
    assert found[0].form.layer() is layer
    found[0].close()


def test_a_brush_keeps_its_number(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin
) -> None:
    hands = begin(squares())
    labels = viewer.layers["cells objects"]
    labels.selected_label = 5
    labels.paint((40, 40), 5)
    hands.press(Qt.Key.Key_N)
    assert labels.selected_label == 6
    hands.click(*ONE)
    hands.until(lambda: settled(prompt_dock))
    hands.press(Qt.Key.Key_Return)
    assert labels.data[ONE] == 6


def test_parts_go_into_one_object_if_wanted(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin
) -> None:
    hands = begin(squares())
    prompt_dock.panel.moves_on.setChecked(False)
    for at in (ONE, TWO):
        hands.click(*at)
        hands.until(lambda: settled(prompt_dock))
        hands.press(Qt.Key.Key_Return)
    labels = viewer.layers["cells objects"]
    assert labels.data[ONE] == labels.data[TWO] == 1
    hands.press(Qt.Key.Key_N)
    assert labels.selected_label == 2


@pytest.mark.slow
def test_the_viewer_lives_while_the_built_in_model_encodes(
    viewer: napari.Viewer, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_instseg.models.prompters import built_in
    from napari_instseg.models.sam.segmenter import SamPrompter

    if built_in().missing():
        pytest.skip("the built-in model is not here")
    beats = Beats(monkeypatch, SamPrompter, "encode")
    dock = PromptWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Prompt", area="right")
    layer = viewer.add_image(many(4), name="cells")
    click(qtbot, dock.start_button)
    qtbot.waitUntil(lambda: dock.running is not None, timeout=WAIT)
    running = dock.running
    assert running is not None
    hands = Hands(viewer, qtbot, layer)
    hands.click(480, 480)
    hands.until(lambda: settled(dock))
    hands.until(lambda: running.prompting.asking.encoder.left == 0)
    dock.close()
    beats.check()
