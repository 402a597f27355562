"""Objects in files of other programs: read as Labels layers, and saved from them, by napari."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import napari.layers
from napari.utils.notifications import show_warning

from ..io.formats.engine import read_sets, write_sets
from ..io.formats.registry import for_reading
from ..label_set import LabelSet
from ..segmenter import InputError
from .label_layers import label_set_of
from .results import OPACITY, world_of

#: Images of one file that become layers; more are read in Python.
MOST_LAYERS = 30
#: What is in every JSON that we read: others are left to others without parsing them.
WORDS = (b'"annotations"', b'"Feature', b'"segmentation"')

LayerData = tuple[Any, dict[str, Any], str]


def get_reader(path: str | Sequence[str]) -> Callable[[Any], list[LayerData]] | None:
    """Offer to read a file with objects; leave all others to others.

    Parameters
    ----------
    path : str or sequence of str
        As npe2 hands it over; several are for a stack, which objects are not.
    """
    if not isinstance(path, str):
        return None
    file = Path(path)
    if not file.is_file() or (file.suffix.lower() == ".json" and not _mentions(file, WORDS)):
        return None
    try:
        for_reading(file)
    except InputError:
        return None
    return read_layers


def read_layers(path: str) -> list[LayerData]:
    """Open a file with objects as one Labels layer an image.

    Parameters
    ----------
    path : str
        COCO or Detectron2 JSON, GeoJSON, ImageJ's ROIs, or another format of `export`.

    Returns
    -------
    list of (labels, options, "labels")
        Features are the table's rows.

    Raises
    ------
    InputError
        If the file is damaged, or has more than `MOST_LAYERS` images.
    """
    sets = list(islice(read_sets(Path(path)), MOST_LAYERS + 1))
    if len(sets) > MOST_LAYERS:
        raise InputError(
            f"{path}: expected at most {MOST_LAYERS} images to open as layers, got more: read them "
            "in Python with napari_instseg.read_labels, or convert them to folders of results"
        )
    for label_set in sets:
        for note in _lost(label_set):
            show_warning(f"{label_set.name}: {note}")
    return [_layer(label_set) for label_set in sets]


def write_layer(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save a Labels layer in the format of a path's ending; called by napari.

    Parameters
    ----------
    path : str
    data : integer array, or several levels
    attributes : dict
        As of `napari.layers.Layer.as_layer_data_tuple`.

    Returns
    -------
    list of str
        The path, or all files if there are several.

    Raises
    ------
    InputError
        If the format has no room for it.
    """
    layer = napari.layers.Layer.create(data, attributes, "labels")
    done = write_sets([label_set_of(None, layer)], Path(path))
    for note in done.notes:
        show_warning(note)
    return [str(written) for written in done.paths]


def _lost(label_set: LabelSet) -> list[str]:
    """What a layer of objects does not show, and what was noted as the file was read."""
    notes = [str(note) for note in label_set.recipe.get("warnings", ())]
    if len(label_set.stuff):
        names = ", ".join(label_set.stuff["category"].astype(str).unique())
        notes.append(f"stuff is left out ({names}), since the layer holds objects only")
    return notes


def _layer(label_set: LabelSet) -> LayerData:
    options = {
        "name": label_set.name,
        "opacity": OPACITY,
        "features": label_set.things.reset_index(drop=True),
        **world_of(label_set.axes, label_set.spacing),
    }
    return label_set.read("instances"), options, "labels"


def _mentions(file: Path, words: Sequence[bytes]) -> bool:
    """Whether a file has one of several words in it; none of it is kept in memory."""
    try:
        with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as m:
            return any(m.find(word) >= 0 for word in words)
    except (OSError, ValueError):
        return False
