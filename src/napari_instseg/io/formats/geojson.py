"""GeoJSON as QuPath writes and reads it: a feature for each object and plane.

References
----------
RFC 7946, "The GeoJSON Format"; QuPath 0.4 to 0.6, qupath.lib.io.PathObjectTypeAdapters and
ROITypeAdapters: objectType, classification, measurements, and the plane within a geometry.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pandas as pd

from ...label_set import LabelSet
from ...ops.outlines import Polygon
from ...segmenter import Category, InputError
from . import about as image_about
from .planes import categories_for
from .segments import Segment
from .shapes import outlined
from .tables import plain

#: What planes of QuPath's images are.
AXES = "CZT"
#: What QuPath may call an object.
TYPES = ("detection", "annotation")
#: Columns that are told elsewhere in a feature.
_ELSEWHERE = ("category_id", "is_thing", "iscrowd")


def write(path: Path, label_set: LabelSet, *, objects: str = "detection") -> list[str]:
    """Write objects as a FeatureCollection that QuPath opens.

    Parameters
    ----------
    path : Path
    label_set : LabelSet
        Axes beside Y and X: some of Z, T and C.
    objects : {"detection", "annotation"}
        QuPath shows many detections fast; annotations can be changed by hand.

    Returns
    -------
    list of str
        Nothing to be said.

    Raises
    ------
    InputError
        If QuPath has no plane for the axes, ``objects`` is something else, or a name is no Unicode.

    Notes
    -----
    Coordinates are px (x, y), pixel (0, 0) goes from 0 to 1; outlines run along the edges of the
    pixels. Stuff becomes annotations. Numbers of the table are measurements, ids the same each
    time. The image's shape and
    all categories are in a member of the collection of our own, which other programs pass over.
    """
    if objects not in TYPES:
        raise InputError(f"objects: expected one of {', '.join(TYPES)}, got {objects!r}")
    if not set(label_set.axes[:-2]) <= set(AXES):
        raise InputError(f"QuPath knows axes {', '.join(AXES)} beside Y, X, got {label_set.axes}")
    categories = {category.id: category for category in categories_for(label_set)}
    measured = _measurements(label_set)
    head = {"type": "FeatureCollection", **image_about.to_json(label_set)}
    with _unicode(), path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "features": [')
        comma = "\n"
        for plane, listed in outlined(label_set):
            where = dict(zip(label_set.axes.lower(), plane, strict=False))
            for found, polygons in listed:
                feature = _feature(found, polygons, categories[found.category_id], objects)
                feature["id"] = str(uuid5(NAMESPACE_URL, f"{label_set.name}/{found.label}/{where}"))
                feature["properties"]["measurements"] = {
                    **measured.get(found.label, {"index": found.label}),
                    **({"iscrowd": 1} if found.crowd else {}),
                }
                if where:
                    feature["geometry"]["plane"] = {"c": -1, "z": 0, "t": 0, **where}
                file.write(comma + json.dumps(feature, ensure_ascii=False))
                comma = ",\n"
        file.write("\n]}\n")
    return []


def _feature(
    found: Segment, polygons: Sequence[Polygon], category: Category, objects: str
) -> dict[str, Any]:
    parts = [[_closed(ring[:, ::-1].tolist()) for ring in rings] for rings in polygons]
    one = len(parts) == 1
    return {
        "type": "Feature",
        "id": "",
        "geometry": {
            "type": "Polygon" if one else "MultiPolygon",
            "coordinates": parts[0] if one else parts,
        },
        "properties": {
            "objectType": objects if found.is_thing else TYPES[1],
            "name": str(found.label),
            "classification": {
                "name": category.name,
                "color": [round(255 * part) for part in category.color],
            },
        },
    }


def _closed(ring: list[list[int]]) -> list[list[int]]:
    return [*ring, ring[0]]


@contextmanager
def _unicode() -> Iterator[None]:
    try:
        yield
    except UnicodeEncodeError as error:
        raise InputError(f"expected names that UTF-8 can hold ({error})") from error


def _is_finite(value: Any) -> bool:
    return value is not pd.NA and math.isfinite(value)


def _measurements(label_set: LabelSet) -> dict[int, dict[str, float]]:
    """Numbers of each object's row, by label; those that are missing or not finite left out."""
    numbers = label_set.table.select_dtypes("number").drop(columns=[*_ELSEWHERE], errors="ignore")
    columns = {str(name): plain(numbers[name]) for name in numbers}
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return {
        int(row["index"]): {name: value for name, value in row.items() if _is_finite(value)}
        for row in rows
    }
