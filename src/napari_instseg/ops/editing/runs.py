"""Pixels as runs of equal values: small enough for a log in JSON."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...segmenter import InputError


def encode(values: NDArray[np.int32]) -> tuple[int, ...]:
    """List runs of equal values in C order: value, length, value, length, ...

    Examples
    --------
    >>> encode(np.array([[5, 5, 0], [0, 0, 7]], np.int32))
    (5, 2, 0, 3, 7, 1)
    """
    flat = values.ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    lengths = np.diff(np.concatenate([starts, [flat.size]]))
    return tuple(np.stack([flat[starts], lengths], axis=1).ravel().tolist())


def decode(runs: Sequence[int], shape: Sequence[int]) -> NDArray[np.int32]:
    """Turn runs into values again.

    Raises
    ------
    InputError
        If they do not fill the shape.

    Examples
    --------
    >>> decode([5, 2, 0, 1], (1, 3))
    array([[5, 5, 0]], dtype=int32)
    """
    size = int(np.prod(shape))
    lengths = np.asarray(runs[1::2], np.int64)
    if len(runs) % 2 or (lengths < 1).any() or int(lengths.sum()) != size:
        raise InputError(
            f"runs: expected pairs of a value and a length, {size} pixels in all, got "
            f"{len(runs)} numbers for {int(lengths.sum())} pixels"
        )
    return np.repeat(np.asarray(runs[::2], np.int32), lengths).reshape(tuple(shape))
