"""Operations on cropped masks, against plain arrays and COCO's run lengths."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from helpers import draw, mask_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pycocotools import mask as coco
from scipy import ndimage

from napari_instseg.instances import Instances, Mask
from napari_instseg.ops import masks as operations
from napari_instseg.ops.masks import (
    overlap_area,
    paint_labels,
    solid,
    tighten,
    union,
    with_masks,
)

SHAPE = (12, 14)


@st.composite
def masks(draw_from: st.DrawFn) -> Mask:
    """A mask anywhere in the plane, which may be empty, and whose crop may be loose."""
    pixels = draw_from(hnp.arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))))
    height, width = pixels.shape
    row = draw_from(st.integers(0, SHAPE[0] - height))
    return Mask((row, draw_from(st.integers(0, SHAPE[1] - width))), pixels)


def full(mask: Mask) -> NDArray[np.bool_]:
    canvas = np.zeros(SHAPE, bool)
    canvas[mask.slices] = mask.pixels
    return canvas


def encoded(mask: Mask) -> dict[str, object]:
    rle: dict[str, object] = coco.encode(np.asfortranarray(full(mask).astype(np.uint8)))
    return rle


@given(masks(), masks())
def test_overlap_and_union_are_cocos(a: Mask, b: Mask) -> None:
    both, either = (coco.merge([encoded(a), encoded(b)], intersect=i) for i in (True, False))
    assert overlap_area(a, b) == overlap_area(b, a) == coco.area(both)
    assert encoded(union([a, b])) == either
    assert a.area == coco.area(encoded(a))


@given(st.lists(masks(), max_size=5), st.integers(0, 3), st.integers(0, 3))
def test_painting_a_window_is_a_window_of_the_painting(
    drawn: list[Mask], row: int, col: int
) -> None:
    scores = np.linspace(0.1, 0.9, len(drawn))[::-1]
    instances = Instances.create(SHAPE, drawn, scores=scores)
    expected = np.zeros(SHAPE, int)
    for n, mask in reversed(list(enumerate(drawn, start=1))):
        expected[full(mask)] = n
    np.testing.assert_array_equal(paint_labels(instances, SHAPE), expected)
    window = paint_labels(instances, (6, 5), (row, col))
    np.testing.assert_array_equal(window, expected[row : row + 6, col : col + 5])


@given(masks())
def test_tight_is_the_same_object_in_the_smallest_crop(mask: Mask) -> None:
    tight = mask.tight()
    if tight is None:
        assert mask.area == 0
        return
    np.testing.assert_array_equal(full(tight), full(mask))
    left, top, width, height = coco.toBbox(encoded(mask))
    assert (*tight.origin, *tight.pixels.shape) == (top, left, height, width)


@pytest.mark.parametrize(
    ("scores", "picture"),
    [((0.9, 0.5), "AAA.\nAAAB\n.BBB"), ((0.5, 0.9), "AAA.\nABBB\n.BBB"), ((0.5, 0.5), None)],
)
def test_the_better_object_lies_on_top_and_of_equals_the_first(
    scores: tuple[float, float], picture: str | None
) -> None:
    drawn = [mask_of("###\n###"), mask_of("###\n###", (1, 1))]
    labels = paint_labels(Instances.create((3, 4), drawn, scores=scores), (3, 4))
    np.testing.assert_array_equal(labels, draw(picture or "AAA.\nAAAB\n.BBB"))


def test_tighten_leaves_out_the_empty_and_keeps_the_rest_together() -> None:
    drawn = [mask_of("...\n.#."), mask_of("..\n.."), mask_of("#")]
    instances = Instances.create(SHAPE, drawn, scores=[0.1, 0.2, 0.3], category_ids=[1, 2, 3])
    tight = tighten(instances)
    assert tight.category_ids.tolist() == [1, 3]
    assert tight.scores.tolist() == pytest.approx([0.1, 0.3])
    assert [mask.origin for mask in tight.masks] == [(1, 1), (0, 0)]
    np.testing.assert_array_equal(tight.boxes, instances.boxes[[0, 2]])
    assert len(tighten(instances.take([1]))) == len(tighten(instances.take([]))) == 0


def test_with_masks_may_change_plane_and_boxes() -> None:
    instances = Instances.create((2, 2), [mask_of("#"), mask_of("#")])
    boxes = np.arange(8, dtype=np.float32).reshape(2, 4)
    moved = with_masks(instances, [None, mask_of("#", (5, 5))], (9, 9), boxes)
    assert (moved.image_shape, moved.boxes.tolist()) == ((9, 9), [[4, 5, 6, 7]])


def solid_one(pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest part, and what cannot be reached from outside of it."""
    parts, count = ndimage.label(pixels)
    if count == 0:
        return pixels
    sizes = [np.count_nonzero(parts == number) for number in range(1, count + 1)]
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(parts == 1 + sizes.index(max(sizes)))
    return filled


@pytest.mark.parametrize("together", [1, 50, 1 << 20])
@given(found=st.lists(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=7))))
def test_solid_many_at_a_time_as_one_by_one(together: int, found: list[NDArray[np.bool_]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "TOGETHER", together)
        made = solid([Mask((3, i), pixels) for i, pixels in enumerate(found)])
    for i, (mask, pixels) in enumerate(zip(made, found, strict=True)):
        assert mask.origin == (3, i)
        np.testing.assert_array_equal(mask.pixels, solid_one(pixels))


def test_solid_takes_no_more_memory_for_a_wide_mask_among_narrow_ones() -> None:
    narrow = [Mask((0, 0), np.ones((30, 8), bool))] * 1000
    wide = Mask((0, 0), np.ones((1000, 1000), bool))
    tracemalloc.start()
    try:
        assert len(solid([*narrow, wide])) == 1001
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 * 2**20


def test_solid_masks_without_pixels() -> None:
    assert solid([]) == []
    (mask,) = solid([Mask((2, 2), np.zeros((0, 3), bool))])
    assert mask.pixels.shape == (0, 3)
