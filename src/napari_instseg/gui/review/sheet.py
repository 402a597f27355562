"""The plane of a Labels layer that is in view, as something to draw on."""

from __future__ import annotations

from typing import Any

import napari.layers
import napari.viewer
import numpy as np
from napari.utils.transforms.transform_utils import compose_linear_matrix
from numpy.typing import NDArray

from .places import Places

#: Row and column, px; pixel (r, c) covers r to r + 1 and c to c + 1.
Point = tuple[float, float]


class Sheet:
    """Turns the mouse into points of a plane, and pixels over a plane into a layer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    layer : napari.layers.Labels
    places : Places
        Of this layer.
    shape : tuple of int
        Of the label set.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        layer: napari.layers.Labels,
        places: Places,
        shape: tuple[int, ...],
    ) -> None:
        self._viewer, self._layer, self._places, self._shape = viewer, layer, places, shape

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width of a plane, px."""
        return self._shape[-2], self._shape[-1]

    def plane(self) -> tuple[int, ...] | None:
        """Index of the plane in view along each axis but the last two; None if there is none."""
        dims = self._viewer.dims
        if dims.ndisplay == 3 or {*self._places.dimensions[-2:]} != {*dims.displayed}:
            return None
        shape = self._shape[:-2]
        index = tuple(round(i - 0.5) for i in self._pixel(dims.point)[:-2])
        inside = all(0 <= i < size for i, size in zip(index, shape, strict=True))
        return index if inside else None

    def point(self, world: Any) -> Point:
        """Row and column at a position of the mouse; it may be outside of the plane."""
        row, col = self._pixel(world)[-2:]
        return float(row), float(col)

    def _pixel(self, world: Any) -> NDArray[np.float64]:
        data = np.asarray(self._layer.world_to_data(world), float) + 0.5
        pixel = np.empty_like(data)
        pixel[self._places.arrangement] = data
        return pixel

    def arrange(self, crop: NDArray[Any]) -> NDArray[Any]:
        """View (H, W) pixels with the dimensions of the layer."""
        others = (None,) * (len(self._shape) - 2)
        return crop[others].transpose(self._places.arrangement)

    def crop_transforms(
        self, plane: tuple[int, ...], row: int, col: int, fineness: int = 1
    ) -> dict[str, Any]:
        """Those of a layer that begins at a pixel of a plane, and shows only that plane.

        Along rows and columns, ``fineness`` of its pixels lie in one of the plane.
        """
        layer, shift = self._layer, 0.5 / fineness - 0.5
        start = self._places.to_layer([*plane, row + shift, col + shift])
        finer = self._places.to_layer([*(1 for _ in plane), fineness, fineness])
        linear = compose_linear_matrix(layer.rotate, layer.scale, layer.shear)
        return {
            "scale": np.asarray(layer.scale) / finer,
            "translate": np.asarray(layer.translate) + linear @ start,
            "rotate": layer.rotate,
            "shear": layer.shear,
            "affine": layer.affine,
            "units": layer.units,
            "axis_labels": layer.axis_labels,
        }

    def pixel_on_screen(self) -> float:
        """Side of a pixel of the plane on the canvas, in pixels of the canvas."""
        plane = self.plane() or (0,) * (len(self._shape) - 2)
        ends = [self._places.world([*plane, 0, col]) for col in (0, 1)]
        side = float(np.linalg.norm(ends[1] - ends[0]))
        return max(side * float(self._viewer.scene.camera.zoom), 1e-9)
