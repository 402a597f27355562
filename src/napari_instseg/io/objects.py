"""All objects of a result in one file: what the score threshold needs to choose anew."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..instances import Instances
from ..ops.ids import Ids, id_type
from ..segmenter import Category, InputError, Rules
from .atomic import replacing
from .images import DAMAGE
from .npy import read_npz
from .tile_files import pack, unpack

#: Name of the file.
OBJECTS = "objects.npz"
SCHEMA = 1


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """What a model has found in an image.

    Parameters
    ----------
    raw : tuple of Instances
        All objects above the model's floor, one entry a plane, in C order.
    numbers : (N,) int32 or int64
        Label of each, one plane after the other; 0 for none.
    categories : tuple of Category
    rules : Rules or None
        None if they are not of a run: then no other threshold can be shown.
    stuff : integer array of the label shape, optional
        Category ids from a model with a semantic head.
    """

    raw: tuple[Instances, ...]
    numbers: Ids
    categories: tuple[Category, ...]
    rules: Rules | None
    stuff: NDArray[np.integer[Any]] | None = None


def write_objects(path: Path, objects: Objects) -> Path:
    """Write objects, whole or not at all.

    Notes
    -----
    A NumPy archive (npz, deflated) without pickles: objects of all planes one after the other as
    of `tile_files.pack`, ``counts`` of each plane, ``numbers``, ``stuff``, and as JSON in UTF-8
    ``about``: schema, categories, rules.
    """
    raw = objects.raw
    together = Instances.concatenate(raw) if raw else Instances.empty((1, 1))
    about = {
        "schema": SCHEMA,
        "categories": [asdict(category) for category in objects.categories],
        "rules": None if objects.rules is None else asdict(objects.rules),
    }
    arrays = {
        **pack(together),
        "counts": np.array([len(plane) for plane in raw], np.int64),
        "numbers": np.asarray(objects.numbers),
        "about": np.frombuffer(json.dumps(about, ensure_ascii=False).encode(), np.uint8),
    }
    if objects.stuff is not None:
        arrays["stuff"] = np.asarray(objects.stuff)
    with replacing(path) as partial:
        np.savez_compressed(partial, allow_pickle=False, **arrays)
    return path


def read_objects(path: Path) -> Objects:
    """Read what `write_objects` writes.

    Raises
    ------
    InputError
        If it is not there, damaged, or claims more than can be; the message names the file.
    """
    try:
        return _read(read_npz(path))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (*DAMAGE, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not the whole objects of a result ({error})") from error


def _read(arrays: Mapping[str, NDArray[Any]]) -> Objects:
    about = json.loads(bytes(arrays["about"]))
    if about["schema"] != SCHEMA:
        raise InputError(f"expected schema {SCHEMA}, got {about['schema']}; upgrade")
    together = unpack(arrays)
    counts = arrays["counts"].tolist()
    numbers = _ids(arrays["numbers"])
    if min(counts, default=0) < 0 or not sum(counts) == len(together) == len(numbers):
        raise InputError(f"expected {len(together)} objects in all planes, got {sum(counts)}")
    stops = np.cumsum([0, *counts]).tolist()
    planes = [np.arange(stops[i], stops[i + 1]) for i in range(len(counts))]
    stuff = arrays.get("stuff")
    if stuff is not None and stuff.dtype.kind not in "bui":
        raise InputError(f"expected stuff as whole numbers, got {stuff.dtype}")
    return Objects(
        tuple(together.take(plane) for plane in planes),
        numbers,
        tuple(_category(one) for one in about["categories"]),
        None if about["rules"] is None else Rules(**about["rules"]),
        stuff,
    )


def _ids(numbers: NDArray[Any]) -> Ids:
    if numbers.dtype.kind not in "iu":
        raise InputError(f"expected labels as whole numbers, got {numbers.dtype}")
    low, high = int(numbers.min(initial=0)), int(numbers.max(initial=0))
    if low < 0 or high > np.iinfo(np.int64).max:
        raise InputError(f"expected labels from 0 to 2⁶³ − 1, got {low} to {high}")
    return numbers.astype(id_type(high))


def _category(one: dict[str, Any]) -> Category:
    red, green, blue = (float(value) for value in one["color"])
    return Category(int(one["id"]), str(one["name"]), bool(one["is_thing"]), (red, green, blue))
