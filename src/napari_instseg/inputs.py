"""What a user calls an image, as an `Image`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .io.images import read_image
from .ops.axes import Image
from .ops.axis_names import NamedAxes, guess_axes
from .segmenter import InputError


def as_image(
    image: Any, axes: str | None = None, spacing: Mapping[str, float] | None = None
) -> Image:
    """Turn what a user has into an `Image`.

    Raises
    ------
    InputError
        If it is none of an array, an `Image`, a path and a napari Image layer.
    """
    if isinstance(image, Image):
        return image
    if isinstance(image, (str, Path)):
        read = read_image(Path(image), axes)
        return read if spacing is None else replace(read, spacing=spacing)
    if hasattr(image, "_type_string") and hasattr(image, "multiscale"):
        from .gui.layers import image_from_layer

        read = image_from_layer(image, axes=axes)
        return read if spacing is None else replace(read, spacing=spacing)
    if not (hasattr(image, "shape") and hasattr(image, "dtype")):
        raise InputError(
            "expected an array, a path, an Image or a napari Image layer, got "
            f"{type(image).__name__}"
        )
    found = guess_axes(image.shape) if axes is None else NamedAxes(axes.upper())
    return Image(image, found.letters, spacing or {}, sources=found.sources)


def as_in_recipe(image: Image, recipe: Mapping[str, Any]) -> Image:
    """Read the image of a recipe as it was read then: with the axes and pixel size given.

    Parameters
    ----------
    image : Image
        Another than that of the recipe (by name and shape) is left as it is.
    recipe : mapping
        See `Segmentation.recipe`.
    """
    then = recipe.get("input")
    if not isinstance(then, Mapping) or then.get("name") != image.name:
        return image
    if then.get("shape") != list(image.data.shape):
        return image
    spacing = image.spacing or then.get("spacing_um") or {}
    axes = str(then.get("axes", image.axes))
    # Axes that were not what is known or guessed of the image had been given.
    sources = image.sources if axes == image.axes else {}
    return replace(image, axes=axes, spacing=spacing, sources=sources)
