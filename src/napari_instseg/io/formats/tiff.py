"""A label image as TIFF."""

from __future__ import annotations

from pathlib import Path

from ...label_set import LabelSet
from ..labels import write_labels


def write(path: Path, label_set: LabelSet, *, output: str = "instances") -> list[str]:
    """Write one label image as a compressed TIFF, without the table; see `write_labels`.

    Parameters
    ----------
    path : Path
    label_set : LabelSet
    output : {"instances", "semantic", "panoptic"}

    Returns
    -------
    list of str
        Nothing to be said.

    Raises
    ------
    InputError
        If there is no such output.
    """
    write_labels(path, label_set.read(output), label_set.axes, label_set.spacing)
    return []
