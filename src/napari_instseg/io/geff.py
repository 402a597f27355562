"""Tracks out in the Graph Exchange File Format: a node an object, an edge a link."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..segmenter import InputError
from .atomic import replacing_folder


def check_geff() -> None:
    """Check that the package which writes it is there.

    Raises
    ------
    InputError
        If it is not; the message says how to install it.
    """
    try:
        import geff  # noqa: F401
    except ImportError as error:
        raise InputError(
            "writing GEFF needs the package geff, which is not installed: "
            'pip install "napari-instseg[geff]"'
        ) from error


def write_geff(path: Path, tracks: pd.DataFrame, axes: str, spacing: Mapping[str, float]) -> Path:
    """Write tracks as a directed graph.

    Parameters
    ----------
    path : Path
        A folder (Zarr); replaced if it exists, whole or not at all.
    tracks : DataFrame
        As `Segmentation.tracks`.
    axes : str
        Those of the label image, one letter each.
    spacing : mapping of str to float
        µm per pixel by axis letter, where known.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    InputError
        As of `check_geff`.

    Notes
    -----
    Nodes are the rows, with all columns; edges go forward in time, from each object to the next
    one of its track, and from the last one of a track to the first ones of those that come from
    it. Positions are in px, with the pixel size as the axes' scale.

    References
    ----------
    https://liveimagetrackingtools.org/geff
    """
    check_geff()
    from geff import GeffMetadata
    from geff.core_io import write_arrays
    from geff_spec import Axis

    about = [
        Axis(name="t", type="time", unit="frame")
        if axis == "T"
        else Axis(
            name=axis.lower(),
            type="space" if axis in "ZYX" else None,
            unit="pixel" if axis in "ZYX" else None,
            scale=spacing.get(axis),
            scaled_unit="micrometer" if axis in spacing else None,
        )
        for axis in axes
    ]
    values = {str(name): column.to_numpy() for name, column in tracks.items()}
    values["category"] = values["category"].astype(np.str_)
    with replacing_folder(path) as partial:
        write_arrays(
            partial,
            np.arange(len(tracks), dtype=np.uint64),
            {name: {"values": column, "missing": None} for name, column in values.items()},
            links_of(tracks).astype(np.uint64),
            None,
            GeffMetadata(
                directed=True,
                axes=about,
                node_props_metadata={},
                edge_props_metadata={},
                track_node_props={"tracklet": "track"},
            ),
        )
    return path


def links_of(tracks: pd.DataFrame) -> NDArray[np.int64]:
    """Rows of each link's earlier and later object, (L, 2), sorted.

    Parameters
    ----------
    tracks : DataFrame
        As `Segmentation.tracks`.

    Examples
    --------
    >>> links_of(pd.DataFrame({"track": [1, 1, 2, 3], "parent": [0, 0, 1, 1]})).tolist()
    [[0, 1], [1, 2], [1, 3]]
    """
    number, parent = tracks["track"].to_numpy(), tracks["parent"].to_numpy()
    row = np.arange(len(number))
    begins = np.diff(number, prepend=0) != 0
    last = np.zeros(int(number.max(initial=0)) + 1, np.int64)
    last[number] = row
    later = row[~begins | (parent > 0)]
    earlier = np.where(begins[later], last[parent[later]], later - 1)
    links = np.stack([earlier, later], axis=1)
    return links[np.lexsort((links[:, 1], links[:, 0]))]
