"""The Prompt dock comes and goes as napari's docks do, and gives memory back."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from gui.clicks import LEFT, WAIT, click
from gui.fakes import squares
from gui.prompt.conftest import Begin
from gui.prompt.hands import CTRL, SHIFT, Hands
from prompters import BrightnessPrompter
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QDockWidget

from napari_instseg.gui.docks import dock_of
from napari_instseg.gui.holder import PrompterHolder
from napari_instseg.gui.prompt.widget import PromptWidget
from napari_instseg.gui.review.widget import IN_PROMPT, ReviewWidget
from napari_instseg.models.entry import Report
from napari_instseg.models.prompters import LoadedPrompter
from napari_instseg.promptable import Embedding
from napari_instseg.prompting.caching import embeddings_folder
from napari_instseg.segmenter import RGB
from napari_instseg.settings import Settings

ONE, TWO = (8, 8), (8, 24)


def dock_around(widget: PromptWidget) -> QDockWidget:
    dock = dock_of(widget)
    assert dock is not None
    return dock


def callbacks(viewer: napari.Viewer) -> list[Any]:
    return [
        *(dict(layer.keymap) for layer in viewer.layers),
        list(viewer.mouse_drag_callbacks),
        list(viewer.mouse_double_click_callbacks),
        list(viewer.mouse_move_callbacks),
    ]


def prompt(hands: Hands, dock: PromptWidget, row: int, col: int) -> None:
    """Click an object and wait for the answer."""
    assert dock.running is not None
    drafts = dock.running.prompting.drafts
    hands.click(row, col)
    hands.until(lambda: bool(len(drafts)) and not drafts.unanswered())


class SlowPrompter(BrightnessPrompter):
    """Encodes when it is allowed to."""

    def __init__(self, input_size: int = 64) -> None:
        super().__init__(input_size)
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()

    def encode(self, pictures: Sequence[RGB]) -> list[Embedding]:
        self.entered.set()
        assert self.gate.wait(60)
        return super().encode(pictures)


@pytest.fixture
def prompter() -> SlowPrompter:
    return SlowPrompter(256)


@pytest.mark.parametrize("how", ["x", "remove_dock_widget"])
def test_the_dock_is_closed_while_one_prompts(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin, qtbot: Any, how: str
) -> None:
    layer = viewer.add_image(squares(), name="cells")
    before = callbacks(viewer)
    hands = begin.on(layer)  # type: ignore[attr-defined]
    prompt(hands, prompt_dock, *ONE)
    hands.press(Qt.Key.Key_Return)
    prompt(hands, prompt_dock, *TWO)
    assert "prompt preview" in viewer.layers
    running = prompt_dock.running
    assert running is not None
    if how == "x":
        qtbot.mouseClick(dock_around(prompt_dock).title.close_button, LEFT)  # type: ignore[attr-defined]
    else:
        viewer.window.remove_dock_widget(prompt_dock)
    QApplication.processEvents()
    assert not viewer.window.dock_widgets
    # What was accepted stays; what was not is gone, and so are the keys.
    labels = viewer.layers["cells objects"]
    assert [one.name for one in viewer.layers] == ["cells", "cells objects"]
    assert (labels.data[ONE], labels.data[TWO]) == (1, 0)
    assert not labels.keymap
    viewer.layers.selection.active = layer
    assert prompt_dock.running is None
    assert not running.works
    assert callbacks(viewer)[0] == before[0]
    assert callbacks(viewer)[2:] == before[1:]
    hands.click(*TWO)
    assert [one.name for one in viewer.layers] == ["cells", "cells objects"]

    # The same widget may be docked again, as scripts do.
    viewer.window.add_dock_widget(prompt_dock, name="Prompt", area="right")
    assert prompt_dock.start_button.text() == "Start"
    hands = begin.on(layer)  # type: ignore[attr-defined]
    prompt(hands, prompt_dock, *TWO)
    hands.press(Qt.Key.Key_Return)
    assert (labels.data[ONE], labels.data[TWO]) == (1, 2)
    # It follows the viewer as before.
    viewer.add_image(squares(), name="later")
    choice = prompt_dock.setup.layer_choice
    assert "later" in [choice.itemText(i) for i in range(choice.count())]


def test_the_menu_opens_another_dock_after_one_was_closed(
    viewer: napari.Viewer, qtbot: Any
) -> None:
    name = "Prompt (Segment Anything) (napari-instseg)"
    viewer.add_image(squares(), name="cells")
    seen = []
    for _ in range(2):
        _, widget = viewer.window.add_plugin_dock_widget(
            "napari-instseg", "Prompt (Segment Anything)"
        )
        assert isinstance(widget, PromptWidget)
        assert list(viewer.window.dock_widgets) == [name]
        seen.append(widget)
        qtbot.mouseClick(dock_around(widget).title.close_button, LEFT)  # type: ignore[attr-defined]
        QApplication.processEvents()
    assert seen[0] is not seen[1]


def test_hidden_the_session_waits_until_it_is_shown_again(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin, qtbot: Any
) -> None:
    hands = begin(squares())
    prompt(hands, prompt_dock, *ONE)
    dock = dock_around(prompt_dock)
    qtbot.mouseClick(dock.title.hide_button, LEFT)  # type: ignore[attr-defined]
    assert not prompt_dock.isVisible()
    assert [one.name for one in viewer.layers] == ["cells", "cells objects"]
    assert not any(layer.keymap for layer in viewer.layers)
    hands.click(*TWO)
    assert [one.name for one in viewer.layers] == ["cells", "cells objects"]
    dock.show()
    hands.until(lambda: bool(viewer.layers["cells objects"].keymap))
    prompt(hands, prompt_dock, *TWO)
    hands.press(Qt.Key.Key_Return)
    assert viewer.layers["cells objects"].data[TWO] == 1


def test_closed_while_it_starts(
    viewer: napari.Viewer, prompt_dock: PromptWidget, prompter: SlowPrompter, qtbot: Any
) -> None:
    viewer.add_image(squares(), name="cells")
    prompter.gate.clear()
    click(qtbot, prompt_dock.start_button)
    qtbot.waitUntil(prompter.entered.is_set, timeout=WAIT)
    viewer.window.remove_dock_widget(prompt_dock)
    prompter.gate.set()
    qtbot.wait(200)
    assert prompt_dock.running is None
    assert prompt_dock.task.worker is None
    assert [one.name for one in viewer.layers] == ["cells"]


def test_a_closed_dock_is_forgotten_with_its_model(
    viewer: napari.Viewer, qtbot: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("napari_instseg.models.entry.ModelEntry.missing", lambda self: "")
    made: list[weakref.ref[Any]] = []

    def load(settings: Settings, report: Report | None = None) -> LoadedPrompter:
        prompter = BrightnessPrompter(256)
        made.append(weakref.ref(prompter))
        return LoadedPrompter(prompter, settings.model, "fake.safetensors", "0" * 64)

    layer = viewer.add_image(squares(), name="cells")
    widget = PromptWidget(viewer, PrompterHolder(load))
    viewer.window.add_dock_widget(widget, name="Prompt", area="right")
    click(qtbot, widget.start_button)
    qtbot.waitUntil(lambda widget=widget: widget.running is not None, timeout=WAIT)
    hands = Hands(viewer, qtbot, layer)
    prompt(hands, widget, *ONE)
    hands.press(Qt.Key.Key_Return)
    there = weakref.ref(widget)
    assert made[0]() is not None
    qtbot.mouseClick(dock_around(widget).title.close_button, LEFT)  # type: ignore[attr-defined]
    del widget

    def forgotten() -> bool:
        gc.collect()
        return there() is None and made[0]() is None

    qtbot.waitUntil(forgotten, timeout=WAIT)


def test_warnings_of_the_session_are_shown(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin, tmp_path: Path, qtbot: Any
) -> None:
    assert not prompt_dock.warnings.isVisible()
    # A file where the folder is to be.
    folder = embeddings_folder()
    assert folder.is_relative_to(tmp_path)
    folder.parent.mkdir(parents=True)
    folder.write_text("not a folder")
    hands = begin(squares())
    prompt(hands, prompt_dock, *ONE)
    assert prompt_dock.warnings.isVisible()
    text = prompt_dock.warnings.text().replace("\u200b", "")
    assert text.startswith(f"⚠ embeddings cannot be kept in {folder}: ")
    # It is told beside what goes on as usual.
    hands.press(Qt.Key.Key_Return)
    assert prompt_dock.status.text() == "1 object"
    assert prompt_dock.minimumSizeHint().width() <= 320
    click(qtbot, prompt_dock.start_button)
    assert not prompt_dock.warnings.isVisible()
    folder.unlink()
    begin.on(viewer.layers["cells"])  # type: ignore[attr-defined]
    assert not prompt_dock.warnings.isVisible()


def test_undo_beside_a_review_dock_that_nobody_sees(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin, qtbot: Any
) -> None:
    review = ReviewWidget(viewer)
    viewer.window.add_dock_widget(review, name="Review", area="right").hide()
    hands = begin(squares())
    labels = prompt_dock.labels()
    prompt(hands, prompt_dock, 8, 8)
    hands.press(Qt.Key.Key_Return)
    qtbot.waitUntil(labels.data.any, timeout=WAIT)
    qtbot.waitUntil(lambda: "napari_instseg" in labels.metadata, timeout=WAIT)
    hands.press(Qt.Key.Key_Z, CTRL)
    assert not labels.data.any()
    review.close()


def test_a_review_dock_that_is_seen_waits_until_the_prompts_are_over(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin, qtbot: Any
) -> None:
    review = ReviewWidget(viewer)
    viewer.window.add_dock_widget(review, name="Review", area="left")
    hands = begin(squares())
    labels = prompt_dock.labels()
    assert labels is not None
    for at in ((8, 8), (8, 24)):
        prompt(hands, prompt_dock, *at)
        hands.press(Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "napari_instseg" in labels.metadata, timeout=WAIT)
    assert review.session is None
    assert review.rows.view.empty_text == IN_PROMPT
    hands.press(Qt.Key.Key_Z, CTRL)
    assert {*np.unique(labels.data)} == {0, 1}
    hands.press(Qt.Key.Key_Z, CTRL | SHIFT)
    assert {*np.unique(labels.data)} == {0, 1, 2}

    # Its turn, with what was accepted; and back again.
    click(qtbot, prompt_dock.start_button)
    qtbot.waitUntil(lambda: review.session is not None, timeout=WAIT)
    assert review.session is not None
    assert review.session.layer is labels
    assert review.session.table["index"].tolist() == [1, 2]
    review.session.apply("delete", ids=[1])
    prompt_dock.setup.target.choose(labels.unique_id)
    begin.on(viewer.layers["cells"])  # type: ignore[attr-defined]
    assert prompt_dock.labels() is labels
    assert review.session is None
    prompt(hands, prompt_dock, 24, 8)
    hands.press(Qt.Key.Key_Return)
    assert {*np.unique(labels.data)} == {0, 2, 3}
    hands.press(Qt.Key.Key_Z, CTRL)
    assert {*np.unique(labels.data)} == {0, 2}
    review.close()
