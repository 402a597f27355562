"""Where tiles met, as rectangles of a Shapes layer to look through."""

from __future__ import annotations

import napari.layers
import napari.viewer
import numpy as np

from ..ops.seams import AMBIGUOUS, JOINED, LOOSE
from ..result import Result
from .boxes import corners_of
from .results import place_of

SEAMS = "seams"
#: Of more than so many (napari takes a second for 2,000) those that are least sure are shown.
MOST = 4000
#: One object now; two that share much; an end without a counterpart.
COLORS = {JOINED: "#4daf4a", AMBIGUOUS: "#ff7f00", LOOSE: "#e41a1c"}
#: Width of the lines, px.
WIDTH = 1.0


def add_seams(
    viewer: napari.viewer.Viewer,
    result: Result,
    source_layer: napari.layers.Image | None = None,
) -> napari.layers.Shapes:
    """Show where the tiles of a run met, coloured by what became of the objects there.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    result : Segmentation or StoredSegmentation
    source_layer : napari.layers.Image, optional
        None looks for an image layer with the image's name and shape.

    Returns
    -------
    napari.layers.Shapes
        With columns iou and kind as features; replaces that of an earlier result. Of more than
        `MOST` places those that are least sure: loose ends, then by IoU.
    """
    image, seams = result.image, result.seams
    name = f"{image.name} {SEAMS}"
    placement, transforms = place_of(viewer, result, source_layer)
    if name in viewer.layers:
        viewer.layers.remove(name)
    ndim = len(image.label_axes) if placement is None else placement.ndim
    layer = viewer.add_shapes(ndim=ndim, name=name, **transforms)
    if not len(seams):
        return layer
    seams = seams.sort_values("iou", kind="stable").head(MOST).reset_index(drop=True)
    plane = [seams[axis.lower()].to_numpy() for axis in image.plane_axes]
    edges = seams[["row_min", "col_min", "row_max", "col_max"]].to_numpy(float)
    layer.add_rectangles(
        corners_of(image, plane, edges, placement),
        edge_width=WIDTH,
        edge_color=[COLORS[kind] for kind in seams["kind"]],
        face_color=np.zeros((len(seams), 4)),
    )
    layer.features = seams[["kind", "iou"]]
    return layer
