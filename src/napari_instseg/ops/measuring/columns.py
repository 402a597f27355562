"""The columns of a table of measures, in px and in µm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...segmenter import InputError
from .pieces import Values

#: Of grey values, one column each a channel.
INTENSITIES = ("mean", "sd", "min", "max", "sum")
#: Those that need an object's mask as a whole.
OUTLINE, CONVEX = ("perimeter",), ("solidity", "feret_max", "feret_min")
SURFACE = ("surface_area", "sphericity")
#: Of ellipses with the same second moments.
ELLIPSE, LEANING = ("major_axis", "minor_axis"), ("eccentricity", "orientation")
PLACE = ("centroid", "bbox")
PLANAR = ("area", *PLACE, "equivalent_diameter", *ELLIPSE, *LEANING, *OUTLINE, *CONVEX)
SPATIAL = ("volume", *PLACE, "equivalent_diameter", *ELLIPSE, *SURFACE)
#: All that can be asked for.
MEASURES = tuple(dict.fromkeys((*PLANAR, *SPATIAL, *INTENSITIES)))

#: Columns by name.
Columns = dict[str, NDArray[Any]]


def check_measures(wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Return the measures asked for; all, if that is None.

    Raises
    ------
    InputError
        If there is no such measure.
    """
    if wanted is None:
        return MEASURES
    names = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    unknown = [name for name in names if name not in MEASURES]
    if unknown:
        raise InputError(f"columns: expected some of {', '.join(MEASURES)}, got {unknown[0]!r}")
    return names


def known_sizes(axes: str, spacing: Mapping[str, float]) -> tuple[float, ...] | None:
    """µm per pixel along some axes; None if one is not known."""
    return tuple(spacing[axis] for axis in axes) if {*axes} <= spacing.keys() else None


def size_columns(
    count: NDArray[np.int64], axes: str, spacing: Mapping[str, float]
) -> dict[str, Columns]:
    """Area or volume, and the diameter of a disc or ball as large."""
    sizes, dimensions = known_sizes(axes, spacing), len(axes)
    name = "area" if dimensions == 2 else "volume"
    # Of a disc π/4 d², of a ball π/6 d³.
    ball = 2 * dimensions / np.pi
    found = {name: count, "equivalent_diameter": (ball * count) ** (1 / dimensions)}
    columns = {key: {key: values} for key, values in found.items()}
    if sizes is not None:
        physical = count * np.prod(sizes)
        columns[name][f"{name}_um{dimensions}"] = physical
        diameter = (ball * physical) ** (1 / dimensions)
        columns["equivalent_diameter"]["equivalent_diameter_um"] = diameter
    return columns


def place_columns(
    middle: NDArray[np.float64], boxes: NDArray[np.int64], axes: str, spacing: Mapping[str, float]
) -> dict[str, Columns]:
    """Centroids, and boxes: half-open along Y and X."""
    centroid: Columns = {}
    for k, axis in enumerate(axes):
        centroid[axis.lower()] = middle[:, k]
    for k, axis in enumerate(axes):
        if axis in spacing:
            centroid[f"{axis.lower()}_um"] = middle[:, k] * spacing[axis]
    first, stop = boxes[:, 0], boxes[:, 1]
    bbox = {
        "row_min": first[:, -2],
        "col_min": first[:, -1],
        "row_max": stop[:, -2],
        "col_max": stop[:, -1],
    }
    for k, axis in enumerate(axes[:-2].lower()):
        bbox |= {f"{axis}_first": first[:, k], f"{axis}_last": stop[:, k] - 1}
    return {"centroid": centroid, "bbox": bbox}


def ellipse_columns(
    variance: NDArray[np.float64], axes: str, spacing: Mapping[str, float]
) -> dict[str, Columns]:
    """Of the ellipse, or ellipsoid, with the same second moments.

    Parameters
    ----------
    variance : (N, D, D) float64
        Covariance of the coordinates of each object's pixels, px².
    axes : str
        Of the coordinates.
    spacing : mapping of str to float
        µm per pixel by axis letter.
    """
    columns = {name: {name: values} for name, values in _ellipse(variance).items()}
    sizes = known_sizes(axes, spacing)
    if sizes is not None:
        for name, values in _ellipse(variance * np.outer(sizes, sizes)).items():
            # Where pixels are square, both see the same.
            if name in ELLIPSE or len({*sizes}) > 1:
                columns[name][f"{name}_um"] = values
    return columns


def _ellipse(variance: NDArray[np.float64]) -> Columns:
    spread = np.maximum(np.linalg.eigvalsh(variance), 0)
    small, large = spread[:, 0], spread[:, -1]
    # Variance along an axis of length a: of an ellipse a² / 16, of an ellipsoid a² / 20.
    share = 16 if variance.shape[1] == 2 else 20
    columns: Columns = {"major_axis": np.sqrt(share * large), "minor_axis": np.sqrt(share * small)}
    if variance.shape[1] == 2:
        flat = np.divide(small, large, out=np.ones_like(small), where=large > 0)
        columns["eccentricity"] = np.sqrt(np.maximum(1 - flat, 0))
        columns["orientation"] = _orientation(variance)
    return columns


def _orientation(variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angle of the major axis from the rows' axis, in [−π/2, π/2], anticlockwise."""
    rows, both, cols = variance[:, 0, 0], variance[:, 0, 1], variance[:, 1, 1]
    # What is left by rounding has no direction.
    least = 1e-12 * (rows + cols)
    both = np.where(np.abs(both) <= least, 0.0, both)
    diagonal = np.where(both > 0, np.pi / 4, -np.pi / 4)
    even = np.abs(rows - cols) <= least
    return np.where(even, diagonal, 0.5 * np.arctan2(2 * both, rows - cols))


def value_columns(values: Values, name: str) -> dict[str, Columns]:
    """Grey values of a channel; NaN where there is none."""
    found = [values.mean, values.deviation, values.low, values.high, values.total]
    empty = values.count == 0
    if empty.any():
        found = [np.where(empty, np.nan, column) for column in found]
    return {
        kind: {f"{name}_{kind}": column} for kind, column in zip(INTENSITIES, found, strict=True)
    }


def channel_names(names: Sequence[str]) -> list[str]:
    """Make names of channels differ.

    Examples
    --------
    >>> channel_names(["dapi", "gfp", "dapi"])
    ['dapi', 'gfp', 'dapi_2']
    """
    used: list[str] = []
    for name in names:
        number, chosen = 1, name
        while chosen in used:
            number += 1
            chosen = f"{name}_{number}"
        used.append(chosen)
    return used
