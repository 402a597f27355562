"""New objects and classes of a layer get the colours that a layer made anew has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import napari.layers
import numpy as np
from napari.utils.colormaps import CyclicLabelColormap
from numpy.typing import NDArray

from ...io.results import label_colors
from ...label_set import LabelSet, categories_of
from ..label_colors import GivenColors, class_colors, colors_of
from ..links import link_of


class Recoloring:
    """Follows the edits of a label set with the colours of one of its layers.

    Parameters
    ----------
    layer : napari.layers.Labels
    output : {"instances", "semantic", "panoptic"}
    labels : LabelSet
        As the layer shows it.
    """

    def __init__(self, layer: napari.layers.Labels, output: str, labels: LabelSet) -> None:
        self._layer, self._output = layer, output
        self._shown = _segments(labels, output)

    def follow(self, labels: LabelSet) -> None:
        """Colour what is new, or of another class; a user's own colour map is left alone."""
        before, self._shown = self._shown, _segments(labels, self._output)
        index, classes = self._shown
        new = categories_of(index, *before) != classes
        if not new.any():
            return
        colors, layer = self._layer.colormap, self._layer
        ours = link_of(layer) is not None
        if isinstance(colors, GivenColors):
            given = (
                colors_of(index[new], classes[new], labels.categories, self._output)
                if ours
                else _colors_in_file(labels, index[new], self._output)
            )
            colors.give(given)
            # Another colour has a place of its own in the texture.
            layer.events.colormap()
        elif ours and self._output == "panoptic" and isinstance(colors, CyclicLabelColormap):
            # The first one of another class.
            layer.colormap = class_colors(index, classes, labels.categories, self._output)


def _segments(labels: LabelSet, output: str) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The labels that an output has, and their classes."""
    if output == "semantic":
        ids = np.array([category.id for category in labels.categories], np.int64)
        return ids.astype(np.int32), ids
    table = labels.things if output == "instances" else labels.table
    return table["index"].to_numpy(np.int32), table["category_id"].to_numpy(np.int64)


def _colors_in_file(
    labels: LabelSet, index: NDArray[np.int32], output: str
) -> Iterable[tuple[int, Any]]:
    """Colours that a label image on disk names for some labels."""
    table = labels.table[labels.table["index"].isin(index)]
    rgb = label_colors(table, labels.categories, output) / 255
    return [(int(i), (*color, 1.0)) for i, color in zip(table["index"], rgb, strict=True)]
