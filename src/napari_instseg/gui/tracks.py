"""The tracks of a result, with who comes from whom, as a layer of napari's own kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import napari.layers
import napari.viewer
import numpy as np
import pandas as pd
from napari.utils.colormaps import label_colormap
from numpy.typing import NDArray

from ..ops.lapses import TIME
from ..segmentation import Segmentation
from .geometry import Placement
from .links import RECIPE_KEY, Link, link_of, renew, set_link

TRACKS = "tracks"
#: Number of colours that napari has for labels.
COLORS = 49


def can_show_tracks(segmentation: Segmentation) -> bool:
    """Whether there are tracks, and time comes first, where napari's layer has it."""
    return segmentation.tracked and segmentation.image.label_axes.startswith(TIME)


def add_tracks(
    viewer: napari.viewer.Viewer,
    segmentation: Segmentation,
    link: Link,
    transforms: dict[str, Any],
) -> napari.layers.Tracks:
    """Show the tracks of a result, in the layer of an earlier one if there is one.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    segmentation : Segmentation
        With tracks.
    link : Link
        What the layer is to show, as yet without the layer.
    transforms : dict
        Scale, translate, ... of the layer.
    """
    placement = link.placement
    ndim = len(segmentation.image.label_axes) if placement is None else placement.ndim
    layer = renew(viewer, link, ndim, transforms)
    if layer is None:
        name = f"{segmentation.image.name} {link.title}"
        data, _ = _vertices(segmentation, placement)
        active = viewer.layers.selection.active
        layer = viewer.add_tracks(
            # The colours that napari gives to labels.
            data,
            name=name,
            colormaps_dict={"track_id": label_colormap(COLORS)},
            **transforms,
        )
        # Labels stay selected: they have the table, and can be edited.
        viewer.layers.selection.active = active
    else:
        layer.visible = True
    set_link(layer, replace(link, layer=layer.unique_id))
    describe_tracks(layer, segmentation)
    return layer


def describe_tracks(layer: napari.layers.Tracks, segmentation: Segmentation) -> None:
    """Write the tracks at the result's threshold, their graph and recipe into our layer."""
    link = link_of(layer)
    if link is None:
        return
    data, features = _vertices(segmentation, link.placement)
    layer.data = data  # And no graph: the old one may name tracks that are gone.
    layer.features = features
    layer.graph = segmentation.lineage
    layer.metadata = {**layer.metadata, RECIPE_KEY: segmentation.recipe}
    written = np.array(layer.data)
    set_link(layer, replace(link, written=written, threshold=segmentation.score_threshold))


def _vertices(
    segmentation: Segmentation, placement: Placement | None
) -> tuple[NDArray[np.float64], Any]:
    """Track and place of each frame's object, (N, 1 + ndim), and its features.

    napari has no Tracks layer without tracks: a single point, of which it draws nothing, stands
    for none.
    """
    rows, axes = segmentation.tracks, segmentation.image.label_axes
    if not len(rows):
        rows = pd.DataFrame(np.zeros((1, len(rows.columns))), columns=rows.columns)
    points = rows[[axis.lower() for axis in axes]].to_numpy(np.float64)
    if placement is not None:
        points = placement.locate(points, axes)
    data = np.column_stack([rows["track"].to_numpy(np.float64), points])
    return data, rows[["parent", "area", "score"]]
