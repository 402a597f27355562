"""Run lengths and polygons: the same pixels as of COCO's own program."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import draw
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from pycocotools import mask as coco

from napari_instseg.instances import Mask
from napari_instseg.io.formats.coco import segment
from napari_instseg.ops.outlines import trace
from napari_instseg.ops.polygons import polygon_runs
from napari_instseg.ops.rle import decode, encode, mask_of, pack, runs_of, unpack

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
PIXELS = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12))


def pixels_of(runs: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    whole = np.zeros(shape, bool)
    if len(runs):
        mask = mask_of(runs, shape[0])
        whole[mask.slices] = mask.pixels
    return whole


@given(PIXELS, st.tuples(st.integers(0, 3), st.integers(0, 3)), st.integers(0, 3))
def test_run_lengths_are_those_of_pycocotools(
    pixels: NDArray[np.bool_], origin: tuple[int, int], rest: int
) -> None:
    shape = (origin[0] + pixels.shape[0] + rest, origin[1] + pixels.shape[1] + rest)
    whole = np.zeros(shape, bool)
    mask = Mask(origin, pixels)
    whole[mask.slices] = pixels
    expected = coco.encode(np.asfortranarray(whole.astype(np.uint8)))
    written = encode(mask, shape)
    assert written == {"size": list(shape), "counts": expected["counts"].decode()}
    runs = decode(written["counts"], shape)
    np.testing.assert_array_equal(runs, runs_of(mask, shape[0]))
    np.testing.assert_array_equal(pixels_of(runs, shape), whole)
    counts = np.diff([0, *runs.ravel().tolist(), whole.size]).tolist()
    np.testing.assert_array_equal(decode(counts, shape), runs)


@given(st.lists(st.integers(0, 2**33), min_size=1, max_size=20))
def test_large_numbers_are_packed(counts: list[int]) -> None:
    assert unpack(pack(np.array(counts))).tolist() == counts


@given(
    st.lists(st.tuples(*(st.integers(-60, 160) for _ in "xy")), min_size=3, max_size=9),
    st.sampled_from([1, 5, 10]),
    st.tuples(st.integers(1, 14), st.integers(1, 14)),
)
def test_polygons_are_filled_as_pycocotools_does(
    corners: list[tuple[int, int]], scale: int, shape: tuple[int, int]
) -> None:
    points = np.array(corners) / scale
    filled = coco.decode(coco.frPyObjects([points.ravel().tolist()], *shape))[..., 0]
    runs = polygon_runs(points, shape)
    np.testing.assert_array_equal(pixels_of(runs, shape), filled.astype(bool))


@given(PIXELS.filter(np.any))
def test_outlines_are_filled_with_the_same_pixels(pixels: NDArray[np.bool_]) -> None:
    shape = pixels.shape
    ((_, polygons),) = trace(pixels).objects()
    inside = np.zeros(shape, bool)
    for outer, *holes in polygons:
        inside |= pixels_of(polygon_runs(outer[:, ::-1].astype(float), shape), shape)
        for hole in holes:
            inside &= ~pixels_of(polygon_runs(hole[:, ::-1].astype(float), shape), shape)
    np.testing.assert_array_equal(inside, pixels)
    written, has_holes = segment(Mask((0, 0), pixels), shape, "polygons")
    assert has_holes == any(len(rings) > 1 for rings in polygons) == isinstance(written, dict)


def test_a_run_may_go_on_in_the_next_column() -> None:
    mask = Mask((0, 1), draw(".A\nAA\nA.").astype(bool))
    assert runs_of(mask, 3).tolist() == [[4, 8]]
    np.testing.assert_array_equal(mask_of(np.array([[4, 8]]), 3).pixels, mask.pixels)
