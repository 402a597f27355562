""" "Free memory": the network goes, whatever is kept of its answers."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import napari
import numpy as np
import pytest
from gui.clicks import WAIT, click
from gui.fakes import squares
from gui.prompt.hands import Hands
from prompters import BrightnessPrompter
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton

from napari_instseg.gui.everything_widget import EverythingWidget
from napari_instseg.gui.holder import PrompterHolder
from napari_instseg.gui.prompt.widget import PromptWidget
from napari_instseg.gui.samples import fluorescence
from napari_instseg.models import prompters
from napari_instseg.models.entry import Report
from napari_instseg.models.prompters import LoadedPrompter, built_in
from napari_instseg.promptable import Prompts, PromptSegmenter
from napari_instseg.segmenter import ModelError
from napari_instseg.settings import Settings

needs_weights = pytest.mark.skipif(
    bool(built_in().missing()), reason="the built-in model is not here"
)
MODEL = Settings(model="sam-nuclei")
PICTURE = np.zeros((16, 16, 3), np.float32)


class Networks:
    """All networks that were made since."""

    def __init__(self) -> None:
        self._before = {id(network): weakref.ref(network) for network in _networks()}

    def alive(self) -> int:
        gc.collect()
        known = {key for key, network in self._before.items() if network() is not None}
        return sum(id(network) not in known for network in _networks())


def _networks() -> list[Any]:
    from torch.nn import Module

    return [thing for thing in gc.get_objects() if issubclass(type(thing), Module)]


@pytest.fixture(scope="module")
def imported() -> None:
    """The framework is here: to import it takes longer than a test should wait for."""
    prompters.load("sam-nuclei")


def free(button: QPushButton) -> None:
    assert button.isEnabled()
    button.click()


@needs_weights
def test_of_the_prompt_dock(imported: None, viewer: napari.Viewer, qtbot: Any) -> None:
    networks = Networks()
    viewer.window.resize(1300, 850)
    dock = PromptWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Prompt", area="right")
    layer = viewer.add_image(fluorescence()[0][0][:128, :128], name="cells")
    button = dock.setup.more.free_button
    assert not button.isEnabled()

    def start() -> None:
        click(qtbot, dock.start_button)
        qtbot.waitUntil(lambda: dock.running is not None, timeout=WAIT)

    start()
    assert not button.isEnabled()
    hands = Hands(viewer, qtbot, layer)
    brightest = np.unravel_index(np.argmax(layer.data), layer.data.shape)
    hands.click(*(float(at) for at in brightest))
    drafts = dock.running.prompting.drafts  # type: ignore[union-attr]
    hands.until(lambda: bool(len(drafts)) and not drafts.unanswered())
    hands.press(Qt.Key.Key_Return)
    labels = viewer.layers["cells objects"]
    assert labels.data.max() == 1
    dock.stop()
    assert networks.alive()
    free(button)
    assert networks.alive() == 0
    assert not button.isEnabled()
    assert labels.data.max() == 1
    start()
    assert networks.alive()
    dock.close()


@needs_weights
def test_of_the_everything_dock_whose_results_can_still_be_filtered(
    imported: None, viewer: napari.Viewer, qtbot: Any
) -> None:
    networks = Networks()
    viewer.add_image(fluorescence()[0][0][:128, :128], name="cells")
    dock = EverythingWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Segment everything", area="right")

    def run() -> None:
        click(qtbot, dock.run_button)
        qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)

    run()
    labels = viewer.layers["cells everything instances"]
    count = len(np.unique(labels.data)) - 1
    assert count > 3
    assert networks.alive()
    free(dock.form.more.free_button)
    assert networks.alive() == 0
    assert not dock.form.more.free_button.isEnabled()

    areas = np.bincount(labels.data.ravel())[1:]
    dock.limits.area.set_value(float(np.median(areas)), np.inf)
    qtbot.waitUntil(lambda: 0 < len(np.unique(labels.data)) - 1 < count, timeout=WAIT)
    assert f"{len(np.unique(labels.data)) - 1} object" in dock.status.text()
    assert networks.alive() == 0
    run()
    assert networks.alive()


class Loads:
    """Loads a promptable model again and again."""

    def __init__(self) -> None:
        self.made: list[weakref.ref[BrightnessPrompter]] = []
        self.sha256 = "0" * 64

    def __call__(self, settings: Settings, report: Report | None = None) -> LoadedPrompter:
        prompter = BrightnessPrompter(64)
        self.made.append(weakref.ref(prompter))
        return LoadedPrompter(prompter, settings.model, "fake.safetensors", self.sha256)

    def here(self) -> list[bool]:
        gc.collect()
        return [one() is not None for one in self.made]


def test_whoever_still_asks_has_it_loaded_again() -> None:
    loads = Loads()
    holder = PrompterHolder(loads)
    kept = holder.get(MODEL)
    assert isinstance(kept.prompter, PromptSegmenter)
    assert holder.get(MODEL) is kept
    assert holder.name == "sam-nuclei"
    holder.release()
    assert loads.here() == [False]
    assert (holder.name, holder.holds(MODEL)) == ("", False)
    # What it is needs no network.
    assert (kept.prompter.input_size, kept.prompter.mask_size) == (64, 32)
    assert loads.here() == [False]

    (embedding,) = kept.prompter.encode([PICTURE])
    assert len(kept.prompter.decode(embedding, Prompts.create([[(2, 2)]]), multimask=False)) == 1
    assert loads.here() == [False, True]
    assert holder.name == "sam-nuclei"
    holder.release()
    assert loads.here() == [False, False]

    # The next session and the last one share a network.
    again = holder.get(MODEL)
    kept.prompter.encode([PICTURE])
    assert again.prompter is kept.prompter
    assert loads.here() == [False, False, True]


def test_another_model_takes_its_place() -> None:
    loads = Loads()
    holder = PrompterHolder(loads)
    kept = holder.get(MODEL)
    other = holder.get(Settings(model="other"))
    assert loads.here() == [False, True]
    assert (other.name, holder.name) == ("other", "other")
    # A session that goes on gets its own back; both are freed at once.
    kept.prompter.encode([PICTURE])
    assert loads.here() == [False, True, True]
    holder.release()
    assert loads.here() == [False, False, False]


def test_other_weights_are_not_taken_for_the_same() -> None:
    loads = Loads()
    holder = PrompterHolder(loads)
    kept = holder.get(MODEL)
    holder.release()
    loads.sha256 = "1" * 64
    with pytest.raises(ModelError, match="the weights of 'sam-nuclei' were replaced meanwhile"):
        kept.prompter.encode([PICTURE])
    again = holder.get(MODEL)
    assert again.prompter is not kept.prompter
    assert again.sha256 == "1" * 64
    again.prompter.encode([PICTURE])


def test_a_session_goes_on_after_another_dock_freed_its_model(
    viewer: napari.Viewer, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_instseg.models.entry.ModelEntry.missing", lambda self: "")
    loads = Loads()
    viewer.window.resize(1300, 850)
    dock = PromptWidget(viewer, PrompterHolder(loads))
    viewer.window.add_dock_widget(dock, name="Prompt", area="right")
    layer = viewer.add_image(squares(), name="cells")
    click(qtbot, dock.start_button)
    qtbot.waitUntil(lambda: dock.running is not None, timeout=WAIT)
    dock.show_everything()
    (other,) = (x for x in viewer.window.dock_widgets.values() if isinstance(x, EverythingWidget))
    other.free_memory()
    assert loads.here() == [False]
    hands = Hands(viewer, qtbot, layer)
    hands.click(8, 8)
    drafts = dock.running.prompting.drafts  # type: ignore[union-attr]
    hands.until(lambda: bool(len(drafts)) and not drafts.unanswered())
    hands.press(Qt.Key.Key_Return)
    assert viewer.layers["cells objects"].data[8, 8] == 1
    assert loads.here() == [False, True]
    dock.close()
