"""Pixels inside outlines, by their centres."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from helpers import draw
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from napari_instseg import InputError
from napari_instseg.ops import filling
from napari_instseg.ops.filling import fill
from napari_instseg.ops.outlines import trace


def full(rings: list, shape: tuple[int, int]) -> NDArray[np.bool_]:
    canvas = np.zeros(shape, bool)
    mask = fill(rings, shape)
    if mask is not None:
        canvas[mask.slices] = mask.pixels
    return canvas


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_filling_undoes_tracing(mask: NDArray[np.bool_]) -> None:
    rings = [ring for _, parts in trace(mask).objects() for part in parts for ring in part]
    np.testing.assert_array_equal(full(rings, mask.shape), mask)


@given(st.lists(st.tuples(*[st.integers(-40, 140)] * 2), min_size=3, max_size=8))
def test_any_polygon_as_shapely_has_it(corners: list[tuple[int, int]]) -> None:
    ring = np.divide(corners, 10)
    polygon = shapely.Polygon(ring)
    assume(polygon.is_valid)
    rows, cols = np.indices((10, 10)) + 0.5
    centres = shapely.points(rows.ravel(), cols.ravel())
    clear = shapely.distance(polygon.boundary, centres) > 1e-9
    expected = shapely.contains(polygon, centres)
    np.testing.assert_array_equal(full([ring], (10, 10)).ravel()[clear], expected[clear])


def test_centres_on_the_edge_belong_to_one_of_two_neighbours() -> None:
    left = [(0.5, 0.5), (0.5, 2.5), (3.5, 2.5), (3.5, 0.5)]
    right = [(0.5, 2.5), (0.5, 4.5), (3.5, 4.5), (3.5, 2.5)]
    both = full([left], (5, 6)).astype(int) + full([right], (5, 6))
    np.testing.assert_array_equal(both, draw("AAAA..\nAAAA..\nAAAA..\n......\n......"))


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    rings = [rng.uniform(-5, 40, (30, 2)), rng.uniform(0, 60, (9, 2))]
    whole = full(rings, (33, 44))
    monkeypatch.setattr(filling, "CROSSINGS", 7)
    np.testing.assert_array_equal(full(rings, (33, 44)), whole)
    assert whole.any()


@pytest.mark.parametrize(
    "rings",
    [[], [[]], [[(1, 1), (2, 2)]], [[(50, 1), (60, 1), (60, 9)]], [[(1, -9), (1, -3), (9, -3)]]],
)
def test_outlines_around_nothing(rings: list) -> None:
    assert fill([np.reshape(ring, (-1, 2)) for ring in rings], (10, 10)) is None


def test_huge_coordinates_are_cut_off() -> None:
    assert full([[(-9e8, -9e8), (-9e8, 9e8), (9e8, 9e8), (9e8, -9e8)]], (3, 3)).all()


@pytest.mark.parametrize(
    "ring", [[(1, float("nan")), (2, 2), (3, 1)], [1, 2, 3], [["a", "b"]], [(1, 1e300)] * 3]
)
def test_what_is_no_outline_is_said(ring: list) -> None:
    with pytest.raises(InputError, match="expected an outline"):
        fill([ring], (10, 10))
