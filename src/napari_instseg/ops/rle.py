"""Masks as run lengths, column by column, as COCO has them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..instances import Mask
from ..segmenter import InputError

#: Groups of five bits that a number may have: no image has sides for more.
_GROUPS = 7


def runs_of(mask: Mask, height: int) -> NDArray[np.int64]:
    """List the runs of a mask's pixels down the columns of its plane.

    Parameters
    ----------
    mask : Mask
    height : int
        Of the plane, px.

    Returns
    -------
    (N, 2) int64 array
        Where each run begins and ends (half-open), counted down the columns; rising, none empty,
        none touching.

    Examples
    --------
    >>> runs_of(Mask((1, 0), np.ones((2, 2), bool)), 3)
    array([[1, 3],
           [4, 6]])
    """
    (top, left), (tall, wide) = mask.origin, mask.pixels.shape
    down = np.zeros((wide, tall + 2), np.int8)
    down[:, 1:-1] = mask.pixels.T
    steps = np.diff(down, axis=1)
    begins, ends = (
        (cols + left) * height + rows + top
        for cols, rows in (np.nonzero(steps == 1), np.nonzero(steps == -1))
    )
    # What reaches the lower edge may go on at the upper one.
    apart = begins[1:] != ends[:-1]
    first, last = np.concatenate([[True], apart]), np.concatenate([apart, [True]])
    return np.stack([begins[first[: len(begins)]], ends[last[: len(ends)]]], axis=1)


def window_of(runs: NDArray[np.int64], height: int) -> tuple[int, int, int, int]:
    """First row and column, number of rows and columns of what some runs cover, px.

    Where a run goes on from one column to the next, all rows.
    """
    first, last = runs[:, 0], runs[:, 1] - 1
    left, right = int(first.min()) // height, int(last.max()) // height
    if np.any(first // height != last // height):
        return 0, left, height, right - left + 1
    top, bottom = int((first % height).min()), int((last % height).max())
    return top, left, bottom - top + 1, right - left + 1


def mask_of(runs: NDArray[np.int64], height: int) -> Mask:
    """Make a mask of the runs that `runs_of` lists, at least one."""
    top, left, tall, wide = window_of(runs, height)
    steps = np.zeros(wide * tall + 1, np.int8)
    for places, step in ((runs[:, 0], 1), (runs[:, 1] - 1, -1)):
        cols, rows = places // height - left, places % height - top
        steps[cols * tall + rows + (step < 0)] += step
    pixels = np.cumsum(steps[:-1], dtype=np.int8).view(bool)
    return Mask((top, left), np.ascontiguousarray(pixels.reshape(wide, tall).T))


def encode(mask: Mask, shape: tuple[int, int]) -> dict[str, Any]:
    """Write a mask as COCO's compressed run lengths.

    Parameters
    ----------
    mask : Mask
    shape : (int, int)
        Height and width of the plane, px.

    Returns
    -------
    dict
        "size": [height, width]; "counts": text.

    References
    ----------
    Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; pycocotools, maskApi.c.
    """
    height, width = shape
    runs = runs_of(mask, height)
    edges = np.concatenate([[0], runs.ravel(), [height * width]])
    counts = np.diff(edges)
    return {"size": [height, width], "counts": pack(counts if counts[-1] else counts[:-1])}


def decode(counts: object, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Read COCO's run lengths, compressed or not.

    Parameters
    ----------
    counts : str or list of int
        Lengths of runs, outside and inside in turn.
    shape : (int, int)
        Height and width of the plane, px.

    Returns
    -------
    (N, 2) int64 array
        As of `runs_of`.

    Raises
    ------
    InputError
        If they are none, or do not add up to the plane.
    """
    lengths = unpack(counts) if isinstance(counts, str) else _whole(counts)
    pixels = shape[0] * shape[1]
    low, high = (int(lengths.min()), int(lengths.max())) if lengths.size else (0, 0)
    if low < 0 or high > pixels or int(lengths.sum()) != pixels:
        raise InputError(
            f"run lengths: expected numbers from 0 that add up to {shape[0]} x {shape[1]} = "
            f"{pixels} px, got {low} to {high}, {int(lengths.sum())} px together"
        )
    return normal(np.cumsum(lengths), pixels)


def normal(edges: NDArray[np.int64], pixels: int) -> NDArray[np.int64]:
    """Turn places where inside and outside change into runs, none empty, none touching.

    Parameters
    ----------
    edges : (N,) int64 array
        In any order; two at one place cancel out.
    pixels : int
        Of the plane.

    Returns
    -------
    (N, 2) int64 array
        As of `runs_of`.
    """
    places, times = np.unique(edges, return_counts=True)
    places = places[(times % 2 == 1) & (places < pixels)]
    if len(places) % 2:
        places = np.append(places, pixels)
    return places.reshape(-1, 2)


def pack(counts: NDArray[np.int64]) -> str:
    """Compress lengths: groups of five bits as letters; from the fourth, differences."""
    values = counts.astype(np.int64)
    values[3:] -= counts[1:-2]
    place = 5 * np.arange(_GROUPS)
    limits = np.int64(1) << (place[1:] - 1)
    sizes = 1 + ((values[:, None] >= limits) | (values[:, None] < -limits)).sum(axis=1)
    groups = (values[:, None] >> place) & 31
    number = np.arange(_GROUPS)
    groups |= 32 * (number < sizes[:, None] - 1)
    letters = (groups[number < sizes[:, None]] + 48).astype(np.uint8)
    return bytes(letters).decode("ascii")


def unpack(text: str) -> NDArray[np.int64]:
    """Read compressed lengths.

    Raises
    ------
    InputError
        If they are none.
    """
    letters = np.frombuffer(text.encode("ascii", "replace"), np.uint8).astype(np.int64) - 48
    if not letters.size:
        return letters
    ends = np.flatnonzero((letters & 32) == 0)
    begins = np.concatenate([[0], ends[:-1] + 1]).astype(np.intp)
    sizes = ends - begins[: len(ends)] + 1
    if letters.min() < 0 or letters.max() > 63 or (letters[-1] & 32) or sizes.max() > _GROUPS:
        raise InputError(f"run lengths: expected COCO's compressed ones, got {text[:40]!r}")
    place = np.arange(letters.size) - np.repeat(begins, sizes)
    values = np.add.reduceat((letters & 31) << (5 * place), begins)
    values -= np.where(letters[ends] & 16, np.int64(1) << (5 * sizes), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def _whole(counts: object) -> NDArray[np.int64]:
    if not isinstance(counts, list) or not all(type(one) is int for one in counts):
        raise InputError(f"run lengths: expected a text or a list of numbers, got {counts!r:.40}")
    if any(abs(one) >= 1 << 40 for one in counts):
        raise InputError("run lengths: expected numbers that add up to the image's pixels")
    return np.array(counts, np.int64)
