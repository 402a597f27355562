"""Which files there are to work on, and what their results are called."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ..io.images import is_image, stem_of
from ..io.records import RECIPE
from ..segmenter import InputError
from ..settings import OUTPUTS
from .status import STATUS

#: Names of folders of tracks, see `io.results.TRACKS`.
OF_TRACKS = ("RES", "tracks.geff")


def expand(texts: Sequence[str]) -> tuple[list[Path], int]:
    """Turn files, folders and patterns into files; Windows' shells leave that to programs.

    Parameters
    ----------
    texts : sequence of str
        A folder means the images in it; a Zarr folder is an image. ``**`` goes into
        sub-folders.

    Returns
    -------
    paths : list of Path
        Each once, in the order given. What does not exist is kept, so that reading it says so.
    left_out : int
        Number of files in folders and patterns that are this program's own results.
    """
    found: dict[str, Path] = {}
    left_out = 0
    for text in texts:
        path = Path(text).expanduser()
        if path.is_dir() and not is_image(path):
            several = sorted(p for p in path.iterdir() if is_image(p))
        elif not path.exists() and glob.has_magic(text):
            matches = glob.glob(str(path), recursive=True)
            several = _outermost(p for p in map(Path, matches) if is_image(p))
        else:
            several = []
        images = [p for p in several if not is_own_result(p)]
        left_out += len(several) - len(images)
        for image in images or ([path] if not several else []):
            found.setdefault(os.path.realpath(image), image)
    return list(found.values()), left_out


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """Leave out arrays in a Zarr folder that is there itself, and sort."""
    found = set(paths)
    return sorted(path for path in found if found.isdisjoint(path.parents))


def is_own_result(path: Path) -> bool:
    """Whether a run wrote this label image, or the folder of tracks that it lies in.

    The recipe, or of a run that died the status, lies beside what a run writes.
    """
    if _is_beside(path, OUTPUTS):
        return True
    return any(_is_beside(folder, OF_TRACKS) for folder in (path, *path.parents))


def _is_beside(path: Path, names: Sequence[str]) -> bool:
    """Whether it has one of the names that results have, and a recipe or status beside it."""
    stem, _, name = stem_of(path).rpartition("_")
    prefix = f"{stem}_" if stem else ""
    beside = (path.with_name(prefix + file) for file in (RECIPE, STATUS))
    return name in names and any(file.is_file() for file in beside)


def name_results(paths: Sequence[Path]) -> list[str]:
    """Give each file's results a name of their own.

    Parameters
    ----------
    paths : sequence of Path
        All different.

    Returns
    -------
    list of str
        The stem; where several share one, with the suffix or the folder's name, or both, or
        with the folders below the one that all are in.

    Raises
    ------
    InputError
        If that does not tell them apart.
    """
    stems = Counter(stem_of(path).casefold() for path in paths)
    clashing = [path for path in paths if stems[stem_of(path).casefold()] > 1]
    if not clashing:
        return [stem_of(path) for path in paths]
    for scheme in _schemes(clashing):
        names = [scheme(p) if stems[stem_of(p).casefold()] > 1 else stem_of(p) for p in paths]
        if len({name.casefold() for name in names}) == len(names):
            return names
    raise InputError(
        f"results of {', '.join(map(str, clashing[:4]))} would get the same names: run them one by "
        "one with different output folders"
    )


def _schemes(clashing: Sequence[Path]) -> tuple[Callable[[Path], str], ...]:
    """Ways to name results, the shortest names first."""

    def kind(path: Path) -> str:
        # "tif", or "ome_tif".
        return path.name[len(stem_of(path)) + 1 :].lower().replace(".", "_")

    def folder(path: Path) -> Path:
        return Path(os.path.abspath(path)).parent

    def folders(path: Path) -> str:
        within = os.path.relpath(folder(path), root)
        return "_".join([*Path(within).parts, stem_of(path)])

    try:
        root = os.path.commonpath([*map(folder, clashing)])
    except ValueError:  # On several drives.
        root = ""
    near: tuple[Callable[[Path], str], ...] = (
        lambda p: f"{stem_of(p)}_{kind(p)}",
        lambda p: f"{folder(p).name}_{stem_of(p)}",
        lambda p: f"{folder(p).name}_{stem_of(p)}_{kind(p)}",
    )
    if not root:
        return near
    return (*near, folders, lambda p: f"{folders(p)}_{kind(p)}")
