"""What the Layers menu and the command palette run without the dock being open."""

from __future__ import annotations

import napari.layers
import napari.viewer

from ..segmenter import InputError
from .docks import dock_of
from .segment_widget import SegmentWidget

#: The name that the menu entry gives to the dock, so that both mean the same one.
#: (`Window.add_plugin_dock_widget` would name it after the package, and open a second.)
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
    _dock(viewer).segment_layer(layer)


def _dock(viewer: napari.viewer.Viewer) -> SegmentWidget:
    """Return the Segment dock, opened if it is not there, shown if it is hidden."""
    for widget in viewer.window.dock_widgets.values():
        if isinstance(widget, SegmentWidget):
            dock = dock_of(widget)
            if dock is not None:
                dock.show()
                dock.raise_()
            return widget
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name=DOCK_NAME, area="right")
    return widget
