"""The Segment dock: read the form, run the worker, show the layers."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial

import napari.layers
import napari.viewer
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from ..models.entry import ModelEntry
from ..result import Result
from ..segmentation import Segmentation
from ..segmenter import InputError, InstsegError, ModelError
from ..snippets.segment import FOLDER, segment_command, segment_python
from ..snippets.source import Source
from .copying import source_of
from .form_rows import fill_dock
from .geometry import Origin
from .large_run import LargeWorker, SavedRun
from .large_runs import CANCELLED, LargeRuns
from .layers import visible_part
from .on_disk import is_large
from .result_text import ran
from .results import add_segmentation
from .run_dock import RunDock
from .seams import add_seams
from .segment_form import SegmentForm
from .task_row import sentence
from .worker import Job, ModelHolder, SegmentWorker

#: Above so many pixels the labels follow the threshold when it rests, not while it moves.
LIVE_PIXELS = 3000 * 3000
RUN_TIP = "Segment the whole layer, all planes"
RESUME_TIP = "Go on with the unfinished run; what was found is not searched for again"
SEAMS_TIP = (
    "Add a layer with the places where tiles met: what was joined there, what is ambiguous, and\n"
    "ends without a counterpart, each with its IoU"
)
VIEW_TIP = (
    "Segment only what the canvas shows: the visible rows and columns of the current plane.\n"
    "The result gets layers of its own."
)


@dataclass(frozen=True, eq=False)
class _Request:
    """What a run was started for."""

    layer: napari.layers.Image
    origin: Origin
    view: bool
    started: float


class SegmentWidget(RunDock):
    """Segments an image layer into Labels layers.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    models : ModelHolder, optional
        Where models are kept between runs.
    """

    form: SegmentForm

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, models: ModelHolder | None = None
    ) -> None:
        form, models = SegmentForm(napari_viewer), models or ModelHolder()
        super().__init__(
            napari_viewer, form, (models,), step="tile", tip=RUN_TIP, live_pixels=LIVE_PIXELS
        )
        self.models = models
        self._request: _Request | None = None
        #: The last result of a whole layer.
        self._result: Result | None = None
        self.large_runs = LargeRuns(napari_viewer)
        self.large = self.large_runs.box
        self._build()
        self.form.threshold_changed.connect(lambda _: self._follow())
        self.form.model_changed.connect(self._show_state)
        self.form.layer_choice.layer_changed.connect(self._show_state)
        # Which level it is decides how large the results are; the score is a setting of the run.
        self.form.more.level_choice.currentIndexChanged.connect(lambda _: self._look_at_disk())
        self.form.threshold_changed.connect(lambda _: self._look_at_disk())
        self.large.moved.connect(self._show_state)
        self.large.anew.clicked.connect(lambda: self._try_to_start(partial(self._start, anew=True)))
        self._show_state()

    def segment_layer(self, layer: napari.layers.Image) -> None:
        """Choose a layer and run, unless a run is going on."""
        self.form.layer_choice.choose(layer.unique_id)
        if self.worker is None:
            self._try_to_start(self._start)

    def _build(self) -> None:
        self.view_button = QPushButton("Segment view")
        self.view_button.clicked.connect(
            lambda: self._try_to_start(partial(self._start, view=True))
        )
        self.seams_button = QPushButton("Show seams")
        self.seams_button.setToolTip(SEAMS_TIP)
        self.seams_button.clicked.connect(self._show_seams)
        self.seams_button.hide()
        buttons = QWidget()
        line = QHBoxLayout(buttons)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.run_button, 1)
        line.addWidget(self.view_button, 1)
        line.addWidget(self.copy_button)
        parts = (
            self.form,
            self.large,
            self.install,
            buttons,
            self.progress,
            self.status,
            self.warnings,
            self.seams_button,
        )
        fill_dock(self, parts)

    def _entries(self) -> tuple[ModelEntry, ...]:
        return (self.form.entry(),)

    def _show_state(self) -> None:
        """Offer what can be done now: run or cancel, install, free memory."""
        super()._show_state()
        self.view_button.setEnabled(self.worker is None and not self._reason)
        self.view_button.setToolTip(sentence(self._reason) or VIEW_TIP)
        self._look_at_disk()

    def _look_at_disk(self) -> None:
        """Show where results of a large image go, and offer to go on with a run that is there."""
        image = settings = None
        try:
            image = self.form.image()
            settings = self.form.settings()
        except InstsegError:
            pass  # Said when the button is clicked.
        running = self.worker is not None
        self.large.look(image, settings, running=running)
        self.large.anew.setEnabled(not self._reason)
        if not running:
            self.run_button.setText("Resume" if self.large.resumable else "Run")
        if self.large.resumable and not self._reason:
            self.run_button.setToolTip(RESUME_TIP)

    def _source(self) -> Source:
        """Where the chosen image is to be had."""
        image, layer = self.form.image(), self.form.layer()
        if layer is None:
            raise InputError("expected an image layer")
        return source_of(layer, image, self.form.level())

    def _python(self) -> str:
        output = FOLDER if is_large(self.form.image()) else None
        return segment_python(self._source(), self.form.settings(), output)

    def _command(self) -> str:
        return segment_command(self._source(), self.form.settings())

    def _start(self, *, view: bool = False, anew: bool = False) -> None:
        self._request, job = self._prepare(view)
        self._look_at_disk()
        self.large_runs.clear()
        self.seams_button.hide()
        if view or not self.large.active:
            self._launch(SegmentWorker, job, self.models)
            return
        request = self._request
        large = self.large_runs.begin(job, request.layer, request.origin, anew=anew)
        self._launch(LargeWorker, large, self.models)

    def _prepare(self, view: bool) -> tuple[_Request, Job]:
        """Read the form; raise InputError if something does not fit."""
        if missing := self._missing():
            raise ModelError(missing)
        settings = self.form.settings()
        if not self.models.holds(settings):
            # Two models may not fit a device; see `ModelHolder.release` on threads.
            self.models.release()
        image, level, layer = self.form.image(), self.form.level(), self.form.layer()
        if layer is None:
            raise InputError("expected an image layer")
        job = Job(image, settings)
        origin = Origin(image.axes, level)
        if view:
            plane, region = visible_part(self.viewer, layer, image)
            job = replace(job, plane=plane or None, region=region)
            origin = replace(origin, plane=dict(zip(image.plane_axes, plane, strict=True)))
        return _Request(layer, origin, view, time.perf_counter()), job

    def _show(self, result: Segmentation | SavedRun) -> None:
        """Add or update the layers, and say what was found."""
        request = self._request
        if request is None:
            return
        if isinstance(result, SavedRun):
            self.large_runs.show(result, request.layer, request.origin)
            self.shown.forget(request.layer)
            self._tell(result.result, request)
            return
        threshold = round(self.form.threshold.value(), 3)
        if threshold != result.score_threshold:
            result = result.with_score_threshold(threshold)
        layers = add_segmentation(
            self.viewer, result, request.layer, origin=request.origin, view=request.view
        )
        self.shown.put(request.layer, result, layers)
        self._tell(result, request)

    def _tell(self, result: Result, request: _Request) -> None:
        self._seconds = time.perf_counter() - request.started
        self._report_on(result, request.origin.level)
        self._result = None if request.view else result
        self.seams_button.setVisible(self._result is not None and len(result.seams) > 0)

    def _show_seams(self) -> None:
        request, result = self._request, self._result
        if request is not None and result is not None and request.layer in self.viewer.layers:
            add_seams(self.viewer, result, request.layer)

    def _show_partial(self, result: Segmentation | None) -> None:
        """Keep what a cancelled run has found; an earlier result stays if that is nothing."""
        if self.large_runs.has_found:
            self.status.setText(CANCELLED)
        elif result is None or not any(len(plane) for plane in result.raw):
            self.status.setText("Cancelled before anything was found.")
        else:
            self._show(result)

    def _restore(self) -> None:
        super()._restore()
        self.large_runs.stop()

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """Take away what only shows a run."""
        super().closeEvent(event)
        self.large_runs.clear()

    def _say(self, result: Result) -> None:
        self.status.setText(ran(result, self._seconds))

    def _refresh(self) -> None:
        self.form.model.refresh()
        self._look_at_disk()

    def _exchange(self, layer: napari.layers.Image, *, hidden: bool) -> list[napari.layers.Layer]:
        return self.shown.repaint(layer, round(self.form.threshold.value(), 3), hidden=hidden)
