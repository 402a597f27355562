"""The last result of each image layer, and the layers that show it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import napari.layers
import napari.viewer

from ..segmentation import Segmentation
from .links import edited
from .results import describe, repaint


@dataclass(frozen=True, eq=False)
class Shown:
    """A result and the layers that show it."""

    segmentation: Segmentation
    layers: tuple[napari.layers.Layer, ...]


class ShownResults:
    """Results by the unique id of their image layer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._viewer = viewer
        self._by_layer: dict[Hashable, Shown] = {}

    def get(self, layer: napari.layers.Image | None) -> Shown | None:
        """Return what is shown of an image layer."""
        return None if layer is None else self._by_layer.get(layer.unique_id)

    def put(
        self,
        layer: napari.layers.Image,
        segmentation: Segmentation,
        layers: Sequence[napari.layers.Layer],
    ) -> None:
        """Remember a result; those of layers that are gone are forgotten."""
        present = {layer.unique_id for layer in self._viewer.layers}
        self._by_layer = {key: shown for key, shown in self._by_layer.items() if key in present}
        self._by_layer[layer.unique_id] = Shown(segmentation, tuple(layers))

    def forget(self, layer: napari.layers.Image) -> None:
        """Let go of a result: its layers follow no more."""
        self._by_layer.pop(layer.unique_id, None)

    def repaint(
        self, layer: napari.layers.Image, threshold: float, *, hidden: bool
    ) -> list[napari.layers.Layer]:
        """Show an image layer's result at another score threshold.

        Parameters
        ----------
        layer : napari.layers.Image
            One that `get` knows.
        threshold : float
        hidden : bool
            Hidden layers, too.

        Returns
        -------
        list of napari.layers.Layer
            Those that a user has edited, and that were left as they are.
        """
        result = self._by_layer[layer.unique_id].segmentation
        if threshold != result.score_threshold:
            result = result.with_score_threshold(threshold)
        return self._paint(layer, result, hidden=hidden, other=False)

    def exchange(
        self, layer: napari.layers.Image, segmentation: Segmentation, *, hidden: bool
    ) -> list[napari.layers.Layer]:
        """Show another result in the layers of an image layer's last one.

        Parameters
        ----------
        layer : napari.layers.Image
            One that `get` knows.
        segmentation : Segmentation
            Of the same image, with the same outputs.
        hidden : bool
            Hidden layers, too.

        Returns
        -------
        list of napari.layers.Layer
            As of `repaint`.
        """
        return self._paint(layer, segmentation, hidden=hidden, other=True)

    def _paint(
        self, layer: napari.layers.Image, result: Segmentation, *, hidden: bool, other: bool
    ) -> list[napari.layers.Layer]:
        shown = self._by_layer[layer.unique_id]
        ours = [x for x in shown.layers if x in self._viewer.layers and (x.visible or hidden)]
        kept = [x for x in ours if edited(x)]
        for one in ours:
            if one not in kept:
                repaint(one, result, other=other)
        self._by_layer[layer.unique_id] = replace(shown, segmentation=result)
        return kept

    def describe(self, layer: napari.layers.Image) -> None:
        """Bring tables, colours, boxes, tracks and recipes in line with the labels."""
        shown = self._by_layer[layer.unique_id]
        for one in shown.layers:
            if one in self._viewer.layers and not edited(one):
                describe(one, shown.segmentation)
