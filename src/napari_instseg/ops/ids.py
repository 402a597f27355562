"""The type of label ids: int32 as long as that holds them, else int64."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

#: Ids up to this one are int32; where there is a larger one, all of them are int64.
LARGEST_INT32 = 2**31 - 1

#: Ids of objects, and label images: int32 or int64, see `id_type`.
Ids: TypeAlias = NDArray[np.signedinteger[Any]]
_Integer = TypeVar("_Integer", bound=np.signedinteger[Any])


def id_type(largest: int) -> np.dtype[np.signedinteger[Any]]:
    """Choose the type of ids, given the largest of them.

    Whoever numbers objects asks once; whoever paints, links or keeps them takes the type that
    the numbers have, so all parts and processes of a run agree.

    Examples
    --------
    >>> id_type(2**31 - 1), id_type(2**31)
    (dtype('int32'), dtype('int64'))
    """
    return np.dtype(np.int32 if largest <= LARGEST_INT32 else np.int64)


def stored_type(largest: int) -> np.dtype[np.unsignedinteger[Any]]:
    """Choose the type of ids in a file that has no negative ones: uint32 holds twice as many.

    Examples
    --------
    >>> stored_type(2**32 - 1), stored_type(2**32)
    (dtype('uint32'), dtype('uint64'))
    """
    return np.dtype(np.uint32 if largest <= 2 * LARGEST_INT32 + 1 else np.uint64)


def with_zero(numbers: NDArray[_Integer]) -> NDArray[_Integer]:
    """Put 0 in front: what looks up ids in place of the numbers 1..N, and leaves 0 as it is."""
    return np.concatenate([np.zeros(1, numbers.dtype), numbers])


def ranks_of(order: NDArray[np.intp]) -> Ids:
    """Number things from 1 on, given the order in which they come.

    Parameters
    ----------
    order : (N,) int
        Index of the first, the second, ...

    Returns
    -------
    (N,) int32 or int64
        Number of each.

    Examples
    --------
    >>> ranks_of(np.array([2, 0, 1]))
    array([2, 3, 1], dtype=int32)
    """
    rank = np.empty(len(order), id_type(len(order)))
    rank[order] = np.arange(1, len(order) + 1)
    return rank
