"""Masks and instances: what they accept, what they say when they do not, and how they move."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import draw, mask_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_instseg.instances import Instances, Mask

LABELS = draw("""
    AA...
    AA.CC
    ....C
    .B...
""")


def two() -> Instances:
    """Two objects of a 6 x 8 plane."""
    masks = [mask_of("###\n##."), mask_of("##", (4, 5))]
    return Instances.create((6, 8), masks, scores=[0.9, 0.4], category_ids=[1, 2])


def pixels_of(instances: Instances) -> NDArray[np.bool_]:
    """(N, H, W), for small planes."""
    stack = np.zeros((len(instances), *instances.image_shape), bool)
    for canvas, mask in zip(stack, instances.masks, strict=True):
        canvas[mask.slices] = mask.pixels
    return stack


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.ones(4, bool), r"expected mask pixels as a \(h, w\) bool array, got shape \(4,\)"),
        (np.ones((2, 2), np.uint8), r"got shape \(2, 2\) of uint8"),
        (np.ones((1, 2, 2), bool), r"got shape \(1, 2, 2\) of bool"),
    ],
)
def test_a_mask_is_a_two_dimensional_bool_array(pixels: NDArray[np.bool_], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mask((0, 0), pixels)


def test_tight_cuts_empty_rows_and_columns_and_keeps_the_place() -> None:
    mask = mask_of("......\n..##..\n..#...\n......", (10, 20))
    tight = mask.tight()
    assert tight is not None
    assert tight.origin == (11, 22)
    assert tight.pixels.tolist() == [[True, True], [True, False]]
    assert tight.slices == (slice(11, 13), slice(22, 24))
    assert (mask.area, tight.area) == (3, 3)


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (3, 0), (3, 4)])
def test_an_empty_mask_has_no_tight_form(shape: tuple[int, int]) -> None:
    mask = Mask((1, 1), np.zeros(shape, bool))
    assert mask.tight() is None
    assert mask.area == 0


def make(**changes: object) -> Instances:
    """Two valid objects with some fields exchanged, past all constructors but the real one."""
    fields: dict[str, object] = {
        "image_shape": (6, 8),
        "boxes": np.zeros((2, 4), np.float32),
        "scores": np.array([0.5, 1.0], np.float32),
        "category_ids": np.array([1, 1]),
        "masks": (mask_of("##"), mask_of("##", (5, 6))),
    }
    return Instances(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"boxes": np.zeros((3, 5), np.float32)},
            r"expected boxes of shape \(2, 4\) for 2 masks, got \(3, 5\)",
        ),
        (
            {"scores": np.zeros((2, 1), np.float32)},
            r"expected scores of shape \(2,\) for 2 masks, got \(2, 1\)",
        ),
        (
            {"category_ids": np.ones(1, np.int64)},
            r"expected category_ids of shape \(2,\) for 2 masks, got \(1,\)",
        ),
        (
            {"scores": np.array([0.5, 1.5], np.float32)},
            r"expected scores in \[0, 1\], got 0.5 to 1.5",
        ),
        (
            {"scores": np.array([-0.5, 1.0], np.float32)},
            r"expected scores in \[0, 1\], got -0.5 to 1.0",
        ),
        ({"scores": np.array([0.5, np.nan], np.float32)}, r"expected scores in \[0, 1\], got nan"),
        ({"category_ids": np.array([0, 1])}, r"expected category_ids of 1 or more, got 0"),
        (
            {"masks": (mask_of("##"), mask_of("##", (6, 0)))},
            r"expected masks inside the plane of 6 x 8 px, got one at rows 6:7, columns 0:2",
        ),
        ({"masks": (mask_of("##"), mask_of("##", (0, 7)))}, "columns 7:9"),
        ({"masks": (mask_of("##", (-1, 0)), mask_of("##"))}, "rows -1:0"),
        ({"masks": (mask_of("##", (0, -1)), mask_of("##"))}, "columns -1:1"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**changes)
    assert len(make()) == 2


def test_create_fills_in_scores_categories_and_boxes() -> None:
    instances = Instances.create((6, 8), [mask_of("###\n##.", (1, 2))])
    assert instances.boxes.tolist() == [[2, 1, 5, 3]]
    assert (instances.scores.tolist(), instances.category_ids.tolist()) == ([1], [1])
    assert instances.boxes.dtype == instances.scores.dtype == np.float32
    assert instances.category_ids.dtype == np.int64


def test_arrays_are_read_only_and_not_the_callers() -> None:
    scores, boxes = np.array([0.9], np.float32), np.zeros((1, 4), np.float32)
    instances = Instances.create((6, 8), [mask_of("##")], scores=scores, boxes=boxes)
    scores[0] = boxes[0] = 0.1
    assert (instances.scores[0], instances.boxes[0, 0]) == (np.float32(0.9), 0)
    arrays = [instances.boxes, instances.scores, instances.category_ids, instances.masks[0].pixels]
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(AttributeError):
        instances.image_shape = (1, 1)  # type: ignore[misc]


def test_no_objects_are_normal() -> None:
    empty = Instances.empty((6, 8))
    assert (len(empty), empty.boxes.shape, empty.scores.shape) == (0, (0, 4), (0,))
    assert len(empty.take([])) == len(empty.take(np.zeros(0, bool))) == 0
    assert empty.shift(3, 4, (20, 20)).image_shape == (20, 20)
    assert len(Instances.concatenate([empty, empty])) == 0


def test_from_labels_takes_each_label_once_in_ascending_order() -> None:
    instances = Instances.from_labels(LABELS)
    expected = np.stack([n == LABELS for n in (1, 2, 3)])
    np.testing.assert_array_equal(pixels_of(instances), expected)
    assert instances.boxes.tolist() == [[0, 0, 2, 2], [1, 3, 2, 4], [3, 1, 5, 3]]


def test_from_labels_skips_numbers_that_are_not_there() -> None:
    instances = Instances.from_labels(LABELS * 100)
    assert [mask.area for mask in instances.masks] == [4, 1, 3]


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (3, 0), (3, 5), (1, 1)])
def test_from_labels_without_objects(shape: tuple[int, int]) -> None:
    instances = Instances.from_labels(np.zeros(shape, np.int32))
    assert (len(instances), instances.image_shape) == (0, shape)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_from_labels_takes_any_integer(dtype: str) -> None:
    instances = Instances.from_labels(LABELS.astype(dtype))
    assert [mask.area for mask in instances.masks] == [4, 1, 3]


@pytest.mark.parametrize("which", [[1, 0], np.array([1, 0]), np.array([1, 0], np.uint8)])
def test_take_keeps_the_order_asked_for(which: list[int]) -> None:
    taken = two().take(which)
    assert taken.scores.tolist() == pytest.approx([0.4, 0.9])
    assert taken.category_ids.tolist() == [2, 1]
    assert [mask.origin for mask in taken.masks] == [(4, 5), (0, 0)]


def test_take_by_bool_keeps_what_is_true() -> None:
    instances = two()
    assert instances.take(instances.scores > 0.5).category_ids.tolist() == [1]
    assert instances.take([False, True]).category_ids.tolist() == [2]
    assert len(instances.take([])) == 0


def test_concatenate_keeps_everything_in_order() -> None:
    both = Instances.concatenate([two(), Instances.empty((6, 8)), two().take([1])])
    assert both.category_ids.tolist() == [1, 2, 2]
    np.testing.assert_array_equal(pixels_of(both)[1], pixels_of(both)[2])


def test_concatenate_needs_parts_of_one_plane() -> None:
    with pytest.raises(ValueError, match=r"one image shape, got \[\(6, 8\), \(8, 6\)\]"):
        Instances.concatenate([two(), Instances.empty((8, 6))])
    with pytest.raises(ValueError, match=r"one image shape, got \[\]"):
        Instances.concatenate([])


def test_shift_out_of_the_plane_is_an_error() -> None:
    with pytest.raises(ValueError, match="rows -1:1"):
        two().shift(-1, 0, (6, 8))


@given(
    labels=st.lists(st.lists(st.integers(0, 4), min_size=5, max_size=5), min_size=1, max_size=7),
    rows=st.integers(0, 9),
    cols=st.integers(0, 9),
)
def test_shift_there_and_back(labels: list[list[int]], rows: int, cols: int) -> None:
    instances = Instances.from_labels(np.array(labels))
    height, width = instances.image_shape
    there = instances.shift(rows, cols, (height + rows, width + cols))
    np.testing.assert_array_equal(pixels_of(there)[:, rows:, cols:], pixels_of(instances))
    assert pixels_of(there).sum() == pixels_of(instances).sum()
    back = there.shift(-rows, -cols, (height, width))
    np.testing.assert_array_equal(pixels_of(back), pixels_of(instances))
    np.testing.assert_array_equal(back.boxes, instances.boxes)
