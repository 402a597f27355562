"""Small operations on cropped masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..instances import Instances, Mask


def paint_labels(
    instances: Instances, shape: tuple[int, int], origin: tuple[int, int] = (0, 0)
) -> NDArray[np.int32]:
    """Paint objects 1..N into a window of their plane, the best score (the first) on top.

    Parameters
    ----------
    instances : Instances
    shape, origin : (int, int)
        Size of the window and where it begins, px.

    Returns
    -------
    shape int32 array
        0 is nothing, n the n-th object.
    """
    labels = np.zeros(shape, np.int32)
    for i in np.argsort(-instances.scores, kind="stable")[::-1]:
        mask = instances.masks[i]
        top, left = mask.origin[0] - origin[0], mask.origin[1] - origin[1]
        height, width = mask.pixels.shape
        rows = slice(max(top, 0), min(top + height, shape[0]))
        cols = slice(max(left, 0), min(left + width, shape[1]))
        if rows.start >= rows.stop or cols.start >= cols.stop:
            continue
        inside = mask.pixels[
            rows.start - top : rows.stop - top, cols.start - left : cols.stop - left
        ]
        labels[rows, cols][inside] = i + 1
    return labels


def paint_visible(
    canvas: NDArray[np.int32],
    masks: Sequence[Mask],
    numbers: NDArray[np.int32],
    min_visible: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Paint masks by rising number where nothing is yet, but those that are mostly hidden.

    Parameters
    ----------
    canvas : (H, W) int32 array
        Painted on.
    masks : sequence of N Mask
        In the canvas's pixels.
    numbers : (N,) int32
        What to paint, all different and at least 1.
    min_visible : float
        A mask of which less than this share is free is left out.

    Returns
    -------
    visible, area : (N,) int64
        Of each mask: pixels that were free, and all, px.
    """
    visible, area = np.zeros((2, len(masks)), np.int64)
    for i in np.argsort(numbers):
        mask = masks[i]
        window = canvas[mask.slices]
        free = mask.pixels & (window == 0)
        visible[i], area[i] = np.count_nonzero(free), mask.area
        if visible[i] >= min_visible * area[i]:
            window[free] = numbers[i]
    return visible, area


def overlap_area(a: Mask, b: Mask) -> int:
    """Number of pixels that two masks share, px."""
    (rows_a, cols_a), (rows_b, cols_b) = a.slices, b.slices
    top, bottom = max(rows_a.start, rows_b.start), min(rows_a.stop, rows_b.stop)
    left, right = max(cols_a.start, cols_b.start), min(cols_a.stop, cols_b.stop)
    if top >= bottom or left >= right:
        return 0
    return int(
        np.count_nonzero(
            _window(a, top, left, bottom, right) & _window(b, top, left, bottom, right)
        )
    )


def _window(mask: Mask, top: int, left: int, bottom: int, right: int) -> NDArray[np.bool_]:
    row, col = mask.origin
    return mask.pixels[top - row : bottom - row, left - col : right - col]


def union(masks: Sequence[Mask]) -> Mask:
    """Join masks into one."""
    windows = [mask.slices for mask in masks]
    top, left = min(r.start for r, _ in windows), min(c.start for _, c in windows)
    bottom, right = max(r.stop for r, _ in windows), max(c.stop for _, c in windows)
    pixels = np.zeros((bottom - top, right - left), bool)
    for mask in masks:
        moved = mask.shift(-top, -left)
        pixels[moved.slices] |= mask.pixels
    return Mask((top, left), pixels)


def tighten(instances: Instances) -> Instances:
    """Crop masks to their pixels and leave out empty ones."""
    return with_masks(instances, [mask.tight() for mask in instances.masks])


def with_masks(
    instances: Instances,
    masks: Sequence[Mask | None],
    image_shape: tuple[int, int] | None = None,
    boxes: NDArray[np.float32] | None = None,
) -> Instances:
    """Exchange the masks (and boxes, and plane), leaving out objects whose mask is None."""
    kept = [i for i, mask in enumerate(masks) if mask is not None]
    return Instances.create(
        instances.image_shape if image_shape is None else image_shape,
        (mask for mask in masks if mask is not None),
        scores=instances.scores[kept],
        category_ids=instances.category_ids[kept],
        boxes=(instances.boxes if boxes is None else boxes)[kept],
    )


def solid(mask: Mask) -> Mask:
    """Keep the largest connected part of a mask (4 neighbours), and fill the holes in it.

    Examples
    --------
    >>> ring = np.array([[1, 1, 1, 0, 0], [1, 0, 1, 0, 1], [1, 1, 1, 0, 0]], bool)
    >>> solid(Mask((0, 0), ring)).pixels.astype(int)
    array([[1, 1, 1, 0, 0],
           [1, 1, 1, 0, 0],
           [1, 1, 1, 0, 0]])
    """
    parts, count = ndimage.label(mask.pixels)
    if count == 0:
        return mask
    largest = parts == 1 if count == 1 else parts == np.bincount(parts.ravel())[1:].argmax() + 1
    # With a rim around it, all background but the holes is one part, that of the corner.
    outside, grounds = ndimage.label(np.pad(~largest, 1, constant_values=True))
    if count == grounds == 1:
        return mask
    return Mask(mask.origin, (outside != outside[0, 0])[1:-1, 1:-1])
