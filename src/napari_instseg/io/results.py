"""What a segmentation leaves on disk: label images, table, recipe, picture."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
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
from ..settings import CSV, CTC, FORMATS, GEFF, OUTPUTS, TIFF, TRACK_FORMATS, ZARR
from . import ngff
from .atomic import discard
from .ctc import check_ctc, write_ctc
from .geff import check_geff, write_geff
from .journal import Journal
from .label_zarr import write_label_zarr
from .labels import check_pixels, write_labels
from .objects import OBJECTS, write_objects
from .overlay import object_colors
from .records import RECIPE, SUFFIXES, TABLE, recipe_text, write_recipe, write_table
from .zarr import image_folder, is_zarr_data

if TYPE_CHECKING:
    from ..result import Result

#: Name of the list of places where tiles met.
SEAMS = "seams.csv"
#: Names of tracks, by format.
TRACKS = {CSV: "tracks.csv", CTC: "RES", GEFF: "tracks.geff"}


def result_paths(
    outputs: Sequence[str],
    folder: Path,
    stem: str = "",
    format: str = TIFF,
    tracks: Sequence[str] = (),
    raw: bool = False,
    seams: bool = False,
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
    more = [SEAMS] * seams + [OBJECTS] * raw
    names = [*labels, *of_tracks, *more, TABLE, RECIPE]
    return [folder / (prefix + name) for name in names]


def all_result_paths(folder: Path, stem: str = "") -> set[Path]:
    """Name all files that results of a stem may have, in any format."""
    return {
        path
        for format in FORMATS
        for path in result_paths(OUTPUTS, folder, stem, format, TRACK_FORMATS, True, True)
    }


def check_format(format: str | None, image: Image) -> str:
    """Find the format of label images: the one given, else Zarr for an image in Zarr, else TIFF.

    Raises
    ------
    InputError
        If there is no such format, or it has no room for the image.
    """
    if format is None:
        format = ZARR if is_zarr_data(image.data) else TIFF
    if format not in FORMATS:
        raise InputError(f"format: expected one of {FORMATS}, got {format!r}")
    if format == ZARR:
        ngff.order_of(image.label_axes)
    else:
        check_pixels(image.label_shape)
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
    seams: bool = False,
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
    seams : bool
        List where tiles met, too: `Result.seams` as CSV.

    Returns
    -------
    list of Path
        The label images of ``settings.outputs``, tracks, seams, objects, the table as CSV, the
        recipe as JSON. Each is whole or not there, and the recipe comes last: where it is, the
        others are.

    Raises
    ------
    InputError
        As of `check_format` and `check_tracks`; if ``seams`` is asked of a result that is not of a
        run.
    OSError
        If the folder cannot be written to.
    """
    objects = segmentation.objects if raw else None
    if seams and segmentation.seams.columns.empty:
        raise InputError("seams: expected the result of a run, got one that was read from files")
    image, outputs = segmentation.image, segmentation.settings.outputs
    format = check_format(format, image)
    tracks = tracks if segmentation.tracked else ()
    check_tracks(tracks, image)
    folder.mkdir(parents=True, exist_ok=True)
    paths = result_paths(outputs, folder, stem, format, tracks, raw, seams)
    about = About(
        *(image.label_axes, image.spacing, segmentation.table, segmentation.categories),
        image_folder(image.data),
    )
    for output, path in zip(outputs, paths, strict=False):
        labels: NDArray[np.integer[Any]] | LazyLabels = getattr(segmentation, output)
        write_output(path, output, labels, about, format, segmentation.hands, report)
    for name, path in zip(tracks, paths[len(outputs) :], strict=False):
        _write_tracks(segmentation, name, path)
    if seams:
        write_table(paths[len(outputs) + len(tracks)], segmentation.seams)
    if objects is not None:
        write_objects(paths[-3], objects)
    write_record(paths, about.table, segmentation.recipe)
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
    Journal.of(path).settle()
    if format == ZARR:
        source = None if about.image is None else _relative(about.image, path)
        listed = image_label(about.table, about.categories, output, source)
        write_label_zarr(path, labels, about.axes, about.spacing, listed, hands, report)
    else:
        write_labels(path, np.asarray(labels), about.axes, about.spacing)


def write_record(paths: Sequence[Path], table: pd.DataFrame, recipe: Mapping[str, Any]) -> None:
    """Write table and recipe, the last two paths of `result_paths`; `superseded` files go."""
    for path in superseded(paths[-1], recipe_text(recipe).encode(), paths):
        discard(path)
    write_table(paths[-2], table)
    write_recipe(paths[-1], recipe)


def superseded(recipe: Path, text: bytes, paths: Collection[Path]) -> list[Path]:
    """List what another result has, and the one that takes its place has not.

    It would be taken for a part of that one. Tracks in folders are left: others name them so, too;
    and what the other one's recipe says that it had not, for then it is a user's own.

    Parameters
    ----------
    recipe : Path
        Where the new one is to be; if the one that is there is the same, so is the result.
    text : bytes
        Of the new one.
    paths : collection of Path
        All files of the new result.
    """
    if not recipe.exists() or recipe.read_bytes() == text:
        return []
    stem = recipe.name.removesuffix(RECIPE).removesuffix("_")
    outputs, tracks = _had(recipe)
    if not outputs:
        return []
    ours = (result_paths(outputs, recipe.parent, stem, f, tracks, True, True) for f in FORMATS)
    there = {path for known in ours for path in known if path.exists()}
    return sorted(there - {*paths})


def _had(recipe: Path) -> tuple[list[str], list[str]]:
    """Label images and tracks in CSV of a result on disk; none if that is no recipe of one."""
    try:
        known = json.loads(recipe.read_bytes())
    except (RecursionError, ValueError):
        return [], []
    if not isinstance(known, dict) or "schema" not in known:
        return [], []
    settings = known.get("settings")
    if not isinstance(settings, dict):
        return [*OUTPUTS], []
    asked = settings.get("outputs", OUTPUTS)
    outputs = [o for o in OUTPUTS if not isinstance(asked, (list, tuple)) or o in asked]
    return outputs, [CSV] if settings.get("track") else []


def _write_tracks(segmentation: Result, format: str, path: Path) -> None:
    image, tracks = segmentation.image, segmentation.tracks
    if format == CTC:
        parents = {child: parent for child, (parent,) in segmentation.lineage.items()}
        write_ctc(path, np.asarray(segmentation.instances), image.label_axes, parents)
    elif format == GEFF:
        write_geff(path, tracks, image.label_axes, image.spacing)
    else:
        write_table(path, tracks)


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
    return ngff.describe_labels(rows, label_colors(rows, categories, output), source)


def label_colors(
    rows: pd.DataFrame, categories: Sequence[Category], output: str
) -> NDArray[np.uint8]:
    """RGB of labels in the Zarr of an output: objects have their own, all else has the class's.

    Parameters
    ----------
    rows : DataFrame
        As of `rows_of`.
    categories, output
        See `image_label`.
    """
    colors = object_colors(rows["index"].to_numpy())
    of = {c.id: np.round(np.multiply(c.color, 255)) for c in categories}
    fixed = np.full(len(rows), output == "semantic") | ~rows["is_thing"].to_numpy(bool)
    for i in np.flatnonzero(fixed):
        colors[i] = of.get(int(rows["category_id"].iloc[i]), colors[i])
    return colors


def _relative(target: Path, path: Path) -> str | None:
    """Path from a folder to another, with slashes; None on another drive."""
    try:
        return Path(os.path.relpath(target.resolve(), path.resolve())).as_posix()
    except ValueError:
        return None
