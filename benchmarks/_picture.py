"""A large picture made of real fields, the same each time."""

from __future__ import annotations

import os
from itertools import zip_longest
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


def files() -> tuple[list[Path], list[Path]]:
    """Files of fluorescence fields, and of stained ones: of validation, or the sample images."""
    folder = data_folder()
    if folder is None:
        data = Path(napari_instseg.__file__).parent / "data"
        return [data / "fluorescence.png"], [data / "histology.png"]
    rows = (folder.parent / "index.csv").read_text("utf-8").splitlines()
    kinds: tuple[list[Path], list[Path]] = [], []
    for row in rows:
        split, name, kind = row.split(",")[:3]
        if split == "val":
            kinds[kind != "fluorescence"].append(folder / "images" / f"{name}.png")
    return kinds


def fields() -> tuple[list[NDArray[np.uint8]], str]:
    """Grey fluorescence fields stretched to 0..255, and where they come from."""
    paths, _ = files()
    source = "the sample image" if data_folder() is None else f"{len(paths)} validation fields"
    return [_stretch(np.asarray(Picture.open(path).convert("L"))) for path in paths], source


def _stretch(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    low, high = np.percentile(gray, (0.5, 99.8))
    return np.uint8(np.clip((gray - low) / max(high - low, 1.0), 0, 1) * 255)


class Mosaic:
    """A square picture made of pieces of the fields, each turned in one of eight ways.

    It is made as it is read: no more of it is in memory.

    Parameters
    ----------
    size : int
        Edge, px.
    """

    def __init__(self, size: int) -> None:
        found, self.source = fields()
        self.shape, self.dtype, self.ndim = (size, size), np.dtype(np.uint8), 2
        self._pieces = [
            gray[top : top + PIECE, left : left + PIECE]
            for gray in found
            for top in range(0, gray.shape[0] - PIECE + 1, PIECE)
            for left in range(0, gray.shape[1] - PIECE + 1, PIECE)
        ]
        count = -(-(size + SHIFT) // PIECE)
        random = np.random.default_rng(0)
        self._drawn = []
        for _ in range(count):
            picked = random.integers(len(self._pieces), size=count).tolist()
            turns = [int(random.integers(4)) for _ in range(count)]
            flips = [bool(random.integers(2)) for _ in range(count)]
            self._drawn.append(list(zip(picked, turns, flips, strict=True)))

    def __getitem__(self, index: tuple[slice, slice]) -> NDArray[np.uint8]:
        """Read a block."""
        spans = [
            (begin + SHIFT, end + SHIFT, step)
            for begin, end, step in (
                part.indices(length) for part, length in zip(index, self.shape, strict=True)
            )
        ]
        (top, bottom, _), (left, right, _) = spans
        first = top // PIECE * PIECE, left // PIECE * PIECE
        whole = np.block(
            [
                [self._piece(row, col) for col in range(left // PIECE, -(-right // PIECE))]
                for row in range(top // PIECE, -(-bottom // PIECE))
            ]
        )
        rows, cols = (
            slice(begin - start, end - start, step)
            for (begin, end, step), start in zip(spans, first, strict=True)
        )
        return np.ascontiguousarray(whole[rows, cols])

    def _piece(self, row: int, col: int) -> NDArray[np.uint8]:
        picked, turns, flip = self._drawn[row][col]
        turned = np.rot90(self._pieces[picked], turns)
        return np.fliplr(turned) if flip else turned


def mosaic(size: int) -> tuple[NDArray[np.uint8], str]:
    """A `Mosaic` in memory.

    Returns
    -------
    picture : (size, size) uint8
    source : str
    """
    whole = Mosaic(size)
    return whole[:, :], whole.source


def crops(size: int, count: int) -> list[NDArray[np.uint8]]:
    """Corners of real fields, RGB, as they were stored; fluorescence and stained in turns."""
    each = -(-count // 2)
    # Spread over all there are: neighbours in the list may be of one experiment.
    kinds = [paths[:: max(1, len(paths) // each)][:each] for paths in files()]
    chosen = [path for pair in zip_longest(*kinds) for path in pair if path is not None]
    return [np.array(Picture.open(path).convert("RGB"))[:size, :size] for path in chosen[:count]]
