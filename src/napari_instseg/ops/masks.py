"""Small operations on cropped masks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..instances import Instances, Mask
from .ids import Ids

#: Pixels that are labelled together, unless one mask has more: bounds the memory that takes.
TOGETHER = 1 << 20


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
        paint(labels, origin, instances.masks[i], i + 1)
    return labels


def paint(canvas: Ids, origin: tuple[int, int], mask: Mask, number: int) -> None:
    """Paint a number where a mask reaches into a window of the plane.

    Parameters
    ----------
    canvas : (H, W) int32 or int64 array
        The window; painted on.
    origin : (int, int)
        Where it begins, px.
    mask : Mask
    number : int
    """
    top, left = mask.origin[0] - origin[0], mask.origin[1] - origin[1]
    (height, width), (tall, wide) = mask.pixels.shape, canvas.shape
    rows = slice(max(top, 0), min(top + height, tall))
    cols = slice(max(left, 0), min(left + width, wide))
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return
    inside = mask.pixels[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left]
    canvas[rows, cols][inside] = number


def paint_visible(
    canvas: Ids,
    masks: Sequence[Mask],
    numbers: Ids,
    min_visible: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Paint masks by rising number where nothing is yet, but those that are mostly hidden.

    Parameters
    ----------
    canvas : (H, W) array of the numbers' type
        Painted on.
    masks : sequence of N Mask
        In the canvas's pixels.
    numbers : (N,) int32 or int64
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
    shared = _shared(a, b)
    return 0 if shared is None else int(np.count_nonzero(a.pixels[shared[0]] & b.pixels[shared[1]]))


def mask_iou(a: Mask, b: Mask) -> float:
    """Intersection over union of two masks' pixels; in [0, 1], 0 if both are empty."""
    shared = overlap_area(a, b)
    return shared / max(1, a.area + b.area - shared)


def without(mask: Mask, others: Sequence[Mask]) -> Mask | None:
    """Take pixels away that others have; None if nothing is left."""
    pixels = mask.pixels.copy()
    for other in others:
        shared = _shared(mask, other)
        if shared is not None:
            pixels[shared[0]] &= ~other.pixels[shared[1]]
    return Mask(mask.origin, pixels).tight()


def _shared(a: Mask, b: Mask) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    """Where both crops lie, as rows and columns of each one's pixels; None if nowhere."""
    (row_a, col_a), (row_b, col_b) = a.origin, b.origin
    (height_a, width_a), (height_b, width_b) = a.pixels.shape, b.pixels.shape
    top, bottom = max(row_a, row_b), min(row_a + height_a, row_b + height_b)
    left, right = max(col_a, col_b), min(col_a + width_a, col_b + width_b)
    if top >= bottom or left >= right:
        return None
    return (
        (slice(top - row_a, bottom - row_a), slice(left - col_a, right - col_a)),
        (slice(top - row_b, bottom - row_b), slice(left - col_b, right - col_b)),
    )


def corners(masks: Iterable[Mask]) -> NDArray[np.int64]:
    """First row and column, last row and column (half-open) of each mask: (N, 4), px."""
    return np.array(
        [(r.start, c.start, r.stop, c.stop) for r, c in (m.slices for m in masks)], np.int64
    ).reshape(-1, 4)


def span(slices: Sequence[slice]) -> slice:
    """The smallest range that holds all of these."""
    return slice(min(s.start for s in slices), max(s.stop for s in slices))


def union(masks: Sequence[Mask]) -> Mask:
    """Join masks into one."""
    if len(masks) == 1:
        return masks[0]
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


def solid(masks: Sequence[Mask]) -> list[Mask]:
    """Keep the largest connected part of each mask (4 neighbours), and fill the holes in it.

    Examples
    --------
    >>> ring = np.array([[1, 1, 1, 0, 0], [1, 0, 1, 0, 1], [1, 1, 1, 0, 0]], bool)
    >>> solid([Mask((0, 0), ring)])[0].pixels.astype(int)
    array([[1, 1, 1, 0, 0],
           [1, 1, 1, 0, 0],
           [1, 1, 1, 0, 0]])
    """
    made: list[Mask] = list(masks)
    # Those of like width share a canvas, so that hardly any of it is empty.
    order = sorted(range(len(masks)), key=lambda i: masks[i].pixels.shape[1])
    for numbers in _alike(order, [mask.pixels.shape for mask in masks]):
        for i, pixels in zip(numbers, _solid([masks[i].pixels for i in numbers]), strict=True):
            made[i] = Mask(masks[i].origin, pixels)
    return made


def _alike(order: Sequence[int], shapes: Sequence[tuple[int, ...]]) -> Iterator[list[int]]:
    """Split frames, narrow ones first: a canvas has at most `TOGETHER` pixels, or one frame."""
    numbers: list[int] = []
    height = 0
    for i in order:
        rows, width = shapes[i][0] + 1, shapes[i][1] + 2
        # The canvas is as wide as its widest frame: a wide one comes not below many narrow ones.
        if numbers and (height + rows) * width > TOGETHER:
            yield numbers
            numbers, height = [], 0
        numbers.append(i)
        height += rows
    if numbers:
        yield numbers


def _solid(frames: Sequence[NDArray[np.bool_]]) -> list[NDArray[np.bool_]]:
    """Frames below one another on a canvas, with a rim around each: two calls label them all."""
    tops = 1 + np.cumsum([0, *(len(frame) + 1 for frame in frames)])
    canvas = np.zeros((int(tops[-1]), max(frame.shape[1] for frame in frames) + 2), bool)
    places = [
        (slice(top, top + frame.shape[0]), slice(1, 1 + frame.shape[1]))
        for top, frame in zip(tops.tolist(), frames, strict=False)
    ]
    for place, frame in zip(places, frames, strict=True):
        canvas[place] = frame
    parts, count = ndimage.label(canvas)
    own = parts[canvas]
    sizes, of = np.bincount(own, minlength=count + 1), np.zeros(count + 1, np.intp)
    of[own] = np.searchsorted(tops, np.nonzero(canvas)[0], side="right")
    # The largest part of each frame comes first, of equals the one with the smallest number.
    ranked = np.lexsort((-sizes[1:], of[1:])) + 1
    largest = np.zeros(count + 1, bool)
    largest[ranked[np.unique(of[ranked], return_index=True)[1]]] = True
    # All background but the holes is one part, that of the rims.
    outside, _ = ndimage.label(~largest[parts])
    filled = outside != outside[0, 0]
    return [filled[place].copy() for place in places]
