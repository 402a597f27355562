"""Random crops for training: geometry and intensity, drawn from one random generator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label as label_components
from torch.nn.functional import affine_grid, grid_sample

from ..ops.intensity import RGB_COLORS, WHITE, IntensityMapping, measure_limits, thin

#: Median object diameter (px) that crops are drawn around, and the factor it varies by.
TARGET_DIAMETER = 22.0
ZOOM_SPREAD = 2.2
#: Objects with fewer pixels than this in the crop are left out, as a cut-off rim would be.
MIN_AREA = 9


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """One training example: ``image`` float32 (3, S, S) in [0, 1], ``labels`` int64 (S, S)."""

    image: NDArray[np.float32]
    labels: NDArray[np.int64]


def draw_crop(
    image: NDArray[np.generic],
    labels: NDArray[np.integer],
    diameter: float,
    size: int,
    rng: np.random.Generator,
) -> Crop:
    """Draw a random crop of an image and its labels.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) array
    labels : (H, W) integer array, 0 is nothing
    diameter : float
        Median object diameter of the image, px.
    size : int
        Edge of the crop, px.
    rng : numpy.random.Generator

    Returns
    -------
    Crop
        Labels are renumbered; parts of an object that the crop's edge separates become
        objects of their own.
    """
    rgb = _map_intensity(image, rng)
    theta = _draw_affine(rgb.shape[:2], diameter, size, rng)
    grid = affine_grid(torch.from_numpy(theta)[None], [1, 1, size, size], align_corners=False)
    moved = grid_sample(
        torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))[None],
        grid,
        padding_mode="reflection",
        align_corners=False,
    )[0].numpy()
    # float64 holds every label exactly.
    truth = grid_sample(
        torch.from_numpy(labels.astype(np.float64))[None, None],
        grid.double(),
        mode="nearest",
        padding_mode="reflection",
        align_corners=False,
    )[0, 0].numpy()
    parts = label_components(truth.astype(np.int64), connectivity=1)
    areas = np.bincount(parts.ravel())
    areas[0] = 0
    keep = np.flatnonzero(areas >= MIN_AREA)
    renumber = np.zeros(len(areas), np.int64)
    renumber[keep] = np.arange(1, len(keep) + 1)
    return Crop(_vary_intensity(moved, image.ndim == 3, rng), renumber[parts])


def _map_intensity(image: NDArray[np.generic], rng: np.random.Generator) -> NDArray[np.float32]:
    """Map to RGB as a run does, with slightly different percentiles each time."""
    percentiles = (rng.uniform(0, 1.5), rng.uniform(99.0, 100.0))
    limits = measure_limits([thin(image, 65_536)], percentiles, joint=True)
    colors = RGB_COLORS if image.ndim == 3 else (WHITE,)
    return IntensityMapping(limits, colors).apply(image)


def _draw_affine(
    shape: tuple[int, ...], diameter: float, size: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw zoom, rotation, flip and centre as the (2, 3) matrix `affine_grid` takes."""
    height, width = shape
    natural = TARGET_DIAMETER / max(diameter, 4.0)
    # Half-way between the native size and one size for all, then a random factor.
    zoom = natural**0.5 * ZOOM_SPREAD ** rng.uniform(-1, 1)
    # A crop much larger than its image would mostly show reflections.
    zoom = max(zoom, 0.8 * size / max(height, width))
    stretch = 1.25 ** rng.uniform(-1, 1)
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.5 else np.pi / 2 * rng.integers(4)
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag([stretch**0.5, stretch**-0.5])
    matrix *= size / zoom
    if rng.random() < 0.5:
        matrix[:, 0] *= -1
    # Rows are x and y; from pixels to affine_grid's -1..1 units of the image.
    extent = np.abs(matrix).sum(axis=1) / 2
    room = np.maximum(np.array([width, height]) / 2 - extent, 0)
    shift = rng.uniform(-room, room)
    theta = np.concatenate([matrix / 2, shift[:, np.newaxis]], axis=1)
    theta /= np.array([[width / 2], [height / 2]])
    return theta.astype(np.float32)


def _vary_intensity(
    image: NDArray[np.float32], colored: bool, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Vary gamma, contrast, colour, blur, noise and polarity of a (3, S, S) image."""
    image = np.clip(image, 0, 1)
    if colored:
        image = _vary_color(image, rng)
    elif rng.random() < 0.15:
        # Fluorescence saved in its look-up table's colour.
        tint = rng.uniform(0, 1, 3)
        tint[rng.integers(3)] = 1
        image = image * tint[:, None, None].astype(np.float32)
    image = image ** np.float32(2 ** rng.uniform(-1, 0.8))
    gain, offset = rng.uniform(0.6, 1.2), rng.uniform(-0.08, 0.12)
    image = image * np.float32(gain) + np.float32(offset)
    chance = rng.random()
    if chance < 0.2:
        image = ndimage.gaussian_filter(image, (0, *[rng.uniform(0.3, 1.5)] * 2))
    elif chance < 0.3:
        low = ndimage.gaussian_filter(image, (0, 1.5, 1.5))
        image = image + np.float32(rng.uniform(0.2, 1.0)) * (image - low)
    if rng.random() < 0.5:
        channels = 3 if colored else 1
        noise = rng.standard_normal((channels, *image.shape[1:]), np.float32)
        image = image + noise * np.float32(rng.uniform(0, 0.08))
    image = np.clip(image, 0, 1)
    if rng.random() < (0.1 if colored else 0.15):
        image = 1 - image
    return np.ascontiguousarray(image, np.float32)


def _vary_color(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Vary a stained image's colours: optical density per channel, a channel mix, or grey."""
    density = -np.log(np.clip(image, 0.02, 1))
    density *= rng.uniform(0.7, 1.4, 3).astype(np.float32)[:, None, None]
    mixed = np.exp(-density)
    mix = np.eye(3) + rng.uniform(-0.15, 0.15, (3, 3))
    mixed = np.tensordot(mix / mix.sum(axis=1, keepdims=True), mixed, axes=1)
    if rng.random() < 0.15:
        grey = mixed.mean(axis=0, keepdims=True)
        mixed = np.repeat(grey, 3, axis=0)
    return np.clip(mixed, 0, 1).astype(np.float32)
