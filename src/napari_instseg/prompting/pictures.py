"""From a view to the picture that a model sees, and to what names its pixels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..ops.axes import Image
from ..ops.intensity import IntensityMapping
from ..ops.tiling import Tile
from ..segmenter import RGB
from .views import Pyramid, View

#: A coarse picture is made from blocks of about this edge (px of level 0), one at a time.
BLOCK = 1024
#: Changes when the same pixels begin to give another picture.
SCHEMA = 1


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Reads an image and makes its views' pictures; only what a view needs is read.

    Parameters
    ----------
    image : Image
    mapping : IntensityMapping
    channels : tuple of int, optional
        Those to read; None for all.
    pyramid : Pyramid
    """

    image: Image
    mapping: IntensityMapping
    channels: tuple[int, ...] | None
    pyramid: Pyramid

    def picture(self, view: View) -> RGB:
        """Make a view's picture.

        Returns
        -------
        (H, W, 3) float32
            In [0, 1]; in coarser levels each pixel is the mean of those that it covers.
        """
        return self.look(view)[1]()

    def look(self, view: View) -> tuple[str, Callable[[], RGB]]:
        """Read a view's pixels once.

        Returns
        -------
        key : str
            SHA-256 of the raw pixels and all else that decides the picture.
        picture : callable
            Makes the picture.
        """
        digest = hashlib.sha256(self._terms(view))
        if view.level == 0:
            # One block, which is kept: the picture may not be needed.
            raw = self._read(view.plane, view.tile)
            _add(digest, raw)
            return digest.hexdigest(), lambda: self._resize(raw, view.tile)
        picture = np.empty((*view.tile.shape, 3), np.float32)
        factor = 2**view.level
        for block in _blocks(view.tile, max(1, BLOCK // factor)):
            fine = self._finest(block, factor)
            raw = self._read(view.plane, fine)
            _add(digest, raw)
            rows = slice(block.top - view.tile.top, block.bottom - view.tile.top)
            cols = slice(block.left - view.tile.left, block.right - view.tile.left)
            picture[rows, cols] = average(self._resize(raw, fine), factor)
        return digest.hexdigest(), lambda: picture

    def _terms(self, view: View) -> bytes:
        mapping, resampling = self.mapping, self.pyramid.resampling
        tile = view.tile
        # Resizing depends on where the tile lies; all else does not.
        place = (
            None
            if resampling.identity
            else [resampling.source, resampling.target, tile.top, tile.left]
        )
        terms = [
            SCHEMA,
            mapping.limits,
            mapping.colors,
            mapping.invert,
            view.level,
            tile.shape,
            place,
        ]
        return json.dumps(terms).encode()

    def _finest(self, block: Tile, factor: int) -> Tile:
        """The part of level 0 that a block of a coarser level averages."""
        height, width = self.pyramid.resampling.target
        bottom, right = min(block.bottom * factor, height), min(block.right * factor, width)
        return Tile(block.top * factor, block.left * factor, bottom, right)

    def _read(self, plane: tuple[int, ...], tile: Tile) -> NDArray[np.generic]:
        """Read what a tile of level 0 is made from."""
        resampling = self.pyramid.resampling
        needed = tile if resampling.identity else resampling.needs(tile)
        rows, cols = slice(needed.top, needed.bottom), slice(needed.left, needed.right)
        raw: NDArray[np.generic] = self.image.read(plane, rows, cols, self.channels)
        return raw

    def _resize(self, raw: NDArray[np.generic], tile: Tile) -> RGB:
        return self.pyramid.resampling.apply(self.mapping.apply(raw), tile)


def average(picture: RGB, factor: int) -> RGB:
    """Shrink a picture; each pixel is the mean of up to ``factor`` x ``factor``.

    Examples
    --------
    >>> average(np.arange(5, dtype=np.float32).reshape(1, 5, 1), 2)[0, :, 0]
    array([0.5, 2.5, 4. ], dtype=float32)
    """
    for axis in (0, 1):
        length = picture.shape[axis]
        starts = np.arange(0, length, factor)
        counts = np.diff([*starts, length]).astype(np.float32)
        total: RGB = np.add.reduceat(picture, starts, axis=axis)
        picture = np.divide(total, np.expand_dims(counts, (1 - axis, 2)), dtype=np.float32)
    return picture


def _blocks(tile: Tile, edge: int) -> Iterator[Tile]:
    for top in range(tile.top, tile.bottom, edge):
        for left in range(tile.left, tile.right, edge):
            yield Tile(top, left, min(top + edge, tile.bottom), min(left + edge, tile.right))


def _add(digest: hashlib._Hash, raw: NDArray[np.generic]) -> None:
    """Hash pixels with their type and shape, whatever the byte order and the memory layout."""
    plain = np.ascontiguousarray(raw, raw.dtype.newbyteorder("<"))
    digest.update(f"{plain.dtype.str}{plain.shape}".encode())
    digest.update(plain.view(np.uint8).data)
