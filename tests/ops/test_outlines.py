"""Outlines along the edges of pixels: exact, valid, whatever the shape."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from helpers import draw
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from napari_instseg.ops.outlines import Polygon, trace


def polygon_of(rings: Polygon) -> shapely.Polygon:
    outer, *holes = (ring[:, ::-1] for ring in rings)
    return shapely.Polygon(outer, holes)


def pixels_in(polygons: list[Polygon], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centres lie inside, by shapely."""
    rows, cols = np.indices(shape) + 0.5
    whole = shapely.MultiPolygon([polygon_of(rings) for rings in polygons])
    return shapely.contains_xy(whole, cols.ravel(), rows.ravel()).reshape(shape)


def check(labels: NDArray[np.integer]) -> None:
    found = dict(trace(labels).objects())
    assert list(found) == np.setdiff1d(labels, 0).tolist()
    for label, polygons in found.items():
        mask = labels == label
        np.testing.assert_array_equal(pixels_in(polygons, labels.shape), mask)
        assert len(polygons) == ndimage.label(mask)[1]
        shapes = [polygon_of(rings) for rings in polygons]
        assert all(shape.is_valid for shape in shapes)
        assert shapely.MultiPolygon(shapes).is_valid
        for shape in shapes:
            assert shape.exterior.is_ccw
            assert not any(hole.is_ccw for hole in shape.interiors)
        for ring in (ring for rings in polygons for ring in rings):
            steps = np.diff(np.vstack([ring[-1:], ring, ring[:1]]), axis=0)
            # Right angles: rows and columns take turns, no corner lies on a straight line.
            assert ((steps != 0).sum(axis=1) == 1).all()
            assert ((steps[1:] != 0) != (steps[:-1] != 0)).all()


def test_one_pixel_has_four_corners() -> None:
    ((label, [(ring,)]),) = trace(np.array([[0, 0], [0, 7]]), (10, 20)).objects()
    assert label == 7
    assert ring.tolist() == [[11, 21], [11, 22], [12, 22], [12, 21]]


@pytest.mark.parametrize(
    ("picture", "rings"),
    [
        ("AAA\nA.A\nAAA", [[4, 4]]),
        # Corners that touch: two parts; two holes; a hole that touches the outline.
        ("A.\n.A", [[4], [4]]),
        ("AAAA\nA.AA\nAA.A\nAAAA", [[4, 4, 4]]),
        ("AAA.\nA.A.\nAA.A", [[6, 4], [4]]),
        ("AAA\nA.A\nAA.", [[6, 4]]),
        # An island in a hole.
        ("AAAAA\nA...A\nA.A.A\nA...A\nAAAAA", [[4, 4], [4]]),
        ("AB\nBA", [[4], [4]]),
    ],
)
def test_holes_and_corners_that_touch(picture: str, rings: list[list[int]]) -> None:
    labels = draw(picture)
    check(labels)
    found = dict(trace(labels).objects())[1]
    assert [[len(ring) for ring in polygon] for polygon in found] == rings


@given(
    arrays(np.int32, st.tuples(st.integers(0, 9), st.integers(0, 9)), elements=st.integers(0, 3))
)
def test_any_labels(labels: NDArray[np.int32]) -> None:
    check(labels)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int64])
def test_any_type_of_integer(dtype: type) -> None:
    labels = (np.random.default_rng(0).random((40, 30)) < 0.6).astype(dtype)
    check(labels)


def test_many_objects_with_large_labels() -> None:
    labels = np.zeros((560, 2000), np.int64)
    labels[::2, ::2] = np.arange(280 * 1000).reshape(280, 1000)
    labels[labels > 0] += 2**32
    found = trace(labels)
    assert len(found.labels) == 280 * 1000 - 1
    np.testing.assert_array_equal(np.unique(labels)[1:], found.labels)
    assert (np.diff(found.starts) == 4).all()
