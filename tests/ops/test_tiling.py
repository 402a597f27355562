"""Tiles cover the plane and overlap; their cores divide it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_instseg.ops.tiling import Tile, cores_of, plan_tiles

LAYOUTS = st.tuples(
    st.tuples(st.integers(0, 40), st.integers(0, 40)), st.integers(4, 25), st.floats(0, 0.99)
).map(lambda drawn: (drawn[0], drawn[1], int(drawn[1] * drawn[2])))


def cover(tiles: list[Tile], shape: tuple[int, int]) -> np.ndarray:
    count = np.zeros(shape, int)
    for tile in tiles:
        count[tile.top : tile.bottom, tile.left : tile.right] += 1
    return count


@given(LAYOUTS, st.integers(1, 8))
def test_tiles_cover_the_plane_and_overlap(
    layout: tuple[tuple[int, int], int, int], grid: int
) -> None:
    shape, size, overlap = layout
    tiles = plan_tiles(shape, size, overlap, grid)
    assert np.all(cover(tiles, shape) >= 1)
    for tile in tiles:
        for edge, side in zip(tile.shape, shape, strict=True):
            assert min(side, overlap + 1) <= edge <= min(size, side)
        assert size - overlap < grid or tile.top % grid == tile.left % grid == 0
    assert len(set(tiles)) == len(tiles)
    for spans in ({(t.top, t.bottom) for t in tiles}, {(t.left, t.right) for t in tiles}):
        neighbours = itertools.pairwise(sorted(spans))
        assert all(stop - start >= overlap for (_, stop), (start, _) in neighbours)


@given(LAYOUTS, st.integers(1, 8))
def test_cores_divide_the_plane(layout: tuple[tuple[int, int], int, int], grid: int) -> None:
    shape, size, overlap = layout
    tiles = plan_tiles(shape, size, overlap, grid)
    cores = cores_of(tiles, shape)
    assert np.all(cover(cores, shape) == 1)
    assert all(t.intersection(core) == core for t, core in zip(tiles, cores, strict=True))


def test_a_small_plane_is_one_tile_and_an_empty_one_is_none() -> None:
    assert plan_tiles((30, 40), 64, 16) == [Tile(0, 0, 30, 40)]
    assert plan_tiles((64, 64), 64, 16) == [Tile(0, 0, 64, 64)]
    assert plan_tiles((0, 40), 64, 16) == plan_tiles((40, 0), 64, 16) == []


def lefts_and_rights(width: int, *args: int) -> list[tuple[int, int]]:
    return [(t.left, t.right) for t in plan_tiles((1, width), *args)]


def test_tiles_are_no_larger_than_their_number_needs() -> None:
    assert lefts_and_rights(64, 64, 16) == [(0, 64)]
    assert lefts_and_rights(65, 64, 16) == [(0, 41), (25, 65)]
    assert lefts_and_rights(112, 64, 16) == [(0, 64), (48, 112)]
    assert lefts_and_rights(2048, 1024, 128) == [(0, 768), (640, 1408), (1280, 2048)]


def test_tiles_begin_on_the_grid() -> None:
    assert lefts_and_rights(360, 256, 96, 32) == [(0, 256), (160, 360)]
    assert [left for left, _ in lefts_and_rights(400, 128, 40, 32)] == [0, 64, 128, 192, 256, 320]


@pytest.mark.parametrize(("size", "overlap"), [(10, 10), (10, -1), (10, 11)])
def test_overlap_is_less_than_a_tile(size: int, overlap: int) -> None:
    with pytest.raises(ValueError, match=rf"got overlap {overlap}, size {size}"):
        plan_tiles((100, 100), size, overlap)


def test_tiles_that_only_touch_share_nothing() -> None:
    tile = Tile(0, 0, 4, 4)
    assert tile.intersection(Tile(4, 0, 8, 4)) is None
    assert tile.intersection(Tile(3, 2, 8, 9)) == Tile(3, 2, 4, 4)
