"""A saved result as it was when the model had run: shown at any threshold again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from .io.objects import OBJECTS, Objects, read_objects
from .io.records import RECIPE, VIEW, planes_shown, read_recipe
from .label_set import EDITS
from .ops.axes import Image
from .segmentation import Segmentation
from .segmenter import InputError
from .settings import Settings

#: What of a recipe is not among a result's details.
_NOT_DETAILS = ("schema", "settings", "input", "warnings", "complete", EDITS)


class NoPixels:
    """Stands for an image that is not at hand: it has a shape and a type, but no pixels."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape, self.ndim, self.dtype = shape, len(shape), dtype

    def __getitem__(self, key: Any) -> NoReturn:
        """Refuse."""
        raise InputError("a saved result has no image: open the image's own file")


def read_result(path: str | Path) -> Segmentation:
    """Read a result that was saved with ``raw=True``, or by ``segment --keep-raw``.

    Parameters
    ----------
    path : str or Path
        A folder with one result, ``folder/stem``, or the recipe or objects of a result.

    Returns
    -------
    Segmentation
        The same as the one that was saved, also at other thresholds
        (`Segmentation.with_score_threshold`); later edits of the label images are not in it. The
        pixels of the image and the list of seams are not saved.

    Raises
    ------
    InputError
        If there is none, there are several, its objects were not kept, or a file is damaged.

    Examples
    --------
    >>> result.save("results", "a", raw=True)  # doctest: +SKIP
    >>> read_result("results/a").with_score_threshold(0.8).count  # doctest: +SKIP
    98
    """
    prefix = _prefix_of(Path(path).expanduser())
    recipe_file, objects_file = (Path(f"{prefix}{name}") for name in (RECIPE, OBJECTS))
    recipe = read_recipe(recipe_file)
    if not objects_file.is_file():
        raise InputError(
            f"{objects_file}: no such file; save with raw=True, or segment with --keep-raw, to "
            "keep what other thresholds need"
        )
    objects = read_objects(objects_file)
    if objects.rules is None:
        raise InputError(f"{objects_file}: expected objects of a run, got those of labels")
    try:
        image = _image_of(recipe, objects)
        settings = Settings.from_json(recipe["settings"])
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"{recipe_file}: expected a recipe as a run writes it ({error})"
        ) from error
    return Segmentation(
        objects.raw,
        image,
        objects.categories,
        settings,
        _details(recipe),
        objects.stuff,
        tuple(map(str, recipe.get("warnings", ()))),
        bool(recipe.get("complete", True)),
        objects.rules,
    )


def _prefix_of(path: Path) -> str:
    """What the names of a result's files begin with, the folder included."""
    if path.is_dir():
        found = sorted(path.glob(f"*{RECIPE}"))
        if len(found) != 1:
            some = ", ".join(one.name for one in found[:5]) or "none"
            raise InputError(f"{path}: expected the recipe of one result, got {some}")
        path = found[0]
    for name in (RECIPE, OBJECTS):
        if path.name.endswith(name):
            return str(path)[: -len(name)]
    return f"{path}_"


def _details(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe has beside what follows from a result; of a part, the whole image, too."""
    left_out = {*_NOT_DETAILS} - ({"input"} if VIEW in recipe else set())
    return {key: value for key, value in recipe.items() if key not in left_out}


def _image_of(recipe: Mapping[str, Any], objects: Objects) -> Image:
    """The image of a recipe, without its pixels; must be the one that the objects are of."""
    about = recipe["input"]
    axes, shape = planes_shown(recipe, str(about["axes"]), [int(n) for n in about["shape"]])
    data = NoPixels(shape, np.dtype(str(about["dtype"])))
    spacing = {str(axis): float(size) for axis, size in about["spacing_um"].items()}
    image = Image(data, axes, spacing, str(about["name"]))
    # It is made from pixels, but is known.
    image.__dict__["sample_sha256"] = about.get("sample_sha256")
    planes, size = math.prod(image.plane_shape), image.label_shape[-2:]
    of_objects = {one.image_shape for one in objects.raw}
    stuff = image.label_shape if objects.stuff is None else objects.stuff.shape
    if len(objects.raw) != planes or of_objects - {size} or stuff != image.label_shape:
        raise InputError(
            f"expected objects in {planes} planes of {size} px, got {len(objects.raw)} of "
            f"{sorted(of_objects)}"
        )
    return image
