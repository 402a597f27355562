from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import mask_of
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import nms

from napari_instseg.instances import Mask
from napari_instseg.ops.masks import mask_iou
from napari_instseg.ops.suppression import Rivals, iou_with, suppress_boxes, suppress_masks


def random_boxes(seed: int, count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole-numbered boxes, some without area, and scores with many ties."""
    random = np.random.default_rng(seed)
    first, sides = random.integers(0, side, (count, 2)), random.integers(0, 30, (count, 2))
    return np.concatenate([first, first + sides], axis=1), np.round(random.random(count), 1)


@given(
    st.integers(0, 1 << 16),
    st.sampled_from([0, 1, 2, 63, 64, 65, 300]),
    st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]),
)
def test_boxes_are_kept_as_by_torchvision(seed, count, max_iou):
    boxes, scores = random_boxes(seed, count, 40)
    expected = nms(
        torch.from_numpy(boxes).float(), torch.from_numpy(scores).float(), max_iou
    ).numpy()
    assert np.array_equal(suppress_boxes(boxes, scores, max_iou), expected)


def test_an_iou_of_exactly_the_limit_stays():
    boxes = [[0, 0, 2, 2], [0, 0, 2, 1]]
    assert suppress_boxes(boxes, [0.5, 0.4], 0.5).tolist() == [0, 1]
    assert suppress_boxes(boxes, [0.5, 0.4], 0.49).tolist() == [0]


def test_one_that_went_drives_nothing_out():
    boxes = [[0, 0, 10, 10], [0, 2, 10, 12], [0, 4, 10, 14]]
    assert suppress_boxes(boxes, [0.9, 0.8, 0.7], 0.6).tolist() == [0, 2]


def test_masks_are_compared_by_their_pixels():
    cross = (
        mask_of("A....\n.A...\n..A..\n...A.\n....A"),
        mask_of("....A\n...A.\n..A..\n.A...\nA...."),
    )
    assert suppress_boxes([[0, 0, 5, 5]] * 2, [0.9, 0.8], 0.5).tolist() == [0]
    assert suppress_masks(cross, [0.8, 0.9], 0.5).tolist() == [1, 0]
    assert mask_iou(*cross) == pytest.approx(1 / 9)


@given(st.integers(0, 1 << 16), st.sampled_from([0.1, 0.5, 0.8]))
def test_masks_are_kept_as_one_by_one(seed, max_iou):
    random = np.random.default_rng(seed)
    masks = [
        Mask(
            tuple(random.integers(0, 9, 2).tolist()), random.random(random.integers(1, 9, 2)) > 0.3
        )
        for _ in range(20)
    ]
    scores = np.round(random.random(20), 1)
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        if all(mask_iou(masks[i], masks[k]) <= max_iou for k in kept):
            kept.append(int(i))
    assert suppress_masks(masks, scores, max_iou).tolist() == kept


def kept_by_group(suppress, things, scores, groups, good, max_iou) -> list[int]:
    """What is kept if each group's good ones are looked at alone."""
    kept: list[int] = []
    for group in np.unique(groups):
        mine = np.flatnonzero((groups == group) & good)
        kept += mine[suppress([things[i] for i in mine], scores[mine], max_iou)].tolist()
    return sorted(kept)


@given(
    st.integers(0, 1 << 16),
    st.sampled_from([0, 1, 2, 90]),
    st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]),
)
def test_rivals_are_kept_as_if_all_were_compared_anew(seed, count, max_iou):
    boxes, scores = random_boxes(seed, count, 40)
    random = np.random.default_rng(seed)
    groups, good = random.integers(0, 3, count), random.random(count) > 0.2
    kept = Rivals.of_boxes(boxes, scores, groups).suppress(good, max_iou)
    expected = kept_by_group(suppress_boxes, boxes, scores, groups, good, max_iou)
    assert np.flatnonzero(kept).tolist() == expected
    masks = [Mask(tuple(box[:2]), random.random(box[2:] - box[:2] + 1) > 0.3) for box in boxes]
    kept = Rivals.of_masks(masks, scores, groups).suppress(good, max_iou)
    expected = kept_by_group(suppress_masks, masks, scores, groups, good, max_iou)
    assert np.flatnonzero(kept).tolist() == expected


def test_no_masks():
    assert suppress_masks([], [], 0.5).tolist() == []
    assert mask_iou(*[Mask((0, 0), np.zeros((2, 2), bool))] * 2) == 0


def test_one_box_with_many():
    boxes = np.array([[0, 0, 2, 2], [0, 0, 2, 4], [5, 5, 6, 6], [1, 1, 1, 1]])
    assert iou_with(boxes[0], boxes).tolist() == [1, 0.5, 0, 0]
