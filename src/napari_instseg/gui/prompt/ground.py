"""Where prompts and masks lie: between the canvas, an image layer, and the layer of its objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import napari.layers
import napari.viewer
import numpy as np
from napari.utils.transforms.transform_utils import compose_linear_matrix
from numpy.typing import ArrayLike, NDArray

from ...instances import Mask
from ...ops.axes import Image
from ...segmenter import InputError
from ..geometry import Origin, Placement
from ..layers import current_plane, pixel_at, shows_plane, visible_part
from ..mapping import LayerMap

#: All rows, or columns.
ALL = slice(None)
#: Row and column of the first, row and column of the last corner, px of the plane.
Region = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Spot:
    """A point of the image.

    Parameters
    ----------
    plane : tuple of int
        Index along each of the image's plane axes.
    row, col : float
        Px of the plane; pixel (r, c) covers r to r + 1 and c to c + 1.
    """

    plane: tuple[int, ...]
    row: float
    col: float


class Ground:
    """The geometry of one image layer at one level.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    layer : napari.layers.Image
    image : Image
        As `image_from_layer` read it.
    level : int
        Of a multiscale layer.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, layer: napari.layers.Image, image: Image, level: int
    ) -> None:
        self.viewer, self.layer, self.image = viewer, layer, image
        self._letters = image.axes.replace("S", "")
        self._placement = Placement(layer, Origin(image.axes, level))
        #: One letter for each dimension of the layer of objects.
        self.letters = self._letters[len(self._letters) - self._placement.ndim :]

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width of a plane, px."""
        height, width = self.image.label_shape[-2:]
        return height, width

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the layer of objects, px."""
        sizes = dict(zip(self.image.label_axes, self.image.label_shape, strict=True))
        return tuple(sizes.get(letter, 1) for letter in self.letters)

    def transforms(self) -> dict[str, Any]:
        """Scale, translate, ... of the layer of objects."""
        return self._placement.transforms()

    def crop_transforms(
        self, plane: tuple[int, ...], row: int, col: int, fineness: int = 1
    ) -> dict[str, Any]:
        """Those of a layer that begins at a pixel of a plane, and shows only that plane.

        Along rows and columns, ``fineness`` of its pixels lie in one of the plane.
        """
        transforms = self.transforms()
        start = self.points(plane, [[row + 0.5 / fineness, col + 0.5 / fineness]])[0]
        finer = np.array([fineness if letter in "YX" else 1 for letter in self.letters])
        return {
            **transforms,
            "scale": np.asarray(transforms["scale"]) / finer,
            "translate": np.asarray(transforms["translate"]) + _linear(transforms) @ start,
        }

    def fits(self, labels: napari.layers.Labels) -> bool:
        """Whether a Labels layer has the pixels of the layer of objects, in the same place."""
        if tuple(labels.data.shape) != self.shape or not isinstance(labels.data, np.ndarray):
            return False
        ndim = self._placement.ndim
        own = napari.layers.Labels(np.zeros((1,) * ndim, np.uint8), **self.transforms())
        corners = [np.zeros(ndim), *np.eye(ndim) * self.shape]
        return all(
            np.allclose(own.data_to_world(at), labels.data_to_world(at), atol=1e-4)
            for at in corners
        )

    def shown(self) -> bool:
        """Whether the viewer shows rows and columns of the layer, in 2-D."""
        return shows_plane(self.viewer, self.layer, self.image)

    def plane(self) -> tuple[int, ...] | None:
        """The plane that the viewer shows, None if it shows none."""
        if not self.shown():
            return None
        try:
            return current_plane(self.viewer, self.layer, self.image)
        except InputError:
            return None

    def spot(self, world: ArrayLike) -> Spot | None:
        """Return the point of the image at a position of the mouse; None if it is outside."""
        plane = self.plane()
        row, col = self._pixel(world)
        height, width = self.plane_shape
        if plane is None or not (0 <= row < height and 0 <= col < width):
            return None
        return Spot(plane, row, col)

    def clamped(self, world: ArrayLike) -> tuple[float, float]:
        """Row and column at a position of the mouse, moved into the plane."""
        row, col = self._pixel(world)
        height, width = self.plane_shape
        return min(max(row, 0.0), float(height)), min(max(col, 0.0), float(width))

    def region(self) -> Region | None:
        """The part of the plane that the canvas shows, px; None if it shows none."""
        try:
            _, (rows, cols) = visible_part(self.viewer, self.layer, self.image)
        except InputError:
            return None
        return float(rows.start), float(cols.start), float(rows.stop), float(cols.stop)

    def points(self, plane: tuple[int, ...], spots: ArrayLike) -> NDArray[np.float64]:
        """Place (N, 2) points of a plane, (row, col), in the data of the layer of objects."""
        where = np.asarray(spots, float).reshape(-1, 2)
        index = dict(zip(self.image.plane_axes, plane, strict=True))
        columns: list[Any] = []
        for letter in self.letters:
            if letter in "YX":
                # Pixels have their centres at whole numbers in napari.
                columns.append(where[:, "YX".index(letter)] - 0.5)
            else:
                columns.append(np.full(len(where), index.get(letter, 0)))
        return np.stack(columns, axis=1).astype(float)

    def index(
        self, plane: tuple[int, ...], rows: NDArray[np.intp], cols: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], ...]:
        """Index of pixels of a plane in the data of the layer of objects."""
        where = dict(zip(self.image.plane_axes, plane, strict=True))
        flat = {"Y": rows, "X": cols}
        return tuple(
            flat[a] if a in flat else np.full(len(rows), where.get(a, 0)) for a in self.letters
        )

    def view(
        self, data: NDArray[Any], plane: tuple[int, ...], rows: slice, cols: slice
    ) -> NDArray[Any]:
        """Look at a part of a plane of the layer of objects, (H, W)."""
        where = dict(zip(self.image.plane_axes, plane, strict=True))
        spans = {"Y": rows, "X": cols}
        part = data[tuple(spans[a] if a in spans else where.get(a, 0) for a in self.letters)]
        return part if self.letters.index("Y") < self.letters.index("X") else part.T

    def arrange(self, crop: NDArray[Any]) -> NDArray[Any]:
        """View (H, W) pixels with the dimensions of the layer of objects."""
        ordered = crop if self.letters.index("Y") < self.letters.index("X") else crop.T
        alone = tuple(i for i, letter in enumerate(self.letters) if letter not in "YX")
        return np.expand_dims(ordered, alone)

    def pixel_on_screen(self) -> float:
        """Side of a pixel of the plane on the canvas, in pixels of the canvas."""
        origin = self.points(self.plane() or (0,) * len(self.image.plane_axes), [[0, 0], [0, 1]])
        transforms = self.transforms()
        affine = np.asarray(transforms["affine"])[:-1, :-1]
        side = float(np.linalg.norm(affine @ _linear(transforms) @ (origin[1] - origin[0])))
        return max(side * float(self.viewer.scene.camera.zoom), 1e-9)

    def _pixel(self, world: ArrayLike) -> tuple[float, float]:
        """Row and column at a position of the mouse, px of the plane."""
        at = pixel_at(self.layer, self.image, world)
        row, col = (float(at[self._letters.index(letter)]) for letter in "YX")
        return row, col

    def mask_of(self, labels: napari.layers.Labels, spot: Spot) -> tuple[int, Mask] | None:
        """Find the object of any Labels layer at a point, and its pixels on the plane.

        Returns
        -------
        (int, Mask) or None
            Its value there, and the pixels of this image that it covers.
        """
        height, width = self.plane_shape
        row, col, reach = int(spot.row), int(spot.col), 64
        data = labels.data[0] if labels.multiscale else labels.data
        look_up = LayerMap(self.viewer, self.layer, self.image, labels).look_up
        value = look_up(data, spot.plane, slice(row, row + 1), slice(col, col + 1))[0, 0]
        if not value:
            return None
        while True:
            rows = slice(max(row - reach, 0), min(row + reach, height))
            cols = slice(max(col - reach, 0), min(col + reach, width))
            found = look_up(data, spot.plane, rows, cols) == value
            whole = found.shape == (height, width)
            if whole or np.count_nonzero(found[1:-1, 1:-1]) == np.count_nonzero(found):
                mask = Mask((rows.start, cols.start), found).tight()
                return None if mask is None else (int(value), mask)
            reach *= 2


def _linear(transforms: dict[str, Any]) -> NDArray[np.float64]:
    """Scale, rotation and shear of a layer as one matrix."""
    matrix = compose_linear_matrix(transforms["rotate"], transforms["scale"], transforms["shear"])
    return np.asarray(matrix, np.float64)
