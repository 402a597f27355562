from __future__ import annotations

import math

import numpy as np
import pytest
from helpers import mask_of

from napari_instseg.instances import Mask
from napari_instseg.ops.masks import mask_iou
from napari_instseg.ops.morphing import (
    between,
    centroid,
    clip,
    ellipse,
    equivalent_diameter,
    interior_points,
)

SQUARE = Mask((4, 6), np.ones((3, 3), bool))


def test_iou_counts_shared_pixels() -> None:
    assert mask_iou(SQUARE, SQUARE) == 1
    assert mask_iou(SQUARE, SQUARE.shift(0, 1)) == pytest.approx(6 / 12)
    assert mask_iou(SQUARE, SQUARE.shift(0, 3)) == 0
    empty = Mask((0, 0), np.zeros((0, 0), bool))
    assert mask_iou(empty, empty) == 0


def test_place_and_size() -> None:
    assert centroid(SQUARE) == (5.5, 7.5)
    disc = Mask((0, 0), np.hypot(*(np.indices((41, 41)) - 20)) < 15)
    assert equivalent_diameter(disc) == pytest.approx(30, abs=0.5)


def test_clip_cuts_at_the_edges() -> None:
    assert clip(SQUARE, (20, 20)) is not None
    cut = clip(SQUARE.shift(-5, 0), (20, 20))
    assert cut is not None
    assert (cut.origin, cut.pixels.shape) == ((0, 6), (2, 3))
    cut = clip(SQUARE.shift(0, 12), (20, 20))
    assert cut is not None
    assert (cut.origin, cut.pixels.shape) == ((4, 18), (3, 2))
    assert clip(SQUARE.shift(0, 14), (20, 20)) is None
    assert clip(SQUARE.shift(-9, 0), (20, 20)) is None


def test_an_ellipse_fills_its_box() -> None:
    found = ellipse((2, -3, 22, 37))
    assert found.slices == (slice(2, 22), slice(-3, 37))
    assert found.area == pytest.approx(math.pi * 10 * 20, rel=0.02)
    assert found.pixels[10, [0, -1]].all()
    assert not found.pixels[0, 0]
    assert ellipse((0.4, 0.4, 0.5, 0.6)).area == 1
    assert ellipse((3.4, 3.4, 4.1, 4.2)).area >= 1


def test_points_lie_deep_inside_and_apart() -> None:
    bar = Mask((2, 3), np.ones((5, 40), bool))
    points = interior_points(bar, 3)
    assert points.shape == (3, 2)
    assert np.allclose(points[:, 0], 4.5)
    assert min(abs(a - b) for i, a in enumerate(points[:, 1]) for b in points[:i, 1]) >= 6
    assert interior_points(Mask((1, 1), np.ones((1, 1), bool)), 3).tolist() == [[1.5, 1.5]]
    ring = mask_of("AAAAA\nA...A\nA...A\nAAAAA")
    (row, col), *_ = interior_points(ring, 1)
    assert ring.pixels[int(row), int(col)]


def test_between_moves_and_grows() -> None:
    small, large = Mask((10, 10), np.ones((5, 5), bool)), Mask((20, 30), np.ones((11, 11), bool))
    half = between(small, large, 0.5)
    assert centroid(half) == pytest.approx((19, 24), abs=0.6)
    assert half.pixels.shape == (8, 8) or half.pixels.shape in ((7, 7), (9, 9))
    assert np.array_equal(between(small, large, 0).pixels, small.pixels)
    assert np.array_equal(between(small, large, 1).pixels, large.pixels)
    assert between(small, large, 1).origin == large.origin


def test_between_shapes_that_do_not_meet_is_never_empty() -> None:
    a, b = mask_of("A.....A"), mask_of("A\n.\n.\n.\n.\nA")
    assert between(a, b, 0.4).area > 0
