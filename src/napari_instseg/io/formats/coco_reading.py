"""COCO instances in: files of any origin."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...instances import Mask
from ...label_set import LabelSet
from ...ops.masks import union
from ...ops.polygons import polygon_runs
from ...ops.rle import decode, mask_of, window_of
from ...segmenter import Category, InputError
from . import checks
from .about import KEY, About, from_json
from .categories import read_categories, unknown_category
from .names import inner_path
from .planes import Found
from .stacks import Stack


def knows(path: Path) -> bool:
    """Whether a JSON file is one of COCO instances."""
    values = checks.read_json(path)
    return (
        isinstance(values, dict)
        and {"images", "annotations"} <= set(values)
        and not any(
            isinstance(one, dict) and "segments_info" in one
            for one in (values["annotations"] if isinstance(values["annotations"], list) else ())
        )
    )


def read(path: Path) -> Iterator[LabelSet]:
    """Read COCO instances, image by image; planes of a stack that we wrote as one.

    Parameters
    ----------
    path : Path

    Yields
    ------
    LabelSet
        Better scores hide others (in the file's order where there are none), crowds are hidden by
        all; ``raw`` has the whole masks then. Labels are the annotations' ``instance_id``, if
        each has one, else 1, 2, ...

    Raises
    ------
    InputError
        If it is not COCO, an id is unknown or there twice, a mask does not fit its image, an
        image is too large, or a file name leads out of the folder.
    """
    values = checks.table_of(checks.read_json(path), "the file")
    categories, notes = read_categories(values.get("categories", []))
    images = read_images(checks.entry(values, "images", "the file"))
    objects: dict[int, list[tuple[str, dict[str, Any]]]] = {number: [] for number in images}
    for place, value in enumerate(checks.list_of(values.get("annotations"), "annotations")):
        what = f"annotations[{place}]"
        one = checks.table_of(value, what)
        image_id = checks.whole(checks.entry(one, "image_id", what), f"{what}.image_id")
        if image_id not in objects:
            raise InputError(f"{what}.image_id: expected the id of an image, got {image_id}")
        objects[image_id].append((what, one))
    yield from joined(path, images, objects, categories, notes)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """An image of a COCO file: a plane, and of which stack.

    Parameters
    ----------
    id : int
    file_name : str
    size : (int, int)
        Height and width, px.
    stack : str
        Planes of one stack have the same.
    name, axes, shape, plane, spacing
        Of the stack, and the plane's index in it.
    """

    id: int
    file_name: str
    size: tuple[int, int]
    stack: str
    name: str
    axes: str = "YX"
    shape: tuple[int, ...] = ()
    plane: tuple[int, ...] = ()
    spacing: Mapping[str, float] = field(default_factory=dict)


def read_images(values: object) -> dict[int, Picture]:
    """Read COCO's images, by id."""
    found: dict[int, Picture] = {}
    for place, value in enumerate(checks.list_of(values, "images")):
        what = f"images[{place}]"
        one = checks.table_of(value, what)
        number = checks.whole(checks.entry(one, "id", what), f"{what}.id")
        if number in found:
            raise InputError(f"{what}.id: expected each id once, got {number} again")
        height, width = (
            checks.whole(checks.entry(one, side, what), f"{what}.{side}", 1)
            for side in ("height", "width")
        )
        checks.check_size((height, width))
        file = inner_path(checks.entry(one, "file_name", what))
        plain = Picture(
            number, str(file), (height, width), f"image {number}", file.stem, shape=(height, width)
        )
        ours = from_json(one)
        found[number] = plain if ours is None else _of_stack(plain, ours, one[KEY], what)
    return found


def _of_stack(plain: Picture, ours: About, entry: dict[str, Any], what: str) -> Picture:
    """Add what we have written of a plane's stack."""
    shape, size = ours.shape, plain.size
    plane = tuple(checks.whole(n, "plane") for n in checks.list_of(entry.get("plane"), "plane"))
    outside = any(i >= n for i, n in zip(plane, shape, strict=False))
    if shape[-2:] != size or len(plane) != len(shape) - 2 or outside:
        raise InputError(f"{what}: expected a plane of {size} px, got {plane} of {shape}")
    stack = checks.text_of(entry.get("stack"), f"{what}.stack")
    return replace(
        plain,
        stack=stack,
        name=ours.name,
        axes=ours.axes,
        shape=shape,
        plane=plane,
        spacing=ours.spacing,
    )


def joined(
    path: Path,
    images: dict[int, Picture],
    objects: dict[int, list[tuple[str, dict[str, Any]]]],
    categories: dict[int, Category],
    notes: Sequence[str] = (),
) -> Iterator[LabelSet]:
    """Make label sets of annotations, by image; planes of one stack become one."""
    for stack, pictures in stacks_of(path, images, notes):
        budget = Budget()
        planes = {
            one.plane: found_in(objects.get(one.id, []), one, categories, budget)
            for one in pictures
        }
        named = {c.id: c for c in categories.values()}
        yield stack.paint(_labelled(planes), [named[number] for number in sorted(named)])


def stacks_of(
    path: Path, images: dict[int, Picture], notes: Sequence[str] = ()
) -> Iterator[tuple[Stack, list[Picture]]]:
    """Group images by the stack that they are planes of.

    Raises
    ------
    InputError
        If a plane is there twice, or planes of a stack do not fit together.
    """
    stacks: dict[str, list[Picture]] = {}
    for image in images.values():
        stacks.setdefault(image.stack, []).append(image)
    for pictures in stacks.values():
        first = pictures[0]
        if len({one.plane for one in pictures}) < len(pictures) or any(
            (one.axes, one.shape) != (first.axes, first.shape) for one in pictures
        ):
            raise InputError(f"expected each plane of {first.name!r} once, all of one stack")
        about = {"name": first.name, "shape": list(first.shape), "axes": first.axes}
        recipe = {
            "input": about if first.plane else about | {"file_name": first.file_name},
            "warnings": list(notes),
        }
        yield (
            Stack(first.name, first.axes, first.shape, path.name, first.spacing, recipe),
            pictures,
        )


class Budget:
    """Bounds what all masks of an image take in memory."""

    def __init__(self) -> None:
        self._left = checks.LARGEST_MASKS

    def take(self, pixels: int) -> None:
        """Take a part; InputError if there is no more."""
        self._left -= pixels
        if self._left < 0:
            raise InputError("expected masks of at most 2^32 pixels together, got more")


def found_in(
    annotations: Sequence[tuple[str, dict[str, Any]]],
    image: Picture,
    categories: dict[int, Category],
    budget: Budget,
) -> list[Found]:
    """Read the annotations of an image; ids that no category has get one if there are none."""
    named, found = bool(categories), []
    for what, one in annotations:
        number = checks.whole(checks.entry(one, "category_id", what), f"{what}.category_id")
        if number not in categories:
            if named or number == 0:
                raise InputError(f"{what}.category_id: expected a known category, got {number}")
            categories[number] = unknown_category(number)
        mask = read_mask(one, image.size, what, budget)
        if mask is None:
            continue
        label = checks.whole(one.get("instance_id", 0), f"{what}.instance_id")
        score = checks.share(one["score"], f"{what}.score") if "score" in one else np.nan
        crowd = bool(checks.whole(one.get("iscrowd", 0), f"{what}.iscrowd", 0, 1))
        found.append(Found(label, categories[number].id, score, mask, crowd))
    return found


def read_mask(
    annotation: dict[str, Any], size: tuple[int, int], what: str, budget: Budget
) -> Mask | None:
    """Read the pixels of an annotation; None if there are none."""
    value = checks.entry(annotation, "segmentation", what)
    try:
        if isinstance(value, dict):
            if value.get("size") != list(size):
                raise InputError(
                    f"expected size {list(size)}, as of the image, got {value.get('size')!r:.60}"
                )
            parts = [decode(value.get("counts"), size)]
        else:
            polygons = checks.list_of(value, "polygons")
            parts = [polygon_runs(_corners(polygon), size) for polygon in polygons]
        parts = [runs for runs in parts if len(runs)]
        windows = [window_of(runs, size[0]) for runs in parts]
        for window in windows:
            budget.take(math.prod(window[2:]))
        budget.take(_window_of_all(windows) if len(parts) > 1 else 0)
        masks = [mask_of(runs, size[0]) for runs in parts]
        return union(masks) if masks else None
    except InputError as error:
        raise InputError(f"{what}.segmentation: {error}") from error


def _window_of_all(windows: Sequence[tuple[int, int, int, int]]) -> int:
    """Pixels of the smallest window with all of some."""
    top, left, rows, cols = np.array(windows).T
    return int((top + rows).max() - top.min()) * int((left + cols).max() - left.min())


def _corners(value: object) -> np.ndarray[Any, np.dtype[np.float64]]:
    numbers = checks.list_of(value, "polygon")
    if len(numbers) < 6 or len(numbers) % 2:
        raise InputError(
            f"polygon: expected x and y of 3 corners or more, got {len(numbers)} numbers"
        )
    if not all(type(one) in (int, float) for one in numbers):
        raise InputError("polygon: expected numbers")
    return np.array(numbers, np.float64).reshape(-1, 2)


def _labelled(planes: dict[tuple[int, ...], list[Found]]) -> dict[tuple[int, ...], list[Found]]:
    """Give labels to objects without; to all, where two of a plane have the same.

    To all, too, where there are not enough numbers above the known ones.
    """
    each = [[one.label for one in found if one.label] for found in planes.values()]
    known = all(len(set(labels)) == len(labels) for labels in each)
    largest = max((max(labels, default=0) for labels in each), default=0)
    without = sum(map(len, planes.values())) - sum(map(len, each))
    known = known and largest + without <= checks.LARGEST_LABEL
    number = itertools.count(largest + 1 if known else 1)
    return {
        index: [one if known and one.label else replace(one, label=next(number)) for one in found]
        for index, found in planes.items()
    }
