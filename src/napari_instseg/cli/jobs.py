"""Inputs of a command, one after the other; none stops the others."""

from __future__ import annotations

import argparse
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..segmenter import InstsegError
from ..settings import FORMATS, TIFF, ZARR, Settings
from .console import INTERRUPTED, Console, UsageError, follow
from .reading import open_image

if TYPE_CHECKING:
    from ..models.entry import LoadedModel
    from ..models.prompters import LoadedPrompter
    from ..ops.axes import Image
    from ..segmentation import Result, Segmentation


def add_input_options(parser: argparse.ArgumentParser) -> None:
    """Add the inputs and the folder for their results."""
    add = parser.add_argument
    add("inputs", nargs="+", metavar="INPUT", help="files, folders, or patterns such as '*.tif'")
    add("--output", "-o", required=True, type=Path, metavar="DIR", help="folder for the results")
    add_format(parser)


def add_format(parser: Any) -> None:
    """Add the format of label images."""
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="of label images; zarr is OME-Zarr, chunked, at several resolutions (default: zarr "
        "for images in Zarr, else tiff)",
    )


def format_of(args: argparse.Namespace, path: Path) -> str:
    """Find the format of label images: the option, else what suits the input."""
    from ..io.zarr import is_zarr

    return str(args.format or (ZARR if is_zarr(path) else TIFF))


def add_repeat_options(group: Any) -> Any:
    """Add the recipe, and what to do about results that are there; return the group of these."""
    add = group.add_argument
    add("--recipe", type=Path, metavar="FILE", help="settings of an earlier run; options here win")
    existing = group.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace results that are there")
    existing.add_argument(
        "--skip-existing", action="store_true", help="leave out inputs that have all results"
    )
    return existing


def load_model(settings: Settings, console: Console) -> LoadedModel:
    """Load the model of some settings, and say where it runs."""
    from ..models.registry import load_for

    with console.bar(desc=settings.model, unit="B", unit_scale=True, leave=False) as bar:
        loaded = load_for(settings, follow(bar))
    console.note(f"{loaded.name} on {loaded.segmenter.device}")
    return loaded


