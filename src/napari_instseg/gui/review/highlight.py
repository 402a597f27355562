"""An outline around the chosen objects: one temporary layer, of the plane in view only."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import napari.layers
import napari.viewer
import numpy as np
import pandas as pd
from napari.utils.transforms.transform_utils import compose_linear_matrix
from numpy.typing import NDArray
from qtpy.QtCore import QTimer

from ...label_set import LabelSet
from ..label_colors import direct_colors
from ..links import add_temporary
from .places import Places, extents

NAME = "chosen objects"
#: White is seen on all of napari's colours for labels, and on most images.
COLOR = (1.0, 1.0, 1.0, 1.0)
#: Objects that together span more than this are not outlined, px.
MOST_PIXELS = 1 << 25


def outlines(labels: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Mark pixels beside one with another label in the same plane: lines two pixels wide.

    Examples
    --------
    >>> outlines(np.array([[0, 0, 0, 2, 2, 2]], np.int32))
    array([[0, 0, 1, 1, 0, 0]], dtype=uint8)
    """
    found = np.zeros(labels.shape, bool)
    for axis in (-2, -1):
        # Much faster than napari's own contours, which are filters over all of the layer.
        values, marks = np.moveaxis(labels, axis, -1), np.moveaxis(found, axis, -1)
        steps = values[..., 1:] != values[..., :-1]
        marks[..., 1:] |= steps
        marks[..., :-1] |= steps
    return found.astype(np.uint8)


class Highlight:
    """Outlines objects.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    layer : napari.layers.Labels
    places : Places
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, layer: napari.layers.Labels, places: Places
    ) -> None:
        self._viewer, self._source, self._places = viewer, layer, places
        self._layer: napari.layers.Labels | None = None

    @property
    def layer(self) -> napari.layers.Labels | None:
        """The layer, if it is there."""
        return self._layer if self._layer in self._viewer.layers else None

    def show(self, labels: LabelSet, ids: Collection[int]) -> None:
        """Outline these objects, and no others, in the plane in view."""
        rows = labels.table[labels.table["index"].isin(list(ids))]
        box = self._box(labels, rows)
        if box is None:
            self.remove()
            return
        stuff = not rows["is_thing"].astype(bool).all()
        crop = labels.read("panoptic" if stuff else "instances", box)
        crop[~np.isin(crop, rows["index"].to_numpy())] = 0
        self._paint(outlines(crop), box)

    def _box(self, labels: LabelSet, rows: pd.DataFrame) -> tuple[slice, ...] | None:
        """Return the smallest part of the plane in view that has all of the rows' segments."""
        plane = self._places.plane_in_view()
        if plane is None or self._viewer.dims.ndisplay == 3 or not len(rows):
            return None
        boxes, others = extents(labels, rows), len(plane) - 2
        here = np.array(plane[:others])
        inside = (boxes[:, :others, 0] <= here) & (here < boxes[:, :others, 1])
        corners = boxes[inside.all(axis=1), others:]
        if not len(corners):
            return None
        # A pixel more, so that no outline runs along the edge of the crop.
        low = np.maximum(corners[:, :, 0].min(axis=0) - 1, 0)
        high = np.minimum(corners[:, :, 1].max(axis=0) + 1, labels.shape[-2:])
        if np.prod(high - low) > MOST_PIXELS:
            return None
        return (
            *(slice(i, i + 1) for i in plane[:others]),
            *(slice(int(a), int(b)) for a, b in zip(low, high, strict=True)),
        )

    def _paint(self, mask: NDArray[np.uint8], box: tuple[slice, ...]) -> None:
        source, places = self._source, self._places
        data = mask.transpose(places.arrangement)
        origin = places.to_layer([part.start for part in box])
        linear = compose_linear_matrix(source.rotate, source.scale, source.shear)
        translate = np.asarray(source.translate) + linear @ origin
        layer = self.layer
        if layer is not None:
            layer.data, layer.translate = data, translate
            return
        self._layer = layer = napari.layers.Labels(
            data,
            name=NAME,
            colormap=direct_colors([(1, COLOR)]),
            opacity=1,
            scale=source.scale,
            translate=translate,
            rotate=source.rotate,
            shear=source.shear,
            affine=source.affine,
            units=source.units,
            axis_labels=source.axis_labels,
        )
        layer.editable = False
        add_temporary(self._viewer, layer)

    def remove(self) -> None:
        """Take the layer away."""
        gone, self._layer = self.layer, None
        if gone is None:
            return
        if self._source in self._viewer.layers:
            self._viewer.layers.remove(gone)
        else:
            # napari is removing layers, and may be about to remove this one, too.
            QTimer.singleShot(0, partial(_remove, self._viewer, gone))


def _remove(viewer: napari.viewer.Viewer, layer: napari.layers.Layer) -> None:
    if layer in viewer.layers:
        viewer.layers.remove(layer)
