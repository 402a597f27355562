"""The objects of a model that finds boxes, as rectangles of a Shapes layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import napari.layers
import napari.viewer
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..ops.axes import Image
from ..segmentation import Segmentation
from .geometry import Placement
from .links import RECIPE_KEY, Link, link_of, renew, set_link

BOXES = "boxes"
#: Width of the lines, as a share of the median box's short side, and its limits, px.
WIDTH, THINNEST, THICKEST = 0.05, 0.5, 6.0
WHITE = (1.0, 1.0, 1.0, 1.0)


def add_boxes(
    viewer: napari.viewer.Viewer,
    segmentation: Segmentation,
    link: Link,
    transforms: dict[str, Any],
) -> napari.layers.Shapes:
    """Show the boxes of a result, in the layer of an earlier one if there is one unedited.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    segmentation : Segmentation
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
        layer = viewer.add_shapes(ndim=ndim, name=name, **transforms)
    else:
        layer.visible = True
    set_link(layer, replace(link, layer=layer.unique_id))
    describe_boxes(layer, segmentation)
    return layer


def describe_boxes(layer: napari.layers.Shapes, segmentation: Segmentation) -> None:
    """Write the boxes at the result's threshold, their table and recipe into our layer."""
    link = link_of(layer)
    if link is None:
        return
    rows = box_table(segmentation)
    corners = _corners(segmentation, rows, link.placement).astype(np.float32)
    table = rows[["index", "category_id", "category", "score"]]
    # napari takes half a second for 1,000 rectangles: those that stay, the best, are left alone.
    kept = _common(layer, corners, table)
    layer.remove(list(range(kept, len(layer.data))))
    if len(corners) > kept:
        named = {c.id: (*c.color, 1.0) for c in segmentation.categories}
        layer.add_rectangles(
            corners[kept:],
            edge_width=_width(rows),
            edge_color=np.array([named.get(i, WHITE) for i in table["category_id"][kept:]]),
            face_color=np.zeros((len(corners) - kept, 4)),
        )
    layer.features = table
    layer.metadata = {**layer.metadata, RECIPE_KEY: segmentation.recipe}
    written = [np.array(data) for data in layer.data]
    set_link(layer, replace(link, written=written, threshold=segmentation.score_threshold))


def _common(layer: napari.layers.Shapes, corners: NDArray[np.float32], table: pd.DataFrame) -> int:
    """Count the first boxes that are in the layer already, with the same table."""
    old = layer.features
    count = min(len(layer.data), len(corners))
    if not count or list(old.columns) != list(table.columns):
        return 0
    same = (old.iloc[:count].to_numpy() == table.iloc[:count].to_numpy()).all(axis=1)
    same &= (np.array(layer.data[:count]) == corners[:count]).all(axis=(1, 2))
    return count if same.all() else int(same.argmin())


def box_table(segmentation: Segmentation) -> pd.DataFrame:
    """List the boxes with at least the threshold's score, best first.

    Returns
    -------
    DataFrame
        Columns index (value in `Segmentation.instances`), category_id, category, score, x_min,
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
    rows.insert(0, "index", segmentation.numbers)
    order = np.argsort(-rows["score"].to_numpy(), kind="stable")
    rows = rows.iloc[order].reset_index(drop=True)
    named = {c.id: c.name for c in segmentation.categories}
    rows.insert(2, "category", [named.get(i, f"category {i}") for i in rows["category_id"]])
    return rows[rows["index"] > 0]


def _corners(
    segmentation: Segmentation, rows: pd.DataFrame, placement: Placement | None
) -> NDArray[np.float64]:
    """Corners of each box, (N, 4, ndim), in pixels of the layer."""
    image = segmentation.image
    edges = rows[["y_min", "x_min", "y_max", "x_max"]].to_numpy(float)
    plane = np.unravel_index(rows["plane"].to_numpy(), image.plane_shape or (1,))
    return corners_of(image, plane[: len(image.plane_axes)], edges, placement)


def corners_of(
    image: Image,
    plane: Sequence[NDArray[np.intp]],
    edges: NDArray[np.float64],
    placement: Placement | None,
) -> NDArray[np.float64]:
    """Find the corners of rectangles in a layer.

    Parameters
    ----------
    image : Image
        That they are of.
    plane : sequence of (N,) int
        Index of each along each of the image's plane axes.
    edges : (N, 4) float64
        First row and column, last row and column (half-open) of each, px.
    placement : Placement, optional

    Returns
    -------
    (N, 4, ndim) float64
        In pixels of the layer.
    """
    # Pixels have their centres at whole numbers in napari, and their edges between them.
    top, left, bottom, right = edges.T - 0.5
    corners = np.empty((len(edges), 4, len(image.label_axes)))
    for i, index in enumerate(plane):
        corners[:, :, i] = index[:, np.newaxis]
    corners[..., -2] = np.stack([top, top, bottom, bottom], axis=1)
    corners[..., -1] = np.stack([left, right, right, left], axis=1)
    return corners if placement is None else placement.locate(corners, image.label_axes)


def _width(rows: pd.DataFrame) -> float:
    """Width of the lines, px: thin beside small boxes, and visible around large ones."""
    edges = rows[["y_min", "y_max", "x_min", "x_max"]].to_numpy(float)
    sides = np.minimum(edges[:, 1] - edges[:, 0], edges[:, 3] - edges[:, 2])
    return float(np.clip(WIDTH * np.median(sides), THINNEST, THICKEST))
