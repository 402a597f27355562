"""Which pixels of an image its intensities are measured on."""

from __future__ import annotations

import math
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_instseg.ops import sampling
from napari_instseg.ops.axes import Image
from napari_instseg.ops.intensity import map_intensity
from napari_instseg.ops.sampling import sample, spread_out, step_for
from napari_instseg.settings import Settings

RNG = np.random.default_rng(0)


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of a few hundred pixels are large."""
    for name, value in (("FEW_PIXELS", 100), ("BLOCK_PIXELS", 64), ("MOST_PIXELS", 10_000)):
        monkeypatch.setattr(sampling, name, value)


def chunked(data: NDArray[Any], chunks: tuple[int, ...]) -> zarr.Array[Any]:
    return zarr.create_array({}, data=data, chunks=chunks)


def blank(shape: tuple[int, ...], chunks: tuple[int, ...]) -> zarr.Array[Any]:
    """Nothing is stored of it."""
    return zarr.create_array({}, shape=shape, chunks=chunks, dtype=np.uint8)


@pytest.mark.parametrize("wrap", [np.asarray, chunked, da.from_array])
@pytest.mark.parametrize(("shape", "axes"), [((3, 300, 200), "ZYX"), ((40, 70, 90), "TYX")])
def test_small_images_are_seen_alike_in_chunks_or_not(
    wrap: Any, shape: tuple[int, ...], axes: str
) -> None:
    data = RNG.gamma(2, 100, shape).astype(np.uint16)
    planes = data[np.linspace(0, len(data) - 1, min(12, len(data))).round().astype(int)]
    expected = tuple(np.percentile(planes, (0.5, 99.8)))
    kept = data if wrap is np.asarray else wrap(data, chunks=(1, 32, 64))
    assert map_intensity(Image(kept, axes), Settings()).limits == (expected,)


class TestBlocks:
    pytestmark = pytest.mark.usefixtures("small_limits")

    def test_are_whole_chunks(self) -> None:
        """Each chunk has a value of its own: what is read of it is all of it."""
        numbers = np.arange(8 * 9).reshape(8, 9)
        data = np.kron(numbers, np.ones((10, 16), int)).astype(np.uint16)
        parts = sample(Image(chunked(data, (10, 16)), "YX"), None)
        assert len(parts) == 8 * 9 // 2
        values = [int(part[0, 0]) for part in parts]
        assert all((part == value).all() for part, value in zip(parts, values, strict=True))
        assert {part.shape for part in parts} == {(10, 16)}
        assert len(set(values)) == len(values)
        # All over the image: no quarter is left out.
        quarters = {(value // 9 // 4, value % 9 // 5) for value in values}
        assert len(quarters) == 4

    def test_join_small_chunks_and_end_at_the_edges(self) -> None:
        data = RNG.integers(0, 99, (50, 61)).astype(np.uint8)
        for chunks in ((4, 4), (3, 5), (2, 61), (50, 1)):
            parts = sample(Image(chunked(data, chunks), "YX"), None)
            assert sum(part.size for part in parts) <= data.size * 0.6 + 128
            most = max(parts, key=lambda part: part.size)
            assert most.size >= 64
            for length, chunk, whole in zip(most.shape, chunks, (50, 61), strict=True):
                assert length % chunk == 0 or length == whole

    def test_few_of_what_is_very_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        image = Image(blank((400, 400), (10, 10)), "YX")
        assert len(sample(image, None)) == 100  # As many pixels as are read at most.
        monkeypatch.setattr(sampling, "MOST_BLOCKS", 30)
        assert len(sample(image, None)) == 30
        # Planes that share chunks cost as much as they are; yet a few are read.
        deep = Image(blank((20, 400, 400), (20, 10, 10)), "ZYX")
        assert len(sample(deep, None)) == sampling.FEWEST_BLOCKS

    def test_go_through_all_planes(self) -> None:
        stack = np.stack([np.full((40, 40), z, np.uint8) for z in range(30)])
        parts = sample(Image(chunked(stack, (1, 20, 20)), "TYX"), None)
        assert len({int(part[0, 0]) for part in parts}) == sampling.SAMPLE_PLANES

    @pytest.mark.parametrize("axes", ["CYX", "YXC", "YXS"])
    def test_show_all_channels(self, axes: str) -> None:
        data = RNG.integers(0, 99, (40, 40, 3)).astype(np.uint8)
        turned = np.moveaxis(data, -1, 0) if axes == "CYX" else data
        chunks = (3, 10, 10) if axes == "CYX" else (10, 10, 3)
        parts = sample(Image(chunked(turned, chunks), axes), (2, 0))
        assert {part.shape for part in parts} == {(10, 10, 2)}

    def test_dask_in_uneven_chunks(self) -> None:
        data = RNG.integers(0, 99, (60, 60)).astype(np.uint8)
        image = Image(da.from_array(data, chunks=((20, 10, 30), (25, 35))), "YX")
        (limits,) = map_intensity(image, Settings(percentiles=(0, 100))).limits
        assert 0 <= limits[0] < limits[1] <= 98

    @pytest.mark.parametrize("smaller", [1, 2])
    def test_follow_what_a_coarser_level_shows(
        self, smaller: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of a slide with little on it, as much is looked at as there is."""
        monkeypatch.setattr(sampling, "MOST_BLOCKS", 64)
        stack = RNG.integers(0, 9, (4, 80, 80)).astype(np.float32)
        stack[2, 30:50, 10:50] += 1000  # 8 of 256 blocks.
        coarse = stack[::smaller, ::5, ::5].copy()
        coarse[0, 0, 0] = np.nan
        image = Image(chunked(stack, (1, 10, 10)), "ZYX", coarse=coarse)
        parts = sample(image, None)
        found = sum(bool((part > 100).any()) for part in parts)
        assert (len(parts), found) == (64, 2)

    def test_a_level_that_is_large_itself_is_not_read(self) -> None:
        class Unreadable:
            shape, dtype = (400, 400), np.dtype(np.uint8)

            def __getitem__(self, key: object) -> None:
                raise AssertionError("read")

        sample(Image(blank((800, 800), (40, 40)), "YX", coarse=Unreadable()), None)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.data())
def test_cells_are_different_and_all_can_be_chosen(grid: list[int], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, math.prod(grid)))
    cells = spread_out(grid, count)
    assert len(set(cells)) == count
    assert all(0 <= i < n for cell in cells for i, n in zip(cell, grid, strict=True))
    assert spread_out(grid, count) == cells


@pytest.mark.parametrize("count", [16, 64, 128])
def test_cells_are_spread_evenly(count: int) -> None:
    cells = np.array(spread_out((16, 16), count))
    for axis in range(2):
        quarters = np.bincount(cells[:, axis] // 4, minlength=4)
        assert abs(quarters - count / 4).max() <= 3
    squares = np.bincount(cells[:, 0] // 8 * 2 + cells[:, 1] // 8, minlength=4)
    assert abs(squares - count / 4).max() <= 3


@given(st.integers(1, 10**8), st.integers(1, 10**6))
def test_steps_leave_as_much_as_is_asked_for(pixels: int, limit: int) -> None:
    step = step_for(pixels, limit)
    assert pixels / step**2 <= limit * (1 + 1e-9)
    assert step == 1 or pixels / (step - 1) ** 2 > limit * (1 - 1e-9)
