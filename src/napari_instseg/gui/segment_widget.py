"""The Segment dock: read the form, run the worker, show the layers."""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass, replace

import napari.layers
import napari.viewer
from napari.qt.threading import create_worker
from napari.utils.notifications import Notification, notification_manager, show_error
from qtpy.QtCore import Qt
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import qdebounced, qthrottled

from ..segmentation import Segmentation
from ..segmenter import InputError, InstsegError
from .geometry import Origin
from .layers import visible_part
from .progress import RunProgress
from .results import add_segmentation, describe, edited, names, repaint
from .segment_form import SegmentForm
from .worker import Job, ModelHolder, SegmentWorker

#: Above so many pixels the labels follow the threshold when it rests, not while it moves.
LIVE_PIXELS = 3000 * 3000
#: The form fits into it, px.
DOCK_WIDTH = 320
PLURALS = {"nucleus": "nuclei", "bacterium": "bacteria", "mitochondrion": "mitochondria"}
VIEW_TIP = (
    "Segment only what the canvas shows: the visible rows and columns of the current plane.\n"
    "The result gets layers of its own."
)


@dataclass(frozen=True, eq=False)
class Shown:
    """A result and the layers that show it."""

    segmentation: Segmentation
    layers: tuple[napari.layers.Labels, ...]


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
        #: The last result of each image layer, by the layer's unique id.
        self.shown: dict[Hashable, Shown] = {}
        self._request: _Request | None = None
        self._build()
        self.form.threshold_changed.connect(lambda _: self._follow_threshold())

    def segment_layer(self, layer: napari.layers.Image) -> None:
        """Choose a layer and run, unless a run is going on."""
        self.form.layer_choice.choose(layer.unique_id)
        if self.worker is None:
            self._start(view=False)

    def _build(self) -> None:
        self.form = SegmentForm(self.viewer)
        self.run_button = QPushButton("Run")
        self.run_button.setToolTip("Segment the whole layer, all planes")
        self.run_button.clicked.connect(self._run_or_cancel)
        self.view_button = QPushButton("Segment view")
        self.view_button.setToolTip(VIEW_TIP)
        self.view_button.clicked.connect(lambda: self._start(view=True))
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button, 1)
        buttons.addWidget(self.view_button, 1)
        self.progress = RunProgress()
        self.status = _text()
        self.warnings = _text()
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(8)
        column.addWidget(self.form)
        column.addLayout(buttons)
        for widget in (self.progress, self.status, self.warnings):
            column.addWidget(widget)
        column.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(content)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area)
        self.setMinimumWidth(DOCK_WIDTH)

    def _run_or_cancel(self) -> None:
        if self.worker is None:
            self._start(view=False)
        else:
            self._cancel()

    def _cancel(self) -> None:
        if self.worker is not None:
            self.worker.quit()
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
        worker.progress.connect(self._report)
        worker.returned.connect(self._show)
        worker.aborted.connect(self._show_partial)
        worker.errored.connect(self._fail)
        worker.finished.connect(self._restore)
        self.worker = worker
        self.run_button.setText("Cancel")
        self.view_button.setEnabled(False)
        self.warnings.hide()
        self.progress.start(str(job), self._cancel)
        worker.start()

    def _prepare(self, view: bool) -> tuple[_Request, Job]:
        """Read the form; raise InputError if something does not fit."""
        settings = self.form.settings()
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
        present = {layer.unique_id for layer in self.viewer.layers}
        self.shown = {key: shown for key, shown in self.shown.items() if key in present}
        self.shown[request.layer.unique_id] = Shown(result, tuple(layers))
        self._seconds = time.perf_counter() - request.started
        self.form.show_device(_device(result))
        self._say(result)
        notes = [*result.warnings, *_level_note(request, result)]
        self.warnings.setText("\n".join(f"⚠ {note}" for note in notes))
        self.warnings.setVisible(bool(notes))

    def _show_partial(self, result: Segmentation | None) -> None:
        """Keep what a cancelled run has found; an earlier result stays if that is nothing."""
        if result is None or not any(len(plane) for plane in result.raw):
            self.status.setText("Cancelled before anything was found.")
        else:
            self._show(result)

    def _say(self, result: Segmentation) -> None:
        text = f"{counted(result)} · {self._seconds:.1f} s · {_device(result)}"
        if not result.complete:
            text = f"Cancelled: {text} until then"
        self.status.setText(text)

    def _fail(self, error: Exception) -> None:
        """Show an error as a notification; ours are plain text, others keep their traceback."""
        self.status.setText("Failed: see the notification.")
        if isinstance(error, InstsegError):
            show_error(str(error))
        else:
            notification_manager.dispatch(Notification.from_exception(error))

    def _restore(self) -> None:
        self.worker = None
        self.progress.stop()
        self.run_button.setText("Run")
        self.run_button.setEnabled(True)
        self.view_button.setEnabled(True)

    def _follow_threshold(self) -> None:
        shown = self._current()
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
        shown = self._current()
        if shown is None:
            return
        for layer in shown.layers:
            if layer in self.viewer.layers and not edited(layer):
                describe(layer, shown.segmentation)

    def _repaint(self, *, hidden: bool) -> None:
        """Show the last result of the chosen layer at the slider's threshold."""
        shown, layer = self._current(), self.form.layer()
        if shown is None or layer is None:
            return
        threshold = round(self.form.threshold.value(), 3)
        result = shown.segmentation
        if threshold != result.score_threshold:
            result = result.with_score_threshold(threshold)
        ours = [x for x in shown.layers if x in self.viewer.layers and (x.visible or hidden)]
        kept = [x for x in ours if edited(x)]
        for labels in ours:
            if labels not in kept:
                repaint(labels, result)
        self.shown[layer.unique_id] = replace(shown, segmentation=result)
        self._say(result)
        if kept:
            self.status.setText(
                f"{self.status.text()}\n{names(kept)}: edited by hand, left as it is. "
                "Run again for a new layer."
            )

    def _current(self) -> Shown | None:
        layer = self.form.layer()
        return None if layer is None else self.shown.get(layer.unique_id)

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """Stop the run and let go of the viewer."""
        self._cancel()
        self.form.layer_choice.disconnect_viewer()
        self.progress.stop()
        super().closeEvent(event)


def counted(result: Segmentation) -> str:
    """Number of objects in words, such as "127 nuclei"."""
    things = [c.name for c in result.categories if c.is_thing]
    noun = things[0] if len(things) == 1 else "object"
    return f"{result.count} {noun if result.count == 1 else PLURALS.get(noun, noun + 's')}"


def _device(result: Segmentation) -> str:
    return str(result.details.get("resolved", {}).get("device", ""))


def _level_note(request: _Request, result: Segmentation) -> list[str]:
    """Say which level of a multiscale layer was used, if not the finest."""
    if not request.origin.level:
        return []
    size = " × ".join(map(str, result.image.label_shape[-2:]))
    return [f"level {request.origin.level} of the multiscale image was used ({size} px)"]


def _text() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
