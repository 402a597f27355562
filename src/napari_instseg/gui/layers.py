"""Image layers read as images with named axes, and results put back as Labels layers."""

from __future__ import annotations

from typing import Any

import napari.layers
import napari.viewer
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..ops.axes import Image, one_plane
from ..ops.axis_names import NamedAxes
from ..segmenter import InputError
from .axes import layer_axes
from .geometry import level_shape
from .results import add_segmentation

__all__ = [
    "add_segmentation",
    "choose_level",
    "image_from_layer",
    "one_plane",
    "visible_part",
]

#: Of a multiscale image the finest level with at most so many pixels in a plane is taken.
MAX_PLANE_PIXELS = 8192 * 8192


def choose_level(layer: napari.layers.Image, axes: str) -> int:
    """Find the finest level of a multiscale layer whose planes have a reasonable size."""
    if not layer.multiscale:
        return 0
    for level, data in enumerate(layer.data):
        if data.shape[axes.index("Y")] * data.shape[axes.index("X")] <= MAX_PLANE_PIXELS:
            return level
    return len(layer.data) - 1


def image_from_layer(
    layer: napari.layers.Image, *, axes: str | None = None, level: int | None = None
) -> Image:
    """Read an image layer as an image with named axes and pixel sizes; lazy data stay lazy.

    Parameters
    ----------
    layer : napari.layers.Image
        Grey or RGB(A), 2-D or more, also multiscale.
    axes : str, optional
        One letter a dimension (S for RGB samples may be left out); None: see `layer_axes`.
    level : int, optional
        Of a multiscale layer; None takes the finest whose planes have at most
        `MAX_PLANE_PIXELS`.

    Returns
    -------
    Image
        Its spacing (µm) has the axes whose unit is a length.

    Raises
    ------
    InputError
        If it is not an image layer, or the axes do not fit.
    """
    if not isinstance(layer, napari.layers.Image):
        kind = type(layer).__name__
        raise InputError(f"expected an Image layer, got {kind}: choose the layer with the picture")
    named = NamedAxes(axes.upper()) if axes else layer_axes(layer)
    axes = named.letters
    if layer.rgb and not axes.endswith("S"):
        axes += "S"
    if len(axes) != len(_shape(layer)) or not {"Y", "X"} <= set(axes):
        raise InputError(
            f"expected one axis letter, with Y and X, for each of {len(_shape(layer))} dimensions "
            f"of {layer.name!r} (shape {_shape(layer)}), got {axes!r}"
        )
    if level is None:
        level = choose_level(layer, axes)
    data = layer.data[level] if layer.multiscale else layer.data
    coarse = layer.data[-1] if layer.multiscale and level < len(layer.data) - 1 else None
    spacing = layer_spacing(layer, axes, data.shape)
    return Image(data, axes, spacing, layer.name, named.sources, coarse)


def visible_part(
    viewer: napari.viewer.Viewer, layer: napari.layers.Image, image: Image
) -> tuple[tuple[int, ...], tuple[slice, slice]]:
    """Find the plane and region of an image that the 2-D canvas shows.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    layer : napari.layers.Image
    image : Image
        As `image_from_layer` read it, of any level.

    Returns
    -------
    plane : tuple of int
        Index along each of ``image.plane_axes``.
    region : (slice, slice)
        Rows and columns, half-open, px.

    Raises
    ------
    InputError
        If the viewer shows 3-D, not the rows and columns of the layer, or nothing of it.
    """
    letters = image.axes.replace("S", "")
    if not shows_plane(viewer, layer, image):
        raise InputError(
            "expected the 2-D view of rows and columns (Y, X): switch the viewer to it"
        )
    factor = dict(zip(letters, level_factors(layer, image), strict=True))
    sizes = dict(zip(letters, image.data.shape, strict=False))
    plane = current_plane(viewer, layer, image)
    corners = _corners(layer)
    region = {}
    for letter in "YX":
        low, high = corners[:, letters.index(letter)]
        first = max(0, int(np.floor((low + 0.5) / factor[letter])))
        last = min(sizes[letter], int(np.ceil((high + 0.5) / factor[letter])))
        region[letter] = slice(first, last)
    if any(part.start >= part.stop for part in region.values()):
        raise _nothing(layer)
    return plane, (region["Y"], region["X"])


def shows_plane(viewer: napari.viewer.Viewer, layer: napari.layers.Image, image: Image) -> bool:
    """Whether the viewer shows rows and columns of the layer, in 2-D."""
    letters = image.axes.replace("S", "")
    offset = viewer.dims.ndim - layer.ndim
    shown = {letters[d - offset] for d in viewer.dims.displayed if d >= offset}
    return viewer.dims.ndisplay == 2 and shown == {"Y", "X"}


def current_plane(
    viewer: napari.viewer.Viewer, layer: napari.layers.Image, image: Image
) -> tuple[int, ...]:
    """Find the plane of an image at the viewer's sliders: its index along `Image.plane_axes`.

    Raises
    ------
    InputError
        If the sliders are beside the image.
    """
    letters = image.axes.replace("S", "")
    pixels = pixel_at(layer, image, viewer.dims.point) - 0.5
    plane = tuple(round(pixels[letters.index(letter)]) for letter in image.plane_axes)
    if not all(0 <= i < size for i, size in zip(plane, image.plane_shape, strict=True)):
        raise _nothing(layer)
    return plane


def pixel_at(layer: napari.layers.Image, image: Image, world: ArrayLike) -> NDArray[np.float64]:
    """Find a point of the world in an image, px along each dimension; pixel i is i to i + 1."""
    data = np.asarray(layer.world_to_data(world), np.float64)
    return np.divide(data + 0.5, level_factors(layer, image))


def level_factors(layer: napari.layers.Image, image: Image) -> NDArray[np.float64]:
    """How many pixels of the finest level one of the image's level has, for each dimension."""
    fine = np.array(level_shape(layer, 0), np.float64)
    return np.divide(fine, np.array(image.data.shape[: layer.ndim], np.float64))


def _nothing(layer: napari.layers.Image) -> InputError:
    return InputError(f"nothing of {layer.name!r} is in view: move canvas or sliders to it")


def _corners(layer: napari.layers.Image) -> Any:
    """First and last pixel in view, (2, ndim), in pixels of the finest level."""
    corners = np.asarray(layer.corner_pixels, float)
    if not layer.multiscale:
        return corners
    return corners * np.asarray(layer.downsample_factors[layer.data_level])


def _shape(layer: napari.layers.Image | napari.layers.Labels) -> tuple[int, ...]:
    return tuple((layer.data[0] if layer.multiscale else layer.data).shape)


def layer_spacing(
    layer: napari.layers.Image | napari.layers.Labels, axes: str, shape: tuple[int, ...]
) -> dict[str, float]:
    """µm per pixel along the axes whose unit is a length, at a level of some shape."""
    spacing = {}
    for letter, scale, unit, full, size in zip(
        axes, layer.scale, layer.units, _shape(layer), shape, strict=False
    ):
        if letter != "C" and unit.is_compatible_with("micrometer"):
            length = (1 * unit).to("micrometer").magnitude
            spacing[letter] = float(abs(scale) * length * full / size)
    return spacing
