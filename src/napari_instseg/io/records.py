"""Tables and recipes of results: written, and read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..segmenter import InputError
from ..settings import TIFF, ZARR
from .atomic import replacing, write_text

#: Names of the table and the recipe; label images are named after what they show.
TABLE, RECIPE = "segments.csv", "recipe.json"
#: Of label images, by format.
SUFFIXES = {TIFF: ".tif", ZARR: ".zarr"}
#: Columns of tables that are text, whatever is in them.
TEXT = ("category", "source", "name")
#: Key of a recipe, for which part of the image was asked for.
VIEW = "view"


def write_recipe(path: Path, recipe: Mapping[str, Any]) -> None:
    """Write a recipe as JSON."""
    write_text(path, recipe_text(recipe))


def recipe_text(recipe: Mapping[str, Any]) -> str:
    """Return a recipe as JSON."""
    return json.dumps(recipe, indent=2, ensure_ascii=False) + "\n"


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV."""
    with replacing(path) as partial:
        table.to_csv(partial, index=False, lineterminator="\n")


def parse_csv(path: Path) -> pd.DataFrame:
    """Read any table of segments from CSV; text that is empty is missing.

    Raises
    ------
    InputError
        If it cannot be read; the message names the file.
    """
    try:
        # A category may be called NA, null or 007.
        return pd.read_csv(
            path, keep_default_na=False, na_values=[""], dtype=dict.fromkeys(TEXT, "str")
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a table ({error})") from error


def read_table(path: Path) -> pd.DataFrame:
    """Read a table that `save_segmentation` wrote.

    Raises
    ------
    InputError
        If it is not such a table; the message names the file.
    """
    table = parse_csv(path)
    missing = {"index", "category_id", "category", "is_thing", "area"} - set(table.columns)
    if missing:
        raise InputError(
            f"{path}: expected a table as a run writes it, without {', '.join(sorted(missing))}"
        )
    return table.fillna({"category": "", "source": ""})


def read_recipe(path: str | Path) -> dict[str, Any]:
    """Read a recipe that `save_segmentation` wrote.

    Raises
    ------
    InputError
        If there is no such file, or it is not a recipe; the message names the file.
    """
    path = Path(path).expanduser()
    try:
        recipe = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, RecursionError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a recipe in JSON ({error})") from error
    if not isinstance(recipe, dict) or not isinstance(recipe.get("settings"), dict):
        raise InputError(f"{path}: expected a recipe with 'settings', as a run writes it")
    return recipe


def planes_shown(
    recipe: Mapping[str, Any], axes: str, shape: Sequence[int]
) -> tuple[str, tuple[int, ...]]:
    """Axes and shape of what a result is of: the image, or the plane of it that was asked for.

    Parameters
    ----------
    recipe : mapping
    axes, shape : str, sequence of int
        Of the whole image.
    """
    view = recipe.get(VIEW)
    single = {axis for axis, at in view.items() if isinstance(at, int)} if view else set()
    kept = [(axis, size) for axis, size in zip(axes, shape, strict=True) if axis not in single]
    return "".join(axis for axis, _ in kept), tuple(size for _, size in kept)
