"""The Segment dock: read the form, run the worker, show the layers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import napari.layers
import napari.viewer
from napari.qt.threading import create_worker
from qtpy.QtGui import QCloseEvent, QEnterEvent
from qtpy.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import qdebounced, qthrottled

from ..segmentation import Segmentation
from ..segmenter import DeviceMemoryError, InputError, InstsegError, ModelError
from .form_rows import scrolling, text_label
from .geometry import Origin
from .install_box import InstallBox
from .layers import visible_part
from .model_text import DETECTRON2
from .progress import RunProgress
from .result_text import counted, device, level_note
from .results import add_segmentation, names
from .segment_form import SegmentForm
from .shown import ShownResults
from .task_row import breakable, notify
from .worker import Job, ModelHolder, SegmentWorker

#: Above so many pixels the labels follow the threshold when it rests, not while it moves.
LIVE_PIXELS = 3000 * 3000
#: The form fits into it, px.
DOCK_WIDTH = 320
RUN_TIP = "Segment the whole layer, all planes"
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


class SegmentWidget(QWidget):
    """Segments an image layer into Labels layers.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    models : ModelHolder, optional
        Where models are kept between runs.
    """

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, models: ModelHolder | None = None
    ) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.models = models or ModelHolder()
        self.worker: SegmentWorker | None = None
        self.shown = ShownResults(napari_viewer)
        self._request: _Request | None = None
        self._short_of_memory = False
        #: Why the chosen model cannot run.
        self._reason = ""
        self._build()
        self.form.threshold_changed.connect(lambda _: self._follow_threshold())
        self.form.model_changed.connect(self._show_state)
        self._show_state()

    def segment_layer(self, layer: napari.layers.Image) -> None:
        """Choose a layer and run, unless a run is going on."""
        self.form.layer_choice.choose(layer.unique_id)
        if self.worker is None:
            self._start(view=False)

    def _build(self) -> None:
        self.form = SegmentForm(self.viewer)
        self.run_button = QPushButton("Run")
        self.run_button.clicked.connect(self._run_or_cancel)
        self.view_button = QPushButton("Segment view")
        self.view_button.clicked.connect(lambda: self._start(view=True))
        self.install = InstallBox()
        self.install.installed.connect(self.form.model.refresh)
        self.form.more.free_button.clicked.connect(self.free_memory)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button, 1)
        buttons.addWidget(self.view_button, 1)
        self.progress = RunProgress()
        self.status = text_label()
        self.warnings = text_label()
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(8)
        column.addWidget(self.form)
        column.addWidget(self.install)
        column.addLayout(buttons)
        for widget in (self.progress, self.status, self.warnings):
            column.addWidget(widget)
        column.addStretch(1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolling(content))
        self.setMinimumWidth(DOCK_WIDTH)

    def free_memory(self) -> None:
        """Let go of the model that is kept for the next run."""
        self.models.release()
        self._show_state()

    def enterEvent(self, event: QEnterEvent | None) -> None:  # noqa: N802
        """Look again at what is here: another dock may have brought or removed models."""
        super().enterEvent(event)
        self.form.model.refresh()

    def _show_state(self) -> None:
        """Offer what can be done now: run or cancel, install, free memory."""
        entry, running = self.form.entry(), self.worker is not None
        missing = entry.missing()
        self.install.setVisible(self.install.busy or DETECTRON2 in entry.absent_modules())
        self.run_button.setText("Cancel" if running else "Run")
        self.run_button.setEnabled(running or not missing)
        self.view_button.setEnabled(not running and not missing)
        reason = f"This model {missing}" if missing else ""
        self.run_button.setToolTip(reason or RUN_TIP)
        self.view_button.setToolTip(reason or VIEW_TIP)
        self.form.more.allow_freeing(bool(self.models.name) and not running)
        if reason != self._reason:
            self._reason = reason
            self.status.setText("" if self.install.isVisibleTo(self) else breakable(reason))

    def _run_or_cancel(self) -> None:
        if self.worker is None:
            self._start(view=False)
        else:
            self._cancel()

    def _cancel(self) -> None:
        worker = self.worker
        if worker is None:
            return
        worker.quit()
        if worker.loading:
            # A network that stalls may keep it for half a minute: nobody needs to wait for that.
            for signal, slot in self._slots(worker):
                signal.disconnect(slot)
            self._show_partial(None)
            self._restore()
        else:
            self.run_button.setEnabled(False)
            self.status.setText("Cancelling after this tile…")

    def _start(self, *, view: bool) -> None:
        try:
            self._request, job = self._prepare(view)
        except InstsegError as error:
            self._fail(error)
            return
        # create_worker tells napari, so that closing the window asks first.
        worker = create_worker(
            job, self.models, _worker_class=SegmentWorker, _start_thread=False, _ignore_errors=True
        )
        for signal, slot in self._slots(worker):
            signal.connect(slot)
        self.worker = worker
        self._show_state()
        self.warnings.hide()
        self.progress.start(str(job), self._cancel)
        worker.start()

    def _slots(self, worker: SegmentWorker) -> list[tuple[Any, Callable[..., None]]]:
        return [
            (worker.progress, self._report),
            (worker.returned, self._show),
            (worker.aborted, self._show_partial),
            (worker.errored, self._fail),
            (worker.finished, self._restore),
        ]

    def _prepare(self, view: bool) -> tuple[_Request, Job]:
        """Read the form; raise InputError if something does not fit."""
        entry = self.form.entry()
        if missing := entry.missing():
            raise ModelError(f"the model {entry.title!r} {missing}")
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

    def _report(self, done: int, total: int, message: str) -> None:
        if self.run_button.isEnabled():
            self.status.setText(message[:1].upper() + message[1:])
        # Last: napari's bars let other events in, the end of this run among them.
        self.progress.update_to(done, total)

    def _show(self, result: Segmentation) -> None:
        """Add or update the layers, and say what was found."""
        request = self._request
        if request is None:
            return
        threshold = round(self.form.threshold.value(), 3)
        if threshold != result.score_threshold:
            result = result.with_score_threshold(threshold)
        layers = add_segmentation(
            self.viewer, result, request.layer, origin=request.origin, view=request.view
        )
        self.shown.put(request.layer, result, layers)
        self._seconds = time.perf_counter() - request.started
        self.form.more.show_device(device(result))
        self._say(result)
        notes = [*result.warnings, *level_note(result, request.origin.level)]
        self.warnings.setText("\n".join(f"⚠ {note}" for note in notes))
        self.warnings.setVisible(bool(notes))

    def _show_partial(self, result: Segmentation | None) -> None:
        """Keep what a cancelled run has found; an earlier result stays if that is nothing."""
        if result is None or not any(len(plane) for plane in result.raw):
            self.status.setText("Cancelled before anything was found.")
        else:
            self._show(result)

    def _say(self, result: Segmentation) -> None:
        text = f"{counted(result)} · {self._seconds:.1f} s · {device(result)}"
        if not result.complete:
            text = f"Cancelled: {text} until then"
        self.status.setText(text)

    def _fail(self, error: Exception) -> None:
        """Say that the run has failed, and why."""
        self.status.setText("Failed: see the notification.")
        notify(error)
        self._short_of_memory = isinstance(error, (DeviceMemoryError, MemoryError))

    def _restore(self) -> None:
        self.worker = None
        self.progress.stop()
        if self._short_of_memory:
            self._short_of_memory = False
            self.models.release()
        # Weights may have been downloaded.
        self.form.model.refresh()
        self._show_state()

    def _follow_threshold(self) -> None:
        shown = self.shown.get(self.form.layer())
        if shown is None:
            return
        if shown.segmentation.rendering.labels.size <= LIVE_PIXELS:
            self._repaint_live()
        self._settle()

    @qthrottled(timeout=40)
    def _repaint_live(self) -> None:
        self._repaint(hidden=False)

    @qdebounced(timeout=250)
    def _settle(self) -> None:
        """When the slider rests, bring hidden layers, tables, colours and recipes along."""
        self._repaint(hidden=True)
        layer = self.form.layer()
        if layer is not None and self.shown.get(layer) is not None:
            self.shown.describe(layer)

    def _repaint(self, *, hidden: bool) -> None:
        """Show the last result of the chosen layer at the slider's threshold."""
        layer = self.form.layer()
        if layer is None or self.shown.get(layer) is None:
            return
        kept = self.shown.repaint(layer, round(self.form.threshold.value(), 3), hidden=hidden)
        shown = self.shown.get(layer)
        if shown is not None:
            self._say(shown.segmentation)
        if kept:
            self.status.setText(
                f"{self.status.text()}\n{names(kept)}: edited by hand, left as it is. "
                "Run again for a new layer."
            )

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """Stop the run and let go of the viewer."""
        self._cancel()
        self.form.layer_choice.disconnect_viewer()
        self.progress.stop()
        super().closeEvent(event)
