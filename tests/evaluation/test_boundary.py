"""Distances between outlines: by hand, and against distances of all pairs of pixels."""

from __future__ import annotations

import numpy as np
import pytest
from held_against import blocks, set_of
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from napari_instseg import InputError
from napari_instseg.evaluation import Options, Report, assess
from napari_instseg.evaluation.boundary import mean_distance

SQUARE = np.zeros((12, 14), np.int32)
SQUARE[3:8, 4:9] = 1


def distance(found: np.ndarray, truth: np.ndarray = SQUARE, **more: object) -> float:
    options = Options(thresholds=(0.2,), boundary=True, draws=0)
    sides = [set_of(labels, **more) for labels in (found, truth)]
    return assess(sides[0], sides[1], options).scores[0].boundary_distance


def test_by_hand() -> None:
    assert distance(SQUARE) == 0
    grown = np.zeros_like(SQUARE)
    grown[2:9, 3:10] = 1
    # The outer outline has 24 px, 4 of them corners; each of the 16 inner ones is 1 px away.
    assert distance(grown) == pytest.approx(((20 + 4 * 2**0.5) / 24 + 1) / 2)
    assert distance(grown, spacing={"Y": 0.5, "X": 0.5}) == pytest.approx(distance(grown) / 2)


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_as_all_pairs_of_outline_pixels(a: int, b: int) -> None:
    masks = [blocks(seed, (16, 16), 3) > 0 for seed in (a, b)]
    sampling = (0.5, 2.0)
    edges = []
    for mask in masks:
        padded = np.pad(mask, 1)
        inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        edges.append(np.argwhere(mask & ~inner) * sampling)
    table = cdist(*edges)
    expected = (table.min(0).mean() + table.min(1).mean()) / 2
    assert mean_distance(masks[0], masks[1], sampling) == pytest.approx(expected)


def test_volumes_and_frames() -> None:
    truth, found = np.stack([SQUARE] * 4), np.stack([SQUARE] * 4)
    truth[3] = found[0] = 0
    spacing = {"Z": 2.0, "Y": 1.0, "X": 1.0}
    shifted = distance(found, truth, axes="ZYX", spacing=spacing)
    # Tops and bottoms lie a plane apart, sides on each other.
    assert 0 < shifted < 2
    assert distance(found[1:3], truth[1:3], axes="TYX") == 0


def test_a_single_plane_is_no_volume() -> None:
    moved = np.roll(SQUARE, 1, axis=1)
    um = {"Y": 0.5, "X": 0.5}
    flat = distance(moved, spacing=um)
    assert distance(moved[None], SQUARE[None], axes="ZYX", spacing=um) == flat > 0
    assert distance(moved[None], SQUARE[None], axes="ZYX") == 2 * flat
    options = Options(boundary=True, draws=0)
    plane = set_of(SQUARE[None], axes="ZYX", spacing=um)
    assert Report.of([assess(plane, plane, options)], options).unit == "µm"


def test_units_are_not_mixed() -> None:
    options = Options(boundary=True, draws=0)
    known, unknown = set_of(SQUARE, spacing={"Y": 1.0, "X": 1.0}), set_of(SQUARE)
    assert Report.of([assess(known, known, options)], options).unit == "µm"
    both = [assess(side, side, options) for side in (known, unknown)]
    with pytest.raises(InputError, match="pixel sizes of all images"):
        Report.of(both, options)
