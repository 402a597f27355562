"""The Segment everything dock: run, then choose from what was found."""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass, field

import napari.layers
import napari.viewer
import numpy as np
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QHBoxLayout, QWidget

from ..models.entry import ModelEntry
from ..ops.axes import Image
from ..progress import how_many
from ..result import Result
from ..segmentation import Segmentation
from ..segmenter import InputError, ModelError
from ..snippets.everything import everything_command, everything_python
from ..snippets.source import Source
from .copying import source_of
from .everything_form import EverythingForm
from .everything_text import described
from .everything_worker import Detector, EverythingJob, EverythingWorker
from .form_rows import fill_dock
from .found import Found, Limits
from .geometry import Origin
from .holder import PrompterHolder
from .limits_form import GRID
from .result_text import ran
from .results import add_segmentation
from .run_dock import RunDock
from .task_row import sentence
from .worker import ModelHolder, cut

#: Above so many pixels the labels follow the sliders when they rest, not while they move.
LIVE_PIXELS = 2000 * 2000
RUN_TIP = "Segment the region that is chosen above"
#: Parts of layers' names, by where the prompts come from: results of each have their own layers.
MADE = {GRID: "everything"}
REFINED = "refined"
NO_AREAS = np.empty(0, np.float32)


@dataclass(frozen=True, eq=False)
class _Request:
    """What a run was started for."""

    layer: napari.layers.Image
    job: EverythingJob
    origin: Origin
    kind: str
    view: bool
    started: float = field(default_factory=time.perf_counter)


@dataclass(eq=False)
class _Last:
    """The last run on an image layer, what it found, and what is chosen of that."""

    request: _Request
    found: Found
    limits: Limits
    seconds: float


