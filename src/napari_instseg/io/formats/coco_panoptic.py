"""COCO panoptic: a PNG an image, whose colours are segments' ids, and one JSON file for all.

References
----------
Kirillov et al., "Panoptic Segmentation", CVPR 2019; https://cocodataset.org/#format-data
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...label_set import LabelSet
from ...segmenter import Category, InputError
from . import checks
from .categories import Categories, read_categories
from .coco import image_entries, measures, of_all, write_json
from .coco_reading import Picture, read_images, stacks_of
from .names import Names, inner_path
from .planes import Found, masks_of
from .png import read_png, write_png
from .segments import Segment, Segments, from_segments

#: Ids are three bytes.
LARGEST_ID = 2**24 - 1


def write(path: Path, label_sets: Iterable[LabelSet]) -> list[str]:
    """Write label sets as COCO panoptic.

    Parameters
    ----------
    path : Path
        The JSON file; PNG files go into the folder of the same name without ending.
    label_sets : iterable of LabelSet
        Each plane becomes an image of its own. Ids are the labels, R + 256 G + 65536 B.

    Returns
    -------
    list of str
        What the user should know.

    Raises
    ------
    InputError
        If a label does not fit into 24 bits.
    """
    folder = path.with_suffix("")
    folder.mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    categories, names = Categories(), Names()
    for one in label_sets:
        ids, segments = categories.add(one), Segments(one)
        for image, stem, index in image_entries(one, names, len(images) + 1):
            panoptic = one.read("panoptic", index)
            write_png(folder / f"{stem}.png", to_rgb(panoptic))
            images.append(image)
            annotations.append(
                {
                    "image_id": image["id"],
                    "file_name": f"{stem}.png",
                    "segments_info": _info(panoptic, segments, ids),
                }
            )
    write_json(path, {"images": images, "annotations": annotations, **of_all(categories)})
    return categories.notes


def _info(
    panoptic: NDArray[np.int32], segments: Segments, ids: dict[int, int]
) -> list[dict[str, Any]]:
    """List the segments of an image."""
    found = []
    for label, mask in sorted(masks_of(panoptic).items()):
        one = segments.of(label)
        about = measures(Found(0, one.category_id, one.score, mask, one.crowd))
        found.append({"id": label, "category_id": ids[one.category_id], **about})
    return found


def to_rgb(panoptic: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Write ids as colours.

    Raises
    ------
    InputError
        If one is negative, or does not fit into 24 bits.

    Examples
    --------
    >>> to_rgb(np.array([[1 + 2 * 256 + 3 * 65536]], np.int32)).tolist()
    [[[1, 2, 3]]]
    """
    least, largest = int(panoptic.min(initial=0)), int(panoptic.max(initial=0))
    if least < 0:
        raise InputError(f"expected labels from 0 on, got {least}")
    if largest > LARGEST_ID:
        raise InputError(f"expected labels up to {LARGEST_ID}, got {largest}: renumber them")
    return np.stack([panoptic >> shift & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)


def knows(path: Path) -> bool:
    """Whether a JSON file is one of COCO panoptic."""
    values = checks.read_json(path)
    several = values.get("annotations") if isinstance(values, dict) else None
    return isinstance(several, list) and any(
        isinstance(one, dict) and "segments_info" in one for one in several
    )


def read(path: Path, folder: str | Path | None = None) -> Iterator[LabelSet]:
    """Read COCO panoptic, image by image; planes of a stack that we wrote as one.

    Parameters
    ----------
    path : Path
        The JSON file.
    folder : path, optional
        With the PNG files; by default the one of the same name, else the one that it lies in.

    Raises
    ------
    InputError
        If it is not COCO panoptic, a PNG is missing, damaged or of another size, an id is unknown
        or there twice, or a file name leads out of the folder.
    """
    values = checks.table_of(checks.read_json(path), "the file")
    categories, notes = read_categories(checks.entry(values, "categories", "the file"))
    images = read_images(checks.entry(values, "images", "the file"))
    if folder is None:
        folder = path.with_suffix("") if path.with_suffix("").is_dir() else path.parent
    annotations: dict[int, tuple[Path, list[Segment]]] = {}
    for place, value in enumerate(checks.list_of(values.get("annotations"), "annotations")):
        what = f"annotations[{place}]"
        one = checks.table_of(value, what)
        image_id = checks.whole(checks.entry(one, "image_id", what), f"{what}.image_id")
        if image_id not in images or image_id in annotations:
            raise InputError(f"{what}.image_id: expected the id of an image, once, got {image_id}")
        png = Path(folder) / inner_path(checks.entry(one, "file_name", what))
        annotations[image_id] = png, _segments(one, what, categories)
    named = sorted({c.id: c for c in categories.values()}.values(), key=lambda c: c.id)
    for stack, pictures in stacks_of(path, images, notes):
        panoptic = np.zeros(stack.shape, np.int32)
        segments: list[Segment] = []
        for picture in pictures:
            if picture.id in annotations:
                png, found = annotations[picture.id]
                panoptic[picture.plane] = _ids(png, picture, found)
                segments += found
        yield from_segments(stack, panoptic, segments, named)


def _segments(
    annotation: dict[str, Any], what: str, categories: dict[int, Category]
) -> list[Segment]:
    found: dict[int, Segment] = {}
    listed = checks.list_of(checks.entry(annotation, "segments_info", what), "segments_info")
    for place, value in enumerate(listed):
        inner = f"{what}.segments_info[{place}]"
        one = checks.table_of(value, inner)
        label = checks.whole(checks.entry(one, "id", inner), f"{inner}.id", 1, LARGEST_ID)
        number = checks.whole(checks.entry(one, "category_id", inner), f"{inner}.category_id")
        if number not in categories:
            raise InputError(f"{inner}.category_id: expected a known category, got {number}")
        if label in found:
            raise InputError(f"{inner}.id: expected each id once in an image, got {label} again")
        category = categories[number]
        score = checks.share(one["score"], f"{inner}.score") if "score" in one else np.nan
        crowd = bool(checks.whole(one.get("iscrowd", 0), f"{inner}.iscrowd", 0, 1))
        found[label] = Segment(label, category.id, category.is_thing, score, crowd)
    return list(found.values())


def _ids(png: Path, picture: Picture, segments: list[Segment]) -> NDArray[np.int32]:
    """Read the ids of an image, which must be those that are listed."""
    colors = read_png(png, picture.size).astype(np.int32)
    if colors.ndim != 3:
        raise InputError(f"{png}: expected an RGB picture, got grey values")
    ids = colors @ np.array([1, 256, 65536], np.int32)
    known = {one.label for one in segments}
    odd = sorted((set(np.unique(ids).tolist()) - {0}) ^ known)
    if odd:
        raise InputError(f"{png}: expected the ids that are listed for it, not so: {odd[:5]}")
    return ids
