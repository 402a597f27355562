"""What is done with each input."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from ..file_run import FileRun
from ..hands import OWN_HANDS, Hands
from ..io.run_folder import Existing
from ..models.entry import LoadedModel
from ..ops.axes import Image
from ..progress import Progress
from ..result import Result
from ..settings import CSV, Settings


class Stepwise(Protocol):
    """A run over one image: iterate to work, then save. Another thread may save and close it."""

    def __iter__(self) -> Iterator[Progress]:
        """Do the work, a step at a time."""
        ...

    def save(self) -> tuple[Result, Sequence[Path]]:
        """Write what was found; return it, and the files."""
        ...

    def close(self) -> None:
        """Let go of what it holds; the result is not read any more."""
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
    def begin(self, image: Image, path: Path, output: Path, name: str, format: str) -> Stepwise:
        """Begin with an image. One thread calls it, and does the steps.

        Parameters
        ----------
        image : Image
        path : Path
            The file that it was read from.
        output, name, format
            Folder, stem and format of the results, see `Segmentation.save`.
        """

    def has_part(self, run: Stepwise) -> bool:
        """Whether a run that the user has stopped is to be saved as it is."""
        return False


@dataclass(frozen=True, slots=True)
class SegmentTask(Task):
    """Finds objects with a model that needs no prompts.

    Parameters
    ----------
    loaded : LoadedModel
    settings : Settings
    tracks, existing, hands, raw, seams
        See `FileRun`.
    """

    loaded: LoadedModel
    settings: Settings
    tracks: tuple[str, ...] = (CSV,)
    existing: Existing = "resume"
    hands: Hands = OWN_HANDS
    raw: bool = False
    seams: bool = False

    @property
    def device(self) -> str:
        """Where the model runs."""
        return self.loaded.segmenter.device

    def begin(self, image: Image, path: Path, output: Path, name: str, format: str) -> FileRun:
        """Begin to segment an image."""
        return FileRun(
            *(image, self.loaded, self.settings, output, name, format),
            tracks=self.tracks,
            existing=self.existing,
            path=path,
            hands=self.hands,
            raw=self.raw,
            seams=self.seams,
        )
