from __future__ import annotations

import numpy as np
from helpers import draw
from hypothesis import given
from hypothesis import strategies as st

from napari_instseg.instances import Mask
from napari_instseg.ops.masks import corners
from napari_instseg.ops.nesting import flatten, touching

GROUP = draw(
    """
    AAA.BBB
    AAA.BBB
    AAA.BBB
    """
)


def mask(pixels: np.ndarray) -> Mask:
    found = Mask((0, 0), pixels).tight()
    assert found is not None
    return found


def test_a_group_goes_if_its_objects_are_better_and_they_go_if_it_is():
    group = [mask(GROUP == 1), mask(GROUP == 2), mask(GROUP >= 0)]
    assert flatten(group, np.array([0.9, 0.8, 0.7])).tolist() == [0, 1]
    assert flatten(group, np.array([0.5, 0.6, 0.7])).tolist() == [2]
    # Half of its objects are better, half are not.
    assert flatten(group, np.array([0.9, 0.5, 0.69])).tolist() == [0, 1]


def test_a_part_goes_unless_it_is_better():
    whole, part = np.ones((9, 9), bool), np.zeros((9, 9), bool)
    part[3:6, 3:6] = True
    pair = [mask(whole), mask(part)]
    assert flatten(pair, np.array([0.9, 0.8])).tolist() == [0]
    assert flatten(pair, np.array([0.8, 0.9])).tolist() == [1]
    assert flatten(pair, np.array([0.9, 0.9])).tolist() == [0]


def test_three_storeys_are_settled_from_below():
    tissue = np.ones((20, 20), bool)
    cells = [np.zeros((20, 20), bool) for _ in range(2)]
    cells[0][1:19, 1:9], cells[1][1:19, 11:19] = True, True
    nucleolus = np.zeros((20, 20), bool)
    nucleolus[4:6, 4:6] = True
    masks = [mask(m) for m in (tissue, *cells, nucleolus)]
    assert flatten(masks, np.array([0.7, 0.9, 0.9, 0.8])).tolist() == [1, 2]
    assert flatten(masks, np.array([0.99, 0.9, 0.9, 0.8])).tolist() == [0]


def test_overlapping_masks_stay():
    a, b = np.zeros((2, 10, 10), bool)
    a[:, :6], b[:, 4:] = True, True
    assert flatten([mask(a), mask(b)], np.array([0.9, 0.8])).tolist() == [0, 1]


def test_nothing_and_one():
    assert flatten([], np.empty(0)).tolist() == []
    assert flatten([mask(np.ones((2, 2), bool))], np.array([0.1])).tolist() == [0]


@given(st.lists(st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 9)] * 2), max_size=25))
def test_boxes_that_touch_are_found_once(rows):
    masks = [Mask((r, c), np.ones((h, w), bool)) for r, c, h, w in rows]
    found = {tuple(sorted(pair)) for pair in zip(*touching(corners(masks)), strict=True)}
    expected = {
        (i, j)
        for i, (r, c, h, w) in enumerate(rows)
        for j, (r2, c2, h2, w2) in enumerate(rows[:])
        if i < j and r < r2 + h2 and r2 < r + h and c < c2 + w2 and c2 < c + w
    }
    assert found == expected
    assert len(touching(corners(masks))[0]) == len(expected)
