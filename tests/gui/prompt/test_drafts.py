from __future__ import annotations

import numpy as np

from napari_instseg.gui.prompt.drafts import Drafts, Step
from napari_instseg.gui.prompt.masks import combined, polygon_mask, thinned
from napari_instseg.gui.prompt.tools import ClickTool, LassoTool, PolygonTool, ScribbleTool
from napari_instseg.instances import Mask
from napari_instseg.ops.tiling import Tile
from napari_instseg.promptable import OFF, ON
from napari_instseg.prompting import Candidate, View

VIEW = View((), 0, Tile(0, 0, 64, 64))


def candidate(size: int = 2, score: float = 0.9) -> Candidate:
    mask = Mask((3, 4), np.ones((size, size), bool))
    return Candidate(mask, score, 1.0, 1, VIEW, np.zeros((4, 4), np.float32), False)


def test_a_draft_becomes_a_prompt_and_clicks_correct_what_was_shown() -> None:
    drafts = Drafts()
    draft = drafts.start(())
    draft.add(Step(((1.5, 2.5),)))
    assert draft.prompt().is_ambiguous
    assert drafts.unanswered() == [draft]
    answers = candidate(1, 0.8), candidate(2, 0.7)
    draft.answer(answers, draft.version)
    assert drafts.unanswered() == []
    draft.next()
    assert draft.shown is answers[1]
    draft.add(Step(((5.0, 6.0),), OFF))
    prompt = draft.prompt()
    assert prompt.points == ((1.5, 2.5), (5.0, 6.0))
    assert prompt.labels == (ON, OFF)
    assert prompt.previous is answers[1]
    assert drafts.unanswered() == [draft]

    # An answer to what was asked before the last click is shown, but not the last word.
    draft.answer(answers, draft.version - 1)
    assert not draft.answered
    drafts.take_back()
    assert draft.prompt().previous is None
    drafts.take_back()
    assert len(drafts) == 0


def test_a_box_starts_anew_and_the_last_one_counts() -> None:
    draft = Drafts().start((2,))
    draft.add(Step(((1.5, 2.5),)))
    draft.answer((candidate(),), draft.version)
    draft.add(Step(box=(0, 0, 9, 9)))
    draft.add(Step(box=(1, 1, 8, 8)))
    prompt = draft.prompt()
    assert prompt.box == (1, 1, 8, 8)
    assert prompt.previous is None


def test_other_candidates_join_those_there() -> None:
    draft = Drafts().start(())
    draft.add(Step(box=(0, 0, 9, 9)))
    first = candidate(2)
    draft.answer((first,), draft.version)
    others = candidate(1), candidate(3)
    draft.add_answers(others, draft.version)
    assert draft.answers == (first, *others)
    assert draft.shown is others[0]
    draft.next()
    draft.next()
    assert draft.shown is first
    draft.add_answers(others, draft.version - 1)
    assert len(draft.answers) == 3


def test_tools() -> None:
    step, line = ClickTool().drag([(1, 2), (3, 9), (8, 5)], ON)
    assert step is not None
    assert step.box == (1, 2, 8, 5)
    assert line[0] == line[-1]
    assert ClickTool().drag([(1, 2), (1.5, 9)], ON)[0] is None
    assert ClickTool().drag([(1, 2), (8, 5)], OFF) == (None, ())
    scribble = ScribbleTool().drop([(0, 0), (0, 70)], OFF)
    assert scribble is not None
    assert scribble.label == OFF
    assert scribble.points == tuple((0, 10 * i) for i in range(8))


def square_lasso(tool: LassoTool, label: int) -> Mask | None:
    step = tool.drop([(2, 2), (2, 6), (6, 6), (6, 2)], label)
    return None if step is None else step.mask


def test_lasso_and_polygon_give_the_pixels_inside() -> None:
    mask = square_lasso(LassoTool((9, 9), lambda mask, label: mask), ON)
    assert mask is not None
    assert (mask.origin, mask.pixels.shape, mask.area) == ((2, 2), (4, 4), 16)
    assert square_lasso(LassoTool((9, 9), lambda mask, label: None), OFF) is None
    assert polygon_mask([(1, 1), (2, 2)], (9, 9)) is None
    assert polygon_mask([(20, 20), (20, 30), (30, 30)], (9, 9)) is None

    polygon = PolygonTool((9, 9), lambda mask, label: mask)
    for corner in ((2, 2), (2, 6), (0, 0)):
        assert polygon.click(corner, ON, 0.5) is None
    assert polygon.click((3, 3), OFF, 0.5) is None
    assert polygon.corners == [(2, 2), (2, 6)]
    for corner in ((6, 6), (6, 2)):
        assert polygon.click(corner, ON, 0.5) is None
    step = polygon.click((2.5, 2.5), ON, 0.5)
    assert step is not None
    assert step.mask is not None
    assert step.mask.area == 16
    assert polygon.corners == []


def test_masks_join_and_part() -> None:
    a = Mask((0, 0), np.ones((2, 2), bool))
    b = Mask((1, 1), np.ones((2, 2), bool))
    joined = combined(a, b, add=True)
    assert joined is not None
    assert joined.area == 7
    rest = combined(a, b, add=False)
    assert rest is not None
    assert (rest.origin, rest.area) == ((0, 0), 3)
    assert combined(a, a, add=False) is None


def test_a_scribble_without_length_is_a_point() -> None:
    assert thinned([(3, 4), (3, 4)]) == ((3, 4),)
