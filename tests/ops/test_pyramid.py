"""Coarser label images: the most frequent label of four, and never one that is not there."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from helpers import draw
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from napari_instseg.ops.pyramid import halve, level_shapes

LABELS = npst.arrays(
    np.uint32,
    npst.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=9),
    elements=st.sampled_from([0, 1, 2, 3, 2**32 - 1]),
)


def mode_of_blocks(plane: np.ndarray) -> np.ndarray:
    """By counting, one block at a time; `Counter` keeps the order in which values came."""
    height, width = plane.shape
    return np.array(
        [
            [
                Counter(plane[r : r + 2, c : c + 2].ravel().tolist()).most_common(1)[0][0]
                for c in range(0, width, 2)
            ]
            for r in range(0, height, 2)
        ]
    )


def test_drawing():
    fine = draw("""
        AA.B.
        A..BC
        ..CC.
        D.CE.
        ..DDE
    """)
    assert (halve(fine) == draw("A..\n.C.\n.DE")).all()


@given(LABELS)
def test_agrees_with_counting(labels):
    found = halve(labels)
    assert found.dtype == labels.dtype
    for coarse, fine in zip(
        found.reshape(-1, *found.shape[-2:]), labels.reshape(-1, *labels.shape[-2:]), strict=True
    ):
        np.testing.assert_array_equal(coarse, mode_of_blocks(fine))


@given(LABELS, st.integers(1, 4))
def test_parts_that_begin_at_even_pixels_are_parts_of_the_whole(labels, row):
    whole = halve(labels)
    np.testing.assert_array_equal(halve(labels[..., 2 * row :, :]), whole[..., row:, :])


@pytest.mark.parametrize(
    ("shape", "largest", "count"), [((7, 8), 8, 1), ((9, 1), 8, 2), ((3, 2000, 5000), 1024, 4)]
)
def test_levels(shape, largest, count):
    shapes = level_shapes(shape, largest)
    assert len(shapes) == count
    assert max(shapes[-1][-2:]) <= largest
    plane = np.zeros(shape[-2:], bool)
    for expected in shapes:
        assert expected == (*shape[:-2], *plane.shape)
        plane = halve(plane)
