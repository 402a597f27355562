"""Files of ``torch.save``: tensors and plain values come back, and nothing in them runs."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from ...segmenter import ModelError
from .files import DAMAGE, check_is_file

ZIP_START = b"PK\x03\x04"
#: The first torch whose weights_only reader is closed against CVE-2025-32434.
SAFE_TORCH = (2, 6)


def is_zip(path: Path) -> bool:
    """Whether a file begins as the archives that ``torch.save`` writes."""
    check_is_file(path)
    with path.open("rb") as file:
        return file.read(len(ZIP_START)) == ZIP_START


def read_torch(path: Path) -> Any:
    """Read what ``torch.save`` wrote: tensors and plain values, on the CPU.

    Raises
    ------
    ModelError
        If the file is missing or damaged, holds more than that, or torch is older than 2.6.
    """
    check_is_file(path)
    version = tuple(int(n) for n in re.findall(r"\d+", torch.__version__)[:2])
    if version < SAFE_TORCH:
        raise ModelError(
            f"{path} cannot be read safely with torch {torch.__version__}: expected 2.6 or later"
        )
    try:
        zipped = is_zip(path)
        if zipped:
            _check_archive(path)
        # Mapped memory needs the archive's layout; files from before torch 1.6 have none.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except DAMAGE as error:
        raise ModelError(
            f"{path} cannot be read: expected a file of torch.save with tensors and plain "
            f"values only, got: {_torch_says(error)}. Nothing in it was run"
        ) from error


def _torch_says(error: BaseException) -> str:
    """Say it in one line: torch's own text advises to turn the check off."""
    text = str(error)
    code = re.search(r"(?:GLOBAL|class|function) ([\w.]+\.\w+)", text)
    if code:
        return f"{code[1]}, which is code"
    return next((line for line in text.splitlines() if line.strip()), type(error).__name__)[:200]


def _check_archive(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    for entry in entries:
        parts = re.split(r"[/\\]", entry.filename)
        if ".." in parts or not parts[0] or ":" in entry.filename:
            raise ModelError(f"{path} is refused: its entry {entry.filename!r} leaves the archive")
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ModelError(
                f"{path} is refused: {entry.filename!r} is packed; torch packs nothing"
            )
        if parts[-1] == "constants.pkl":
            raise ModelError(f"{path} is a TorchScript program: expected weights (torch.save)")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise ModelError(f"{path} is refused: its entries claim more bytes than it has")
