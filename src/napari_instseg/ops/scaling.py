"""Resample a plane part by part, on one grid for the whole plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..instances import Instances, Mask
from .masks import with_masks
from .tiling import Tile


@dataclass(frozen=True, slots=True)
class Resampling:
    """Linear resampling of a plane of ``source`` shape to ``target`` shape (height, width).

    Pixel centres correspond as ``(i + 0.5) * source / target``; when shrinking, a triangle
    filter as wide as a target pixel averages, as Pillow's BILINEAR does. Tiles that are
    resampled one by one equal the same parts of the resampled plane.
    """

    source: tuple[int, int]
    target: tuple[int, int]

    @classmethod
    def by(cls, shape: tuple[int, int], zoom: float) -> Resampling:
        """Resampling of a plane by a factor, to at least 1 px."""
        height, width = (max(1, round(n * zoom)) if n else 0 for n in shape)
        return cls(shape, (height, width))

    @property
    def identity(self) -> bool:
        """Whether nothing changes."""
        return self.source == self.target

    def needs(self, tile: Tile) -> Tile:
        """Return the part of the source that a tile of the target is made from."""
        top, bottom = _reach(tile.top, tile.bottom, self.source[0], self.target[0])
        left, right = _reach(tile.left, tile.right, self.source[1], self.target[1])
        return Tile(top, left, bottom, right)

    def origin_of(self, tile: Tile) -> Tile:
        """Return a tile's own part of the source: those of tiles side by side do not overlap."""
        (height, tall), (width, wide) = _axis(self, 0), _axis(self, 1)
        rows = (round(row * height / tall) for row in (tile.top, tile.bottom))
        cols = (round(col * width / wide) for col in (tile.left, tile.right))
        (top, bottom), (left, right) = rows, cols
        return Tile(top, left, bottom, right)

    def apply(self, part: NDArray[np.float32], tile: Tile) -> NDArray[np.float32]:
        """Make a tile of the target from the part of the source that `needs` names.

        Parameters
        ----------
        part : (h, w, 3) float32
        tile : Tile
            In target px.

        Returns
        -------
        (H, W, 3) float32
        """
        if self.identity:
            return part
        needed = self.needs(tile)
        rows = _weights(tile.top, tile.bottom, needed.top, needed.bottom, *_axis(self, 0))
        cols = _weights(tile.left, tile.right, needed.left, needed.right, *_axis(self, 1))
        height, width, samples = part.shape
        tall = (rows @ part.reshape(height, -1)).reshape(-1, width, samples)
        turned = np.ascontiguousarray(tall.transpose(1, 0, 2)).reshape(width, -1)
        wide = (cols @ turned).reshape(-1, tall.shape[0], samples)
        return np.ascontiguousarray(wide.transpose(1, 0, 2))

    def spread(self, labels: NDArray[np.int32], core: Tile) -> NDArray[np.int32]:
        """Move a tile's labels from the target's grid to the source's: the nearest of each pixel.

        Parameters
        ----------
        labels : int32 array of the core's shape
        core : Tile
            In target px.

        Returns
        -------
        int32 array of the shape of `origin_of` the core
        """
        own = self.origin_of(core)
        near = []
        for axis, (begin, end) in enumerate(((own.top, own.bottom), (own.left, own.right))):
            source, target = _axis(self, axis)
            index = ((np.arange(begin, end) + 0.5) * target / source).astype(np.intp)
            near.append(np.clip(index - core.edges[axis], 0, labels.shape[axis] - 1))
        return labels[near[0][:, np.newaxis], near[1]]

    def restore(self, instances: Instances) -> Instances:
        """Move objects from the target's grid to the source's; vanishing ones are left out."""
        if self.identity:
            return instances
        y, x = self.source[0] / self.target[0], self.source[1] / self.target[1]
        boxes = instances.boxes * np.array([x, y, x, y], np.float32)
        masks = [self.restore_mask(mask) for mask in instances.masks]
        return with_masks(instances, masks, self.source, boxes)

    def restore_mask(self, mask: Mask) -> Mask | None:
        """Move a mask from the target's grid to the source's; None if it vanishes."""
        if self.identity:
            return mask
        (rows, cols), (height, width) = mask.slices, mask.pixels.shape
        frame = Tile(rows.start - 1, cols.start - 1, rows.stop + 1, cols.stop + 1)
        back = Resampling(self.target, self.source)
        top, bottom = _covered(frame.top, frame.bottom, *_axis(back, 0))
        left, right = _covered(frame.left, frame.right, *_axis(back, 1))
        if top >= bottom or left >= right:
            return None
        padded = np.pad(mask.pixels, 1).astype(np.float32)
        sizes = self.target, self.source
        weights = [
            _weights(
                begin, end, origin, origin + length, sizes[0][axis], sizes[1][axis], clip=False
            )
            for axis, (begin, end, origin, length) in enumerate(
                ((top, bottom, frame.top, height + 2), (left, right, frame.left, width + 2))
            )
        ]
        pixels = np.asarray(weights[1] @ (weights[0] @ padded).T).T >= 0.5
        return Mask((top, left), np.ascontiguousarray(pixels)).tight()


def _axis(resampling: Resampling, axis: int) -> tuple[int, int]:
    return resampling.source[axis], resampling.target[axis]


def _reach(begin: int, end: int, source: int, target: int) -> tuple[int, int]:
    """Return the source pixels that target pixels ``begin:end`` draw on."""
    if source == target:
        return begin, end
    step = source / target
    radius = max(step, 1.0)
    first = int(np.floor((begin + 0.5) * step - 0.5 - radius))
    last = int(np.ceil((end - 0.5) * step - 0.5 + radius)) + 1
    return max(first, 0), min(last, source)


def _covered(begin: int, end: int, source: int, target: int) -> tuple[int, int]:
    """Return the target pixels whose centres lie within source pixels ``begin:end``."""
    scale = target / source
    first, last = int(np.floor(begin * scale)), int(np.ceil(end * scale))
    return max(first, 0), min(last, target)


def _weights(
    begin: int,
    end: int,
    first: int,
    last: int,
    source: int,
    target: int,
    *,
    clip: bool = True,
) -> sparse.csr_array:
    """Weights of source pixels ``first:last`` in target pixels ``begin:end``; rows sum to 1.

    Without ``clip``, what lies outside the source pixels counts as zero instead.
    """
    step = source / target
    radius = max(step, 1.0)
    centers = (np.arange(begin, end) + 0.5) * step - 0.5
    offsets = np.arange(int(np.floor(-radius)), int(np.ceil(radius)) + 1)
    near = np.floor(centers)[:, np.newaxis] + offsets
    weight = np.maximum(0, 1 - np.abs(near - centers[:, np.newaxis]) / radius)
    inside = (near >= first) & (near < last)
    if clip:
        weight[~inside] = 0
    weight /= weight.sum(axis=1, keepdims=True)
    index = (near[inside] - first).astype(np.intp)
    row = np.broadcast_to(np.arange(end - begin)[:, np.newaxis], near.shape)[inside]
    shape = (end - begin, last - first)
    return sparse.csr_array((weight[inside].astype(np.float32), (row, index)), shape=shape)
