"""What is done with each input."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from ..models.entry import LoadedModel
from ..ops.axes import Image
from ..pipeline import Run
from ..progress import Progress
from ..segmentation import Segmentation
from ..settings import Settings


class Stepwise(Protocol):
    """A run over one image, such as `pipeline.Run`: iterate to work."""

    def __iter__(self) -> Iterator[Progress]:
        """Do the work, a step at a time."""
        ...

    def result(self) -> Segmentation:
        """Return what has been found so far."""
        ...


@dataclass(frozen=True, slots=True)
class Task(ABC):
    """A loaded model, and all that is the same for every input.

    Parameters
    ----------
    read : callable
        Opens the image at a path. Several threads may call it.
    """

    read: Callable[[Path], Image]
    #: What its runs count their progress in.
    unit: ClassVar[str] = "tile"

    @property
    @abstractmethod
    def device(self) -> str:
        """Where the model runs."""

    @abstractmethod
    def begin(self, image: Image) -> Stepwise:
        """Begin with an image. One thread calls it, and does the steps."""

    def part(self, run: Stepwise) -> Segmentation | None:
        """Return what is to be kept of a run that the user has stopped, None for nothing."""
        return None


@dataclass(frozen=True, slots=True)
class SegmentTask(Task):
    """Finds objects with a model that needs no prompts."""

    loaded: LoadedModel
    settings: Settings

    @property
    def device(self) -> str:
        """Where the model runs."""
        return self.loaded.segmenter.device

    def begin(self, image: Image) -> Run:
        """Begin to segment an image."""
        return Run(image, self.loaded.segmenter, self.settings, model=self.loaded.identity)
