"""A folder with one black and white picture an object, and a list of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image as Pillow

from ...instances import Mask
from ...label_set import LabelSet
from ...segmenter import Category, InputError
from . import about as image_about
from .about import About
from .checks import LARGEST_MASKS, check_size, read_json, share, text_of, whole
from .names import file_stem, inner_path, plane_suffix
from .planes import Found, PlaneReader, categories_for
from .shapes import with_columns
from .stacks import Stack
from .tables import escape, read_csv

#: The list, and what is said of the image.
INDEX, IMAGE = "index.csv", "image.json"
#: Columns of the list that are ours; others are those of the table.
_OWN = ("file", "index", "category_id", "category", "score")
#: A column of the table, if there are crowds.
_CROWD = "iscrowd"


def write(path: Path, label_set: LabelSet) -> list[str]:
    """Write one PNG for each object and plane, as large as the image, and lists of them.

    Parameters
    ----------
    path : Path
        The folder; other files in it stay.
    label_set : LabelSet

    Returns
    -------
    list of str
        Nothing to be said.

    Notes
    -----
    Files are called ``0007_nucleus.png``, of planes ``0007_nucleus_z0003.png``: white where the
    object is, one bit a pixel. ``index.csv`` has a row a file: its name, the plane, and the
    object's row in the table; ``image.json`` the image's axes, size and all categories. Pixels
    that better objects hide are there, where they are known.
    """
    path.mkdir(exist_ok=True)
    names = {category.id: category.name for category in categories_for(label_set)}
    reader, rows = PlaneReader(label_set, whole=True), []
    for plane in np.ndindex(*label_set.plane_shape):
        suffix = plane_suffix(label_set.axes, label_set.plane_shape, plane)
        canvas = np.zeros(label_set.shape[-2:], np.bool_)
        for found in reader.read(plane):
            # The number is unlike any other's; the name is for people.
            name = f"{found.label:04d}_{file_stem(names[found.category_id])}{suffix}.png"
            canvas[found.mask.slices] = found.mask.pixels
            Pillow.fromarray(canvas).save(path / name)
            canvas[found.mask.slices] = False
            own = (name, found.label, found.category_id, names[found.category_id], found.score)
            where = zip(label_set.axes.lower(), plane, strict=False)
            rows.append({**dict(zip(_OWN, own, strict=True)), **dict(where)})
    _listed(rows, label_set).to_csv(path / INDEX, index=False, lineterminator="\n")
    about = json.dumps(image_about.to_json(label_set), indent=2, ensure_ascii=False)
    (path / IMAGE).write_text(about + "\n", encoding="utf-8", newline="\n")
    return []


def _listed(rows: list[dict[str, Any]], label_set: LabelSet) -> pd.DataFrame:
    """A row a file: what the file shows, then the object's row in the table."""
    columns = [*_OWN, *label_set.axes[:-2].lower()]
    files = pd.DataFrame(rows, columns=columns)
    rest = label_set.things.drop(columns=[c for c in columns if c != "index"], errors="ignore")
    return escape(files.merge(rest, on="index", how="left"))


def knows(path: Path) -> bool:
    """Whether a folder has both lists."""
    return (path / INDEX).is_file() and (path / IMAGE).is_file()


def read(path: Path) -> Iterator[LabelSet]:
    """Read a folder that `write` wrote.

    Parameters
    ----------
    path : Path

    Yields
    ------
    LabelSet
        With all pixels of objects that others hide in part. Columns of ``index.csv`` that the
        table has not are added to it.

    Raises
    ------
    InputError
        If a file is missing, lies outside of the folder, is no mask of the image's size, or the
        lists are damaged.
    """
    about = image_about.from_json(read_json(path / IMAGE))
    if about is None:
        raise InputError(f"{path / IMAGE}: expected an entry {image_about.KEY!r}")
    check_size(about.shape)
    table = read_csv(path / INDEX)
    missing = [name for name in (*_OWN, *about.axes[:-2].lower()) if name not in table.columns]
    if missing:
        raise InputError(f"{path / INDEX}: expected columns {_OWN} and of axes, without {missing}")
    categories = {category.id: category for category in about.categories}
    planes: dict[tuple[int, ...], list[Found]] = {}
    rows: dict[int, dict[str, Any]] = {}
    pixels = 0
    for record in table.to_dict("records"):
        row = {str(name): value for name, value in record.items()}
        found = _found(path, row, about, categories)
        pixels += found.mask.pixels.size
        if pixels > LARGEST_MASKS:
            raise InputError(f"expected objects of at most {LARGEST_MASKS} px together")
        plane = tuple(
            whole(row[axis], axis, 0, size - 1)
            for axis, size in zip(about.axes[:-2].lower(), about.shape, strict=False)
        )
        planes.setdefault(plane, []).append(found)
        rows.setdefault(found.label, {k: v for k, v in row.items() if k not in (*_OWN, _CROWD)})
    stack = Stack(about.name, about.axes, about.shape, path.name, about.spacing)
    yield with_columns(stack.paint(planes, tuple(categories.values())), rows)


def _found(
    folder: Path, row: dict[str, Any], about: About, categories: dict[int, Category]
) -> Found:
    """Read the mask of a row; a category that is not known is taken up."""
    file = folder / inner_path(row["file"])
    number = whole(row["category_id"], "category_id", 1)
    if number not in categories:
        categories[number] = Category(number, text_of(row["category"], "category"))
    mask = Mask((0, 0), _pixels(file, about.shape[-2:])).tight()
    if mask is None:
        raise InputError(f"{file}: expected a mask with some pixels, got none")
    # Not a view: that would keep the whole plane.
    mask = Mask(mask.origin, mask.pixels.copy())
    score = row["score"] if pd.isna(row["score"]) else share(row["score"], "score")
    crowd = row.get(_CROWD) in (True, 1)
    return Found(whole(row["index"], "index", 1), number, score, mask, crowd)


def _pixels(file: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Read a mask; of a file that says it has another size, no pixel is unpacked."""
    try:
        with file.open("rb") as stream, Pillow.open(stream, formats=("PNG",)) as picture:
            if picture.size != (shape[1], shape[0]):
                raise InputError(f"{file}: expected {shape[1]} x {shape[0]} px, got {picture.size}")
            pixels = np.asarray(picture.convert("L")) > 0
    except FileNotFoundError as error:
        raise InputError(f"{file}: no such file, though {INDEX} lists it") from error
    except (OSError, SyntaxError, Pillow.DecompressionBombError) as error:
        raise InputError(f"{file}: expected a mask as PNG ({error})") from error
    return pixels
