"""Everything in each input, by a promptable model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ..models.entry import LoadedModel
from ..models.prompters import LoadedPrompter
from ..ops.axes import Image
from ..pipeline import Run
from ..progress import Progress
from ..prompting import PromptSession
from ..prompting.everything import EverythingRun
from ..prompting.everything_settings import EverythingSettings
from ..prompting.refine import RefineRun
from ..prompting.refine_settings import RefineSettings
from ..segmentation import Segmentation
from ..settings import Settings
from .tasks import Stepwise, Task


@dataclass(frozen=True, slots=True)
class EverythingTask(Task):
    """Asks a promptable model at a grid of points, or at the boxes of a detector.

    Parameters
    ----------
    loaded : LoadedPrompter
    options : dict
        For `PromptSession`.
    chosen : EverythingSettings
    detector : (LoadedModel, Settings), optional
        What finds the boxes; None: a grid of points is asked.
    """

    loaded: LoadedPrompter
    options: dict[str, Any]
    chosen: EverythingSettings
    detector: tuple[LoadedModel, Settings] | None = None
    unit: ClassVar[str] = "step"

    @property
    def device(self) -> str:
        """Where the model runs."""
        return self.loaded.prompter.device

    def begin(self, image: Image, path: Path, output: Path, name: str, format: str) -> Prompted:
        """Begin to ask."""
        session = PromptSession(image, self.loaded, **self.options)
        run: EverythingRun | DetectedRun
        if self.detector is None:
            run = EverythingRun(session, self.chosen)
        else:
            model, settings = self.detector
            detection = Run(image, model.segmenter, settings, model=model.identity)
            run = DetectedRun(session, detection)
        return Prompted(run, output, name, format)

    def has_part(self, run: Stepwise) -> bool:
        """Whether something has been drawn."""
        return isinstance(run, Prompted) and run.found


@dataclass(slots=True)
class Prompted:
    """A run, and where its result goes."""

    run: EverythingRun | DetectedRun | None
    output: Path
    name: str
    format: str

    @property
    def found(self) -> bool:
        """Whether there is more than what a detector has found."""
        return self.run is not None and not (
            isinstance(self.run, DetectedRun) and not self.run.found
        )

    def __iter__(self) -> Iterator[Progress]:
        """Do the work, a step at a time."""
        return iter(()) if self.run is None else iter(self.run)

    def save(self) -> tuple[Segmentation, list[Path]]:
        """Write what has been found so far."""
        if self.run is None:
            raise ValueError("expected a run that is not closed")
        result = self.run.result()
        return result, result.save(self.output, self.name, self.format)

    def close(self) -> None:
        """Forget what was found."""
        self.run = None


class DetectedRun:
    """Finds objects with a detector, then draws them anew.

    Parameters
    ----------
    session : PromptSession
    detection : Run
    settings : RefineSettings, optional
        How objects become prompts.
    """

    def __init__(
        self, session: PromptSession, detection: Run, settings: RefineSettings | None = None
    ) -> None:
        self._session, self._detection, self._settings = session, detection, settings
        self._refinement: RefineRun | None = None

    @property
    def found(self) -> bool:
        """Whether the detector is done."""
        return self._refinement is not None

    def __iter__(self) -> Iterator[Progress]:
        """Do the work, a step at a time."""
        yield from self._detection
        found = self._detection.result()
        self._refinement = RefineRun(self._session, found, settings=self._settings)
        yield from self._refinement

    def result(self) -> Segmentation:
        """Return what has been drawn so far; before that, what was detected."""
        if self._refinement is None:
            return self._detection.result()
        return self._refinement.result()
