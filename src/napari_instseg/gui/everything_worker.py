"""A run of the Segment everything dock in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..progress import Progress
from ..prompting import PromptSession
from ..prompting.everything import EverythingRun
from ..prompting.everything_settings import EverythingSettings
from ..prompting.refine import RefineRun
from ..prompting.refine_settings import RefineSettings
from ..segmentation import Segmentation
from ..settings import Settings
from .found import Found, FoundEverywhere, FoundObjects, Limits
from .holder import PrompterHolder
from .prompt_layers import LabelsSource, RowSource
from .tasks import CancelledError
from .worker import Job, ModelHolder, RunWorker, prepare

#: Steps of the progress bar, over all that a run does.
STEPS = 1000


@dataclass(frozen=True, eq=False)
class Detector:
    """A model that finds the objects; ``settings`` are those of its run."""

    settings: Settings

    scored = True


#: Where the prompts come from: a grid of points all over, a detector, or a layer.
Source: TypeAlias = EverythingSettings | Detector | LabelsSource | RowSource


@dataclass(frozen=True, eq=False, kw_only=True)
class EverythingJob(Job):
    """What an `EverythingWorker` is to do; ``settings`` name the promptable model.

    Parameters
    ----------
    source : Source
    options : dict
        For `PromptSession`: the fields of `Settings` that were chosen.
    refine : RefineSettings
    limits : Limits
        Which masks are to be shown.
    """

    source: Source
    options: dict[str, Any]
    refine: RefineSettings
    limits: Limits


class EverythingWorker(RunWorker):
    """Loads the models, asks, and renders, outside the GUI's thread.

    ``returned`` and ``aborted`` come with `Found` and a `Segmentation`; after a cancel it is
    what was done until then, or None.

    Parameters
    ----------
    job : EverythingJob
    prompters : PrompterHolder
    models : ModelHolder
        For the detector.
    """

    def __init__(self, job: EverythingJob, prompters: PrompterHolder, models: ModelHolder) -> None:
        super().__init__()
        self._job, self._prompters, self._models = job, prompters, models

    def work(self) -> tuple[Found, Segmentation] | None:
        """Do the job; `WorkerBase` reports the result and errors."""
        found = self._find()
        if found is None:
            self.signals.aborted.emit(None)
            return None
        result = found, prepare(found.choose(self._job.limits), self._job)
        # WorkerBase reports no result after quit(), so a partial one needs a way of its own.
        if self.cancelled():
            self.signals.aborted.emit(result)
        return result

    def _find(self) -> Found | None:
        """Do all but rendering; None if it was cancelled before anything could be found."""
        job = self._job
        if not self._load():
            return None
        self.signals.progress.emit(0, 0, "reading intensities")
        session = PromptSession(job.image, self._prompters.get(job.settings), **job.options)
        if isinstance(job.source, EverythingSettings):
            run = EverythingRun(session, job.source, region=job.region, planes=job.planes)
            self._follow(run, 0, 1)
            return FoundEverywhere(run.raw())
        what, kind, phase = self._objects(job.source)
        refining = RefineRun(session, what, kind=kind, settings=job.refine)
        self._follow(refining, phase, phase + 1)
        return FoundObjects(refining, scored=job.source.scored)

    def _load(self) -> bool:
        """Load what is needed; False if that was cancelled."""
        job = self._job
        try:
            if isinstance(job.source, Detector):
                self._get(self._models, job.source.settings)
            self._get(self._prompters, job.settings)
        except CancelledError:
            return False
        finally:
            self.loading = False
        return not self.cancelled()

    def _get(self, models: ModelHolder | PrompterHolder, settings: Settings) -> None:
        if not models.holds(settings):
            self.signals.progress.emit(0, 0, f"loading model {settings.model}")
        models.get(settings, self.report)

    def _objects(self, source: Detector | LabelsSource | RowSource) -> tuple[Any, str | None, int]:
        """Return what `RefineRun` takes, its kind, and the number of the phase that follows."""
        job = self._job
        if isinstance(source, RowSource):
            return source.rows, source.kind, 0
        if isinstance(source, LabelsSource):
            self.signals.progress.emit(0, 0, f"reading {source.name!r}")
            return source.segmentation(job.settings), None, 0
        run = job.run(self._models.get(source.settings), source.settings)
        self._follow(run, 0, 2, "finding objects: ")
        return run.result(), None, 1

    def _follow(self, run: Iterable[Progress], phase: int, phases: int, prefix: str = "") -> None:
        """Do a run as one of several phases of the progress bar, until it is done or cancelled."""
        if self.cancelled():
            return
        for step in run:
            share = step.done / step.total if step.total else 0.0
            done = round(STEPS * (phase + share) / phases)
            self.signals.progress.emit(done, STEPS, prefix + step.message)
            if self.cancelled():
                return
