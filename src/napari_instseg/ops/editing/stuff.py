"""Semantic and panoptic labels where objects came or went, and the rows of stuff."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .numbering import renumbered
from .rows import EDGES
from .scene import Reader, Scene

#: Rows or columns that are looked at in one go for the end of a segment, px.
STRIP = 64


def shown(
    objects: NDArray[np.int32], values: Mapping[int, int], below: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Labels of pixels: the value of their object, else of what is below.

    Examples
    --------
    >>> shown(np.array([0, 3, 0], np.int32), {3: 1}, np.array([9, 9, 0], np.int32))
    array([9, 1, 0], dtype=int32)
    """
    return np.where(objects > 0, renumbered(objects, values), below)


def edges_of(number: int, read: Reader, edges: Sequence[int], scene: Scene) -> tuple[int, ...]:
    """Find the first and last (half-open) row and column of a segment, from outside.

    Parameters
    ----------
    number : int
        Its label; it has pixels.
    read : callable
        Reads a box of the panoptic label image.
    edges : (row_min, col_min, row_max, col_max)
        The segment has nothing beyond.
    scene : Scene
    """
    found = [*edges]
    leading = scene.shape[:-2]
    for side in range(4):
        axis, last = side % 2, side > 1
        low, high = found[axis], found[axis + 2]
        strips = range(low, high, STRIP)
        for begin in reversed(strips) if last else strips:
            start, stop = found[:2], found[2:]
            start[axis], stop[axis] = begin, min(begin + STRIP, high)
            part = read(((*(0 for _ in leading), *start), (*leading, *stop))) == number
            lines = np.flatnonzero(
                part.any(axis=tuple(k for k in range(part.ndim) if k != part.ndim - 2 + axis))
            )
            if len(lines):
                found[side] = begin + int(lines[-1]) + 1 if last else begin + int(lines[0])
                break
    return tuple(found)


def stuff_row(
    row: Mapping[str, Any], area: int, edges: Sequence[int], scene: Scene
) -> dict[str, Any]:
    """Bring the row of a segment of stuff in line with its pixels."""
    height, width = scene.shape[-2:]
    known = {
        "area": area,
        **dict(zip(EDGES, edges, strict=True)),
        "touches_edge": min(edges[:2]) == 0 or edges[2] == height or edges[3] == width,
    }
    return {**row, **{name: value for name, value in known.items() if name in row}}
