"""Small pictures of objects with their outlines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import napari.layers
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries

from ...label_set import LabelSet
from .places import Places, extents

#: Edge of a picture, px of the screen.
SIZE = 88
#: How much wider than its object a picture is, and its least edge, px of the image.
AROUND, LEAST = 1.7, 24
#: Outlines of the object, and of its neighbours.
OWN, OTHERS = (255, 170, 40), (120, 125, 135)


def window_of(labels: LabelSet, row: pd.DataFrame) -> tuple[slice, ...]:
    """Choose what to show of an object: one plane of it, and what is around.

    Parameters
    ----------
    labels : LabelSet
    row : DataFrame
        One row of its table.
    """
    (extent,) = extents(labels, row)
    window = [slice(int(a + b - 1) // 2, int(a + b - 1) // 2 + 1) for a, b in extent[:-2]]
    edge = max(LEAST, int(np.ceil((extent[-2:, 1] - extent[-2:, 0]).max() * AROUND)))
    step = max(1, edge // (2 * SIZE))
    for (begin, end), size in zip(extent[-2:], labels.shape[-2:], strict=True):
        first = max(0, min(int(begin + end - edge) // 2, size - edge))
        window.append(slice(first, min(first + edge, size), step))
    return tuple(window)


def picture_of(
    labels: LabelSet,
    places: Places,
    image: napari.layers.Image | None,
    label: int,
    row: pd.DataFrame,
) -> NDArray[np.uint8]:
    """Draw an object as it lies in an image.

    Parameters
    ----------
    labels : LabelSet
    places : Places
        Of its layer.
    image : napari.layers.Image, optional
        As bright as it is on the canvas; None: the labels alone.
    label : int
    row : DataFrame
        Its row of the table.

    Returns
    -------
    (H, W, 3) uint8
        At most about 2 `SIZE` px wide.
    """
    window = window_of(labels, row)
    output = "instances" if bool(row["is_thing"].iloc[0]) else "panoptic"
    crop = labels.read(output, window)
    crop = crop.reshape(crop.shape[-2:])
    own = crop == label
    picture = None if image is None else _seen(image, places, window, crop.shape)
    if picture is None:
        picture = np.where(own, 150, np.where(crop > 0, 70, 25)).astype(np.uint8)
        picture = np.repeat(picture[..., None], 3, axis=2)
    # The outline is drawn on twice as many pixels, so that it hides little of what it is about.
    scale = max(1, int(np.ceil(SIZE / max(crop.shape))))
    picture = _larger(picture, scale)
    picture[find_boundaries(_larger(crop, scale), mode="inner")] = OTHERS
    picture[find_boundaries(_larger(own, scale), mode="inner")] = OWN
    return np.ascontiguousarray(picture)


def _larger(array: NDArray[Any], scale: int) -> NDArray[Any]:
    return array.repeat(scale, 0).repeat(scale, 1)


def _seen(
    image: napari.layers.Image, places: Places, window: Sequence[slice], shape: tuple[int, ...]
) -> NDArray[np.uint8] | None:
    """Read the pixels of an image layer under a window of the labels; None beside it."""
    pixels = _under(image, places, window, shape)
    if pixels is None:
        return None
    if image.rgb:
        scale = 255 if pixels.dtype.kind == "f" else 255 / np.iinfo(pixels.dtype).max
        rgb: NDArray[np.uint8] = np.clip(pixels[..., :3] * scale, 0, 255).astype(np.uint8)
        return rgb
    low, high = image.contrast_limits
    gray = np.clip((pixels.astype(np.float64) - low) / max(high - low, 1e-12), 0, 1)
    colors: NDArray[np.float64] = image.colormap.map(gray.ravel()).reshape(*shape, 4)
    return (colors[..., :3] * 255).astype(np.uint8)


def _under(
    image: napari.layers.Image, places: Places, window: Sequence[slice], shape: tuple[int, ...]
) -> NDArray[Any] | None:
    """Read an image layer at the pixels of a window of the labels, the nearest for each.

    Each axis is looked up by itself, as it can be where layers are not turned against each other.
    """
    data: Any = image.data[0] if image.multiscale else image.data
    corners = [
        [part.start for part in window],
        [
            *(part.start for part in window[:-2]),
            *(p.start + (n - 1) * (p.step or 1) for p, n in zip(window[-2:], shape, strict=True)),
        ],
    ]
    world = [places.world(corner) for corner in corners]
    offset = len(world[0]) - image.ndim
    begin, end = (np.asarray(image.world_to_data(point[offset:]), float) for point in world)
    counts = dict(zip((d - offset for d in places.dimensions[-2:]), shape, strict=True))
    where, nearest = [], []
    for k in range(image.ndim):
        line = np.round(np.linspace(begin[k], end[k], counts.get(k, 1))).astype(int)
        if line.min() < -1 or line.max() > data.shape[k]:
            return None
        line = np.clip(line, 0, data.shape[k] - 1)
        step = max(1, int(abs(line[-1] - line[0])) // max(1, len(line) - 1))
        low = int(line.min())
        where.append(slice(low, int(line.max()) + 1, step))
        nearest.append((line - low) // step)
    read = np.asarray(data[tuple(where)])
    return read[np.ix_(*nearest)].reshape(*shape, *read.shape[image.ndim :])
