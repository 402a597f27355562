"""Caps are raised together where an image is dense, and put back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_instseg.models.detectron2.caps import MOST, WORTHWHILE, Caps


class Found:
    """As much of Detectron2's Instances as is looked at."""

    def __init__(self, scores: Any) -> None:
        self.scores = np.asarray(scores, float)

    def __len__(self) -> int:
        return len(self.scores)


class Model:
    """An R-CNN that finds some of so many objects, as its caps allow."""

    def __init__(self, objects: list[int], weakest: float = 0.9, cap: int = 100) -> None:
        self.objects, self.weakest = objects, weakest
        self.roi_heads = SimpleNamespace(box_predictor=SimpleNamespace(test_topk_per_image=cap))
        self.proposal_generator = SimpleNamespace(
            pre_nms_topk={True: 12000, False: 1000}, post_nms_topk={True: 2000, False: 1000}
        )
        self.calls: list[tuple[int | None, int, int, int]] = []

    def detect(self, which: int | None) -> list[Found]:
        cap = self.roi_heads.box_predictor.test_topk_per_image
        proposals = self.proposal_generator
        limits = proposals.pre_nms_topk[False], proposals.post_nms_topk[False]
        self.calls.append((which, cap, *limits))
        chosen = self.objects if which is None else [self.objects[which]]
        least = min(cap if cap >= 0 else 10**9, *limits)
        return [Found(np.linspace(1, self.weakest, min(count, least))) for count in chosen]


def counts(model: Model) -> list[tuple[int, int]]:
    return [(len(result), limit) for result, limit in Caps(model).detect(model.detect)]


def test_a_sparse_image_costs_one_pass_with_the_caps_of_the_config() -> None:
    model = Model([0, 7, 99])
    assert counts(model) == [(0, 0), (7, 0), (99, 0)]
    assert model.calls == [(None, 100, 1000, 1000)]


def test_only_the_dense_image_gets_another_pass_with_all_caps_raised() -> None:
    model = Model([5, 1500, 100])
    assert counts(model) == [(5, 0), (1500, 0), (100, 0)]
    assert model.calls == [
        (None, 100, 1000, 1000),
        (1, 400, 1600, 1600),
        (1, 1600, 6400, 6400),
        (2, 400, 1600, 1600),
    ]


def test_the_last_cap_is_reported() -> None:
    assert counts(Model([10**6])) == [(MOST, MOST)]


def test_guesses_are_not_worth_another_pass_but_reported() -> None:
    model = Model([500], weakest=WORTHWHILE - 0.01)
    assert counts(model) == [(100, 100)]
    assert len(model.calls) == 1


def test_caps_are_put_back_even_after_an_error() -> None:
    model = Model([500])
    before = vars(model.proposal_generator).copy()

    def fail(which: int | None) -> list[Found]:
        if which is not None:
            raise RuntimeError("out of memory")
        return model.detect(None)

    with pytest.raises(RuntimeError):
        Caps(model).detect(fail)
    assert model.roi_heads.box_predictor.test_topk_per_image == 100
    assert vars(model.proposal_generator) == before
    assert counts(model) == [(500, 0)]


def test_a_cap_below_zero_is_none() -> None:
    model = Model([700], cap=-1)
    assert counts(model) == [(700, 0)]
    assert len(model.calls) == 1


def test_a_cap_above_all_is_left() -> None:
    model = Model([3000], cap=3000)
    model.proposal_generator.pre_nms_topk[False] = 5000
    model.proposal_generator.post_nms_topk[False] = 5000
    assert counts(model) == [(3000, 3000)]


def test_the_last_stage_of_a_cascade_and_retinanet_have_caps_too() -> None:
    stages = [SimpleNamespace(test_topk_per_image=100) for _ in range(3)]
    cascade = SimpleNamespace(
        roi_heads=SimpleNamespace(box_predictor=stages), proposal_generator=None
    )
    assert Caps(cascade).objects == 100
    dense = SimpleNamespace(max_detections_per_image=50, test_topk_candidates=1000)
    seen = []

    def detect(which: int | None) -> list[Found]:
        seen.append((dense.max_detections_per_image, dense.test_topk_candidates))
        return [Found(np.ones(min(300, dense.max_detections_per_image)))]

    assert [(len(f), limit) for f, limit in Caps(dense).detect(detect)] == [(300, 0)]
    assert seen == [(50, 1000), (200, 1000), (800, 3200)]
    assert Caps(SimpleNamespace(sem_seg_head=None)).objects == -1