@dataclass(slots=True)
class Job:
    """One input, name and format of its results, and what became of it."""

    path: Path
    name: str
    format: str = TIFF
    status: str = "waiting"
    error: str = ""
    count: int = 0
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return values that `json` can write."""
        return {
            "input": str(self.path),
            "name": self.name,
            "status": self.status,
            "error": self.error or None,
            "count": self.count if self.status == "done" else None,
            "seconds": round(self.seconds, 3),
            "warnings": list(self.warnings),
            "files": [str(path) for path in self.files],
        }


def plan(args: argparse.Namespace, outputs: Sequence[str], console: Console) -> list[Job]:
    """List what is to be done, and find out what cannot be before the model is loaded."""
    from ..io.images import stem_of
    from ..io.results import result_paths
    from .inputs import expand, name_results

    paths, left_out = expand(args.inputs)
    if left_out:
        console.note(f"left out {left_out} results of earlier runs")
    jobs = [
        Job(path, name, format_of(args, path))
        for path, name in zip(paths, name_results(paths), strict=True)
    ]
    for job in jobs:
        if job.name != stem_of(job.path):
            console.note(f"{job.path}: results are called {job.name}_..., as names would clash")
        targets = result_paths(outputs, args.output, job.name, job.format)
        there = [path for path in targets if path.exists()]
        if args.skip_existing and len(there) == len(targets):
            job.status, job.files = "skipped", tuple(targets)
        elif there and not (args.overwrite or args.skip_existing):
            job.status = "failed"
            job.error = f"{there[0]} exists: pass --overwrite or --skip-existing"
    if not paths:
        raise UsageError("expected images, found none")
    if args.output.exists() and not args.output.is_dir():
        raise UsageError(f"--output: {args.output} is a file; expected a folder")
    return jobs


@dataclass(frozen=True, slots=True)
class Batch(ABC):
    """A loaded model and all that is the same for every input.

    Parameters
    ----------
    loaded : LoadedModel or LoadedPrompter
    recipe : mapping, optional
        Of the run that is repeated.
    args : argparse.Namespace
        ``output``, ``traceback`` and what `reading.open_image` needs are used.
    console : Console
    """

    loaded: LoadedModel | LoadedPrompter
    recipe: Mapping[str, Any] | None
    args: argparse.Namespace
    console: Console

    @property
    @abstractmethod
    def device(self) -> str:
        """Where the model runs."""

    @abstractmethod
    def segment(self, job: Job, place: str) -> None:
        """Do a job; ``place`` says which one of them it is."""

    def open(self, job: Job) -> Image:
        """Read a job's image; what its result could not be written as is said now."""
        from ..io.results import check_format

        image = open_image(self.args, job.path, self.recipe)
        check_format(job.format, image)
        return image

    def keep(self, job: Job, result: Segmentation) -> None:
        """Write a job's result."""
        self.note(job, result, result.save(self.args.output, job.name, job.format))

    def note(self, job: Job, result: Result, files: Sequence[Path]) -> None:
        """Note what a job's result is, and where."""
        job.warnings, job.count, job.files = result.warnings, result.count, tuple(files)

    def check_weights(self) -> None:
        """Say if the weights are not those of the recipe."""
        model = self.recipe.get("model") if self.recipe else None
        then = model.get("sha256") if isinstance(model, Mapping) else None
        if then and then != self.loaded.sha256:
            self.console.note(
                f"the recipe was made with other weights ({then[:12]}..., now "
                f"{self.loaded.sha256[:12]}...): results will differ"
            )

    def do(self, jobs: list[Job]) -> None:
        """Do all jobs that wait; what became of each is kept in it."""
        for number, job in enumerate(jobs, start=1):
            if job.status == "waiting":
                self._try(job, f"{number}/{len(jobs)} ")

    def _try(self, job: Job, place: str) -> None:
        begin = time.perf_counter()
        try:
            self.segment(job, place)
            job.status = "done"
        except (InstsegError, OSError) as error:
            job.error = str(error)
            self._trace()
        except MemoryError:
            job.error = f"{job.path}: out of memory"
            self._trace()
        except Exception as error:  # noqa: BLE001 - one input must not take the others with it
            job.error = f"{job.path}: unexpected {type(error).__name__}: {error}"
            if not self.args.traceback:
                job.error += " (see where: napari-instseg --traceback segment ...)"
            self._trace()
        finally:
            job.seconds = time.perf_counter() - begin
        if job.error:
            job.status = "failed"
        else:
            self._say(job)

    def _trace(self) -> None:
        if self.args.traceback:
            self.console.fail(traceback.format_exc())

    def _say(self, job: Job) -> None:
        more = f" and {len(job.files) - 1} more" if len(job.files) > 1 else ""
        self.console.say(
            f"{job.path}: {job.count} objects in {job.seconds:.1f} s -> {job.files[0]}{more}"
        )
        for warning in job.warnings:
            self.console.note(f"{job.path}: {warning}")


def run_jobs(
    args: argparse.Namespace,
    outputs: Sequence[str],
    model: str,
    begin: Callable[[], Batch],
    console: Console,
) -> int:
    """Do what is to be done and say what became of it; return the exit status.

    Parameters
    ----------
    args : argparse.Namespace
        With `add_input_options` and `add_repeat_options`.
    outputs : sequence of str
        Those of `Settings`.
    model : str
        Its name.
    begin : callable
        Loads the model; only called if there is something to do.
    console : Console
    """
    jobs = plan(args, outputs, console)
    interrupted, device = False, None
    if any(job.status == "waiting" for job in jobs):
        batch = begin()
        device = batch.device
        batch.check_weights()
        try:
            batch.do(jobs)
        except KeyboardInterrupt:
            interrupted = True
    console.document(
        {
            "output": str(args.output),
            "model": model,
            "device": device,
            "interrupted": interrupted,
            "inputs": [job.to_json() for job in jobs],
        }
    )
    return _conclude(jobs, args.output, interrupted, console)


def _conclude(jobs: list[Job], output: Path, interrupted: bool, console: Console) -> int:
    done = sum(job.status == "done" for job in jobs)
    skipped = sum(job.status == "skipped" for job in jobs)
    failed = [job for job in jobs if job.error]
    if skipped:
        console.note(f"{skipped} inputs were skipped: they have all results already")
    if failed:
        console.fail(f"{len(failed)} of {len(jobs)} inputs failed:")
    for job in failed:
        named = str(job.path) in job.error
        console.fail("  " + (job.error if named else f"{job.path}: {job.error}"))
    if interrupted:
        console.fail(f"stopped: {done} of {len(jobs)} inputs are finished; results are in {output}")
        return INTERRUPTED
    return 1 if failed else 0