class EverythingWidget(RunDock):
    """Segments all objects of an image, or draws known ones anew, with a promptable model.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    prompters : PrompterHolder, optional
        Where promptable models are kept between runs.
    models : ModelHolder, optional
        Where detectors are kept.
    """

    form: EverythingForm

    def __init__(
        self,
        napari_viewer: napari.viewer.Viewer,
        prompters: PrompterHolder | None = None,
        models: ModelHolder | None = None,
    ) -> None:
        form, prompters, models = (
            EverythingForm(napari_viewer),
            prompters or PrompterHolder(),
            models or ModelHolder(),
        )
        super().__init__(
            napari_viewer,
            form,
            (prompters, models),
            step="batch",
            tip=RUN_TIP,
            live_pixels=LIVE_PIXELS,
        )
        self.prompters, self.models = prompters, models
        self._request: _Request | None = None
        self._last: dict[Hashable, _Last] = {}
        self.limits = form.limits
        self.form.model_changed.connect(self._show_state)
        self.form.layer_changed.connect(self._show_last)
        self.form.source_changed.connect(self._show_last)
        self.limits.changed.connect(self._choose)
        buttons = QWidget()
        line = QHBoxLayout(buttons)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.run_button, 1)
        line.addWidget(self.copy_button)
        parts = (self.form, self.install, self.limits, buttons)
        fill_dock(self, (*parts, self.progress, self.status, self.warnings))
        self._show_state()
        self._show_last()

    def _entries(self) -> tuple[ModelEntry, ...]:
        return self.form.entries()

    def _refresh(self) -> None:
        self.form.model.refresh()
        self.form.detector.refresh()

    def _source(self) -> Source:
        image, layer = self.form.image(), self.form.layer()
        if layer is None:
            raise InputError("expected an image layer")
        return source_of(layer, image, self.form.more.level())

    def _python(self) -> str:
        return everything_python(self._source(), described(self.form))

    def _command(self) -> str:
        return everything_command(self._source(), described(self.form))

    def _start(self) -> None:
        self._request = self._prepare()
        self._launch(EverythingWorker, self._request.job, self.prompters, self.models)

    def _prepare(self) -> _Request:
        """Read the form; raise InputError if something does not fit."""
        if missing := self._missing():
            raise ModelError(missing)
        form = self.form
        image, layer, settings = form.image(), form.layer(), form.settings()
        if layer is None:
            raise InputError("expected an image layer")
        plane, region = form.part(image)
        source = form.prompts(image, plane, region)
        job = EverythingJob(
            image=image,
            settings=settings,
            plane=plane or None,
            region=region,
            source=source,
            options={**form.more.values(), "outputs": settings.outputs},
            refine=form.refine_settings(),
            limits=self.limits.value(),
        )
        self._make_room(job)
        fixed = dict(zip(image.plane_axes, plane or (), strict=False))
        origin = Origin(image.axes, form.more.level(), fixed)
        view = region is not None or bool(fixed)
        return _Request(layer, job, origin, form.kind(), view)

    def _make_room(self, job: EverythingJob) -> None:
        """Let go of models that are not needed: two may not fit a device."""
        if not self.prompters.holds(job.settings):
            self.prompters.release()
        source = job.source
        if not isinstance(source, Detector) or not self.models.holds(source.settings):
            self.models.release()

    def _show(self, result: tuple[Found, Segmentation]) -> None:
        """Add or update the layers, and say what was found."""
        request, (found, segmentation) = self._request, result
        if request is None:
            return
        layer = request.layer
        layers = add_segmentation(
            self.viewer,
            segmentation,
            layer,
            origin=request.origin,
            view=request.view,
            made=MADE.get(request.kind, REFINED),
        )
        self.shown.put(layer, segmentation, layers)
        present = {layer.unique_id for layer in self.viewer.layers}
        self._last = {key: last for key, last in self._last.items() if key in present}
        seconds = time.perf_counter() - request.started
        self._last[layer.unique_id] = _Last(request, found, request.job.limits, seconds)
        moved = self.limits.value() if self._current() else request.job.limits
        self._report_on(segmentation, request.origin.level)
        self._show_last()
        if moved != request.job.limits:
            # The sliders did not wait for the run.
            self.limits.set_value(moved)

    def _show_partial(self, result: tuple[Found, Segmentation] | None) -> None:
        """Keep what a cancelled run has found; an earlier result stays if that is nothing."""
        if result is None or not len(result[0].areas):
            self.status.setText("Cancelled before anything was found.")
        else:
            self._show(result)

    def _current(self) -> _Last | None:
        """The last run on the chosen layer, if its prompts came from where the form says."""
        last = self._last_of_layer()
        return last if last is not None and last.request.kind == self.form.kind() else None

    def _last_of_layer(self) -> _Last | None:
        layer = self.form.layer()
        return None if layer is None else self._last.get(layer.unique_id)

    def _show_last(self) -> None:
        """Show the limits of the last run on the chosen layer."""
        last = self._current()
        with QSignalBlocker(self.limits):
            if last is None:
                self.limits.show_areas(NO_AREAS, 1.0, "px")
            else:
                self.limits.show_areas(last.found.areas, *_unit(last.request.job.image))
                self.limits.set_value(last.limits)

    def _choose(self) -> None:
        """Show what the sliders choose of what was found."""
        last = self._current()
        if last is not None and last.limits != self.limits.value():
            last.limits = self.limits.value()
            self._follow()

    def _exchange(self, layer: napari.layers.Image, *, hidden: bool) -> list[napari.layers.Layer]:
        last = self._last[layer.unique_id]
        result = cut(last.found.choose(last.limits), last.request.job)
        return self.shown.exchange(layer, result, hidden=hidden)

    def _say(self, result: Result) -> None:
        last = self._last_of_layer()
        if last is None:
            return
        total = len(last.found.areas)
        text = ran(result, last.seconds) if result.count else _nothing(last, total)
        short = last.found.short_of(last.limits)
        self.status.setText(f"{text}\n{sentence(short)}: run again for them." if short else text)


def _nothing(last: _Last, total: int) -> str:
    """Say why nothing is shown, and what to do."""
    if total:
        return f"Of {how_many(total, 'mask')} found, none is within the limits: widen them."
    if last.request.kind == GRID:
        return (
            "Nothing was found. Lower “Pred. IoU” and “Stability” and run again, or look whether "
            "the model sees the objects: see “Intensity” and “Channel” under “More”."
        )
    return "No objects were found to draw anew: try another detector or layer, or a larger region."


def _unit(image: Image) -> tuple[float, str]:
    """What a px is in the unit that areas are shown in, and its name."""
    spacing = image.spacing
    if {"Y", "X"} <= set(spacing):
        return spacing["Y"] * spacing["X"], "µm²"
    return 1.0, "px"
