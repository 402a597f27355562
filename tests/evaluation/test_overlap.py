"""Pixels that labels share, against counting them one by one, and memory that stays flat."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from held_against import blocks, pairs, set_of, shaken
from helpers import draw
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_instseg import InputError, LabelSet
from napari_instseg.evaluation import Options, assess
from napari_instseg.evaluation.comparison import compare
from napari_instseg.evaluation.overlap import Overlap, count_overlap
from napari_instseg.ops.extents import windows


def count(truth: NDArray[Any], predicted: NDArray[Any], edge: int = 2048) -> Overlap:
    parts = windows(truth.shape, edge)
    return count_overlap(lambda w: truth[w], lambda w: predicted[w], parts, truth.ndim)


def test_by_hand() -> None:
    found = count(draw("AA.B"), draw("C.DD"))
    assert found.truth.tolist() == [0, 1, 2]
    assert found.predicted.tolist() == [0, 3, 4]
    pairs = list(zip(found.rows, found.cols, found.shared, found.boxes.tolist(), strict=True))
    # Of A, a pixel is C's and one nobody's; D has one of nothing, and B.
    assert sorted(pairs) == [
        (0, 2, 1, [[0, 2], [1, 3]]),
        (1, 0, 1, [[0, 1], [1, 2]]),
        (1, 1, 1, [[0, 0], [1, 1]]),
        (2, 2, 1, [[0, 3], [1, 4]]),
    ]
    assert found.truth_areas.tolist() == [1, 2, 1]
    assert found.predicted_areas.tolist() == [1, 1, 2]
    assert found.boxes_of("predicted")[2].tolist() == [[0, 2], [1, 4]]


@given(pairs, st.integers(1, 40))
def test_as_pixel_by_pixel_whatever_the_windows(
    pair: tuple[NDArray[np.int32], NDArray[np.int32]], edge: int
) -> None:
    truth, predicted = pair
    found = count(truth, predicted, edge)
    for row, col, shared, box in zip(
        found.rows, found.cols, found.shared, found.boxes, strict=True
    ):
        both = (truth == found.truth[row]) & (predicted == found.predicted[col])
        assert both.sum() == shared
        places = np.argwhere(both)
        assert box.tolist() == [places.min(0).tolist(), (places.max(0) + 1).tolist()]
    assert found.shared.sum() == ((truth > 0) | (predicted > 0)).sum()
    for label, area in zip(found.truth, found.truth_areas, strict=True):
        if label:
            assert area == (truth == label).sum()


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int16, np.uint64])
def test_any_integers(kind: Any) -> None:
    truth = (blocks(3) > 0).astype(kind)
    assert count(truth, truth).shared.tolist() == [int((truth > 0).sum())]


def test_many_windows_are_added_up() -> None:
    truth, predicted = blocks(5), shaken(blocks(5), 5)
    whole, parts = count(truth, predicted), count(truth, predicted, 2)
    assert len(list(windows(truth.shape, 2))) > 100
    for name in ("rows", "cols", "shared", "boxes", "truth_areas", "predicted_areas"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


def test_nothing_at_all() -> None:
    found = count(np.zeros((0, 4), int), np.zeros((0, 4), int))
    assert not len(found.shared)
    assert not len(count(np.zeros((3, 4), int), np.zeros((3, 4), int)).truth)


class Endless:
    """A label image that is made where it is read; remembers how much that was."""

    shape, dtype = (4096, 4096), np.dtype(np.int32)

    def __init__(self, shift: int) -> None:
        self.shift, self.reads, self.largest = shift, 0, 0

    def __getitem__(self, where: Any) -> NDArray[np.int32]:
        rows, cols = (np.arange(*part.indices(4096))[:, None] for part in where)
        self.reads += rows.size * cols.size
        self.largest = max(self.largest, rows.size * cols.size)
        # A square of 20 px in each cell of 512 px, of which some windows see only a part.
        cells = rows // 512 * 8 + (cols.T - self.shift) // 512 + 1
        inside = ((rows - 250) % 512 < 20) & ((cols.T - 250 - self.shift) % 512 < 20)
        return np.asarray(np.where(inside, cells, 0), np.int32)


def test_memory_does_not_grow_with_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "__defaults__", (256,))
    truth, predicted = Endless(0), Endless(4)
    sides = [LabelSet.from_labels(one, "YX", listed=False) for one in (truth, predicted)]
    tracemalloc.start()
    try:
        (score,) = assess(sides[1], sides[0], Options(draws=0)).scores
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert truth.largest == predicted.largest == 256 * 256
    assert truth.reads == predicted.reads == 4096 * 4096
    # Either image would be 64 MiB.
    assert peak < 4 * 2**20
    # IoU 16 / 24 of 20 columns.
    assert (score.truth_count, score.matches[0.65].true_positives) == (64, 64)
    assert score.matches[0.7].true_positives == 0


def test_what_does_not_fit_is_named() -> None:
    plain = set_of(draw("AB"))
    with pytest.raises(InputError, match=r"shape \(1, 2\) of the truth 'image', got \(1, 3\): "):
        list(compare(set_of(draw("ABC")), plain))
    four = draw("AB")[None, None]
    with pytest.raises(InputError, match=r"axes 'TZYX', got 'ZTYX'"):
        list(compare(set_of(four, axes="ZTYX"), set_of(four, axes="TZYX")))
    with pytest.raises(InputError, match=r"prediction \(cell\) has the name .* truth \(nucleus\)"):
        list(compare(plain, set_of(draw("AB"), {1: "nucleus", 2: "nucleus"})))
    with pytest.raises(InputError, match="tissue: countable on one side"):
        list(
            compare(
                set_of(draw("AB"), {1: "tissue"}),
                set_of(draw("AB"), {1: "tissue"}, stuff=["tissue"]),
            )
        )
    with pytest.raises(InputError, match="expected one of"):
        list(compare(plain, plain, categories="colour"))
    with pytest.raises(InputError, match="labels from 0, got -1"):
        list(compare(LabelSet.from_labels(-draw("A"), "YX", listed=False), set_of(draw("A"))))
