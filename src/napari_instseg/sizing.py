"""How much an image is resized so that its objects have the size that the model knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from .instances import Instances
from .segmenter import InputError
from .settings import AS_TRAINED, AUTO, Settings

#: An image is not enlarged more than this to match object sizes.
MAX_ZOOM = 16.0
#: Objects that a diameter must be measured on, and their least score.
LEAST_COUNT, LEAST_SCORE = 3, 0.5
#: Finds the objects of a part of the image that is resized by this factor.
Find: TypeAlias = Callable[[float], Instances]


def find_diameter(
    settings: Settings,
    own: float | None,
    spacing: Mapping[str, float],
    measure: Callable[[float], float],
) -> float | None:
    """Find the objects' diameter in the image.

    Parameters
    ----------
    settings : Settings
    own : float, optional
        Diameter that the model was trained on, px.
    spacing : mapping
        µm per pixel by axis letter.
    measure : callable
        Measures the diameter (px), given the model's own; NaN if too few objects are found.

    Returns
    -------
    float or None
        In px; None if the image is not to be resized, NaN if too few objects were found.

    Raises
    ------
    InputError
        If the model knows no size, or a diameter is in µm and the pixel size unknown.
    """
    if settings.diameter in (None, AS_TRAINED):
        return None
    if own is None:
        raise InputError(
            f"diameter: the model {settings.model!r} has no object size of its own; "
            "use None (native)"
        )
    if settings.diameter == AUTO:
        return measure(own)
    diameter = float(settings.diameter or 0)
    if settings.diameter_unit != "um":
        return diameter
    size = spacing.get("X")
    if size is None:
        raise InputError(
            "diameter_unit: 'um' needs an image with a known pixel size; set the "
            "layer's scale and units, or give the diameter in px"
        )
    return diameter / size


def zoom_to(own: float, diameter: float, model: str) -> float:
    """Return the factor that brings objects to the model's size.

    Raises
    ------
    InputError
        If the image would become much too large.
    """
    zoom = own / diameter
    if zoom > MAX_ZOOM:
        raise InputError(
            f"diameter: expected at least {own / MAX_ZOOM:.2g} px for {model!r}, got "
            f"{diameter:.2g} px, which would enlarge the image {zoom:.0f} times"
        )
    return zoom


def median_diameter(own: float, find: Find) -> float:
    """Median diameter (px) of what a model finds at two sizes; NaN if that is too little."""
    found: list[float] = []
    for zoom in (1.0, 0.5):
        instances = find(zoom)
        areas = [m.area for m in instances.take(instances.scores >= LEAST_SCORE).masks]
        if len(areas) >= LEAST_COUNT:
            found.append(2 * float(np.sqrt(np.median(areas) / np.pi)) / zoom)
    if not found:
        return float("nan")
    # What shrinking finds is taken only if it is large: then the full size split it.
    return found[-1] if found[-1] > 3 * own else found[0]
