"""Objects as colours and lines: a picture to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..segmenter import InputError
from .atomic import replacing


def write_overlay(path: Path, plane_rgb: NDArray[Any], instances: NDArray[Any]) -> Path:
    """Write a PNG of the image with the outline of each object in a colour of its own.

    Parameters
    ----------
    path : Path
    plane_rgb : (H, W, 3) float array
        In [0, 1]; values beyond are clipped.
    instances : (H, W) integer array
        Object numbers, 0 is nothing.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    InputError
        If the shapes do not fit.
    """
    if plane_rgb.ndim != 3 or plane_rgb.shape != (*instances.shape, 3):
        raise InputError(
            f"expected an RGB image of shape {(*instances.shape, 3)} for these labels, got "
            f"{plane_rgb.shape}"
        )
    from PIL import Image as Pillow

    picture = np.round(np.clip(plane_rgb, 0, 1) * 255).astype(np.uint8)
    edge = outlines(instances)
    picture[edge] = object_colors(instances[edge])
    with replacing(path) as partial:
        Pillow.fromarray(picture).save(partial, format="PNG", optimize=True)
    return path


def outlines(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Mark the pixels of objects that have another label above, below, left or right of them.

    Parameters
    ----------
    labels : (H, W) integer array

    Returns
    -------
    (H, W) bool array
        Lines one pixel wide, inside the objects; none along the image's border.
    """
    edge: NDArray[np.bool_] = np.zeros(labels.shape, np.bool_)
    down = labels[1:] != labels[:-1]
    right = labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    edge[labels == 0] = False
    return edge


def object_colors(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Give each number a bright colour; numbers in a row get hues far apart.

    Parameters
    ----------
    labels : (N,) integer array

    Returns
    -------
    (N, 3) uint8 array

    References
    ----------
    Smith, "Color gamut transform pairs", SIGGRAPH 1978 (HSV); hues by the golden ratio.
    """
    numbers = labels.astype(np.int64)
    hue = (numbers * 0.618033988749895) % 1 * 6
    saturation = np.where(numbers % 2, 1.0, 0.7)
    # In HSV each primary is value * (1 - saturation * how far the hue is from it).
    offset = (np.array([5.0, 3.0, 1.0]) + hue[:, np.newaxis]) % 6
    distance = np.clip(np.minimum(offset, 4 - offset), 0, 1)
    colors: NDArray[np.uint8] = np.round(255 * (1 - saturation[:, np.newaxis] * distance)).astype(
        np.uint8
    )
    return colors
