"""What is wanted is encoded, whenever it is wanted."""

from __future__ import annotations

from typing import Any

import numpy as np
from gui.clicks import WAIT
from prompters import BrightnessPrompter
from qtpy.QtCore import QThreadPool

from napari_instseg.gui.prompt.lanes import Encoder
from napari_instseg.models.prompters import LoadedPrompter
from napari_instseg.prompting import PromptSession


def test_a_view_that_is_wanted_as_the_worker_ends_is_encoded(qtbot: Any) -> None:
    model = LoadedPrompter(BrightnessPrompter(), "bright", "bright.safetensors", "0" * 64)
    session = PromptSession(np.zeros((64, 200), np.uint8), model, limits=((0, 255),), cache=False)
    first, second = (session.view_for((), (32, at, 32, at)) for at in (8, 190))
    assert first != second
    encoder = Encoder()
    encoder.use(session)
    encoder.want([first])
    # The worker is done, and has told so; nobody has heard of that yet.
    assert QThreadPool.globalInstance().waitForDone(WAIT)
    assert session.has(first)
    encoder.want([second], urgent=True)
    qtbot.waitUntil(lambda: session.has(second), timeout=WAIT)
    qtbot.waitUntil(lambda: encoder.left == 0, timeout=WAIT)
    encoder.use(None)
