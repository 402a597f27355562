"""Freed memory goes back to the system."""

from __future__ import annotations

import sys

import numpy as np
import psutil
import pytest

from napari_instseg.heap import trim


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of glibc")
def test_what_lies_below_something_small_is_given_back() -> None:
    resident = psutil.Process().memory_info
    trim()
    before = resident().rss
    # Below glibc's limit for blocks of their own, so all of them come from its heap.
    blocks = [np.ones(100_000, np.uint8) for _ in range(2000)]
    kept = blocks[::100]
    del blocks
    trim()
    assert resident().rss - before < 60e6
    assert len(kept) == 20
