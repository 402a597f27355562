"""Export and import: one way for every format, for Python, the command line and napari."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...label_set import LabelSet
from ...segmenter import InputError
from ...settings import TIFF
from ..atomic import discard
from ..images import naming
from ..records import RECIPE, TABLE
from ..results import superseded
from .names import Names
from .planes import hides
from .registry import Format, for_reading, for_writing
from .staging import WHOLE, staging

#: Formats that an image without pixels fits into; that TIFF does not they say themselves.
WITHOUT_PIXELS = ("ome-zarr", "result", "csv", "parquet", "excel")


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Parameters
    ----------
    paths : tuple of Path
        All files, and folders that are one image.
    notes : tuple of str
        What the user should know: above all what the format could not hold.
    """

    paths: tuple[Path, ...]
    notes: tuple[str, ...]


def write_sets(
    label_sets: Iterable[LabelSet],
    path: Path,
    format: str | None = None,
    *,
    replace: bool = True,
    **options: Any,
) -> Exported:
    """Write label sets in a format.

    Parameters
    ----------
    label_sets : iterable of LabelSet
        Taken one by one.
    path : Path
        A file or folder. Of several images in a format that holds one, a folder, where each has
        the file of its name.
    format : str, optional
        See `registry.FORMATS`; None goes by the path's ending.
    replace : bool
        Files that are there; False: refuse, and leave all as it is.
    **options
        See `Format.options`.

    Returns
    -------
    Exported

    Raises
    ------
    InputError
        If there is no such format or option, something does not fit into it, or a file is there
        that must not be replaced. Then nothing is written; of several images in OME-Zarr, those
        before the one that fails are.
    OSError
        If the files cannot be written; then, too.
    """
    chosen = for_writing(path, format)
    _check(options, chosen.options, chosen.name)
    write, notes = chosen.function("write"), dict[str, None]()
    if path.name in ("", ".."):
        path = Path(os.path.abspath(path))
    if chosen.direct:
        written = []
        with _saying(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            for target, one in _targets(_looked_at(label_sets, chosen, notes), path, chosen):
                notes |= dict.fromkeys(write(target, one, replace=replace, **options))
                written.append(target)
        return Exported(tuple(written), tuple(notes))
    with _saying(path), staging(path.parent, replace) as stage:
        sets = _looked_at(label_sets, chosen, notes)
        if chosen.several:
            notes |= dict.fromkeys(write(stage / _named(path, chosen), sets, **options))
        else:
            for target, one in _targets(sets, stage / path.name, chosen):
                notes |= dict.fromkeys(write(target, one, **options))
        written = [path.parent / found.relative_to(stage) for found in _files(stage)]
        gone = [*_superseded(stage, path.parent)]
    for file in gone:
        discard(file)
    return Exported(tuple(written), tuple(notes))


def _superseded(stage: Path, folder: Path) -> Iterator[Path]:
    """Find what is left of other results in whose places those of a stage are to be put."""
    for recipe in stage.rglob(f"*{RECIPE}"):
        # A file of another format may be called so, too.
        if not recipe.with_name(recipe.name.removesuffix(RECIPE) + TABLE).exists():
            continue
        place = folder / recipe.relative_to(stage)
        mine = [place.with_name(path.name) for path in recipe.parent.iterdir()]
        yield from superseded(place, recipe.read_bytes(), mine)


@contextmanager
def _saying(path: Path) -> Iterator[None]:
    """Name the file that was to be written in errors that tell why it cannot be."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_sets(path: Path, format: str | None = None, **options: Any) -> Iterator[LabelSet]:
    """Read label sets, one by one.

    Parameters
    ----------
    path : Path
    format : str, optional
        See `registry.FORMATS`; None looks what it is.
    **options
        See `Format.reading`.

    Raises
    ------
    InputError
        If there is nothing, it is damaged, or of no known format; the message names the file.
    """
    with naming(path):
        chosen = for_reading(path, format)
        _check(options, chosen.reading, chosen.name)
        yield from chosen.function("read")(path, **options)


def _check(given: Iterable[str], known: Iterable[str], name: str) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        wanted = ", ".join(known) or "none"
        raise InputError(f"{name}: expected options {wanted}, got {', '.join(unknown)}")


def _named(path: Path, chosen: Format) -> str:
    """Name of a file with an ending of the format."""
    return path.name if not chosen.endings or chosen.fits(path) else path.name + chosen.endings[0]


def _targets(
    sets: Iterator[LabelSet], path: Path, chosen: Format
) -> Iterator[tuple[Path, LabelSet]]:
    """Files for images that need one each: the path itself, or files in it if they are several."""
    first = next(sets, None)
    if first is None:
        return
    second = next(sets, None)
    if second is None and (not chosen.endings or chosen.fits(path)):
        yield path, first
        return
    if chosen.endings and chosen.fits(path):
        raise InputError(
            "expected a folder, since there are several images and the format holds one"
        )
    path.mkdir(exist_ok=True)
    names, ending = Names(), chosen.endings[0] if chosen.endings else ""
    for one in (first, *([second] if second else []), *sets):
        yield path / f"{names.of(one.name)}{ending}", one


def _files(folder: Path) -> Iterator[Path]:
    """Files below a folder; a folder that is one image counts as one."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.suffix not in WHOLE:
            yield from _files(path)
        else:
            yield path


def _looked_at(
    label_sets: Iterable[LabelSet], chosen: Format, notes: dict[str, None]
) -> Iterator[LabelSet]:
    """Note what a format cannot hold, and what was noted as a file was read."""
    for one in label_sets:
        if 0 in one.shape and chosen.name not in (*WITHOUT_PIXELS, TIFF):
            raise InputError(
                f"{one.name}: expected labels with pixels, got shape {one.shape}: {chosen.name} "
                f"cannot hold them; {', '.join(WITHOUT_PIXELS)} can"
            )
        # Those of a run were said when it ran.
        said = [] if "settings" in one.recipe else [*one.recipe.get("warnings", ())]
        if not chosen.overlaps and hides(one):
            said.append("objects overlap: of each only what is not hidden by better ones is kept")
        # What cannot be read is a table, and has all numbers.
        if chosen.overlaps and chosen.read and hides(one) and one.raw is None:
            said.append(
                "what overlapping objects hide of each other was not saved with the result "
                "(segment --keep-raw)"
            )
        if not chosen.stuff and len(one.stuff):
            names = ", ".join(one.stuff["category"].astype(str).unique())
            said.append(f"stuff is left out ({names}), since {chosen.name} holds objects only")
        if not chosen.stack and one.plane_shape:
            said.append(f"axes {one.axes}: one image a plane")
        notes |= dict.fromkeys(f"{one.name}: {text}" for text in said)
        yield one
