"""What tests share: ASCII drawings, and a segmenter whose right answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label as label_components

from napari_instseg.instances import Instances, Mask
from napari_instseg.segmenter import RGB, Category, DeviceMemoryError, Prediction, Rules


def draw(picture: str) -> NDArray[np.int32]:
    """Turn a drawing into labels: '.' is 0, letters count from A = 1."""
    rows = [line.strip() for line in picture.strip().splitlines()]
    return np.array([[0 if c == "." else ord(c) - 64 for c in row] for row in rows], np.int32)


def same_partition(a: NDArray[np.integer], b: NDArray[np.integer]) -> bool:
    """Whether two label images show the same objects, whatever their numbers."""
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    both = len(np.unique(a)) == len(np.unique(b)) == pairs.shape[1]
    return both and all((x == 0) == (y == 0) for x, y in pairs.T)


class ComponentSegmenter:
    """Connected components of pixels above 0.5 with equal brightness: exact and instant.

    A right answer for any drawing: an object keeps its brightness in every tile, so touching
    objects of different brightness stay apart. Its score is its brightness.
    """

    categories = (Category(1, "object"),)
    device = "CPU"
    batch_size = 1
    rules = Rules()

    def __init__(self, diameter: float | None = None, memory: int = 1 << 60) -> None:
        self.diameter = diameter
        self.memory = memory
        self.calls: list[list[tuple[int, ...]]] = []

    def segment(self, tiles: Sequence[RGB]) -> list[Prediction]:
        self.calls.append([tile.shape[:2] for tile in tiles])
        if sum(tile.shape[0] * tile.shape[1] for tile in tiles) > self.memory:
            raise DeviceMemoryError("the test device ran out of memory")
        return [Prediction(self._find(tile[..., 0])) for tile in tiles]

    @staticmethod
    def _find(gray: NDArray[np.float32]) -> Instances:
        levels = np.where(gray > 0.5, np.round(gray * 1000), 0).astype(np.int64)
        found = Instances.from_labels(label_components(levels, connectivity=1))
        scores = [gray[mask.slices][mask.pixels].mean() for mask in found.masks]
        return Instances.create(found.image_shape, found.masks, scores=np.clip(scores, 0, 1))


def brightness(labels: NDArray[np.integer]) -> NDArray[np.float32]:
    """An image whose objects `ComponentSegmenter` tells apart: each its own brightness."""
    values = 0.6 + 0.4 * (np.arange(labels.max() + 1) / max(1, labels.max()))
    values[0] = 0
    return values[labels].astype(np.float32)


def mask_of(picture: str, origin: tuple[int, int] = (0, 0)) -> Mask:
    """A mask from a drawing; anything but '.' is inside."""
    return Mask(origin, draw(picture) != 0)


def fill(disk: Path, pages: int = 0) -> None:
    """Fill a small disk up with a file "filler", but for some pages of 4 KiB."""
    with (disk / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            filler.truncate(max(0, filler.tell() - pages * 4096))
