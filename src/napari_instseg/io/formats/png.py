"""Numbers as pixels of PNG files."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...segmenter import InputError
from ..images import naming, read_picture

#: Pillow reads no larger pictures.
LARGEST = 178_956_970


def write_png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write grey values of 8 or 16 bit, or RGB.

    Parameters
    ----------
    path : Path
    pixels : (H, W) uint8 or uint16, or (H, W, 3) uint8 array

    Raises
    ------
    InputError
        If it is larger than programs read.
    """
    from PIL import Image as Pillow

    height, width = pixels.shape[:2]
    if height * width > LARGEST:
        raise InputError(f"{height} x {width} px are too many for a PNG: choose another format")
    Pillow.fromarray(pixels).save(path, format="PNG")


def read_png(path: Path, shape: tuple[int, int] | None = None) -> NDArray[Any]:
    """Read what `write_png` writes.

    Parameters
    ----------
    path : Path
    shape : (int, int), optional
        Height and width that it must have, px; looked at before there is memory for it.

    Returns
    -------
    (H, W) or (H, W, 3) array of unsigned integers

    Raises
    ------
    InputError
        If it is none, damaged, or of another size; the message names the file.
    """
    with naming(path):
        if not path.is_file():
            raise InputError("no such file")
        with path.open("rb") as file:
            head = file.read(24)
        if len(head) < 24 or not head.startswith(b"\x89PNG\r\n\x1a\n"):
            raise InputError("expected a PNG")
        width, height = struct.unpack(">II", head[16:])
        if height * width > LARGEST or (shape is not None and (height, width) != shape):
            wanted = "at most 2^27 pixels" if shape is None else f"{shape[0]} x {shape[1]} px"
            raise InputError(f"expected {wanted}, got {height} x {width}")
        pixels = read_picture(path, palette=False)
        if pixels.dtype.kind not in "bu":
            raise InputError(f"expected whole numbers, got {pixels.dtype}")
        return pixels[..., :3] if pixels.ndim == 3 else pixels
