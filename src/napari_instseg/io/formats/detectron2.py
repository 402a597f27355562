"""Detectron2's results: a JSON list of what was found, as its COCO evaluator writes it.

References
----------
detectron2/evaluation/coco_evaluation.py, instances_to_coco_json.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...label_set import LabelSet
from ...segmenter import Category, InputError
from . import checks
from .categories import Categories, read_categories
from .coco import image_entries, measures, of_all, segment, write_json
from .coco_reading import Picture, joined, read_images
from .names import Names
from .planes import SURE, PlaneReader

#: What the file with images and categories is called, after the name of the results.
IMAGES = "_images.json"


def write(path: Path, label_sets: Iterable[LabelSet], hidden: bool = False) -> list[str]:
    """Write label sets as Detectron2's results.

    Parameters
    ----------
    path : Path
        Beside it a COCO file without annotations, ``<stem>_images.json``, has images and
        categories, so that ``COCO(images).loadRes(results)`` works.
    label_sets : iterable of LabelSet
        Each plane becomes an image of its own.
    hidden : bool
        Objects that better ones hide so far that they have no label, too.

    Returns
    -------
    list of str
        What the user should know.
    """
    images: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    categories, names, unsure = Categories(), Names(), 0
    for one in label_sets:
        ids = categories.add(one)
        reader = PlaneReader(one, whole=True, hidden=hidden)
        for image, _, index in image_entries(one, names, len(images) + 1):
            images.append(image)
            for found in reader.read(index):
                about = {"score": SURE} | measures(found)
                unsure += bool(np.isnan(found.score))
                kept = {key: about[key] for key in ("bbox", "score")}
                label = {"instance_id": found.label} if found.label else {}
                results.append(
                    {
                        "image_id": image["id"],
                        "category_id": ids[found.category_id],
                        **kept,
                        "segmentation": segment(found.mask, (image["height"], image["width"]))[0],
                        **label,
                        **({"iscrowd": 1} if found.crowd else {}),
                    }
                )
    write_json(path, results)
    beside = {"images": images, "annotations": [], **of_all(categories)}
    write_json(path.with_name(path.stem + IMAGES), beside)
    said = f"{unsure} objects have no score, which must be there: 1"
    return categories.notes + ([said] if unsure else [])


def knows(path: Path) -> bool:
    """Whether a JSON file is a list of results."""
    with path.open("rb") as file:
        if not file.read(64).lstrip().startswith(b"["):
            return False
    values = checks.read_json(path)
    return all(isinstance(one, dict) and {"image_id", "category_id"} <= set(one) for one in values)


def read(path: Path, images: str | Path | None = None) -> Iterator[LabelSet]:
    """Read Detectron2's results, image by image; planes of a stack that we wrote as one.

    Parameters
    ----------
    path : Path
    images : path, optional
        A COCO file with the images and categories; by default ``<stem>_images.json``, if it is
        there. Without, names are made of ids, and images where nothing was found are missing.

    Raises
    ------
    InputError
        If it is none, an id is unknown, or a mask does not fit its image.
    """
    results = checks.list_of(checks.read_json(path), "the file")
    beside = path.with_name(path.stem + IMAGES) if images is None else Path(images)
    categories: dict[int, Category] = {}
    notes: list[str] = []
    if images is None and not beside.is_file():
        pictures = _pictures(results)
    else:
        values = checks.table_of(checks.read_json(beside), str(beside))
        pictures = read_images(checks.entry(values, "images", str(beside)))
        categories, notes = read_categories(checks.entry(values, "categories", str(beside)))
    objects: dict[int, list[tuple[str, dict[str, Any]]]] = {number: [] for number in pictures}
    for place, value in enumerate(results):
        what = f"[{place}]"
        one = checks.table_of(value, what)
        number = checks.whole(checks.entry(one, "image_id", what), f"{what}.image_id")
        if number not in objects:
            raise InputError(f"{what}.image_id: expected one of {beside.name}, got {number}")
        checks.share(checks.entry(one, "score", what), f"{what}.score")
        objects[number].append((what, one))
    yield from joined(path, pictures, objects, categories, notes)


def _pictures(results: list[Any]) -> dict[int, Picture]:
    """Sizes of images from those of masks."""
    found: dict[int, Picture] = {}
    for place, value in enumerate(results):
        what = f"[{place}]"
        one = checks.table_of(value, what)
        number = checks.whole(checks.entry(one, "image_id", what), f"{what}.image_id")
        mask = checks.table_of(checks.entry(one, "segmentation", what), f"{what}.segmentation")
        sides = checks.list_of(mask.get("size"), f"{what}.segmentation.size")
        if len(sides) != 2:
            raise InputError(f"{what}.segmentation.size: expected height and width, got {sides}")
        height, width = (checks.whole(n, f"{what}.segmentation.size", 1) for n in sides)
        checks.check_size((height, width))
        name = f"image {number}"
        found.setdefault(
            number,
            Picture(number, f"{name}.tif", (height, width), name, name, shape=(height, width)),
        )
    return found
