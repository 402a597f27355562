"""What a user calls an image, as an `Image`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .io.images import read_image
from .ops.axes import Image, guess_axes, looks_rgb
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
        return read if spacing is None else Image(read.data, read.axes, spacing, read.name)
    if hasattr(image, "_type_string") and hasattr(image, "multiscale"):
        from .gui.layers import image_from_layer

        return image_from_layer(image)
    if not (hasattr(image, "shape") and hasattr(image, "dtype")):
        raise InputError(
            "expected an array, a path, an Image or a napari Image layer, got "
            f"{type(image).__name__}"
        )
    found = guess_axes(image.shape, looks_rgb(image.shape)) if axes is None else axes.upper()
    return Image(image, found, spacing or {})
