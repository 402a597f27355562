"""Arrays put together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def joined(parts: Iterable[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    """Concatenate any number of (N,) arrays as one type; none give an empty array.

    Examples
    --------
    >>> joined([], np.int64)
    array([], dtype=int64)
    """
    return np.concatenate([np.empty(0, dtype), *parts]).astype(dtype)
