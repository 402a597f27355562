"""What is wrong with each object: small cases by exact value, and what must always hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from held_against import pairs, set_of
from helpers import draw
from hypothesis import given
from mistakes import FOUND, TRUTH
from numpy.typing import NDArray

from napari_instseg import LabelSet
from napari_instseg.evaluation import Assessment, assess
from napari_instseg.evaluation.errors import (
    CORRECT,
    KINDS,
    MERGED,
    MISNAMED,
    MISSED,
    POOR,
    SPLIT,
    SPURIOUS,
)
from napari_instseg.evaluation.options import Options


def assessed(found: LabelSet, truth: LabelSet) -> Assessment:
    return assess(found, truth, Options(draws=0))


def rows(table: pd.DataFrame) -> list[tuple[object, ...]]:
    columns = ("kind", "truth", "predicted", "parts")
    return list(table[list(columns)].itertuples(index=False, name=None))


def test_every_kind_by_hand() -> None:
    found = assessed(set_of(FOUND), set_of(TRUTH))
    (errors,) = found.errors
    kinds = dict(zip(errors.truth.tolist(), errors.truth_kinds.tolist(), strict=True))
    # E: half of it; F: 10 of 12 px.
    assert kinds == {1: CORRECT, 2: SPLIT, 3: MERGED, 4: MERGED, 5: POOR, 6: CORRECT}
    kinds = dict(zip(errors.predicted.tolist(), errors.predicted_kinds.tolist(), strict=True))
    expected = {7: CORRECT, 8: SPLIT, 9: SPLIT, 10: MERGED, 11: POOR, 12: CORRECT, 13: SPURIOUS}
    assert kinds == expected
    assert rows(found.error_table) == [
        ("spurious", 0, 13, 1),
        ("split", 2, 8, 2) if errors.table["predicted"][1] == 8 else ("split", 2, 9, 2),
        ("merged", 3, 10, 2) if errors.table["truth"][2] == 3 else ("merged", 4, 10, 2),
        ("poor boundary", 5, 11, 1),
    ]
    split = found.error_table.iloc[1]
    box = (split.row_min, split.col_min, split.row_max, split.col_max)
    assert (box, split.area, split.iou) == ((0, 5, 2, 9), 8, 0.5)
    score = found.scores[0]
    assert (score.over_segmented, score.under_segmented) == (1, 1)


def test_the_picture_of_the_errors() -> None:
    painted = assessed(set_of(FOUND), set_of(TRUTH)).error_labels[...]
    assert painted.dtype == np.int32
    expected = draw("""
        .....CCCC.DDDDD.....
        .....CCCC.DDDDD....E
        ....................
        BB..................
    """)
    # Drawn as letters: B spurious, C split, D merged, E poor; where both agree on E nothing is.
    np.testing.assert_array_equal(painted, expected)


def test_missed_and_misnamed() -> None:
    truth = set_of(draw("AA.BB.CC"), {1: "cell", 2: "cell", 3: "dust"})
    found = set_of(draw("AA....CC"), {1: "cell", 3: "cell"})
    one = assessed(found, truth)
    assert rows(one.error_table) == [("missed", 2, 0, 1), ("wrong category", 3, 3, 1)]
    assert one.error_table["category"].tolist() == ["cell", "dust"]
    assert np.isnan(one.error_table["iou"][0])
    np.testing.assert_array_equal(np.unique(one.error_labels[...]), [CORRECT, MISSED, MISNAMED])


@pytest.mark.parametrize(
    ("found", "over"),
    [
        ("AAABBB", 1),  # Two halves.
        ("AAAAAB", 1),  # A sixth counts,
        (".AB...", 0),  # but together they must have more than half of it,
        ("ABCDEF", 1),
        ("AAAAAA", 0),
    ],
)
def test_what_is_over_segmented(found: str, over: int) -> None:
    truth, cut = set_of(draw("ZZZZZZ")), set_of(draw(found))
    assert assessed(cut, truth).scores[0].over_segmented == over
    # The other way round it is under-segmented.
    assert assessed(truth, cut).scores[0].under_segmented == over


def test_crumbs_are_no_parts() -> None:
    truth = set_of(np.ones((1, 21), np.int32))
    found = np.ones((1, 21), np.int32)
    found[0, 19:] = 2
    assert assessed(set_of(found), truth).scores[0].over_segmented == 0
    found[0, 18:] = 2
    assert assessed(set_of(found), truth).scores[0].over_segmented == 1
    # A neighbour that reaches in with less than half of itself is none either.
    wide = set_of(draw("ZZZZZZ......"))
    assert assessed(set_of(draw("AAABBBBBBBBB")), wide).scores[0].over_segmented == 0


@given(pairs)
def test_what_always_holds(pair: tuple[NDArray[np.int32], NDArray[np.int32]]) -> None:
    truth, predicted = pair
    found = assessed(set_of(predicted), set_of(truth))
    (errors,), (score,) = found.errors, found.scores
    counts = {kind: int((errors.truth_kinds == kind).sum()) for kind in (MISSED, SPLIT)}
    table = found.error_table
    listed = table["kind"].value_counts()
    assert counts[MISSED] == listed.get("missed", 0)
    assert counts[SPLIT] == listed.get("split", 0) == score.over_segmented
    assert (errors.predicted_kinds == SPURIOUS).sum() == listed.get("spurious", 0)
    assert (errors.predicted_kinds == MERGED).sum() == score.under_segmented
    # What is not matched has an error.
    match = score.matches[0.5]
    assert (errors.truth_kinds != CORRECT).sum() >= match.false_negatives
    assert (errors.predicted_kinds != CORRECT).sum() >= match.false_positives
    painted = found.error_labels[...]
    assert not painted[(truth == 0) & (predicted == 0)].any()
    for error in table.itertuples():
        inside = painted[error.row_min : error.row_max, error.col_min : error.col_max]
        if error.kind in ("missed", "spurious"):
            assert (inside > 0).any()
        assert error.area > 0


@given(pairs)
def test_perfect_and_exchanged(pair: tuple[NDArray[np.int32], NDArray[np.int32]]) -> None:
    truth, predicted = pair
    assert assessed(set_of(truth), set_of(truth)).error_table.empty
    one, other = (
        assessed(set_of(a), set_of(b)).scores[0]
        for a, b in ((truth, predicted), (predicted, truth))
    )
    assert (one.over_segmented, one.under_segmented) == (
        other.under_segmented,
        other.over_segmented,
    )


def test_frames_are_images_of_their_own() -> None:
    truth = np.stack([draw("AA.BB"), draw("AA.BB")])
    found = np.stack([draw("AA.BB"), draw("AA...")])
    one = assessed(set_of(found, axes="TYX"), set_of(truth, axes="TYX"))
    assert [score.name for score in one.scores] == ["image T=0", "image T=1"]
    assert [score.matches[0.5].false_negatives for score in one.scores] == [0, 1]
    (error,) = one.error_table.itertuples()
    assert (error.image, error.t_first, error.t_last, error.truth) == ("image T=1", 1, 1, 2)
    np.testing.assert_array_equal(one.error_labels[...] > 0, truth * (found == 0) > 0)
    # Planes of a stack belong together.
    stack = assessed(set_of(found, axes="ZYX"), set_of(truth, axes="ZYX"))
    assert len(stack.scores) == 1
    (error,) = stack.error_table.itertuples()
    assert (error.kind, error.iou, error.z_first, error.z_last) == ("poor boundary", 0.5, 0, 1)


def test_an_object_that_the_table_does_not_know_is_one_all_the_same() -> None:
    truth = set_of(draw("AA.BB"))
    drawn = truth.read("instances")
    drawn[0, 2] = 7
    painted = LabelSet(drawn, "YX", truth.table, truth.categories)
    assert rows(assessed(painted, truth).error_table) == [("spurious", 0, 7, 1)]


def test_kinds_have_names() -> None:
    assert list(KINDS) == [MISSED, SPURIOUS, SPLIT, MERGED, POOR, MISNAMED]
