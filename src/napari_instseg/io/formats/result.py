"""Our own results on disk, and plain label images, as label sets; label sets as results."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...label_set import COLUMNS, LabelSet, categories_in
from ...ops.axes import Image
from ...ops.lazy import LazyLabels
from ...ops.rendering import rows_of
from ...segmenter import InputError
from ...settings import FORMATS, OUTPUTS, TIFF
from ..images import is_image, naming, read_label_image
from ..journal import settle
from ..objects import OBJECTS, Objects, read_objects, write_objects
from ..records import RECIPE, SUFFIXES, TABLE, VIEW, planes_shown, read_table
from ..results import About, result_paths, write_output, write_record
from . import checks
from .names import Names
from .stacks import as_stack

INSTANCES, SEMANTIC, PANOPTIC = OUTPUTS


def knows(path: Path) -> bool:
    """Whether a path is a result, the stem of one, a folder with some, or a label image."""
    if path.is_dir():
        return is_image(path) or bool(stems_in(path))
    if not path.exists():
        return bool(_beside(path.parent, path.name))
    return is_image(path) or _own_stem(path) is not None


def read(path: Path, axes: str | None = None, *, listed: bool = True) -> Iterator[LabelSet]:
    """Read results, or a label image of which nothing else is known.

    Parameters
    ----------
    path : Path
        A folder with results, a file of one, ``folder/stem``, or a label image.
    axes : str, optional
        Of a label image, instead of what its file says; see `read_image`.
    listed : bool
        See `LabelSet.from_labels`.

    Yields
    ------
    LabelSet
        Label images that are large, or in Zarr, are read when they are looked at.

    Raises
    ------
    InputError
        If a file of a result is missing or damaged.
    """
    if path.is_dir() and not is_image(path):
        for stem in stems_in(path):
            yield read_one(path, stem)
        return
    own = _own_stem(path) if path.exists() else path.name
    if own is not None and axes is None:
        yield read_one(path.parent, own)
        return
    if path.is_dir():
        settle(path)
    image = read_label_image(path, axes)
    yield LabelSet.from_labels(
        *_arranged(image),
        spacing=image.spacing,
        name=image.name,
        source=path.name,
        listed=listed,
    )


def is_of_result(path: Path) -> bool:
    """Whether a file, or a Zarr folder, belongs to a result."""
    return _own_stem(path) is not None


def refuse_of_result(path: Path) -> None:
    """Check that a file of another kind may be written there.

    Raises
    ------
    InputError
        If it would replace a part of a result.
    """
    if is_of_result(path):
        raise InputError(f"{path} is a part of a result: choose another name")


def recipe_of(path: Path) -> Path | None:
    """The recipe of the result that a file, or a Zarr folder, belongs to; None if it has none."""
    stem = _own_stem(path)
    return None if stem is None else _beside(path.parent, stem).get(RECIPE)


def from_table(
    labels: Any, axes: str, table: pd.DataFrame, name: str, spacing: Mapping[str, float]
) -> LabelSet:
    """Make a label set of objects with a table as a run has it, read from a file called so.

    Raises
    ------
    InputError
        If the table has other columns or types.
    """
    typed = _typed(table, Path(name))
    return LabelSet(labels, axes, typed, categories_in(typed), name, spacing)


def stems_in(folder: Path) -> list[str]:
    """Stems of the results in a folder; "" of one without."""
    stems = {_without(path.name, TABLE) for path in folder.glob(f"*{TABLE}")}
    return sorted(s for s in stems if s is not None and INSTANCES in _beside(folder, s))


def read_one(folder: Path, stem: str) -> LabelSet:
    """Read the label images, table and recipe of one result.

    Raises
    ------
    InputError
        If the objects' label image or the table is missing, a file is damaged, or they do not
        fit together.
    """
    files = _beside(folder, stem)
    for name in (INSTANCES, TABLE):
        if name not in files:
            raise InputError(f"expected {_prefix(stem)}{name} of a result in {folder}, found none")
    if files[INSTANCES].is_dir():
        settle(files[INSTANCES])
    images = {name: read_label_image(files[name]) for name in OUTPUTS if name in files}
    recipe: dict[str, Any] = {}
    if RECIPE in files:
        recipe = checks.table_of(checks.read_json(files[RECIPE]), str(files[RECIPE]))
    table = _typed(read_table(files[TABLE]), files[TABLE])
    told = recipe.get("input")
    given = told if isinstance(told, dict) else {}
    axes, shape = _told(recipe) or _found_in(images[INSTANCES])
    others = () if table["is_thing"].all() else (SEMANTIC, PANOPTIC)
    objects = read_objects(files[OBJECTS]) if OBJECTS in files else None
    with naming(folder):
        layers: dict[str, Any] = {
            name: as_stack(image, axes, shape)
            for name, image in images.items()
            if name in (INSTANCES, *others)
        }
    return LabelSet(
        layers.pop(INSTANCES),
        axes,
        table,
        categories_in(table) if objects is None else objects.categories,
        str(given.get("name", stem or folder.resolve().name)),
        given.get("spacing_um", images[INSTANCES].spacing),
        **layers,
        **_kept(objects, table, shape),
        recipe=recipe,
    )


def _kept(objects: Objects | None, table: pd.DataFrame, shape: tuple[int, ...]) -> dict[str, Any]:
    """What a label set has of the objects that were kept."""
    if objects is None:
        return {}
    if len(objects.raw) != math.prod(shape[:-2]) or any(
        one.image_shape != shape[-2:] for one in objects.raw
    ):
        raise InputError(f"{OBJECTS}: expected objects of an image of shape {shape}")
    listed = table.loc[~table["is_thing"], "category_id"]
    ground = None
    if objects.stuff is not None and len(listed):
        ground = np.where(np.isin(objects.stuff, listed), objects.stuff, 0).astype(np.int32)
    return {"raw": objects.raw, "numbers": objects.numbers, "ground": ground}


def _told(recipe: Mapping[str, Any]) -> tuple[str, tuple[int, ...]] | None:
    """Axes and shape of label images from what a recipe says of its image; None if nothing."""
    given = recipe.get("input")
    if not isinstance(given, dict):
        return None
    axes, shape = given.get("axes"), given.get("shape")
    if isinstance(axes, str) and isinstance(shape, list) and len(axes) == len(shape):
        sides = [checks.whole(size, "input.shape", 0) for size in shape]
        axes, sizes = planes_shown(recipe, axes, sides)
        by_axis = dict(zip(axes, sizes, strict=True))
        # Without settings it is of labels, which may have a C of their own.
        left_out = "YXCS" if "settings" in recipe else "YX"
        kept = [axis for axis in axes if axis not in left_out] + ["Y", "X"]
        if {*kept} <= {*by_axis}:
            return "".join(kept), tuple(by_axis[axis] for axis in kept)
    return None


def _found_in(image: Image) -> tuple[str, tuple[int, ...]]:
    """Axes and shape of label images as of a file."""
    data, axes = _arranged(image)
    return axes, tuple(data.shape)


def write(path: Path, label_sets: Iterable[LabelSet], labels: str = TIFF) -> list[str]:
    """Write label sets into a folder as a run does; see `write_one`.

    Parameters
    ----------
    path : Path
        The folder.
    label_sets : iterable of LabelSet
    labels : {"tiff", "zarr"}
        Format of the label images.

    Returns
    -------
    list of str
        Nothing: all that a label set has is written.

    Raises
    ------
    InputError
        If there is no such format, or it has no room for the axes.
    """
    names = Names()
    for one in label_sets:
        write_one(one, path, names.of(one.name), labels)
    return []


def write_one(label_set: LabelSet, folder: Path, stem: str = "", format: str = TIFF) -> list[Path]:
    """Write a label set like a result: label images, table, recipe with its edits, raw objects.

    Parameters
    ----------
    label_set : LabelSet
    folder : Path
        Made if it is not there.
    stem : str
        See `Segmentation.save`.
    format : {"tiff", "zarr"}
        Of the label images.

    Returns
    -------
    list of Path
        What was written, the recipe last.

    Raises
    ------
    InputError
        If there is no such format, or it has no room for the axes.
    OSError
        If the folder cannot be written to.
    """
    if format not in FORMATS:
        raise InputError(f"labels: expected one of {FORMATS}, got {format!r}")
    folder.mkdir(parents=True, exist_ok=True)
    raw, numbers = label_set.raw, label_set.numbers
    kept = raw is not None and numbers is not None
    paths = result_paths(OUTPUTS, folder, stem, format, raw=kept)
    about = About(label_set.axes, label_set.spacing, label_set.table, label_set.categories)
    for output, path in zip(OUTPUTS, paths, strict=False):
        write_output(path, output, lazily(label_set, output), about, format)
    if raw is not None and numbers is not None:
        ground = None if label_set.ground is None else np.asarray(label_set.ground[...])
        objects = Objects(raw, numbers, label_set.categories, None, ground)
        write_objects(paths[-3], objects)
    write_record(paths, label_set.table, _recipe(label_set))
    return paths


def lazily(label_set: LabelSet, output: str) -> LazyLabels:
    """Give a label image of a set, read where it is looked at."""
    rows = rows_of(label_set.table, output)
    largest = int(rows["index"].max()) if len(rows) else 0

    def plan(index: tuple[int, ...], rows: slice, cols: slice) -> partial[NDArray[np.int32]]:
        return partial(label_set.read, output, (*index, rows, cols))

    return LazyLabels(label_set.shape, plan, largest)


def _recipe(label_set: LabelSet) -> dict[str, Any]:
    """The recipe of a label set; of plain labels at least what they are of.

    So it is of labels that are of another grid than their recipe says, such as a part cut out of
    a result: nobody could read them.
    """
    about = {
        "name": label_set.name,
        "shape": list(label_set.shape),
        "axes": label_set.axes,
        "spacing_um": dict(label_set.spacing),
    }
    told = _told(label_set.recipe)
    if told is None or _long(told[1]) == _long(label_set.shape):
        return {"schema": 1, "input": about, **label_set.recipe}
    rest = {key: value for key, value in label_set.recipe.items() if key != VIEW}
    return {"schema": 1, **rest, "input": about}


def _long(shape: Sequence[int]) -> list[int]:
    """Sizes of axes that say something."""
    return [size for size in shape if size != 1]


def _arranged(image: Image) -> tuple[Any, str]:
    """Labels and axes, the last two of them Y and X."""
    order = [image.axes.index(a) for a in image.label_axes if a in image.axes]
    order = [i for i in range(len(image.axes)) if i not in order] + order
    axes = "".join(image.axes[i] for i in order)
    data: Any = image.data
    if order != sorted(order):
        data = np.asarray(data[...]).transpose(order)
    return data, axes


def _typed(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """A table as a run has it, whatever was read."""
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise InputError(f"{path}: expected a table as a run writes it, without {missing}")
    if not table["is_thing"].isin([True, False]).all():
        raise InputError(f"{path}: is_thing: expected True or False in each row")
    try:
        kinds = {"index": np.int64, "category_id": np.int64, "is_thing": bool, "score": np.float32}
        table = table.astype({**kinds, "category": str, "source": str})
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: expected numbers as a run writes them ({error})") from error
    if table["index"].duplicated().any() or (table[["index", "category_id"]] < 1).any(axis=None):
        raise InputError(f"{path}: expected each index once, indices and categories from 1")
    return table


def _own_stem(path: Path) -> str | None:
    """Stem of the result that a file is of; None if it is of none."""
    for name in (RECIPE, TABLE, OBJECTS, *(o + s for o in OUTPUTS for s in SUFFIXES.values())):
        stem = _without(path.name, name)
        if stem is not None and TABLE in _beside(path.parent, stem):
            return stem
    return None


def _without(text: str, name: str) -> str | None:
    """What comes before a file's name in that of a result; None if it does not."""
    if text == name:
        return ""
    return text.removesuffix(f"_{name}") if text.endswith(f"_{name}") else None


def _prefix(stem: str) -> str:
    return f"{stem}_" if stem else ""


def _beside(folder: Path, stem: str) -> dict[str, Path]:
    """Files of a result, by output or name."""
    files = {name: folder / (_prefix(stem) + name) for name in (TABLE, RECIPE, OBJECTS)}
    for output in OUTPUTS:
        for suffix in SUFFIXES.values():
            path = folder / (_prefix(stem) + output + suffix)
            if path.exists():
                files[output] = path
    return {name: path for name, path in files.items() if path.exists()}
