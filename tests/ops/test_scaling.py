"""Resampling tile by tile is resampling the whole; masks find their way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow

from napari_instseg.instances import Instances, Mask
from napari_instseg.ops.masks import paint_labels
from napari_instseg.ops.scaling import Resampling
from napari_instseg.ops.tiling import Tile, cores_of, plan_tiles

SIDES = st.integers(1, 40)


def picture(shape: tuple[int, int], seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((*shape, 3), np.float32)


def resample(whole: NDArray[np.float32], resampling: Resampling, tile: Tile) -> NDArray[np.float32]:
    needed = resampling.needs(tile)
    return resampling.apply(whole[needed.top : needed.bottom, needed.left : needed.right], tile)


def everything(resampling: Resampling) -> Tile:
    return Tile(0, 0, *resampling.target)


@given(st.tuples(SIDES, SIDES), st.floats(0.2, 4), st.integers(5, 20))
def test_tile_by_tile_is_the_whole(shape: tuple[int, int], zoom: float, size: int) -> None:
    image, resampling = picture(shape), Resampling.by(shape, zoom)
    whole = resample(image, resampling, everything(resampling))
    assert whole.shape == (*resampling.target, 3)
    for tile in plan_tiles(resampling.target, size, size // 3):
        part = resample(image, resampling, tile)
        expected = whole[tile.top : tile.bottom, tile.left : tile.right]
        np.testing.assert_allclose(part, expected, rtol=0, atol=1e-6)


@given(st.tuples(SIDES, SIDES), st.floats(0.2, 4))
def test_pillow_resamples_the_same(shape: tuple[int, int], zoom: float) -> None:
    image, resampling = picture(shape), Resampling.by(shape, zoom)
    ours = resample(image, resampling, everything(resampling))
    size = resampling.target[::-1]
    for channel in range(3):
        pillow = Pillow.fromarray(image[..., channel]).resize(size, Pillow.Resampling.BILINEAR)
        np.testing.assert_allclose(ours[..., channel], np.asarray(pillow), rtol=0, atol=1e-5)


def test_the_same_size_changes_nothing() -> None:
    image, resampling = picture((7, 9)), Resampling.by((7, 9), 1.02)
    assert resampling.identity
    tile = Tile(2, 3, 5, 8)
    part = image[2:5, 3:8]
    assert resampling.apply(part, tile) is part
    instances = Instances.create((7, 9), [Mask((1, 1), np.ones((2, 2), bool))])
    assert resampling.restore(instances) is instances


def test_at_least_one_pixel_is_left_of_what_has_any() -> None:
    assert Resampling.by((100, 3), 0.01).target == (1, 1)
    assert Resampling.by((0, 3), 0.01).target == (0, 1)


def test_halving_averages_and_a_constant_stays() -> None:
    resampling = Resampling.by((4, 4), 0.5)
    image = np.full((4, 4, 3), 0.25, np.float32)
    np.testing.assert_allclose(resample(image, resampling, everything(resampling)), 0.25)
    # Target pixel 0 lies over source pixels 0 and 1 (weights 3, 3) and touches 2 (weight 1).
    ramp = np.repeat(np.arange(4, dtype=np.float32)[:, None], 4, axis=1)
    rows = resample(np.repeat(ramp[..., None], 3, axis=-1), resampling, everything(resampling))
    np.testing.assert_allclose(rows[:, 0, 0], [5 / 7, 16 / 7])


@given(st.tuples(st.integers(20, 60), st.integers(20, 60)), st.floats(0.4, 3), st.integers(10, 30))
def test_tiles_own_the_source_once(shape: tuple[int, int], zoom: float, size: int) -> None:
    resampling = Resampling.by(shape, zoom)
    tiles = plan_tiles(resampling.target, size, size // 3)
    count = np.zeros(shape, int)
    for tile, core in zip(tiles, cores_of(tiles, resampling.target), strict=True):
        own = resampling.origin_of(core)
        assert resampling.needs(tile).intersection(own) == own or 0 in own.shape
        count[own.top : own.bottom, own.left : own.right] += 1
    assert np.all(count == 1)


def disc(shape: tuple[int, int], row: float, col: float, radius: float) -> NDArray[np.bool_]:
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (y + 0.5 - row) ** 2 + (x + 0.5 - col) ** 2 <= radius**2


@pytest.mark.parametrize("zoom", [0.5, 0.73, 1.5, 2, 3.1])
@pytest.mark.parametrize("center", [(30, 33), (4, 5), (61, 3)])
def test_a_disc_comes_back_as_the_same_disc(zoom: float, center: tuple[int, int]) -> None:
    shape = (64, 70)
    resampling = Resampling.by(shape, zoom)
    y, x = (t / s for t, s in zip(resampling.target, shape, strict=True))
    rows, cols = np.ogrid[: resampling.target[0], : resampling.target[1]]
    there = ((rows + 0.5) / y - center[0]) ** 2 + ((cols + 0.5) / x - center[1]) ** 2 <= 10**2
    back = resampling.restore(Instances.from_labels(there.astype(int)))
    assert back.image_shape == shape
    labels, truth = paint_labels(back, shape) > 0, disc(shape, *center, 10)
    iou = np.count_nonzero(labels & truth) / np.count_nonzero(labels | truth)
    assert iou > (0.85 if zoom < 1 else 0.97)


def test_whole_blocks_come_back_exactly() -> None:
    labels = np.zeros((12, 16), int)
    labels[0:4, 0:6] = 1
    labels[6:10, 10:16] = 2
    double = np.kron(labels, np.ones((2, 2), int))
    back = Resampling((12, 16), (24, 32)).restore(Instances.from_labels(double))
    np.testing.assert_array_equal(paint_labels(back, (12, 16)), labels)
    assert back.boxes.tolist() == [[0, 0, 6, 4], [10, 6, 16, 10]]


def test_what_becomes_too_small_is_left_out() -> None:
    labels = np.zeros((40, 40), int)
    labels[7, 7] = 1
    labels[16:24, 16:24] = 2
    back = Resampling((10, 10), (40, 40)).restore(Instances.from_labels(labels))
    assert [mask.slices for mask in back.masks] == [(slice(4, 6), slice(4, 6))]
    assert len(Resampling((10, 10), (40, 40)).restore(Instances.empty((40, 40)))) == 0
