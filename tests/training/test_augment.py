"""Random crops: labels stay on their objects, whatever is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_instseg.training.augment import MIN_AREA, draw_crop


def discs(shape: tuple[int, int], radius: int = 11, step: int = 40) -> NDArray[np.int64]:
    y, x = np.indices(shape)
    inside = np.hypot(y % step - step / 2, x % step - step / 2) <= radius
    labels = ndimage.label(inside)[0]
    assert labels.max() > 3
    return np.asarray(labels, np.int64) * 7


@pytest.mark.parametrize("shape", [(160, 200), (90, 90), (300, 80)])
@pytest.mark.parametrize("colored", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_bright_discs_stay_under_their_labels(
    shape: tuple[int, int], colored: bool, dtype: str
) -> None:
    labels = discs(shape)
    gray = ((labels > 0) * 180 + 20).astype(dtype)
    image = np.dstack([gray] * 3) if colored else gray
    for seed in range(12):
        crop = draw_crop(image, labels, 22.0, 128, np.random.default_rng(seed))
        assert crop.image.shape == (3, 128, 128)
        assert crop.image.dtype == np.float32
        assert (crop.image.min() >= 0, crop.image.max() <= 1) == (True, True)
        assert (crop.labels.shape, crop.labels.dtype) == ((128, 128), np.int64)
        # Away from edges, which blur, objects and ground have one brightness each.
        inner = ndimage.binary_erosion(crop.labels > 0, iterations=2)
        outer = ~ndimage.binary_dilation(crop.labels > 0, iterations=3)
        outer[:4] = outer[-4:] = outer[:, :4] = outer[:, -4:] = False
        best = max(
            (abs(np.median(c[inner]) - np.median(c[outer])), i) for i, c in enumerate(crop.image)
        )
        channel = crop.image[best[1]]
        middle = (np.median(channel[inner]) + np.median(channel[outer])) / 2
        light = np.median(channel[inner]) > middle
        agree = ndimage.median_filter(channel, 5) > middle
        assert np.mean(agree[inner] == light) > 0.98, seed
        assert np.mean(agree[outer] != light) > 0.98, seed


def test_labels_are_numbered_without_gaps_and_are_in_one_piece() -> None:
    labels = discs((200, 200))
    for seed in range(20):
        crop = draw_crop(labels.astype(np.float32), labels, 22.0, 96, np.random.default_rng(seed))
        numbers = np.unique(crop.labels)
        assert numbers.tolist() == list(range(len(numbers)))
        for n in numbers[numbers > 0]:
            assert ndimage.label(crop.labels == n)[1] == 1
            assert np.count_nonzero(crop.labels == n) >= MIN_AREA


def test_touching_objects_stay_apart() -> None:
    labels = np.zeros((120, 120), np.int64)
    labels[20:100, 20:60], labels[20:100, 60:100] = 3, 900
    counts = [
        draw_crop(
            labels.astype(np.float32), labels, 40.0, 160, np.random.default_rng(s)
        ).labels.max()
        for s in range(10)
    ]
    assert min(counts) >= 2


def test_parts_that_the_edge_separates_become_objects_of_their_own() -> None:
    # A U whose bridge lies outside most crops.
    labels = np.zeros((400, 400), np.int64)
    labels[:, 100:130] = labels[:, 270:300] = labels[370:, 100:300] = 5
    crops = [
        draw_crop(labels.astype(np.float32), labels, 22.0, 192, np.random.default_rng(seed)).labels
        for seed in range(60)
    ]
    assert max(int(crop.max()) for crop in crops) >= 2
    for crop in crops:
        assert crop.max() == ndimage.label(crop)[1]


def test_the_same_draw_gives_the_same_crop() -> None:
    labels = discs((150, 150))
    image = np.random.default_rng(0).integers(0, 255, (150, 150, 3), np.uint8)
    a, b = (draw_crop(image, labels, 22.0, 64, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(a.labels, b.labels)


@pytest.mark.parametrize("shape", [(1, 1), (1, 60), (60, 3), (20, 20)])
def test_images_smaller_than_a_crop(shape: tuple[int, int]) -> None:
    labels = np.ones(shape, np.int64)
    for image in (np.zeros(shape), np.full((*shape, 3), np.nan), np.ones(shape, bool)):
        crop = draw_crop(image, labels, 22.0, 64, np.random.default_rng(1))
        assert np.isfinite(crop.image).all()
        assert crop.labels.max() >= 1


def test_an_image_without_objects() -> None:
    crop = draw_crop(
        np.zeros((50, 50)), np.zeros((50, 50), int), 22.0, 64, np.random.default_rng(1)
    )
    assert not crop.labels.any()
