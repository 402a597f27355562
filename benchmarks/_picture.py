"""A large picture made of real fields, the same each time."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

import napari_instseg

from ._processes import ROOT

#: Edge (px) of the pieces that the picture is made of, and where the first one begins: no edge
#: of a tile may fall on an edge of a piece, where objects are cut anyway.
PIECE, SHIFT = 256, 72


def data_folder() -> Path | None:
    """The validation fields, if they are there."""
    default = ROOT.parent / "shared" / "data" / "dsb2018"
    folder = Path(os.environ.get("NAPARI_INSTSEG_DATA", default)) / "val"
    return folder if (folder / "images").is_dir() else None


def fields() -> tuple[list[NDArray[np.uint8]], str]:
    """Grey fluorescence fields stretched to 0..255, and where they come from."""
    folder = data_folder()
    if folder is None:
        paths = [Path(napari_instseg.__file__).parent / "data" / "fluorescence.png"]
        source = "the sample image"
    else:
        rows = (folder.parent / "index.csv").read_text("utf-8").splitlines()
        names = [r.split(",")[1] for r in rows if r.startswith("val,") and ",fluorescence," in r]
        paths = [folder / "images" / f"{name}.png" for name in names]
        source = f"{len(paths)} validation fields"
    return [_stretch(np.asarray(Picture.open(path).convert("L"))) for path in paths], source


def _stretch(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    low, high = np.percentile(gray, (0.5, 99.8))
    return np.uint8(np.clip((gray - low) / max(high - low, 1.0), 0, 1) * 255)


def mosaic(size: int) -> tuple[NDArray[np.uint8], str]:
    """A square picture made of pieces of the fields, each turned in one of eight ways.

    Returns
    -------
    picture : (size, size) uint8
    source : str
    """
    found, source = fields()
    pieces = [
        gray[top : top + PIECE, left : left + PIECE]
        for gray in found
        for top in range(0, gray.shape[0] - PIECE + 1, PIECE)
        for left in range(0, gray.shape[1] - PIECE + 1, PIECE)
    ]
    count = -(-(size + SHIFT) // PIECE)
    random = np.random.default_rng(0)
    rows = []
    for _ in range(count):
        picked = (pieces[i] for i in random.integers(len(pieces), size=count))
        turned = [np.rot90(piece, random.integers(4)) for piece in picked]
        rows.append([np.fliplr(piece) if random.integers(2) else piece for piece in turned])
    whole = np.block(rows)[SHIFT : SHIFT + size, SHIFT : SHIFT + size]
    return np.ascontiguousarray(whole), source
