"""Memory that was freed, and that the system should have again."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any


def trim() -> None:
    """Give freed memory back to the system where the allocator keeps it (glibc on Linux).

    Notes
    -----
    glibc keeps freed blocks below any that is in use. A network's large, short-lived arrays
    between small ones that stay make a process grow with each tile, by gigabytes over a thousand
    of them; ``malloc_trim`` returns the pages between.

    References
    ----------
    malloc_trim(3), Linux Programmer's Manual.
    """
    function = _malloc_trim()
    if function is not None:
        function(0)


@cache
def _malloc_trim() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
