"""A batch in a thread of its own: which images there are, then one after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from qtpy.QtCore import Signal

from ..batch.inputs import expand
from ..batch.jobs import Job, plan
from ..batch.overview import as_jpeg, overview
from ..batch.record import Record, read_record, write_record
from ..batch.run import BatchRun, Step
from ..batch.status import RUNNING, WAITING
from ..batch.table import write_all
from ..batch.tasks import SegmentTask
from ..io.images import read_image
from ..models.entry import LoadedModel, Report
from ..ops.axes import Image
from ..result import Result
from ..segmenter import InputError
from ..settings import Settings
from .tasks import CancelledError, WorkerSignals
from .worker import ModelHolder, RunWorker

#: Inputs under way at a time: one is read or written while the model works on another.
AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Listing:
    """What there is to do.

    Parameters
    ----------
    jobs : list of Job
    left_out : int
        Number of files that are results of earlier runs.
    sample : Image, optional
        The first image that can be read.
    record : Record, optional
        What was begun in the output folder before.
    """

    jobs: list[Job]
    left_out: int
    sample: Image | None
    record: Record | None


def look(
    texts: Sequence[str],
    output: Path | None,
    outputs: Sequence[str],
    format: str | None,
    existing: str,
    report: Report,
) -> Listing:
    """Find images, and what has become of them; for a thread of its own: folders may be slow.

    Parameters
    ----------
    texts : sequence of str
        Files, folders and patterns; see `expand`.
    output : Path, optional
        Folder for the results, once it is chosen.
    outputs, format, existing
        See `plan`.
    report : Report
        Asked whether to go on.
    """
    report(0, 0, "looking for images")
    paths, left_out = expand(texts)
    report(0, 0, f"{len(paths)} images")
    jobs = plan(paths, output or Path(), outputs, format=format, existing=existing)
    if output is None:
        jobs = [Job(job.path, job.name, job.format) for job in jobs]
    return Listing(jobs, left_out, _sample(paths), read_record(output) if output else None)


def _sample(paths: Sequence[Path]) -> Image | None:
    """Read the first image that can be read; of several broken ones, it gives up."""
    for path in paths[:3]:
        try:
            return read_image(path)
        except InputError:
            continue
    return None


@dataclass(frozen=True, eq=False)
class Request:
    """What a worker is to do."""

    record: Record
    output: Path
    settings: Settings
    existing: str

    def __str__(self) -> str:
        """Text for napari's question when a window is closed during a run."""
        return f"batch of {len(self.record.paths)} images"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What has become of a batch.

    Parameters
    ----------
    jobs : list of Job
    device : str
        Where the model ran; "" if there was nothing to do.
    seconds : float
    table : Path, optional
        That of all objects.
    problem : str
        Why there is no table.
    """

    jobs: list[Job]
    device: str
    seconds: float
    table: Path | None
    problem: str


class _Signals(WorkerSignals):
    #: All jobs, as they are at first.
    planned = Signal(object)
    #: Place of a job, what has become of it, and how far it is (`Progress`, or None).
    told = Signal(int, object, object)
    #: Place of a job, and its overview as a JPEG.
    pictured = Signal(int, object)


class BatchWorker(RunWorker):
    """Loads the model, then segments one image after the other.

    ``returned`` and ``aborted`` come with an `Outcome`; ``aborted`` with None if it was stopped
    before the first image.

    Parameters
    ----------
    request : Request
    models : ModelHolder
    """

    kind_of_signals = _Signals

    def __init__(self, request: Request, models: ModelHolder) -> None:
        super().__init__()
        self.signals: _Signals
        self._request, self._models = request, models
        self._go = threading.Event()
        self._go.set()

    @property
    def paused(self) -> bool:
        """Whether it waits, or will after the tile under way."""
        return not self._go.is_set()

    def pause(self) -> None:
        """Wait after the tile under way."""
        self._go.clear()

    def resume(self) -> None:
        """Go on."""
        self._go.set()

    def quit(self) -> None:
        """Stop after the tile under way."""
        super().quit()
        self._go.set()

    def work(self) -> Outcome | None:
        """Do it; `WorkerBase` reports the result and errors."""
        request, began = self._request, time.perf_counter()
        record, output = request.record, request.output
        jobs = plan(
            *(record.paths, output, request.settings.outputs),
            format=record.format,
            existing=request.existing,
        )
        self.signals.planned.emit([replace(job) for job in jobs])
        device = ""
        if any(job.status == WAITING for job in jobs):
            model = self._load()
            if model is None:
                self.signals.aborted.emit(None)
                return None
            write_record(output, record, request.settings)
            device = model.segmenter.device
            self._segment(model, jobs)
        self.loading = False
        outcome = _conclude(jobs, output, device, time.perf_counter() - began)
        # WorkerBase reports no result after quit(), so a partial one needs a way of its own.
        if self.cancelled():
            self.signals.aborted.emit(outcome)
        return outcome

    def _load(self) -> LoadedModel | None:
        """Load the model; None if the user does not want to wait for it."""
        settings = self._request.settings
        if not self._models.holds(settings):
            self.signals.progress.emit(0, 0, "loading model")
        try:
            model = self._models.get(settings, self.report)
        except CancelledError:
            return None
        self.loading = False
        return None if self.cancelled() else model

    def _segment(self, model: LoadedModel, jobs: list[Job]) -> None:
        request = self._request
        places = {id(job): place for place, job in enumerate(jobs)}

        def picture(job: Job, result: Result) -> None:
            self.signals.pictured.emit(places[id(job)], as_jpeg(overview(result)))

        read = partial(read_image, axes=request.record.axes)
        task = SegmentTask(read, model, request.settings)
        run = BatchRun(task, jobs, request.output, at_once=AT_ONCE, on_result=picture)
        with closing(iter(run)) as steps:
            for step in steps:
                self._tell(step, jobs, places[id(step.job)])
                self._go.wait()
                if self.cancelled():
                    break

    def _tell(self, step: Step, jobs: list[Job], place: int) -> None:
        self.signals.told.emit(place, replace(step.job), step.progress)
        if step.progress is None:
            ended = sum(job.status not in (WAITING, RUNNING) for job in jobs)
            self.signals.progress.emit(ended, len(jobs), f"{ended} of {len(jobs)} images")


def _conclude(jobs: list[Job], output: Path, device: str, seconds: float) -> Outcome:
    """Write the table of all objects."""
    try:
        return Outcome(jobs, device, seconds, write_all(jobs, output), "")
    except InputError as error:
        return Outcome(jobs, device, seconds, None, str(error))
