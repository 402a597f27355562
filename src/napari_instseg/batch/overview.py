"""A small picture of a result, to see in a list whether it is right."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from ..io.overlay import object_colors, outlines
from ..ops.intensity import map_intensity, used_channels
from ..result import Result

#: Of larger planes the middle is shown, px: objects should still be seen.
WINDOW = 768
#: Longer side of the picture, px.
EDGE = 192


def overview(result: Result, edge: int = EDGE, window: int = WINDOW) -> NDArray[np.uint8]:
    """Draw the outlines of objects on the plane with most of them.

    Parameters
    ----------
    result : Segmentation or StoredSegmentation
    edge : int
        The picture is not longer than this on either side, px.
    window : int
        Of a larger plane, so many rows and columns in the middle are shown, px.

    Returns
    -------
    (H, W, 3) uint8 array
        RGB: every k-th pixel as the model saw it, and each object's outline in its colour.
    """
    image, settings = result.image, result.settings
    planes = image.planes()
    counts = result.plane_counts
    if not counts or 0 in image.label_shape:
        return np.zeros((1, 1, 3), np.uint8)
    plane = planes[int(np.argmax(counts))]
    height, width = (min(size, window) for size in image.label_shape[-2:])
    step = max(1, -(-max(height, width) // edge))
    rows, cols = (
        slice((size - part) // 2, (size + part) // 2, step)
        for size, part in zip(image.label_shape[-2:], (height, width), strict=True)
    )
    known = result.details.get("resolved", {}).get("limits")
    if known:
        # Else the whole image would be read again.
        settings = settings.replace(limits=tuple((low, high) for low, high in known))
    mapping = map_intensity(image, settings)
    pixels = image.read(plane, rows, cols, used_channels(image, settings))
    picture: NDArray[np.uint8] = np.round(mapping.apply(pixels) * 255).astype(np.uint8)
    where: Any = (*plane, rows, cols)
    labels = result.instances[where]
    # Two pixels wide, as the picture may be shown smaller.
    line = binary_dilation(outlines(labels)) & (labels > 0)
    picture[line] = object_colors(labels[line])
    return picture


def as_jpeg(picture: NDArray[np.uint8]) -> bytes:
    """Pack a picture, (H, W, 3) uint8, so that thousands may be kept."""
    from PIL import Image as Pillow

    file = BytesIO()
    Pillow.fromarray(picture).save(file, format="JPEG", quality=75, subsampling=0)
    return file.getvalue()
