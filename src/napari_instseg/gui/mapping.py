"""From pixels of an image to the data of other layers, and back, through the world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import napari.layers
import napari.viewer
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..ops.axes import Image
from .geometry import level_shape
from .layers import level_factors, pixel_at

#: Rows that are looked up at a time.
ROWS = 512


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """``points @ matrix.T + offset``."""

    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]

    @classmethod
    def of(cls, function: Callable[[NDArray[np.float64]], Sequence[float]], ndim: int) -> Affine:
        """Find out what an affine function of one point does, by asking it ``ndim + 1`` times."""
        offset = np.asarray(function(np.zeros(ndim)), float)
        columns = [np.asarray(function(unit), float) - offset for unit in np.eye(ndim)]
        return cls(np.stack(columns, axis=1), offset)

    def __call__(self, points: ArrayLike) -> NDArray[np.float64]:
        """Move points, (..., dimensions)."""
        return np.asarray(np.asarray(points, float) @ self.matrix.T + self.offset, float)


class LayerMap:
    """Where the pixels of an image layer lie in another layer's data, and the other way round.

    Points of the image are in the order of ``image.label_axes``, with the middles of pixels at
    whole numbers, as in napari. Dimensions that one of the layers lacks are taken at the
    viewer's sliders.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    layer : napari.layers.Image
    image : Image
        As `image_from_layer` read it, of any level.
    other : napari.layers.Layer
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        layer: napari.layers.Image,
        image: Image,
        other: napari.layers.Layer,
    ) -> None:
        self.image = image
        letters = image.axes.replace("S", "")
        here = [letters.index(letter) for letter in image.label_axes]
        factors = level_factors(layer, image)[here]
        # A channel axis has no pixel of its own in labels: its middle stands for all.
        middle = (np.asarray(level_shape(layer, 0), float) - 1) / 2
        point = np.asarray(viewer.dims.point, float)

        def world(values: Any, ndim: int) -> NDArray[np.float64]:
            """Align dimensions at the last one; the sliders give those in front."""
            values = np.asarray(values, float)
            missing = max(0, ndim - len(values))
            return np.concatenate([point[-ndim:][:missing], values])

        def to_other(pixel: NDArray[np.float64]) -> Any:
            data = middle.copy()
            data[here] = (pixel + 0.5) * factors - 0.5
            there = world(layer.data_to_world(data), other.ndim)
            return other.world_to_data(there[-other.ndim :])

        def to_image(data: NDArray[np.float64]) -> Any:
            there = world(other.data_to_world(data), layer.ndim)
            return pixel_at(layer, image, there[-layer.ndim :])[here] - 0.5

        self.to_other = Affine.of(to_other, len(here))
        self.to_image = Affine.of(to_image, other.ndim)

    def look_up(
        self,
        data: Any,
        plane: tuple[int, ...],
        rows: slice | None = None,
        cols: slice | None = None,
    ) -> NDArray[Any]:
        """Read the other layer's nearest pixels on the grid of one plane, 0 outside its data.

        Parameters
        ----------
        data : array
            Of the other layer.
        plane : tuple of int
            Index along each of ``image.plane_axes``.
        rows, cols : slice, optional
            Only these, with bounds; None: all.

        Returns
        -------
        (H, W) array
        """
        height, width = self.image.label_shape[-2:]
        first, last = (0, height) if rows is None else (rows.start, rows.stop)
        across = np.arange(width) if cols is None else np.arange(cols.start, cols.stop)
        found = np.zeros((last - first, len(across)), data.dtype)
        matrix, start = self.to_other.matrix, self.to_other(np.array([*plane, 0, 0], float))
        for top in range(0, last - first, ROWS):
            down = np.arange(first + top, min(first + top + ROWS, last))[:, np.newaxis]
            index = [
                np.floor(start[k] + 0.5 + matrix[k, -2] * down + matrix[k, -1] * across).astype(int)
                for k in range(len(start))
            ]
            inside = np.ones(index[0].shape, bool)
            for k, size in enumerate(data.shape):
                inside &= (index[k] >= 0) & (index[k] < size)
            _fill(found[top : top + ROWS], data, index, inside)
        return found


def _fill(
    part: NDArray[Any], data: Any, index: list[NDArray[np.intp]], inside: NDArray[np.bool_]
) -> None:
    """Read the pixels at ``index`` that lie inside the data, in one block of it."""
    if not inside.any():
        return
    chosen = [axis[inside] for axis in index]
    low = [int(axis.min()) for axis in chosen]
    spans = tuple(
        slice(first, int(axis.max()) + 1) for first, axis in zip(low, chosen, strict=True)
    )
    # Lazy data are read in blocks, not pixel by pixel.
    block = np.asarray(data[spans])
    part[inside] = block[tuple(axis - first for axis, first in zip(chosen, low, strict=True))]
