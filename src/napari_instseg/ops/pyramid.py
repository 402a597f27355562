"""Label images at coarser levels: labels are chosen, never averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def halve(labels: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    """Give each block of 2 x 2 pixels the label that most of them have.

    Parameters
    ----------
    labels : (..., H, W) integer array
        Leading dimensions are left as they are.

    Returns
    -------
    (..., ceil(H / 2), ceil(W / 2)) array of the same type
        Of labels that are equally frequent, the one that comes first in reading order. Where a
        side is odd, its last blocks have the pixels that there are.

    References
    ----------
    Silversmith, "COUNTLESS: a method of downsampling labeled images", 2017: of four values, two
    that are equal are the mode.

    Examples
    --------
    >>> halve(np.array([[1, 2, 0], [2, 3, 0], [7, 7, 5]]))
    array([[2, 0],
           [7, 5]])
    """
    odd = [size % 2 for size in labels.shape[-2:]]
    if any(odd):
        # A repeated pixel counts twice as often, which changes no order.
        labels = np.pad(labels, [(0, 0)] * (labels.ndim - 2) + [(0, o) for o in odd], mode="edge")
    a, b = labels[..., ::2, ::2], labels[..., ::2, 1::2]
    c, d = labels[..., 1::2, ::2], labels[..., 1::2, 1::2]
    first = (a == b) | (a == c) | (a == d)
    second = (b == c) | (b == d)
    rest = np.where(c == d, c, a)
    return np.where(first, a, np.where(second, b, rest))


def level_shapes(shape: Sequence[int], largest: int) -> list[tuple[int, ...]]:
    """List the shapes of a pyramid: Y and X halved until neither is larger than ``largest``.

    Examples
    --------
    >>> level_shapes((5, 101, 40), 32)
    [(5, 101, 40), (5, 51, 20), (5, 26, 10)]
    """
    shapes = [tuple(shape)]
    while max(shapes[-1][-2:]) > largest:
        *planes, height, width = shapes[-1]
        shapes.append((*planes, (height + 1) // 2, (width + 1) // 2))
    return shapes
