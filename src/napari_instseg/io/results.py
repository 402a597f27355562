"""What a segmentation leaves on disk: label images, table, recipe, picture."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..hands import OWN_HANDS, Hands
from ..ops.axes import Image
from ..ops.lazy import LazyLabels
from ..ops.rendering import rows_of
from ..progress import Listener, ignore
from ..segmenter import Category, InputError
from ..settings import CSV, CTC, FORMATS, GEFF, TIFF, TRACK_FORMATS, ZARR
from . import ngff
from .atomic import replacing, write_text
from .ctc import check_ctc, write_ctc
from .geff import check_geff, write_geff
from .label_zarr import write_label_zarr
from .labels import write_labels
from .objects import OBJECTS, write_objects
from .overlay import object_colors
from .zarr import image_folder, is_zarr_data

if TYPE_CHECKING:
    from ..result import Result

#: Names of the table and the recipe; label images are named after what they show.
TABLE, RECIPE = "segments.csv", "recipe.json"
#: Columns of tables that are text, whatever is in them.
TEXT = ("category", "source", "name")
#: Key of a recipe, for which part of the image was asked for.
VIEW = "view"
#: Of label images, by format.
SUFFIXES = {TIFF: ".tif", ZARR: ".zarr"}
#: Names of tracks, by format.
TRACKS = {CSV: "tracks.csv", CTC: "RES", GEFF: "tracks.geff"}


def result_paths(
    outputs: Sequence[str],
    folder: Path,
    stem: str = "",
    format: str = TIFF,
    tracks: Sequence[str] = (),
    raw: bool = False,
) -> list[Path]:
    """Name the files that `save_segmentation` writes, in its order; of tracks if there are some.

    Examples
    --------
    >>> [p.name for p in result_paths(["instances"], Path("out"), "a")]
    ['a_instances.tif', 'a_segments.csv', 'a_recipe.json']
    """
    prefix = f"{stem}_" if stem else ""
    labels = (f"{output}{SUFFIXES[format]}" for output in outputs)
    of_tracks = (TRACKS[name] for name in tracks)
    names = [*labels, *of_tracks, *([OBJECTS] if raw else []), TABLE, RECIPE]
    return [folder / (prefix + name) for name in names]


def check_format(format: str | None, image: Image) -> str:
    """Find the format of label images: the one given, else Zarr for an image in Zarr, else TIFF.

    Raises
    ------
    InputError
        If there is no such format, or it has no room for the image's axes.
    """
    if format is None:
        format = ZARR if is_zarr_data(image.data) else TIFF
    if format not in FORMATS:
        raise InputError(f"format: expected one of {FORMATS}, got {format!r}")
    if format == ZARR:
        ngff.order_of(image.label_axes)
    return format


def check_tracks(formats: Sequence[str], image: Image) -> None:
    """Check that tracks of an image can be written in some formats.

    Raises
    ------
    InputError
        If there is no such format, it does not hold the image's axes, or a package is missing.
    """
    unknown = [name for name in formats if name not in TRACK_FORMATS]
    if unknown:
        raise InputError(f"tracks: expected some of {TRACK_FORMATS}, got {unknown[0]!r}")
    if CTC in formats:
        check_ctc(image.label_axes)
    if GEFF in formats:
        check_geff()


def save_segmentation(
    segmentation: Result,
    folder: Path,
    stem: str = "",
    format: str | None = None,
    tracks: Sequence[str] = (CSV,),
    report: Listener = ignore,
    *,
    raw: bool = False,
) -> list[Path]:
    """Write label images, table and recipe.

    Parameters
    ----------
    segmentation : Segmentation or StoredSegmentation
    folder : Path
        Made if it is not there.
    stem : str
        Names become ``<stem>_instances.tif`` and so on; ``instances.tif`` if it is empty.
    format : {"tiff", "zarr"}, optional
        See `write_labels` and `write_label_zarr`; None: as of `check_format`.
    tracks : sequence of {"csv", "ctc", "geff"}
        How tracks are written, if objects were tracked: the rows of `Segmentation.tracks`; see
        `write_ctc` and `write_geff`.
    report : callable
        See `write_label_zarr`.
    raw : bool
        Keep all objects that the model found, too; see `objects.write_objects`.

    Returns
    -------
    list of Path
        The label images of ``settings.outputs``, tracks, objects, the table as CSV, the recipe as
        JSON. Each is whole or not there, and the recipe comes last: where it is, the others are.

    Raises
    ------
    InputError
        As of `check_format` and `check_tracks`, and if ``raw`` is asked of a result that is not
        in memory.
    OSError
        If the folder cannot be written to.
    """
    objects = segmentation.objects if raw else None
    if raw and objects is None:
        raise InputError("raw: expected a result in memory, got one whose objects are on disk")
    image, outputs = segmentation.image, segmentation.settings.outputs
    format = check_format(format, image)
    tracks = tracks if segmentation.tracked else ()
    check_tracks(tracks, image)
    folder.mkdir(parents=True, exist_ok=True)
    paths = result_paths(outputs, folder, stem, format, tracks, raw)
    about = About(
        *(image.label_axes, image.spacing, segmentation.table, segmentation.categories),
        image_folder(image.data),
    )
    for output, path in zip(outputs, paths, strict=False):
        labels: NDArray[np.integer[Any]] | LazyLabels = getattr(segmentation, output)
        write_output(path, output, labels, about, format, segmentation.hands, report)
    for name, path in zip(tracks, paths[len(outputs) :], strict=False):
        _write_tracks(segmentation, name, path)
    if objects is not None:
        write_objects(paths[-3], objects)
    write_record(paths, segmentation.table, segmentation.recipe)
    return paths


@dataclass(frozen=True, slots=True, eq=False)
class About:
    """What the files of label images say of them.

    Parameters
    ----------
    axes, spacing
        See `write_labels`.
    table : DataFrame
    categories : sequence of Category
    image : Path, optional
        The OME-Zarr that they are of.
    """

    axes: str
    spacing: Mapping[str, float]
    table: pd.DataFrame
    categories: Sequence[Category]
    image: Path | None = None


def write_output(
    path: Path,
    output: str,
    labels: NDArray[np.integer[Any]] | LazyLabels,
    about: About,
    format: str,
    hands: Hands = OWN_HANDS,
    report: Listener = ignore,
) -> None:
    """Write one label image of a result; see `write_labels` and `write_label_zarr`."""
    if format == ZARR:
        source = None if about.image is None else _relative(about.image, path)
        listed = image_label(about.table, about.categories, output, source)
        write_label_zarr(path, labels, about.axes, about.spacing, listed, hands, report)
    else:
        write_labels(path, np.asarray(labels), about.axes, about.spacing)


def write_record(paths: Sequence[Path], table: pd.DataFrame, recipe: Mapping[str, Any]) -> None:
    """Write table and recipe, the last two paths of `result_paths`."""
    write_table(paths[-2], table)
    write_recipe(paths[-1], recipe)


def write_recipe(path: Path, recipe: Mapping[str, Any]) -> None:
    """Write a recipe as JSON."""
    write_text(path, json.dumps(recipe, indent=2, ensure_ascii=False) + "\n")


def _write_tracks(segmentation: Result, format: str, path: Path) -> None:
    image, tracks = segmentation.image, segmentation.tracks
    if format == CTC:
        parents = {child: parent for child, (parent,) in segmentation.lineage.items()}
        write_ctc(path, np.asarray(segmentation.instances), image.label_axes, parents)
    elif format == GEFF:
        write_geff(path, tracks, image.label_axes, image.spacing)
    else:
        write_table(path, tracks)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV."""
    with replacing(path) as partial:
        table.to_csv(partial, index=False, lineterminator="\n")


def image_label(
    table: pd.DataFrame, categories: Sequence[Category], output: str, source: str | None
) -> dict[str, Any]:
    """What the Zarr of an output says of its labels.

    Parameters
    ----------
    table : DataFrame
        Of all segments.
    categories : sequence of Category
    output : {"instances", "semantic", "panoptic"}
    source : str, optional
        Path from it to the OME-Zarr image that it is of.
    """
    rows = rows_of(table, output)
    colors = object_colors(rows["index"].to_numpy())
    of = {c.id: np.round(np.multiply(c.color, 255)) for c in categories}
    fixed = np.full(len(rows), output == "semantic") | ~rows["is_thing"].to_numpy(bool)
    for i in np.flatnonzero(fixed):
        colors[i] = of.get(int(rows["category_id"].iloc[i]), colors[i])
    return ngff.describe_labels(rows, colors, source)


def _relative(target: Path, path: Path) -> str | None:
    """Path from a folder to another, with slashes; None on another drive."""
    try:
        return Path(os.path.relpath(target.resolve(), path.resolve())).as_posix()
    except ValueError:
        return None


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
