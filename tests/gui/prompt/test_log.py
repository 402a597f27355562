"""What was accepted and painted is logged as it was, whatever the layer's pixels are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import napari
import numpy as np
import pytest
from gui.clicks import WAIT
from gui.fakes import squares
from gui.prompt.conftest import Begin
from qtpy.QtCore import Qt

from napari_instseg.gui.prompt.log import LOG_KEY, Act, Log
from napari_instseg.gui.prompt.running import Running
from napari_instseg.gui.prompt.widget import PromptWidget
from napari_instseg.instances import Mask
from napari_instseg.ops.editing.painting import KEEP
from napari_instseg.ops.editing.runs import decode
from napari_instseg.prompting import painting
from napari_instseg.prompting.painting import Accepted
from napari_instseg.segmenter import Category


def settled(running: Running) -> bool:
    drafts = running.prompting.drafts
    return bool(len(drafts)) and not drafts.unanswered()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_strokes_in_layers_of_small_numbers(
    viewer: napari.Viewer, prompt_dock: PromptWidget, begin: Begin, qtbot: Any, dtype: type
) -> None:
    pixels = squares()
    image = viewer.add_image(pixels, name="cells")
    labels = viewer.add_labels(np.zeros(pixels.shape, dtype), name="mine")
    viewer.layers.selection.active = image
    prompt_dock.setup.target.choose(labels.unique_id)
    begin.on(image)  # type: ignore[attr-defined]
    assert prompt_dock.labels() is labels
    labels.data_setitem((np.array([2, 9]), np.array([3, 12])), np.array([7, 7], dtype))
    qtbot.waitUntil(lambda: "napari_instseg" in labels.metadata, timeout=WAIT)
    (edit,) = labels.metadata["napari_instseg"]["edits"]
    shape = tuple(np.subtract(edit["stop"], edit["start"]))
    values = decode(edit["runs"], shape)
    assert sorted(np.unique(values)) == [KEEP, 7]
    assert (values == 7).sum() == 2


def test_the_log_holds_no_answers_of_the_network(prompt_dock: PromptWidget, begin: Begin) -> None:
    hands = begin(squares())
    running = prompt_dock.running
    assert running is not None
    hands.click(8, 8)
    hands.until(lambda: settled(running))
    hands.click(8, 24)
    hands.until(lambda: settled(running))
    hands.press(Qt.Key.Key_Return)
    running.write_recipe()
    (act,) = running.labels.metadata[LOG_KEY].acts
    (one,) = act.accepted
    answers = [one.answer]
    while answers[-1].asked.prompt.previous is not None:
        answers.append(answers[-1].asked.prompt.previous)
    assert len(answers) == 2
    for answer in answers:
        assert answer.logits.size == 0
        assert answer.mask.pixels.base is None


def test_only_planes_that_may_differ_are_read_again(
    viewer: napari.Viewer,
    prompt_dock: PromptWidget,
    begin: Begin,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack = np.stack([squares()] * 4)
    image = viewer.add_image(stack, name="cells")
    labels = viewer.add_labels(np.ones_like(stack, np.int32), name="mine")
    viewer.layers.selection.active = image
    prompt_dock.setup.target.choose(labels.unique_id)
    begin.on(image)  # type: ignore[attr-defined]
    running = prompt_dock.running
    assert running is not None
    assert running.labels is labels
    running.write_recipe()
    read: list[tuple[int, ...]] = []
    compare = Log._left_to_paint
    monkeypatch.setattr(
        Log,
        "_left_to_paint",
        lambda log, plane, acts: read.append(plane) or compare(log, plane, acts),
    )

    def edits() -> int:
        return len(labels.metadata["napari_instseg"]["edits"])

    def values(plane: int) -> set[int]:
        edit = labels.metadata["napari_instseg"]["edits"][plane]
        shape = tuple(np.subtract(edit["stop"], edit["start"]))
        return {*np.unique(decode(edit["runs"], shape)).tolist()} - {KEEP}

    assert edits() == 4
    labels.data_setitem((np.array([2]), np.array([9]), np.array([12])), np.array([7]))
    qtbot.waitUntil(lambda: values(2) == {1, 7}, timeout=WAIT)
    assert {*read} == {(2,)}
    # napari's undo, which it tells nobody of; then what is written past napari.
    read.clear()
    viewer.dims.set_current_step(0, 3)
    labels.undo()
    qtbot.waitUntil(lambda: values(2) == {1}, timeout=WAIT)
    labels.redo()
    qtbot.waitUntil(lambda: values(2) == {1, 7}, timeout=WAIT)
    assert {*read} == {(2,)}
    labels.data[0, 3, 3] = 9
    running.write_recipe()
    assert values(0) == {1, 9}


def test_acts_are_painted_again_without_a_search_of_the_plane(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    acts = []
    for _ in range(60):
        accepted = []
        for number in rng.choice(np.arange(1, 9), rng.integers(1, 4), replace=False):
            top, left = rng.integers(0, 40, 2)
            mask = Mask((int(top), int(left)), rng.random((12, 15)) > 0.3)
            answer: Any = SimpleNamespace(mask=mask)
            accepted.append(Accepted(int(number), answer, bool(rng.random() < 0.5)))
        acts.append(Act((), tuple(accepted), Category(1, "a"), bool(rng.random() < 0.5)))
    acts.append(Act((), (), Category(1, "a"), False))
    wanted, found = (np.zeros((60, 60), np.int32) for _ in range(2))
    for act in acts[:-1]:
        rows, cols = painting.part_of(wanted, act.accepted)
        wanted[rows, cols] = painting.painted(
            *(wanted[rows, cols], act.accepted, (rows.start, cols.start)),
            overwrite=act.overwrite,
        )
    monkeypatch.setattr(painting, "part_of", None)
    painting.repaint(found, [(act.accepted, act.overwrite) for act in acts])
    np.testing.assert_array_equal(found, wanted)
    assert len(np.unique(wanted)) > 5
