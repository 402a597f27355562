"""Label images in files, with the table of the run that wrote them, as label sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ..label_set import OBJECT, LabelSet
from ..ops.axes import ArrayLike, Image
from ..segmenter import Category
from .images import IMAGE_SUFFIXES, is_image, open_labels, read_labels, stem_of
from .results import TABLE, read_table

#: Endings of the names of what a run writes.
INSTANCES, PANOPTIC = "instances", "panoptic"
#: Labels up to here are kept as they are.
LARGEST = np.iinfo(np.int32).max


def open_label_set(path: str | Path, axes: str | None = None) -> LabelSet:
    """Open a label image, and the table and panoptic label image of its run beside it.

    Parameters
    ----------
    path : str or Path
        Any label image; of a result of ours, that of the instances: ``<stem>_instances.tif``.
    axes : str, optional
        One letter a dimension, the last two Y and X; None: as the file says, else a guess.

    Returns
    -------
    LabelSet
        Of Zarr, npy and large TIFF, pixels are read when they are asked for. Without a table
        beside it, its own is empty, and its category a plain "object". Objects of a panoptic
        label image without instances beside it have no table either.

    Raises
    ------
    InputError
        If the file cannot be read, is no label image, or the table beside it is damaged; the
        message names the file.
    """
    path = Path(path).expanduser()
    image = open_labels(path, axes)
    labels = _small(_planes_first(image), path)
    stem, _, output = stem_of(path).rpartition("_")
    beside = path.with_name(f"{stem}_{TABLE}" if stem else TABLE)
    letters = image.plane_axes + "YX" if "C" not in image.axes else _letters(image)
    if output != INSTANCES or not beside.is_file():
        spacing, name = dict(image.spacing), stem_of(path)
        return LabelSet.from_labels(labels, letters, spacing=spacing, name=name, listed=False)
    table = _complete(read_table(beside), path.name)
    panoptic = None
    if not table["is_thing"].all():
        found = (
            path.with_name(f"{stem}_{PANOPTIC}{s}" if stem else f"{PANOPTIC}{s}")
            for s in IMAGE_SUFFIXES
        )
        other = next((p for p in found if is_image(p) and p.exists()), None)
        if other is None:
            table = table[table["is_thing"]].reset_index(drop=True)
        else:
            panoptic = _planes_first(open_labels(other, axes))
    rows = table.drop_duplicates("category_id")[["category_id", "category", "is_thing"]]
    categories = tuple(
        Category(int(number), str(name), bool(thing))
        for number, name, thing in rows.itertuples(index=False)
    )
    return LabelSet(
        *(labels, letters, table, categories or (OBJECT,), stem_of(path), dict(image.spacing)),
        panoptic=panoptic,
    )


def _letters(image: Image) -> str:
    return "".join(letter for letter in image.axes if letter not in "YX") + "YX"


def _planes_first(image: Image) -> ArrayLike:
    """Pixels with Y and X last; a file that has them elsewhere is read whole."""
    letters = _letters(image)
    if letters == image.axes:
        return image.data
    whole = np.asarray(image.data[...])
    return whole.transpose([image.axes.index(letter) for letter in letters])


def _small(labels: ArrayLike, path: Path) -> ArrayLike:
    """Give objects other numbers where those of the file are too large for label sets."""
    kind = np.dtype(labels.dtype)
    if kind.kind not in "bui":
        # Whole numbers in a file of floats.
        labels = read_labels(path)
        kind = labels.dtype
    wide = kind.kind in "iu" and np.iinfo(kind).max > LARGEST
    if wide and isinstance(labels, np.ndarray) and labels.size and int(labels.max()) > LARGEST:
        values, places = np.unique(labels, return_inverse=True)
        numbers = places.reshape(labels.shape) + (0 if values[0] == 0 else 1)
        return numbers.astype(np.int32)
    return labels


def _complete(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Add columns that a table of another program may lack."""
    complete = table.copy()
    for name, value in (("score", 1.0), ("source", source)):
        if name not in complete:
            complete[name] = value
    return complete
