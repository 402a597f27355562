"""Results of a part of an image: a plane, a region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from .io.records import VIEW
from .ops.axes import Image, one_plane
from .result import describe_input
from .segmentation import Segmentation
from .segmenter import InputError

#: Rows and columns, half-open, px.
Region: TypeAlias = tuple[slice, slice]


def cut_to(
    result: Segmentation, plane: tuple[int, ...] | None, region: Region | None
) -> Segmentation:
    """Cut a result down to the part that was asked for, and say in the recipe which that was.

    Parameters
    ----------
    result : Segmentation
        Of the whole image.
    plane : tuple of int, optional
        Index along each plane axis; what comes back is of that plane alone.
    region : (slice, slice), optional
        Where objects were looked for.
    """
    if plane is None and region is None:
        return result
    image, plane = result.image, plane or ()
    where: dict[str, Any] = dict(zip(image.plane_axes, plane, strict=True)) if plane else {}
    for axis, part in zip("YX", region or (), strict=False):
        where[axis] = [part.start, part.stop]
    index = image.planes().index(plane) if plane else 0
    stuff = result.stuff
    return replace(
        result,
        raw=result.raw[index : index + 1] if plane else result.raw,
        image=one_plane(image, plane),
        stuff=stuff if stuff is None or not plane else stuff[plane],
        details={**result.details, VIEW: where, "input": describe_input(image)},
    )


def part_of(
    recipe: Mapping[str, Any], image: Image
) -> tuple[tuple[int, ...] | None, Region | None]:
    """Read from a recipe which part was asked for: what `cut_to` takes.

    Raises
    ------
    InputError
        If the image has no such part.
    """
    view = recipe.get(VIEW)
    if not isinstance(view, Mapping):
        return None, None
    try:
        plane = tuple(int(view[axis]) for axis in image.plane_axes if axis in view) or None
        ends = [(int(first), int(stop)) for first, stop in (view[a] for a in "YX" if a in view)]
    except (TypeError, ValueError) as error:
        raise InputError(f"recipe: expected a part of the image as 'view', got {view}") from error
    sizes = image.label_shape[-2:]
    inside = all(0 <= a <= b <= size for (a, b), size in zip(ends, sizes, strict=False))
    if not inside or not (plane is None or plane in image.planes()):
        raise InputError(f"recipe: expected an image with the part {view}, got {image.label_shape}")
    spans = [slice(first, stop) for first, stop in ends]
    return plane, (spans[0], spans[1]) if len(spans) == 2 else None
