"""Where results go that are too large for memory, and unfinished runs that are there."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..io.atomic import write_text
from ..label_set import EDITS
from ..models.library import data_folder
from ..ops.axes import Image
from ..settings import Settings

#: Label images of more pixels go to disk, for images that are read lazily and for those in memory.
LAZY_PIXELS, PIXELS = 4096**2, 8192**2
#: In the user's own folder: results, and the name of the folder to use instead.
RESULTS, CHOSEN = "results", "results_folder.txt"
LONGEST_NAME = 48


def is_large(image: Image) -> bool:
    """Whether results of an image are to go to disk."""
    limit = PIXELS if isinstance(image.data, np.ndarray) else LAZY_PIXELS
    return math.prod(image.label_shape) > limit


def results_root() -> Path:
    """Folder with a folder for each image: the one chosen last, else one of the user's own."""
    try:
        chosen = (data_folder() / CHOSEN).read_text(encoding="utf-8").strip()
    except OSError:
        chosen = ""
    return Path(chosen) if chosen else data_folder() / RESULTS


def choose_root(folder: Path) -> None:
    """Use another folder from now on.

    Raises
    ------
    OSError
        If that cannot be written down.
    """
    data_folder().mkdir(parents=True, exist_ok=True)
    write_text(data_folder() / CHOSEN, f"{folder}\n")


def stem_of_image(image: Image) -> str:
    """Name an image as any file system takes it.

    Examples
    --------
    >>> stem_of_image(Image(np.zeros((4, 4)), "YX", name="slide 3: DAPI*"))
    'slide_3_DAPI'
    """
    return re.sub(r"[^\w.-]+", "_", image.name)[:LONGEST_NAME].strip("._") or "image"


def folder_of(root: Path, image: Image) -> Path:
    """Name the folder for an image's results; reads some of its pixels."""
    return root / f"{stem_of_image(image)}-{image.sample_sha256[:8]}"


def free_folder(root: Path, image: Image) -> Path:
    """Name a folder for an image's next result: the usual one, unless what is there was corrected.

    A user's corrections are never written over: then it is the usual name and a number.
    """
    usual = folder_of(root, image)
    folder, number = usual, 1
    while any(_corrected(recipe) for recipe in folder.glob("*recipe.json")):
        number += 1
        folder = usual.with_name(f"{usual.name}-{number}")
    return folder


def _corrected(recipe: Path) -> bool:
    try:
        return bool(json.loads(recipe.read_text(encoding="utf-8")).get(EDITS))
    except (OSError, ValueError, AttributeError):
        return False  # No recipe of ours: a run says so.


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run that was stopped.

    Parameters
    ----------
    tiles : int
        That are done.
    differing : tuple of str
        Settings that are not those asked for now.
    """

    tiles: int
    differing: tuple[str, ...]


def find_unfinished(root: Path, image: Image, settings: Settings) -> Unfinished | None:
    """Look for an unfinished run of an image, if possible one with these settings.

    Notes
    -----
    No pixels are read, which may take long: images of one name, shape and pixel size are not told
    apart. The run itself does.
    """
    # Brings the file formats, which small images do not need.
    from ..file_run import unfinished
    from ..io.run_folder import TILES, run_folder

    stem = stem_of_image(image)
    wanted = json.loads(json.dumps(settings.to_json()))
    found = []
    for folder in root.glob(f"{stem}-*"):
        about = unfinished(folder, stem)
        if about is None or not _same(about.get("image"), image):
            continue
        there = about.get("settings")
        there = there if isinstance(there, dict) else {}
        differing = tuple(sorted(key for key in wanted if wanted[key] != there.get(key)))
        tiles = sum(1 for _ in (run_folder(folder, stem) / TILES).rglob("*.npz"))
        found.append(Unfinished(tiles, differing))
    return min(found, key=lambda one: len(one.differing), default=None)


def _same(about: object, image: Image) -> bool:
    here = {
        "shape": list(image.data.shape),
        "axes": image.axes,
        "spacing_um": dict(image.spacing),
    }
    return isinstance(about, dict) and all(about.get(key) == here[key] for key in here)
