"""The blocks in which label images and images are read, each chunk as rarely as can be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...segmenter import InputError
from ..axes import CHANNEL, SAMPLE, ArrayLike, Image

#: Spans along all axes of the label image.
Block: TypeAlias = tuple[slice, ...]
#: Edge of the blocks of what has no chunks, px.
EDGE = 1024
#: Blocks of small chunks have about as many pixels; larger chunks than the second are cut.
USUAL, LARGEST = 2**20, 2**26


def plan_blocks(labels: ArrayLike, axes: str, images: Sequence[Image]) -> list[Block]:
    """Cut a label image, in C order, along the chunks of what is read.

    Parameters
    ----------
    labels : array
    axes : str
        One letter a dimension, the last two Y and X.
    images : sequence of Image
        On the same grid.
    """
    steps = _steps(labels, axes, images)
    spans = [
        [slice(i, min(i + step, size)) for i in range(0, size, step)]
        for size, step in zip(labels.shape, steps, strict=True)
    ]
    return list(product(*spans))


def _steps(labels: ArrayLike, axes: str, images: Sequence[Image]) -> list[int]:
    """Size of a block along each axis: whole chunks, many of them if they are small."""
    known = [_chunks(labels, axes), *(_chunks(image.data, image.axes) for image in images)]
    shape = [max(1, int(size)) for size in labels.shape]
    steps = [max(chunks.get(axis, 1) for chunks in known) for axis in axes]
    for k in (-2, -1):
        steps[k] = EDGE if steps[k] == 1 else steps[k]
        steps[k] = min(steps[k], shape[k])
    while math.prod(steps) > LARGEST:
        k = max(range(len(steps)), key=lambda k: (k < len(steps) - 2 and steps[k] > 1, steps[k]))
        steps[k] = -(-steps[k] // 2)
    while True:
        growing = [k for k in (-2, -1) if steps[k] < shape[k]]
        if not growing or 2 * math.prod(steps) > USUAL:
            return steps
        k = min(growing, key=lambda k: steps[k])
        steps[k] *= 2


def _chunks(data: ArrayLike, axes: str) -> dict[str, int]:
    """Largest chunk along each axis: one size for all in Zarr, all sizes in dask."""
    chunks = getattr(data, "chunks", None)
    if not chunks:
        return {}
    return {axis: max(1, int(np.max(size))) for axis, size in zip(axes, chunks, strict=True)}


@dataclass(frozen=True, eq=False)
class Pixels:
    """Channels of an image on the grid of a label image.

    Parameters
    ----------
    image : Image
    axes : str
        Of the label image.
    shape : tuple of int
        Of the label image.

    Raises
    ------
    InputError
        If the image is on another grid.
    """

    image: Image
    axes: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        image = self.image
        own, wanted = _long(image.label_axes, image.label_shape), _long(self.axes, self.shape)
        if own != wanted and image.label_shape != self.shape:
            raise InputError(
                f"{image.name}: expected an image on the grid of the labels, {self.shape} "
                f"({self.axes}), got {image.label_shape} ({image.label_axes})"
            )

    @property
    def names(self) -> list[str]:
        """One for each channel."""
        image = self.image
        if image.channel_count == 1:
            return [image.name]
        kind = ["red", "green", "blue"] if image.is_rgb else None
        return [f"{image.name}_{kind[k] if kind else f'c{k}'}" for k in range(image.channel_count)]

    def read(self, block: Block) -> NDArray[Any]:
        """Read a block: (channels, ...) with the block's shape, in the image's type."""
        spans = {SAMPLE: slice(0, 3), CHANNEL: slice(None), **dict(self._spans(block))}
        axes = self.image.axes
        part = np.asarray(self.image.data[tuple(spans.get(axis, slice(0, 1)) for axis in axes)])
        order = [a for a in axes if a in (CHANNEL, SAMPLE)]
        order += [a for a in self._letters if a in axes]
        order += [a for a in axes if a not in order]
        size = [span.stop - span.start for span in block]
        return part.transpose([axes.index(axis) for axis in order]).reshape(-1, *size)

    @property
    def _letters(self) -> str:
        """The image's letters for the axes of the label image."""
        same = _long(self.image.label_axes, self.image.label_shape) == _long(self.axes, self.shape)
        return self.axes if same else self.image.label_axes

    def _spans(self, block: Block) -> Iterator[tuple[str, slice]]:
        return zip(self._letters, block, strict=True)


def _long(axes: str, shape: tuple[int, ...]) -> dict[str, int]:
    """Size of each axis that is longer than one."""
    return {axis: size for axis, size in zip(axes, shape, strict=True) if size > 1}
