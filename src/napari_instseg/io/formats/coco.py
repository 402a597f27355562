"""COCO instances: one JSON file for all objects of many images.

References
----------
https://cocodataset.org/#format-data
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...instances import Mask
from ...label_set import LabelSet
from ...ops.outlines import trace
from ...ops.rle import encode
from ...segmenter import InputError
from .about import KEY, without_categories
from .categories import Categories
from .names import Names, plane_suffix
from .planes import Found, PlaneReader

RLE, POLYGONS = "rle", "polygons"
#: Ending of an image's name, where it is not known.
IMAGE_ENDING = ".tif"


def write(
    path: Path, label_sets: Iterable[LabelSet], masks: str = RLE, hidden: bool = False
) -> list[str]:
    """Write label sets as COCO instances.

    Parameters
    ----------
    path : Path
    label_sets : iterable of LabelSet
        Each plane becomes an image of its own.
    masks : {"rle", "polygons"}
        Compressed run lengths, or polygons along the edges of pixels, of which COCO's own
        program makes the same pixels again.
    hidden : bool
        Objects that better ones hide so far that they have no label, too.

    Returns
    -------
    list of str
        What the user should know.

    Raises
    ------
    InputError
        If an option has another value.

    Notes
    -----
    Masks overlap where the model's do. ``instance_id`` of an annotation is its label; that and
    the key ``napari_instseg`` of an image let planes become one stack again.
    """
    if masks not in (RLE, POLYGONS):
        raise InputError(f"masks: expected {RLE} or {POLYGONS}, got {masks!r}")
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    categories, names, holes = Categories(), Names(), 0
    for one in label_sets:
        ids = categories.add(one)
        reader = PlaneReader(one, whole=True, hidden=hidden)
        for image, _, index in image_entries(one, names, len(images) + 1):
            images.append(image)
            size = image["height"], image["width"]
            for found in reader.read(index):
                segmentation, has_holes = segment(found.mask, size, masks)
                holes += has_holes
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image["id"],
                        "category_id": ids[found.category_id],
                        **measures(found),
                        "segmentation": segmentation,
                    }
                )
    write_json(path, {"images": images, "annotations": annotations, **of_all(categories)})
    said = f"{holes} objects have holes, which COCO's polygons cannot have: they are run lengths"
    return categories.notes + ([said] if holes else [])


def of_all(categories: Categories) -> dict[str, Any]:
    """What a COCO file says of all images."""
    return {
        "info": {"description": "napari-instseg"},
        "licenses": [],
        "categories": categories.to_json(),
    }


def image_entries(
    label_set: LabelSet, names: Names, first_id: int
) -> Iterator[tuple[dict[str, Any], str, tuple[int, ...]]]:
    """List the planes of a label set as COCO's images, each with a name of its own and its index.

    Parameters
    ----------
    label_set : LabelSet
    names : Names
    first_id : int
    """
    height, width = label_set.shape[-2:]
    stem = names.of(label_set.name)
    for number, index in enumerate(np.ndindex(*label_set.plane_shape)):
        suffix = plane_suffix(label_set.axes, label_set.plane_shape, index)
        known = None if suffix else label_set.recipe.get("input", {}).get("file_name")
        yield (
            {
                "id": first_id + number,
                "file_name": known or f"{stem}{suffix}{IMAGE_ENDING}",
                "height": height,
                "width": width,
                # Of which stack it is a plane; other programs pass over it.
                KEY: {**without_categories(label_set), "stack": stem, "plane": list(index)},
            },
            stem + suffix,
            index,
        )


def measures(found: Found) -> dict[str, Any]:
    """What an annotation says of an object beside its pixels and category."""
    rows, cols = found.mask.slices
    known = {} if np.isnan(found.score) else {"score": float(found.score)}
    label = {"instance_id": found.label} if found.label else {}
    return {
        **known,
        **label,
        "iscrowd": int(found.crowd),
        "area": found.mask.area,
        "bbox": [cols.start, rows.start, cols.stop - cols.start, rows.stop - rows.start],
    }


def segment(mask: Mask, size: tuple[int, int], masks: str = RLE) -> tuple[Any, bool]:
    """Write a mask; returns it, and whether it has holes that polygons cannot have."""
    if masks == RLE:
        return encode(mask, size), False
    ((_, polygons),) = trace(mask.pixels, mask.origin).objects()
    if any(len(rings) > 1 for rings in polygons):
        return encode(mask, size), True
    return [ring[:, ::-1].ravel().tolist() for (ring,) in polygons], False


def write_json(path: Path, values: Any) -> None:
    """Write JSON as UTF-8.

    Raises
    ------
    InputError
        If a number is NaN or infinite, or a text no Unicode.
    """
    try:
        # One text at once: pieces take ten times as long.
        text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        path.write_text(text + "\n", encoding="utf-8", newline="\n")
    except ValueError as error:
        raise InputError(f"{path.name}: expected what JSON can hold ({error})") from error
