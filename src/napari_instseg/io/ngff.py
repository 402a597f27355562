"""What OME-Zarr 0.5 says of a label image: axes, levels, colours and a row a segment.

References
----------
OME-NGFF 0.5, https://ngff.openmicroscopy.org/0.5/: "axes", "multiscales" and "labels" metadata.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..provenance import versions
from ..segmenter import InputError

#: Of the specification.
VERSION = "0.5"
#: Metadata are read whole: of more segments than this only the table beside tells.
MOST_LISTED = 10_000
#: Key of the metadata that make an image a label image, and of a value in their lists.
IMAGE_LABEL, VALUE = "image-label", "label-value"
SPACE = "ZYX"


def order_of(axes: str) -> list[int]:
    """Find the order that OME-Zarr wants axes in: time, one of another kind, then space.

    Returns
    -------
    list of int
        Positions in ``axes``.

    Raises
    ------
    InputError
        If there are two axes or more beside T, Z, Y, X, which OME-Zarr does not know.

    Examples
    --------
    >>> order_of("ZTYX")
    [1, 0, 2, 3]
    """
    others = "".join(letter for letter in axes if letter not in "T" + SPACE)
    if len(others) > 1:
        raise InputError(
            f"expected T, Z, Y, X and at most one other axis in OME-Zarr, got {axes!r}: write the "
            "labels as TIFF (format 'tiff')"
        )
    return sorted(range(len(axes)), key=lambda i: ("T" + others + SPACE).index(axes[i]))


def describe_levels(
    name: str, axes: str, spacing: Mapping[str, float], count: int
) -> dict[str, Any]:
    """Make the "multiscales" entry of a pyramid that halves Y and X from level to level.

    Parameters
    ----------
    name : str
    axes : str
        In the order of `order_of`.
    spacing : mapping of str to float
        µm per pixel of level 0, by axis letter, where known.
    count : int
        Number of levels; their arrays are called "0", "1", ...
    """
    return {
        "name": name,
        "axes": [_describe_axis(letter, letter in spacing) for letter in axes],
        "datasets": [
            {"path": str(level), "coordinateTransformations": _transforms(axes, spacing, level)}
            for level in range(count)
        ],
        "type": "mode",
        "metadata": {
            "description": "the most frequent label of 2 x 2 pixels, level by level",
            "method": "napari_instseg.ops.pyramid.halve",
            "version": versions().get("napari-instseg", ""),
        },
    }


def _describe_axis(letter: str, known: bool) -> dict[str, str]:
    axis = {"name": letter.lower()}
    if letter in "T" + SPACE:
        axis["type"] = "space" if letter in SPACE else "time"
    if letter in SPACE and known:
        axis["unit"] = "micrometer"
    return axis


def _transforms(axes: str, spacing: Mapping[str, float], level: int) -> list[dict[str, Any]]:
    """Size of a level's pixels, and where the middle of its first one lies."""
    size = [spacing.get(letter, 1.0) if letter in SPACE else 1.0 for letter in axes]
    factor = [2.0**level if letter in "YX" else 1.0 for letter in axes]
    scale = [s * f for s, f in zip(size, factor, strict=True)]
    transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    if level:
        start = [s * (f - 1) / 2 for s, f in zip(size, factor, strict=True)]
        transforms.append({"type": "translation", "translation": start})
    return transforms


def describe_labels(
    rows: pd.DataFrame, colors: NDArray[np.uint8], source: str | None = None
) -> dict[str, Any]:
    """Make the "image-label" entry.

    Parameters
    ----------
    rows : DataFrame
        One row a label; column ``index`` is its value, and all others become properties.
    colors : (N, 3) uint8 array
        RGB of each.
    source : str, optional
        Relative path from the label image to the OME-Zarr image that it is of.

    Returns
    -------
    dict
        Colours and properties of all labels; of none if there are more than `MOST_LISTED`.
        Numbers that are missing or not finite are left out: JSON has none such.
    """
    clear = {VALUE: 0, "rgba": [0, 0, 0, 0]}
    entry: dict[str, Any] = {"version": VERSION, "colors": [clear]}
    if 0 < len(rows) <= MOST_LISTED:
        records = rows.rename(columns={"index": VALUE}).to_dict("records")
        properties = [{k: v for k, v in row.items() if not _is_no_number(v)} for row in records]
        entry["colors"] += [
            {VALUE: row[VALUE], "rgba": [*color, 255]}
            for row, color in zip(properties, colors.tolist(), strict=True)
        ]
        entry["properties"] = properties
    if source is not None:
        entry["source"] = {"image": source}
    return entry


def _is_no_number(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
