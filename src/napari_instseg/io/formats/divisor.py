"""Divisor maps: category x divisor + number in a pixel of a TIFF, as panoptic models have them.

References
----------
Cheng et al., "Panoptic-DeepLab", CVPR 2020 (label divisor).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...label_set import LabelSet
from ...segmenter import InputError
from ..images import read_label_image
from ..labels import write_labels
from . import checks
from .coded import decode, guess, listed, read_key, read_listed, write_key
from .segments import Numbering, Segments, from_segments, labels_in, recode
from .stacks import Stack, as_stack

ENDING, KEY = ".divisor.tif", ".divisor.json"
#: The usual one, where there are not more objects of a category.
DIVISOR = 1000
LARGEST = 2**32 - 1


def write(path: Path, label_set: LabelSet, divisor: int | None = None) -> list[str]:
    """Write a label set as a divisor map.

    Parameters
    ----------
    path : Path
        ``<name>.divisor.tif``, of all axes: category x divisor + number from 1 for objects,
        category x divisor for stuff and crowds, 0 is nothing. ``<name>.divisor.json`` beside it
        has the divisor and what pixels cannot have: labels, scores, names of categories.
    label_set : LabelSet
    divisor : int, optional
        None: the lowest power of ten from 1000 on that has room for all objects of a category.

    Returns
    -------
    list of str
        Nothing.

    Raises
    ------
    InputError
        If the divisor has not room for all objects, or the result does not fit into 32 bit.
    """
    panoptic, segments = label_set.read("panoptic"), Segments(label_set)
    here = [segments.of(label) for label in labels_in(panoptic)]
    counted = [one for one in here if one.is_thing and not one.crowd]
    if divisor is None:
        counts = np.bincount([one.category_id for one in counted], minlength=1)
        divisor = DIVISOR
        while divisor <= counts.max():
            divisor *= 10
    divisor = checks.whole(divisor, "divisor", 2, LARGEST)
    numbering = Numbering(1, divisor - 1)
    numbers = {one.label: numbering.of(one) for one in counted}
    codes = {one.label: one.category_id * divisor + numbers.get(one.label, 0) for one in here}
    largest = max(codes.values(), default=0)
    if largest > LARGEST:
        raise InputError(
            f"expected category x {divisor} + number up to 2^32 - 1, got {largest}: a smaller "
            "divisor has more room for categories"
        )
    write_labels(path, recode(panoptic, codes, np.uint32), label_set.axes, label_set.spacing)
    coded = {codes[one.label]: one for one in reversed(here)}
    files = [{"file": path.name, "segments": listed(coded)}]
    write_key(_key(path), label_set, files, divisor=divisor)
    return []


def read(path: Path, divisor: int | None = None) -> Iterator[LabelSet]:
    """Read a divisor map.

    Parameters
    ----------
    path : Path
        A label image of any format.
    divisor : int, optional
        Without our JSON: what was taken. Then categories are called by their numbers, those with
        numbered objects are things, and what of them has no number is a crowd.

    Raises
    ------
    InputError
        If it is damaged, has values that are not listed, or the divisor is not known.
    """
    if not _key(path).is_file() and divisor is None:
        raise InputError(f"expected {_key(path).name} beside it, or the option divisor")
    image = read_label_image(path)
    checks.check_size(image.data.shape)
    if divisor is None:
        key, stack, categories = read_key(_key(path))
        files = checks.list_of(key.get("files"), "files")
        if len(files) != 1:
            raise InputError(f"{_key(path).name}: expected one file, got {len(files)}")
        known = read_listed(checks.table_of(files[0], "files").get("segments"), "segments")
        pixels = np.asarray(as_stack(image, stack.axes, stack.shape))
    else:
        order = [image.axes.index(a) for a in image.label_axes]
        pixels = np.asarray(image.data[...]).transpose(order)
        stack = Stack(image.name, image.label_axes, pixels.shape, path.name, image.spacing)
        divisor = checks.whole(divisor, "divisor", 2, LARGEST)
        known, categories = guess(pixels, divisor, divisor)
    yield from_segments(stack, decode(pixels, known), known.values(), categories)


def _key(path: Path) -> Path:
    stem = path.name.lower().removesuffix(ENDING)
    return path.with_name(path.name[: len(stem)] + KEY)
