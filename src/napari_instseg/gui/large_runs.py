"""What the Segment dock does with images whose results go to disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import napari.layers
import napari.viewer

from ..ops.preview import Preview
from .geometry import Origin
from .large_box import LargeBox
from .large_run import LargeJob, SavedRun
from .live_labels import LiveLabels
from .stored_layers import add_saved
from .worker import Job

if TYPE_CHECKING:
    from ..io.run_folder import Existing

CANCELLED = "Cancelled. What was found is kept."


class LargeRuns:
    """Begins runs, shows what they find on the way, and then what they have written.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._viewer = viewer
        #: For the dock.
        self.box = LargeBox()
        self._live: LiveLabels | None = None

    @property
    def has_found(self) -> bool:
        """Whether the last run was one of these, is not finished, and has found something."""
        return self._live is not None and not self._live.empty

    def begin(
        self, job: Job, layer: napari.layers.Image, origin: Origin, *, anew: bool
    ) -> LargeJob:
        """Say what a worker is to do, and add a layer that shows what it finds.

        Raises
        ------
        InputError
            If there is an unfinished run with other settings, and it is not to be replaced.
        """
        if not anew:
            self.box.check()
        preview = Preview(job.image.label_shape, job.settings.score_threshold)
        axes = job.image.label_axes
        self._live = LiveLabels(self._viewer, layer, origin, axes, preview)
        again: Existing = "resume" if self.box.resumable else "refuse"
        existing: Existing = "replace" if anew else again
        return LargeJob(
            job.image, job.settings, root=self.box.root, existing=existing, preview=preview
        )

    def show(self, saved: SavedRun, layer: napari.layers.Image, origin: Origin) -> None:
        """Show what a run has written."""
        self.clear()
        add_saved(self._viewer, saved, layer, origin)

    def stop(self) -> None:
        """The run has ended: what is shown of it changes no more."""
        if self._live is not None:
            self._live.stop()
            if self._live.empty:
                self.clear()

    def clear(self) -> None:
        """Take the layer away that shows what a run has found so far."""
        if self._live is not None:
            self._live.remove()
            self._live = None
