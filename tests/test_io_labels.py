"""Label images as TIFF, of any shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_instseg.io.images import read_label_image
from napari_instseg.io.labels import write_labels
from napari_instseg.segmenter import InputError


@pytest.mark.parametrize("largest", [3, 70_000])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((2, 1, 1), "ZYX"),
        ((2, 2, 1), "ZYX"),
        ((3, 1, 1), "TYX"),
        ((2, 2, 2, 1), "TZYX"),
        ((4, 1), "YX"),
        ((1, 1), "YX"),
        ((2, 1, 3), "ZYX"),
    ],
)
def test_an_image_one_pixel_wide_comes_back(
    shape: tuple[int, ...], axes: str, largest: int, tmp_path: Path
) -> None:
    labels = np.arange(np.prod(shape)).reshape(shape) % 4
    labels.flat[0] = largest
    found = read_label_image(write_labels(tmp_path / "a.tif", labels, axes))
    assert found.axes == axes
    np.testing.assert_array_equal(found.data, labels)


@pytest.mark.parametrize(("shape", "axes"), [((0, 5), "YX"), ((5, 0), "YX"), ((0, 4, 4), "ZYX")])
def test_an_image_without_pixels_is_refused(
    shape: tuple[int, ...], axes: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"without pixels, got shape .*: write OME-Zarr"):
        write_labels(tmp_path / "a.tif", np.zeros(shape, np.int32), axes)
    assert [*tmp_path.iterdir()] == []
