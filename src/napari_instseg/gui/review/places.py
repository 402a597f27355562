"""Where segments are: in the table, in a Labels layer, and under the camera."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import napari.layers
import napari.viewer
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...label_set import LabelSet
from ..axes import layer_axes

#: An object smaller than the first on the canvas is zoomed to the second, px; one larger than the
#: third, to the fourth.
SMALL, COMFORTABLE, LARGE, FITTING = 32.0, 96.0, 700.0, 400.0


def extents(labels: LabelSet, rows: pd.DataFrame) -> NDArray[np.int64]:
    """Read bounding boxes of segments off their rows.

    Parameters
    ----------
    labels : LabelSet
    rows : DataFrame
        Of its table.

    Returns
    -------
    (N, axes, 2) int64
        Begin and end (half-open) along each of ``labels.axes``; all of an axis of which the table
        says nothing.
    """
    found = np.empty((len(rows), len(labels.axes), 2), np.int64)
    for k, (letter, size) in enumerate(zip(labels.axes.lower(), labels.shape, strict=True)):
        name = {"y": "row", "x": "col"}.get(letter)
        if name is not None:
            begin, end = rows.get(f"{name}_min"), rows.get(f"{name}_max")
        else:
            begin = rows.get(f"{letter}_first", rows.get(letter))
            end = rows.get(f"{letter}_last", begin)
            end = None if end is None else end + 1
        found[:, k, 0] = 0 if begin is None else begin.fillna(0)
        found[:, k, 1] = size if end is None else end.fillna(size)
    return found


def as_box(extent: NDArray[np.int64]) -> tuple[slice, ...]:
    """Turn one of `extents` into slices."""
    return tuple(slice(int(begin), int(end)) for begin, end in extent)


class Places:
    """Turns pixels of a label set into places of its layer in the viewer, and back.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    layer : napari.layers.Labels
    axes : str
        Of the label set: the layer's letters, Y and X last.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, layer: napari.layers.Labels, axes: str
    ) -> None:
        self._viewer, self._layer = viewer, layer
        letters = layer_axes(layer).letters
        #: For each dimension of the layer, the label set's axis.
        self._axis = [axes.index(letter) for letter in letters]

    @property
    def arrangement(self) -> list[int]:
        """The label set's axes in the order of the layer's dimensions, for `numpy.transpose`."""
        return list(self._axis)

    @property
    def dimensions(self) -> list[int]:
        """Dimension of the viewer that each of the label set's axes is."""
        offset = self._viewer.dims.ndim - self._layer.ndim
        return [offset + self._axis.index(k) for k in range(len(self._axis))]

    def to_layer(self, pixel: Sequence[float]) -> NDArray[np.float64]:
        """Arrange a pixel's numbers as the layer's dimensions are."""
        return np.array([pixel[k] for k in self._axis], float)

    def pixel_at(self, world: Sequence[float]) -> tuple[int, ...] | None:
        """Find the pixel of the label set at a point of the world; None outside of it."""
        return self._pixel(np.asarray(self._layer.world_to_data(world), float))

    def _pixel(self, data: NDArray[np.float64]) -> tuple[int, ...] | None:
        shape = (self._layer.data[0] if self._layer.multiscale else self._layer.data).shape
        at = np.round(data).astype(int)
        if (at < 0).any() or (at >= shape).any():
            return None
        return tuple(int(at[self._axis.index(k)]) for k in range(len(at)))

    def plane_in_view(self) -> tuple[int, ...] | None:
        """Return the pixel of the label set at the sliders; None beside it.

        Along axes without a slider it is some pixel.
        """
        data = np.asarray(self._layer.world_to_data(self._viewer.dims.point), float)
        shape = (self._layer.data[0] if self._layer.multiscale else self._layer.data).shape
        offset = self._viewer.dims.ndim - self._layer.ndim
        for dimension in self._viewer.dims.displayed:
            if dimension >= offset:
                size = shape[dimension - offset]
                data[dimension - offset] = np.clip(data[dimension - offset], 0, size - 1)
        return self._pixel(data)

    def world(self, pixel: Sequence[float]) -> NDArray[np.float64]:
        """Find where a pixel is, one number for each dimension of the viewer."""
        point = np.array(self._viewer.dims.point, float)
        offset = self._viewer.dims.ndim - self._layer.ndim
        point[offset:] = self._layer.data_to_world(self.to_layer(pixel))
        return point

    def look_at(self, box: Sequence[slice]) -> None:
        """Move sliders and camera to a bounding box; zoom if it is hardly or not wholly seen."""
        dims = self._viewer.dims
        center = [(part.start + part.stop - 1) / 2 for part in box]
        self._move_sliders(box, center)
        world = self.world(center)
        shown = list(dims.displayed)
        camera: Any = self._viewer.scene.camera
        place = np.array(camera.center, float)
        place[-len(shown) :] = world[shown]
        camera.center = tuple(place)
        self._zoom(camera, box, shown)

    def _move_sliders(self, box: Sequence[slice], center: Sequence[float]) -> None:
        """Bring planes into view that show the box, unless those in view do."""
        dims, now = self._viewer.dims, self.plane_in_view()
        target = [
            now[k] if now is not None and part.start <= now[k] < part.stop else int(middle)
            for k, (part, middle) in enumerate(zip(box, center, strict=True))
        ]
        world, own = self.world(target), self.dimensions
        for dimension in own:
            if dimension not in dims.displayed:
                dims.set_point(dimension, float(world[dimension]))

    def _zoom(self, camera: Any, box: Sequence[slice], shown: Sequence[int]) -> None:
        ends = np.array([[part.start for part in box], [part.stop for part in box]], float)
        size = np.abs(self.world(ends[1]) - self.world(ends[0]))[list(shown)].max()
        on_screen = float(size * camera.zoom)
        if on_screen <= 0:
            return
        if on_screen < SMALL:
            camera.zoom = float(camera.zoom * COMFORTABLE / on_screen)
        elif on_screen > LARGE:
            camera.zoom = float(camera.zoom * FITTING / on_screen)
