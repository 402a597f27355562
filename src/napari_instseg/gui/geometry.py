"""Where label images lie in the viewer: the place of the image layer that they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import napari.layers
import numpy as np
from napari.utils.transforms.transform_utils import compose_linear_matrix
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Origin:
    """The part of an image layer that was segmented.

    Parameters
    ----------
    axes : str
        One letter for each dimension of the layer's data.
    level : int
        Of a multiscale layer; 0 is the finest.
    plane : mapping of str to int
        Index, in pixels of that level, along each plane axis that was held fixed.
    step : int
        The label image has one row and column for each ``step`` of that level.
    """

    axes: str
    level: int = 0
    plane: Mapping[str, int] = field(default_factory=dict)
    step: int = 1


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of a Labels layer in pixels of the image layer: ``pixel * stretch + start``."""

    letter: str
    stretch: float
    start: float
    singleton: bool


class Placement:
    """Turns label images of an image layer into data and transforms of a Labels layer.

    The Labels layer has the image layer's dimensions, so that sliders, rotations and affine
    transforms mean the same for both. A channel axis becomes a single pixel as long as all
    channels; in front, where napari fills missing dimensions in, it is left out. An axis held
    at one plane becomes a single pixel there.

    Parameters
    ----------
    layer : napari.layers.Image
    origin : Origin
    """

    def __init__(self, layer: napari.layers.Image, origin: Origin) -> None:
        self._layer = layer
        letters = origin.axes.replace("S", "")
        fine = level_shape(layer, 0)
        coarse = level_shape(layer, origin.level)
        self._drop = int(letters[0] == "C" and not _couples_first_axis(layer))
        axes = []
        for letter, full, size in zip(letters, fine, coarse, strict=True):
            factor = full / size * (origin.step if letter in "YX" else 1)
            if letter == "C":
                axes.append(_Axis(letter, full, (full - 1) / 2, True))
            elif letter in origin.plane:
                start = (origin.plane[letter] + 0.5) * factor - 0.5
                axes.append(_Axis(letter, factor, start, True))
            else:
                axes.append(_Axis(letter, factor, (factor - 1) / 2, False))
        self._all = tuple(axes)
        self._axes = self._all[self._drop :]

    @property
    def ndim(self) -> int:
        """Number of dimensions of the Labels layer."""
        return len(self._axes)

    def arrange(self, labels: NDArray[np.int32], label_axes: str) -> NDArray[np.int32]:
        """View a label image of the named axes with the Labels layer's dimensions."""
        kept = [axis.letter for axis in self._axes if not axis.singleton]
        arranged = labels.transpose([label_axes.index(letter) for letter in kept])
        alone = tuple(i for i, axis in enumerate(self._axes) if axis.singleton)
        return np.expand_dims(arranged, alone)

    def locate(self, points: NDArray[np.float64], label_axes: str) -> NDArray[np.float64]:
        """Turn points (..., axes) in pixels of a label image into points of the layer's data."""
        placed = np.zeros((*points.shape[:-1], self.ndim))
        for i, axis in enumerate(self._axes):
            if not axis.singleton:
                placed[..., i] = points[..., label_axes.index(axis.letter)]
        return placed

    def transforms(self) -> dict[str, Any]:
        """Scale, translate, rotate, shear, affine, units and axis labels of the Labels layer."""
        layer, drop = self._layer, self._drop
        linear = compose_linear_matrix(layer.rotate, layer.scale, layer.shear)
        start = np.array([axis.start for axis in self._all])
        if drop:
            start[0] = 0
        translate = np.asarray(layer.translate) + linear @ start
        stretch = np.array([axis.stretch for axis in self._axes])
        return {
            "scale": np.asarray(layer.scale)[drop:] * stretch,
            "translate": translate[drop:],
            "rotate": np.asarray(layer.rotate)[drop:, drop:],
            "shear": _shear_matrix(layer)[drop:, drop:],
            "affine": np.asarray(layer.affine.affine_matrix)[drop:, drop:],
            "units": tuple(layer.units)[drop:],
            "axis_labels": _axis_labels(layer)[drop:],
        }


def _axis_labels(layer: napari.layers.Image) -> tuple[str, ...]:
    return tuple(layer.axis_labels)


def level_shape(layer: napari.layers.Image | napari.layers.Labels, level: int) -> tuple[int, ...]:
    """Shape of a level without RGB samples, px."""
    data = layer.data[level] if layer.multiscale else layer.data
    return tuple(data.shape[: layer.ndim])


def _shear_matrix(layer: napari.layers.Image) -> NDArray[np.float64]:
    """Return the layer's shear as a matrix; napari may hold it as its upper triangle."""
    shear = np.asarray(layer.shear, float)
    if shear.ndim == 2:
        return shear
    matrix = np.eye(layer.ndim)
    matrix[np.triu_indices(layer.ndim, 1)] = shear
    return matrix


def _couples_first_axis(layer: napari.layers.Image) -> bool:
    """Whether a transform mixes the first dimension with others: then it cannot be left out."""
    if layer.ndim == 2:
        return True
    linear = [layer.rotate, _shear_matrix(layer), layer.affine.linear_matrix]
    return any(
        not np.allclose(np.concatenate([m[0, 1:], m[1:, 0]]), 0) for m in map(np.asarray, linear)
    )
