"""Labels that grow while a run is going on."""

from __future__ import annotations

from dataclasses import replace

import napari.layers
import napari.viewer
from qtpy.QtCore import QTimer

from ..ops.preview import Preview
from .geometry import Origin, Placement
from .links import add_temporary
from .results import OPACITY

#: Between two looks at what is new, ms.
PAUSE = 500


class LiveLabels:
    """A temporary Labels layer that shows what a run has found so far.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    source : napari.layers.Image
    origin : Origin
        The part of the image layer that is being segmented.
    axes : str
        Of the preview's labels, one letter a dimension.
    preview : Preview
        Another thread paints on it.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        source: napari.layers.Image,
        origin: Origin,
        axes: str,
        preview: Preview,
    ) -> None:
        placement = Placement(source, replace(origin, step=preview.step))
        self._viewer, self._preview, self._seen = viewer, preview, 0
        self.layer = napari.layers.Labels(
            placement.arrange(preview.labels, axes),
            name=f"{source.name} so far",
            opacity=OPACITY,
            **placement.transforms(),
        )
        self.layer.editable = False
        add_temporary(viewer, self.layer)
        self._timer = QTimer()
        self._timer.timeout.connect(self._look)
        self._timer.start(PAUSE)

    def _look(self) -> None:
        changes = self._preview.changes
        if changes != self._seen and self.layer in self._viewer.layers:
            self._seen = changes
            self.layer.refresh(extent=False)

    @property
    def empty(self) -> bool:
        """Whether no tile is done yet."""
        return self._preview.changes == 0

    def stop(self) -> None:
        """Show the last state, and follow no more."""
        self._timer.stop()
        self._look()

    def remove(self) -> None:
        """Take the layer away."""
        self._timer.stop()
        if self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
