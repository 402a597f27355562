"""The run in a thread of its own: the viewer stays alive, and every ending is reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..models.entry import LoadedModel, Report
from ..models.registry import load_for
from ..ops.axes import Image
from ..parts import cut_to
from ..pipeline import Run
from ..segmentation import Segmentation
from ..settings import Settings
from .holder import Holder, prepare_torchvision
from .tasks import CancelledError, Worker


@dataclass(frozen=True, eq=False)
class Job:
    """What a worker is to do.

    Parameters
    ----------
    image : Image
    settings : Settings
    plane : tuple of int, optional
        Segment only this plane of ``image``, by its index along each plane axis, and return a
        result of that plane alone.
    region : (slice, slice), optional
        Segment only these rows and columns (half-open, px).
    """

    image: Image
    settings: Settings
    plane: tuple[int, ...] | None = None
    region: tuple[slice, slice] | None = None

    def __str__(self) -> str:
        """Text for napari's question when a window is closed during a run."""
        return f"segmentation of {self.image.name!r}"

    @property
    def planes(self) -> list[tuple[int, ...]] | None:
        """The planes to segment; None: all."""
        return None if self.plane is None else [self.plane]

    def run(self, model: LoadedModel, settings: Settings) -> Run:
        """Begin to segment what it names."""
        return Run(
            self.image,
            model.segmenter,
            settings,
            model=model.identity,
            region=self.region,
            planes=self.planes,
        )


class ModelHolder(Holder[LoadedModel]):
    """Keeps the model that was used last.

    Parameters
    ----------
    loader : callable, optional
        See `Holder`; by default that of the registry.
    """

    def __init__(
        self, loader: Callable[[Settings, Report | None], LoadedModel] | None = None
    ) -> None:
        super().__init__(loader or _load)


def _load(settings: Settings, report: Report | None = None) -> LoadedModel:
    prepare_torchvision()
    return load_for(settings, report)


class RunWorker(Worker):
    """A worker that first loads a model."""

    def __init__(self) -> None:
        super().__init__()
        #: The model is not there yet: nothing is lost if nobody waits for this worker any more.
        self.loading = True


class SegmentWorker(RunWorker):
    """Loads the model, segments, and renders what is to be shown, outside the GUI's thread.

    ``returned`` and ``aborted`` come with a `Segmentation`; after a cancel it is what was done
    until then, or None. A download of weights is part of the run, and stops with it.

    Parameters
    ----------
    job : Job
    models : ModelHolder
    """

    def __init__(self, job: Job, models: ModelHolder) -> None:
        super().__init__()
        self._job, self._models = job, models

    def work(self) -> Any:
        """Do the job; `WorkerBase` reports the result and errors."""
        job = self._job
        if not self._models.holds(job.settings):
            self.signals.progress.emit(0, 0, "loading model")
        try:
            model = self._models.get(job.settings, self.report)
        except CancelledError:
            model = None
        self.loading = False
        if model is None or self.cancelled():
            self.signals.aborted.emit(None)
            return None
        return self._segment(model)

    def _segment(self, model: LoadedModel) -> Any:
        """Segment, and render."""
        job = self._job
        run = job.run(model, job.settings)
        for step in run:
            self.signals.progress.emit(step.done, step.total, step.message)
            if self.cancelled():
                break
        result = prepare(run.result(), job)
        # WorkerBase reports no result after quit(), so a partial one needs a way of its own.
        if self.cancelled():
            self.signals.aborted.emit(result)
        return result


def prepare(result: Segmentation, job: Job) -> Segmentation:
    """Cut the result down to the plane that was asked for, and render it."""
    result = cut(result, job)
    # Lazy otherwise, and then computed by the GUI's thread.
    for output in result.settings.outputs:
        getattr(result, output)
    _ = result.table, result.recipe
    return result


def cut(result: Segmentation, job: Job) -> Segmentation:
    """Cut a result down to the plane that was asked for, and say which part that was."""
    return cut_to(result, job.plane, job.region)
