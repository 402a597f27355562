"""Intervals from draws, against drawing one by one."""

from __future__ import annotations

import numpy as np
import pytest
from held_against import blocks, shaken

from napari_instseg import InputError
from napari_instseg.evaluation import ALL_THRESHOLDS, Match, Options, Score, match_labels, pool
from napari_instseg.evaluation.intervals import find_intervals

SCORES = [
    match_labels(blocks(seed), shaken(blocks(seed), seed), ALL_THRESHOLDS) for seed in range(12)
]


def test_the_same_seed_gives_the_same() -> None:
    one, other = find_intervals(SCORES, 200, seed=3), find_intervals(SCORES, 200, seed=3)
    assert one == other
    assert find_intervals(SCORES, 200, seed=4) != one


def test_images_as_if_drawn_one_by_one() -> None:
    """The same quantities from drawn lists of images: alike within what draws differ by."""
    random = np.random.default_rng(1)
    drawn: dict[str, list[float]] = {"map": [], "ap": [], "pq": [], "dice": []}
    for _ in range(2000):
        some = pool([SCORES[i] for i in random.integers(0, len(SCORES), len(SCORES))])
        match = some.matches[0.5]
        drawn["map"].append(some.mean_average_precision)
        drawn["ap"].append(match.average_precision)
        drawn["pq"].append(match.panoptic_quality)
        drawn["dice"].append(some.dice)
    found = find_intervals(SCORES, 2000, seed=0)
    assert found is not None
    assert found.drawn == "images"
    for name, values in drawn.items():
        low, high = np.quantile(values, (0.025, 0.975))
        assert found.values[name] == pytest.approx((low, high), abs=0.2 * (high - low))


def test_objects_of_a_single_image() -> None:
    """Of 80 right and 20 missed objects, recall is a share of 100 draws."""
    score = Score("", "", 1, 100, 80, 20, 80, 180, {0.5: Match(80, 0, 20, 80.0)}, ious=(1.0,) * 80)
    found = find_intervals([score], 4000)
    assert found is not None
    assert found.drawn == "objects"
    low, high = found.values["recall"]
    # Binomial: 0.8 ± 1.96 · 0.04.
    assert (low, high) == pytest.approx((0.72, 0.88), abs=0.015)
    assert found.values["precision"] == found.values["sq"] == (1, 1)
    assert "dice" not in found.values


def test_the_measure_lies_inside() -> None:
    for scores in (SCORES, SCORES[:1]):
        found, whole = find_intervals(scores, 500), pool(scores)
        assert found is not None
        low, high = found.values["map"]
        assert low <= whole.mean_average_precision <= high


def test_pairs_that_fall_apart_at_a_higher_iou_leave_two_objects() -> None:
    match = {0.5: Match(1, 0, 0, 0.6), 0.7: Match(0, 1, 1)}
    score = Score("", "", 1, 1, 1, 0, 6, 16, match, ious=(0.6,))
    # A single pair cannot be drawn differently.
    assert find_intervals([score]) is None
    both = find_intervals([score, score], 20)
    assert both is not None
    assert both.values["map"] == (0.5, 0.5)


def test_when_there_is_nothing_to_draw() -> None:
    empty = match_labels(np.zeros((2, 2), int), np.zeros((2, 2), int))
    assert find_intervals([empty]) is None
    assert find_intervals(SCORES, draws=0) is None
    several = find_intervals([empty, empty], 10)
    assert several is not None
    assert several.values == {}


def test_settings_out_of_range() -> None:
    for wrong in (
        {"level": 1.0},
        {"draws": -1},
        {"seed": -1},
        {"poor_below": 0.0},
        {"thresholds": ()},
    ):
        with pytest.raises(InputError, match="expected"):
            Options(**wrong)
