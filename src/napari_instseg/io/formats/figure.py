"""A plane of a label set as a picture for a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...label_set import LabelSet
from ...ops.axes import Image
from ...ops.intensity import map_intensity
from ...segmenter import Category, InputError
from ...settings import Settings
from ..figures.png import write_png
from ..figures.scene import FILL, Color, Look, compose, rgb
from ..figures.svg import write_svg
from ..images import read_image
from .checks import whole
from .planes import categories_for

STYLES = ("outlines", "filled", "both")
COLORS = ("category", "object")
#: Dots an inch of print.
DPI = 300
#: Largest enlargement, dots a pixel.
MOST_ZOOM = 64


def write(
    path: Path,
    label_set: LabelSet,
    *,
    image: str | Path | Image | None = None,
    plane: int | str | Sequence[int] | None = None,
    style: str | None = None,
    color: str = "category",
    legend: bool = True,
    scale_bar: float | bool = True,
    zoom: int | None = None,
) -> list[str]:
    """Write one plane as PNG or SVG: the image, objects over it, a legend and a scale bar.

    Parameters
    ----------
    path : Path
        Ends in .png or .svg. In SVG objects are paths, text is text.
    label_set : LabelSet
    image : path or Image, optional
        What the objects were found in; None leaves it white.
    plane : int, text or sequence of int, optional
        Index along each axis but Y and X, such as 3 or "0,3"; None is the middle.
    style : {"outlines", "filled", "both"}, optional
        None: outlines on an image, both without.
    color : {"category", "object"}
        What has a colour of its own.
    legend : bool
        Categories, and how many objects of each there are in the plane.
    scale_bar : float or bool
        Length in µm, or whether to choose one: 1, 2 or 5 times a power of ten.
    zoom : int, optional
        Dots a pixel; None enlarges small images.

    Returns
    -------
    list of str
        Why there is no scale bar, and the like.

    Raises
    ------
    InputError
        If an option is none of these, or the image does not fit.
    """
    for name, value, known in (("style", style, (None, *STYLES)), ("color", color, COLORS)):
        if value not in known:
            allowed = ", ".join(filter(None, known))
            raise InputError(f"{name}: expected one of {allowed}, got {value!r}")
    if zoom is not None and (type(zoom) is not int or not 1 <= zoom <= MOST_ZOOM):
        raise InputError(f"zoom: expected a whole number from 1 to {MOST_ZOOM}, got {zoom!r}")
    where, bar = _plane(plane, label_set), _bar(scale_bar)
    style = style or ("both" if image is None else "outlines")
    look = Look(0 if style == "outlines" else FILL, style != "filled", zoom, bar)
    labels = label_set.read("panoptic", where)
    shown = label_set.table[label_set.table["index"].isin(np.unique(labels))]
    categories = {category.id: category for category in categories_for(label_set)}
    by_category = color == "category"
    scene = compose(
        label_set.name,
        _background(image, where, label_set),
        labels,
        _colors(shown, categories) if by_category else {},
        {*shown.loc[~shown["is_thing"].astype(bool), "index"].tolist()},
        _legend(shown, categories) if legend and by_category else (),
        label_set.spacing.get("X"),
        look,
    )
    (write_svg if path.suffix.lower() == ".svg" else write_png)(path, scene, DPI)
    return [] if bar == 0 else _notes(label_set)


def _plane(told: int | str | Sequence[int] | None, label_set: LabelSet) -> tuple[int, ...]:
    """Index of a plane along each axis but Y and X."""
    sizes = label_set.plane_shape
    if told is None:
        return tuple(size // 2 for size in sizes)
    parts: Sequence[Any] = [told] if isinstance(told, int) else told
    if isinstance(told, str):
        parts = [int(part) if part.strip().isdecimal() else part for part in told.split(",")]
    if len(parts) != len(sizes):
        raise InputError(f"plane: expected {len(sizes)} numbers for {label_set.axes}, got {told!r}")
    pairs = zip(parts, sizes, strict=True)
    return tuple(whole(part, "plane", 0, size - 1) for part, size in pairs)


def _bar(told: object) -> float | None:
    """Length of the scale bar, µm; None chooses, 0 is for none."""
    if isinstance(told, bool):
        return None if told else 0.0
    if not isinstance(told, int | float) or not 0 < told < 1e9:
        raise InputError(f"scale_bar: expected a length in µm, true or false, got {told!r}")
    return float(told)


def _background(
    given: str | Path | Image | None, plane: tuple[int, ...], label_set: LabelSet
) -> NDArray[np.uint8]:
    """The image's plane as the program shows it to models; white without one."""
    height, width = label_set.shape[-2:]
    if given is None:
        return np.full((height, width, 3), 255, np.uint8)
    image = given if isinstance(given, Image) else read_image(given)
    places = dict(zip(label_set.axes, plane, strict=False))
    sizes = dict(zip(image.label_axes, image.label_shape, strict=True))
    if sizes != dict(zip(label_set.axes, label_set.shape, strict=True)):
        raise InputError(
            f"image: expected one of the labels' size, {label_set.axes} {label_set.shape}, got "
            f"{image.axes} {tuple(image.data.shape)}"
        )
    index = [places[axis] for axis in image.plane_axes]
    pixels = image.read(index, slice(0, height), slice(0, width))
    shown: NDArray[np.uint8] = np.round(
        map_intensity(image, Settings()).apply(pixels) * 255
    ).astype(np.uint8)
    return shown


def _colors(rows: pd.DataFrame, categories: Mapping[int, Category]) -> dict[int, Color]:
    ids = zip(rows["index"].tolist(), rows["category_id"].tolist(), strict=True)
    return {label: rgb(categories[number].color) for label, number in ids}


def _legend(rows: pd.DataFrame, categories: Mapping[int, Category]) -> list[tuple[Category, int]]:
    """Categories in a plane, and how many segments of each there are, by their ids."""
    counts = rows["category_id"].value_counts().sort_index()
    return [
        (categories[number], count)
        for number, count in zip(counts.index.tolist(), counts.tolist(), strict=True)
    ]


def _notes(label_set: LabelSet) -> list[str]:
    x, y = (label_set.spacing.get(axis) for axis in "XY")
    if x is None:
        return ["there is no scale bar, since the size of a pixel is not known"]
    if y is not None and abs(y / x - 1) > 0.01:
        return [f"pixels are {x:g} x {y:g} µm: the scale bar holds from left to right"]
    return []
