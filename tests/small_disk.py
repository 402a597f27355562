"""A disk of its own that is soon full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(path: Path, size: str, *, lazy: bool = False) -> Iterator[Path]:
    """Mount a tmpfs of a size such as "1m" as a new folder; skip where that cannot be.

    It is an error if files are still open at the end, unless ``lazy``.
    """
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root may mount")
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    mounted = subprocess.run(mount, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs: {mounted.stderr.decode().strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", *(["--lazy"] if lazy else []), str(path)], check=True)
