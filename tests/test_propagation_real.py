"""The built-in model follows real nuclei through a stack that is made of a real picture."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_instseg.io.images import read_image, read_labels
from napari_instseg.models.prompters import built_in
from napari_instseg.ops.axes import Image
from napari_instseg.prompting import PromptSession
from napari_instseg.prompting.propagation import propagate

VARIABLE = "NAPARI_INSTSEG_DATA"
BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data" / "dsb2018"
VAL = Path(os.environ.get(VARIABLE) or BESIDE) / "val"
NAME, PLANES, PIXELS_A_PLANE = "c322c72b9d41", 9, 2.5

pytestmark = pytest.mark.skipif(
    not (VAL / "images").is_dir() or not built_in().path.is_file(),
    reason=f"no 'val/images' in {VAL.parent} (see test_real_data), or no built-in model",
)


def bodies(
    picture: NDArray[np.float32], labels: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Make each nucleus a body as thick as it is wide, around the middle plane.

    A section is what lies deep enough inside the nucleus; around it, there is background.
    """
    near = ndimage.binary_dilation(labels > 0, iterations=3)
    source = ndimage.distance_transform_edt(near, return_distances=False, return_indices=True)
    back = ndimage.gaussian_filter(picture[tuple(source)], 4)
    depth = ndimage.distance_transform_edt(labels > 0)
    numbers = np.arange(1, labels.max() + 1)
    radius = np.r_[1.0, ndimage.maximum(depth, labels, numbers)][labels]
    heights = (np.arange(PLANES) - PLANES // 2) * PIXELS_A_PLANE
    truth = []
    for height in heights:
        missing = radius - np.sqrt(np.maximum(0, radius**2 - height**2))
        truth.append(np.where((labels > 0) & (abs(height) < radius) & (depth > missing), labels, 0))
    found = np.array(truth, np.int32)
    soft = ndimage.gaussian_filter((found > 0).astype(np.float32), (0, 1, 1))
    noise = np.random.default_rng(0).normal(0, picture.std() / 30, found.shape)
    return (back * (1 - soft) + picture * soft + noise).astype(np.float32), found


@pytest.mark.slow
def test_nuclei_are_followed_through_a_stack() -> None:
    (path,) = (VAL / "images").glob(f"{NAME}.*")
    (path_labels,) = (VAL / "labels").glob(f"{NAME}.*")
    pixels = np.asarray(read_image(path).data, np.float32)
    picture = pixels[..., :3].mean(axis=-1) if pixels.ndim == 3 else pixels
    stack, truth = bodies(picture, np.asarray(read_labels(path_labels), np.int32))
    spacing = {"Z": PIXELS_A_PLANE, "Y": 1.0, "X": 1.0}
    session = PromptSession(Image(stack, "ZYX", spacing), device="cpu", cache=False)
    middle = PLANES // 2
    areas = np.bincount(truth[middle].ravel())
    shares = []
    for number in [n for n in np.flatnonzero(areas >= 100) if n][:6]:
        body = truth == number
        found = propagate(session, {middle: body[middle]})
        labels = np.zeros(truth.shape, np.uint8)
        found.paint(labels, 1)
        shares.append(np.sum(body & (labels > 0)) / np.sum(body | (labels > 0)))
    assert np.mean(shares) > 0.5, shares
