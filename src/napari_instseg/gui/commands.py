"""What the Layers menu and the command palette run without the dock being open."""

from __future__ import annotations

import napari.layers
import napari.viewer

from ..segmenter import InputError
from .docks import open_dock
from .segment_widget import SegmentWidget

#: The name that the menu entry gives to the dock.
DOCK_NAME = "Segment (Instance Segmentation)"


def segment_active(
    layer: napari.layers.Layer | None = None, viewer: napari.viewer.Viewer | None = None
) -> None:
    """Segment the active image layer with the dock's present settings; opens the dock.

    Parameters
    ----------
    layer : napari.layers.Layer, optional
        None takes the viewer's active layer.
    viewer : napari.viewer.Viewer, optional
        None takes the current one. Both are filled in by napari.

    Raises
    ------
    InputError
        If there is no viewer, no active layer, or it is not an image.
    """
    viewer = viewer or napari.viewer.current_viewer()
    if viewer is None:
        raise InputError("expected an open viewer: start napari and open an image")
    layer = layer or viewer.layers.selection.active
    if layer is None:
        raise InputError("expected an active Image layer: click one in the layer list")
    if not isinstance(layer, napari.layers.Image):
        raise InputError(
            f"expected an active Image layer, got the {type(layer).__name__} layer "
            f"{layer.name!r}: click the picture in the layer list"
        )
    dock = open_dock(viewer, SegmentWidget, DOCK_NAME, lambda: SegmentWidget(viewer))
    dock.segment_layer(layer)
