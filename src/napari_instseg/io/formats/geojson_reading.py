"""GeoJSON in pixels, as QuPath and others write it, as label sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...label_set import OBJECT, LabelSet
from ...segmenter import Category, InputError
from . import about as image_about
from .about import About
from .checks import LARGEST_LABEL, list_of, read_json, table_of, text_of, whole
from .shapes import Shape, paint

#: How much of a file is looked at to know it, B.
_HEAD = 4096


@dataclass(frozen=True, slots=True, eq=False)
class _Feature:
    """A feature with an area: its outline, index by axis, and the colour of its category."""

    shape: Shape
    place: Mapping[str, int]
    color: tuple[float, float, float]


def knows(path: Path) -> bool:
    """Whether a file begins like GeoJSON, whatever it is called."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return b'"FeatureCollection"' in head or b'"Feature"' in head


def read(path: Path, *, shape: str | Sequence[int] | None = None) -> Iterator[LabelSet]:
    """Read the polygons of a FeatureCollection, of a list of features, or of one.

    Parameters
    ----------
    path : Path
    shape : str or sequence of int, optional
        Of the image, such as "512x512" or "30x512x512"; without, and where the file does not
        tell, it is as large as the polygons need.

    Yields
    ------
    LabelSet
        Categories are the classifications, "object" without one. Measurements become columns of
        the table; ``index`` and ``score`` are the label and the score if they can be. Points and
        lines are left out.

    Raises
    ------
    InputError
        If it is no GeoJSON, or coordinates are no pixels.
    """
    content = read_json(path)
    listed = (_feature(one, i) for i, one in enumerate(_features(content)))
    features = [one for one in listed if one is not None]
    about = image_about.from_json(content) or _seen(features, path.stem)
    if shape is not None:
        about = about.of_shape(shape)
    shapes = (
        replace(one.shape, planes=[tuple(one.place.get(axis, 0) for axis in about.axes[:-2])])
        for one in features
    )
    yield paint(shapes, about, path.name)


def _features(content: object) -> list[Any]:
    if isinstance(content, list):
        return content
    table = table_of(content, "GeoJSON")
    if table.get("type") == "Feature":
        return [table]
    if table.get("type") != "FeatureCollection":
        raise InputError(
            "expected GeoJSON, a FeatureCollection or a Feature, got the type "
            f"{table.get('type')!r:.40}"
        )
    return list_of(table.get("features"), "features")


def _feature(value: object, number: int) -> _Feature | None:
    """Read a feature; None if it has no area."""
    what = f"feature {number}"
    feature = table_of(value, what)
    geometry = table_of(feature.get("geometry") or {}, f"{what}: geometry")
    rings = _rings(geometry, what)
    if not rings:
        return None
    told = table_of(feature.get("properties") or {}, f"{what}: properties")
    category, color = _category(told.get("classification"), what)
    numbers = _measurements(told.get("measurements") or {}, what)
    crowd = numbers.pop("iscrowd", 0) == 1
    index, score = numbers.get("index", 0), numbers.get("score", float("nan"))
    name = told.get("name")
    # The name that we write is the label.
    named = {} if name is None or name == str(index) else {"name": str(name)}
    shape = Shape(
        rings,
        label=int(index) if float(index).is_integer() and 0 < index <= LARGEST_LABEL else 0,
        category=category,
        score=float(score) if 0 <= score <= 1 else float("nan"),
        crowd=crowd,
        more={**named, **numbers},
    )
    plane = table_of(geometry.get("plane") or {}, f"{what}: plane")
    place = {
        axis: whole(plane[axis.lower()], f"{what}: plane")
        for axis in "CZT"
        if plane.get(axis.lower()) not in (None, -1)
    }
    return _Feature(shape, place, color)


def _rings(geometry: Mapping[str, Any], what: str) -> list[NDArray[np.float64]]:
    """All rings (row, col) of a polygon, or of several; none of other geometries."""
    kind = geometry.get("type")
    if kind not in ("Polygon", "MultiPolygon"):
        return []
    told = list_of(geometry.get("coordinates"), f"{what}: coordinates")
    parts = [told] if kind == "Polygon" else told
    return [_ring(ring, what) for part in parts for ring in list_of(part, f"{what}: polygon")]


def _ring(value: object, what: str) -> NDArray[np.float64]:
    try:
        points = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{what}: expected a ring of positions [x, y] ({error})") from error
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise InputError(f"{what}: expected a ring of positions [x, y], got {points.shape}")
    return points[:, 1::-1]


def _category(value: object, what: str) -> tuple[str, tuple[float, float, float]]:
    """Name and colour of a classification."""
    if value is None:
        return OBJECT.name, OBJECT.color
    told: dict[str, Any] = value if isinstance(value, dict) else {"name": value}
    names = told.get("names")
    if not isinstance(names, list):
        names = [text_of(told.get("name"), f"{what}: classification")]
    name = ": ".join(map(str, names))
    color = told.get("color", told.get("colorRGB"))
    if isinstance(color, int):
        color = [color >> 16 & 255, color >> 8 & 255, color & 255]
    if not isinstance(color, list) or len(color) != 3:
        return name, OBJECT.color
    red, green, blue = (whole(part, f"{what}: color", 0, 255) / 255 for part in color)
    return name, (red, green, blue)


def _measurements(value: object, what: str) -> dict[str, float]:
    """Measurements as a table, or as a list as QuPath had it before 0.4."""
    if isinstance(value, list):
        entries = [table_of(one, f"{what}: measurement") for one in value]
        value = {str(one.get("name")): one.get("value") for one in entries}
    told = table_of(value, f"{what}: measurements")
    return {
        name: number
        for name, number in told.items()
        if isinstance(number, int | float) and not isinstance(number, bool)
    }


def _seen(features: Sequence[_Feature], name: str) -> About:
    """What features tell of their image."""
    axes = "".join(axis for axis in "TCZ" if any(one.place.get(axis) for one in features))
    colors = {one.shape.category: one.color for one in features}
    categories = (Category(i, name, True, colors[name]) for i, name in enumerate(colors, start=1))
    return About(name, axes + "YX", categories=tuple(categories))
