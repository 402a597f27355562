"""Measures of whatever a user has: a result, labels, a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from .exporting import label_sets_of
from .inputs import as_image
from .io.formats.engine import read_sets
from .label_set import LabelSet
from .progress import Listener, ignore
from .result import Result
from .segmenter import InputError


def measure(
    labels: Any,
    images: Any = (),
    columns: Sequence[str] | None = None,
    *,
    axes: str | None = None,
    spacing: Mapping[str, float] | None = None,
    volumes: bool | None = None,
    report: Listener = ignore,
) -> pd.DataFrame:
    """Measure size, place, shape and intensity of objects.

    Parameters
    ----------
    labels : LabelSet, Segmentation, integer array, napari Labels layer, or path
        NumPy, dask or Zarr; may be larger than memory. A path is one of a result, a label image,
        or a file of another program, see `read_labels`.
    images : array, Image, path or napari Image layer, or a sequence of these
        Whose grey values are measured, in all channels; on the grid of the labels.
    columns : sequence of str, optional
        Some of `ops.measuring.MEASURES`, such as "area" or "perimeter"; None: all.
    axes : str, optional
        Of an array or a file with labels, one letter a dimension; None: what the file says, else
        a guess.
    spacing : mapping of str to float, optional
        µm per pixel by axis letter; None: what is known of the labels, else of the first image.
    volumes : bool, optional
        Whether objects go through Z; None: if any number is in two planes.
    report : callable
        Hears of each block; may raise to stop.

    Returns
    -------
    DataFrame
        See `LabelSet.measure`; ``attrs["notes"]`` is a list of what to know.

    Raises
    ------
    InputError
        If labels or images cannot be used, an image is on another grid, or there is no such
        column.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.array([[1, 1, 0], [0, 0, 2]])
    >>> measure(labels, np.array([[4, 6, 0], [0, 0, 9]]), ["area", "mean"]).iloc[:, [0, -2, -1]]
       index  area  image_mean
    0      1     2         5.0
    1      2     1         9.0
    """
    single = isinstance(images, (str, Path)) or not isinstance(images, Sequence)
    seen = [as_image(image) for image in ([images] if single else images)]
    known = spacing
    if known is None and seen:
        known = seen[0].spacing
    found = as_label_set(labels, axes, known, given=spacing is not None)
    return found.measure(seen, columns, volumes=volumes, report=report)


def as_label_set(
    labels: Any,
    axes: str | None = None,
    spacing: Mapping[str, float] | None = None,
    *,
    given: bool = True,
) -> LabelSet:
    """Turn what a user has into a `LabelSet`.

    Parameters
    ----------
    labels, axes
        See `measure`.
    spacing : mapping of str to float, optional
        µm per pixel by axis letter.
    given : bool
        Whether that counts more than what is known of the labels.

    Raises
    ------
    InputError
        If they are no labels, or those of several images.
    """
    found = _read(labels, axes)
    if spacing and (given or not found.spacing):
        found = replace(found, spacing={**found.spacing, **spacing})
    return found


def _read(labels: Any, axes: str | None) -> LabelSet:
    if hasattr(labels, "shape") and not isinstance(labels, LabelSet | Result):
        return LabelSet.from_labels(labels, axes)
    if isinstance(labels, str | Path) and axes is not None:
        several = [*read_sets(Path(labels).expanduser(), axes=axes)]
    else:
        several = [*label_sets_of(labels)]
    if len(several) != 1:
        names = ", ".join(one.name for one in several[:5])
        raise InputError(
            f"{labels}: expected the labels of one image, got {len(several)}"
            f"{f' ({names}, ...): name one, such as folder/stem' if several else ''}"
        )
    return several[0]
