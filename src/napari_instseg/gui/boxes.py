"""The objects of a model that finds boxes, as rectangles of a Shapes layer."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import napari.layers
import napari.viewer
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..segmentation import Segmentation
from .geometry import Placement
from .links import RECIPE_KEY, Link, find_fitting, link_of, set_link

BOXES = "boxes"
#: Width of the lines, as a share of the median box's short side, and its limits, px.
WIDTH, THINNEST, THICKEST = 0.04, 0.5, 6.0
CLEAR = np.zeros(4)
UNKNOWN = (1.0, 1.0, 1.0)


def add_boxes(
    viewer: napari.viewer.Viewer,
    segmentation: Segmentation,
    source: Hashable,
    placement: Placement | None,
    transforms: dict[str, Any],
    *,
    view: bool,
) -> napari.layers.Shapes:
    """Show the boxes of a result, in the layer of an earlier one if there is one unedited.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    segmentation : Segmentation
    source : Hashable
        See `Link`.
    placement : Placement, optional
        Where label images lie; None, in their own pixels.
    transforms : dict
        Scale, translate, ... of the layer.
    view : bool
        See `Link`.
    """
    ndim = len(segmentation.image.label_axes) if placement is None else placement.ndim
    layer = find_fitting(viewer, source, BOXES, view, ndim)
    if layer is None:
        name = f"{segmentation.image.name} {'view ' if view else ''}{BOXES}"
        layer = viewer.add_shapes(ndim=ndim, name=name, **transforms)
    else:
        layer.visible = True
        for key, value in transforms.items():
            setattr(layer, key, value)
    set_link(layer, Link(source, BOXES, view, layer.unique_id, placement))
    describe_boxes(layer, segmentation)
    return layer


def describe_boxes(layer: napari.layers.Shapes, segmentation: Segmentation) -> None:
    """Write the boxes at the result's threshold, their table and recipe into our layer."""
    link = link_of(layer)
    if link is None:
        return
    rows = box_table(segmentation)
    corners = _corners(segmentation, rows, link.placement)
    named = {c.id: c.color for c in segmentation.categories}
    colors = np.array([(*named.get(i, UNKNOWN), 1.0) for i in rows["category_id"]])
    layer.selected_data = set()
    layer.data = []
    if len(corners):
        layer.add_rectangles(
            corners,
            edge_width=_width(rows),
            edge_color=colors,
            face_color=np.broadcast_to(CLEAR, (len(corners), 4)),
        )
    layer.features = rows[["index", "category_id", "category", "score"]]
    layer.metadata = {**layer.metadata, RECIPE_KEY: segmentation.recipe}
    written = [np.array(data) for data in layer.data]
    set_link(layer, replace(link, written=written, threshold=segmentation.score_threshold))


def box_table(segmentation: Segmentation) -> pd.DataFrame:
    """List the boxes with at least the threshold's score, best first.

    Returns
    -------
    DataFrame
        Columns index (value in `Segmentation.instances`, where models of boxes hide none, see
        `Rules`), category_id, category, score, x_min,
        y_min, x_max, y_max (px, edges of pixels) and plane (its number).
    """
    raw = segmentation.raw
    rows = pd.DataFrame(
        np.concatenate([found.boxes for found in raw]),
        columns=["x_min", "y_min", "x_max", "y_max"],
    )
    rows.insert(0, "score", np.concatenate([found.scores for found in raw]))
    rows.insert(0, "category_id", np.concatenate([found.category_ids for found in raw]))
    rows["plane"] = np.repeat(np.arange(len(raw)), [len(found) for found in raw])
    order = np.argsort(-rows["score"].to_numpy(), kind="stable")
    rows = rows.iloc[order].reset_index(drop=True)
    named = {c.id: c.name for c in segmentation.categories}
    rows.insert(1, "category", [named.get(i, f"category {i}") for i in rows["category_id"]])
    rows.insert(0, "index", np.arange(1, len(rows) + 1))
    return rows[rows["score"] >= np.float32(segmentation.score_threshold)]


def _corners(
    segmentation: Segmentation, rows: pd.DataFrame, placement: Placement | None
) -> NDArray[np.float64]:
    """Corners of each box, (N, 4, ndim), in pixels of the layer."""
    image = segmentation.image
    top, left, bottom, right = (
        # Pixels have their centres at whole numbers in napari, and their edges between them.
        rows[name].to_numpy(float) - 0.5
        for name in ("y_min", "x_min", "y_max", "x_max")
    )
    plane = np.unravel_index(rows["plane"].to_numpy(), image.plane_shape or (1,))
    corners = np.empty((len(rows), 4, len(image.label_axes)))
    for i, index in enumerate(plane[: len(image.plane_axes)]):
        corners[:, :, i] = index[:, np.newaxis]
    corners[..., -2] = np.stack([top, top, bottom, bottom], axis=1)
    corners[..., -1] = np.stack([left, right, right, left], axis=1)
    return corners if placement is None else placement.locate(corners, image.label_axes)


def _width(rows: pd.DataFrame) -> float:
    """Width of the lines, px: thin beside small boxes, and visible around large ones."""
    edges = rows[["y_min", "y_max", "x_min", "x_max"]].to_numpy(float)
    sides = np.minimum(edges[:, 1] - edges[:, 0], edges[:, 3] - edges[:, 2])
    return float(np.clip(WIDTH * np.median(sides), THINNEST, THICKEST))
