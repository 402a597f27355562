from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import napari
import napari.layers
import numpy as np
import pytest
from gui.clicks import WAIT, click
from gui.prompt.hands import Hands
from prompters import BrightnessPrompter

from napari_instseg.gui.holder import PrompterHolder
from napari_instseg.gui.prompt.widget import PromptWidget
from napari_instseg.models.entry import Report
from napari_instseg.models.prompters import LoadedPrompter
from napari_instseg.settings import Settings


@pytest.fixture
def prompter() -> BrightnessPrompter:
    return BrightnessPrompter(input_size=256)


@pytest.fixture
def prompt_dock(
    viewer: napari.Viewer, prompter: BrightnessPrompter, qtbot: Any, monkeypatch: Any
) -> Iterator[PromptWidget]:
    """The dock in a viewer, with a model that answers at once; its file is not asked for."""

    def load(settings: Settings, report: Report | None = None) -> LoadedPrompter:
        return LoadedPrompter(prompter, settings.model, "fake.safetensors", "0" * 64)

    monkeypatch.setattr("napari_instseg.models.entry.ModelEntry.missing", lambda self: "")
    viewer.window.resize(1300, 850)
    widget = PromptWidget(viewer, PrompterHolder(load))
    viewer.window.add_dock_widget(widget, name="Prompt", area="right")
    yield widget
    widget.close()


Begin = Callable[..., Hands]


@pytest.fixture
def begin(viewer: napari.Viewer, prompt_dock: PromptWidget, qtbot: Any) -> Begin:
    """Add an image, press Start and wait; gives the user's hands."""

    def start(data: np.ndarray, **options: Any) -> Hands:
        layer = viewer.add_image(data, **{"name": "cells", **options})
        return start_on(layer)

    def start_on(layer: napari.layers.Image) -> Hands:
        click(qtbot, prompt_dock.start_button)
        qtbot.waitUntil(lambda: prompt_dock.running is not None, timeout=WAIT)
        return Hands(viewer, qtbot, layer)

    start.on = start_on  # type: ignore[attr-defined]
    return start
