"""What a propagation starts from, checked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ...instances import Mask
from ...ops.axes import Image
from ...ops.morphing import clip
from ...segmenter import InputError


def axis_of(image: Image, axis: str | None) -> str:
    """Check the letter of an axis; None is the only plane axis, or Z.

    Raises
    ------
    InputError
        If the image has no such plane axis.
    """
    known = image.plane_axes
    if axis is None and known:
        return "Z" if "Z" in known else known[-1]
    if axis is None or axis not in tuple(known):
        raise InputError(
            f"axis: expected one of the image's plane axes {known or '(it has none)'!r}, got "
            f"{axis!r}: only a stack has planes to go to"
        )
    return axis


def plane_of(image: Image, axis: str, plane: tuple[int, ...]) -> tuple[int, ...]:
    """Check the index along each plane axis but one.

    Raises
    ------
    InputError
        If there are too few or too many, or one is outside the image.
    """
    others = [
        (letter, size)
        for letter, size in zip(image.plane_axes, image.plane_shape, strict=True)
        if letter != axis
    ]
    if len(plane) != len(others) or any(
        not 0 <= i < size for i, (_, size) in zip(plane, others, strict=True)
    ):
        axes = "".join(letter for letter, _ in others)
        raise InputError(
            f"plane: expected an index along each of {axes or 'no other axis'!r} within "
            f"{tuple(size for _, size in others)}, got {tuple(plane)}"
        )
    return tuple(int(i) for i in plane)


def masks_of(
    image: Image, axis: str, seeds: Mapping[int, Mask | NDArray[np.bool_]]
) -> dict[int, Mask]:
    """Check the object's masks, and cut them to the plane and their own pixels.

    Raises
    ------
    InputError
        If there is none, or one is of another shape, empty, or on no plane of the image.
    """
    shape = image.label_shape[-2:]
    count = image.plane_shape[image.plane_axes.index(axis)]
    if not seeds:
        raise InputError("seeds: expected the object's mask on at least one plane, got none")
    masks = {}
    for index, given in seeds.items():
        if not 0 <= index < count:
            raise InputError(f"seeds: expected planes 0 to {count - 1} along {axis}, got {index}")
        if isinstance(given, Mask):
            seed = given
        else:
            pixels = np.asarray(given)
            if pixels.shape != shape or pixels.dtype != np.bool_:
                raise InputError(
                    f"seeds: expected masks as bool arrays of shape {shape}, got {pixels.dtype} "
                    f"of {pixels.shape}"
                )
            seed = Mask((0, 0), pixels.copy())
        mask = clip(seed, (shape[0], shape[1]))
        if mask is None:
            raise InputError(f"seeds: expected pixels inside the plane {index}, got none")
        masks[int(index)] = mask
    return masks
