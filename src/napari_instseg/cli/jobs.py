"""The inputs of ``napari-instseg segment``, one after the other; none stops the others."""

from __future__ import annotations

import argparse
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..segmenter import InstsegError
from ..settings import Settings
from .console import Console, UsageError

if TYPE_CHECKING:
    from ..models.entry import LoadedModel
    from ..ops.axes import Image


@dataclass(slots=True)
class Job:
    """One input, the name of its results, and what became of it."""

    path: Path
    name: str
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


def plan(args: argparse.Namespace, settings: Settings, console: Console) -> list[Job]:
    """List what is to be done, and find out what cannot be before the model is loaded."""
    from ..io.images import stem_of
    from ..io.results import result_paths
    from .inputs import expand, name_results

    paths, left_out = expand(args.inputs)
    if left_out:
        console.note(f"left out {left_out} results of earlier runs")
    jobs = [Job(path, name) for path, name in zip(paths, name_results(paths), strict=True)]
    for job in jobs:
        if job.name != stem_of(job.path):
            console.note(f"{job.path}: results are called {job.name}_..., as names would clash")
        targets = result_paths(settings.outputs, args.output, job.name)
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
class Batch:
    """A loaded model and all that is the same for every input.

    Parameters
    ----------
    loaded : LoadedModel
    settings : Settings
    recipe : mapping, optional
        Of the run that is repeated.
    args : argparse.Namespace
        ``output``, ``axes``, ``pixel_size`` and ``traceback`` are used.
    console : Console
    """

    loaded: LoadedModel
    settings: Settings
    recipe: Mapping[str, Any] | None
    args: argparse.Namespace
    console: Console

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
            self._segment(job, place)
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

    def _segment(self, job: Job, place: str) -> None:
        from ..io.images import read_image
        from ..pipeline import Run

        args = self.args
        image = read_image(job.path, args.axes)
        if self.recipe is not None and args.axes is None:
            image = _as_in_recipe(image, self.recipe)
        if args.pixel_size:
            size = dict.fromkeys("YX", args.pixel_size)
            image = replace(image, spacing={**image.spacing, **size})
        run = Run(image, self.loaded.segmenter, self.settings, model=self.loaded.identity)
        with self.console.bar(desc=place + job.path.name, unit="tile", leave=False) as bar:
            for step in run:
                bar.total = step.total
                bar.update(step.done - bar.n)
        result = run.result()
        job.warnings, job.count = result.warnings, result.count
        job.files = tuple(result.save(args.output, job.name))


def _as_in_recipe(image: Image, recipe: Mapping[str, Any]) -> Image:
    """Read the image of the recipe as it was read then: with the axes and pixel size given."""
    then = recipe.get("input")
    if not isinstance(then, Mapping) or then.get("name") != image.name:
        return image
    if then.get("shape") != list(image.data.shape):
        return image
    spacing = image.spacing or then.get("spacing_um") or {}
    return replace(image, axes=str(then.get("axes", image.axes)), spacing=spacing)
