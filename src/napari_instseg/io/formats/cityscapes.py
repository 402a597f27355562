"""Cityscapes: PNG files with class, or class x 1000 + number of the object, in a pixel.

References
----------
Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016;
cityscapesScripts, json2instanceImg.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...label_set import LabelSet
from ...segmenter import InputError
from ..images import naming
from . import checks
from .coded import decode, guess, listed, read_key, read_listed, write_key
from .names import Names, inner_path, plane_suffix
from .png import read_png, write_png
from .segments import Numbering, Segment, Segments, from_segments, labels_in, recode
from .stacks import Stack

IDS, CLASSES, KEY = "_gtFine_instanceIds.png", "_gtFine_labelIds.png", "_gtFine_segments.json"
DIVISOR = 1000
#: Of pixels with 16 and 8 bit.
LARGEST_ID, LARGEST_CLASS = 2**16 - 1, 2**8 - 1


def write(path: Path, label_sets: Iterable[LabelSet]) -> list[str]:
    """Write label sets as Cityscapes has them.

    Parameters
    ----------
    path : Path
        A folder; each plane becomes ``<name>_gtFine_instanceIds.png`` (16 bit: class x 1000 +
        number from 0 for objects, the class for stuff and crowds) and
        ``<name>_gtFine_labelIds.png`` (8 bit: class). ``<name>_gtFine_segments.json`` has what
        these cannot: labels, scores, names of categories, axes, pixel sizes.
    label_sets : iterable of LabelSet

    Returns
    -------
    list of str
        What the user should know.

    Raises
    ------
    InputError
        If a class or the number of its objects in a plane is too large for 8 and 16 bit.
    """
    path.mkdir()
    names, notes = Names(), []
    for one in label_sets:
        stem, segments, files = names.of(one.name), Segments(one), []
        most = one.things.groupby("category_id").size().max() if len(one.things) else 0
        apart = bool(most > DIVISOR)
        numbering = Numbering(0, DIVISOR - 1)
        for index in np.ndindex(*one.plane_shape):
            numbering = Numbering(0, DIVISOR - 1) if apart else numbering
            panoptic = one.read("panoptic", index)
            here = [segments.of(label) for label in labels_in(panoptic)]
            codes = {segment.label: _code(segment, numbering) for segment in here}
            _check(codes, {segment.category_id for segment in here})
            name = stem + plane_suffix(one.axes, one.plane_shape, index)
            write_png(path / (name + IDS), recode(panoptic, codes, np.uint16))
            classes = {segment.label: segment.category_id for segment in here}
            write_png(path / (name + CLASSES), recode(panoptic, classes, np.uint8))
            # Crowds of one class have one value: the first one's label stands for all of them.
            coded = {codes[segment.label]: segment for segment in reversed(here)}
            files.append({"file": name + IDS, "plane": list(index), "segments": listed(coded)})
        write_key(path / (stem + KEY), one, files)
        if apart and one.plane_shape:
            notes.append(f"{one.name}: more than {DIVISOR} objects, numbered in each plane anew")
    return notes


def _code(segment: Segment, numbering: Numbering) -> int:
    if segment.is_thing and not segment.crowd:
        return segment.category_id * DIVISOR + numbering.of(segment)
    return segment.category_id


def _check(codes: dict[int, int], classes: set[int]) -> None:
    largest, category = max(codes.values(), default=0), max(classes, default=0)
    if largest > LARGEST_ID or category > LARGEST_CLASS:
        raise InputError(
            f"expected class x {DIVISOR} + number up to {LARGEST_ID} and classes up to "
            f"{LARGEST_CLASS}, got {largest} and {category}: divisor maps have more room"
        )


def knows(path: Path) -> bool:
    """Whether a folder, or one in it, has files of instance ids."""
    return path.is_dir() and next(path.rglob(f"*{IDS}"), None) is not None


def read(path: Path) -> Iterator[LabelSet]:
    """Read a folder with Cityscapes' files of instance ids, or one file.

    Parameters
    ----------
    path : Path

    Yields
    ------
    LabelSet
        One an image; planes of a stack that we wrote as one. Without our JSON categories are
        called by their numbers, those with numbered objects are things, and what of them has no
        number is a crowd.

    Raises
    ------
    InputError
        If a file is missing, damaged, of another size, or has ids that are not listed.
    """
    done = set()
    for key in sorted(path.rglob(f"*{KEY}")) if path.is_dir() else ():
        with naming(key):
            found, files = _with_key(key)
        done |= files
        yield found
    for png in sorted(path.rglob(f"*{IDS}")) if path.is_dir() else [path]:
        if png not in done:
            yield _alone(png)


def _with_key(path: Path) -> tuple[LabelSet, set[Path]]:
    """Read an image with our JSON, and tell the files that are of it."""
    key, stack, categories = read_key(path)
    panoptic = np.zeros(stack.shape, np.int32)
    segments: list[Segment] = []
    planes: dict[tuple[int, ...], Path] = {}
    for place, value in enumerate(checks.list_of(key.get("files"), "files")):
        what = f"files[{place}]"
        one = checks.table_of(value, what)
        sizes = stack.shape[:-2]
        index = tuple(checks.list_of(one.get("plane"), f"{what}.plane"))
        fits = len(index) == len(sizes)
        if not fits or any(i not in range(n) for i, n in zip(index, sizes, strict=True)):
            raise InputError(f"{what}.plane: expected an index into {sizes}, got {index}")
        if index in planes:
            raise InputError(f"{what}.plane: expected each plane once, got {index} again")
        planes[index] = path.parent / inner_path(one.get("file"))
        known = read_listed(one.get("segments"), f"{what}.segments")
        panoptic[index] = _decoded(planes[index], stack, known)
        segments += known.values()
    return from_segments(stack, panoptic, segments, categories), {*planes.values()}


def _decoded(png: Path, stack: Stack, segments: dict[int, Segment]) -> Any:
    height, width = stack.shape[-2:]
    pixels = _grey(png, (height, width))
    with naming(png):
        return decode(pixels, segments)


def _alone(png: Path) -> LabelSet:
    pixels = _grey(png)
    with naming(png):
        segments, categories = guess(pixels, DIVISOR)
        name = png.name.removesuffix(IDS)
        stack = Stack(name, "YX", pixels.shape, png.name)
        return from_segments(stack, decode(pixels, segments), segments.values(), categories)


def _grey(png: Path, shape: tuple[int, int] | None = None) -> Any:
    pixels = read_png(png, shape)
    if pixels.ndim != 2:
        raise InputError(f"{png}: expected grey values, got a colour picture")
    return pixels
