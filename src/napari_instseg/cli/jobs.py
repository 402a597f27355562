"""Inputs of a command: options, and what is said while they are done."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..segmenter import InputError
from ..settings import FORMATS, Settings
from . import values
from .console import INTERRUPTED, Console, UsageError, follow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..batch.jobs import Job
    from ..batch.run import Step
    from ..batch.tasks import Task
    from ..models.entry import LoadedModel
    from ..ops.axes import Image


#: Inputs whose results have longer names that are told of one by one.
FEW = 3
#: Settings that leave the labels of a result as they are.
INDIFFERENT = ("outputs", "device", "batch_size")


def add_input_options(parser: argparse.ArgumentParser) -> None:
    """Add the inputs and the folder for their results."""
    add = parser.add_argument
    add(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="files, folders, or patterns such as '*.tif'; '**' goes into sub-folders",
    )
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


def add_repeat_options(group: Any) -> None:
    """Add the recipe, and what to do about results that are there."""
    add = group.add_argument
    add("--recipe", type=Path, metavar="FILE", help="settings of an earlier run; options here win")
    existing = group.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace results that are there")
    existing.add_argument(
        "--resume",
        "--skip-existing",
        dest="skip_existing",
        action="store_true",
        help="leave out inputs that are finished, and go on with the others where they stopped",
    )


def add_jobs(group: Any) -> None:
    """Add the number of inputs under way at a time."""
    group.add_argument(
        "--jobs",
        type=values.whole,
        default=1,
        metavar="N",
        help="inputs under way at a time: while the model works on one, others are read and "
        "written; takes the memory of N (default: 1)",
    )


def load_model(settings: Settings, console: Console) -> LoadedModel:
    """Load the model of some settings, and say where it runs."""
    from ..models.registry import load_for

    with console.bar(desc=settings.model, unit="B", unit_scale=True, leave=False) as bar:
        loaded = load_for(settings, follow(bar))
    console.note(f"{loaded.name} on {loaded.segmenter.device}")
    return loaded


def check_weights(recipe: Mapping[str, Any] | None, sha256: str, console: Console) -> None:
    """Say if the weights are not those of the recipe."""
    model = recipe.get("model") if recipe else None
    then = model.get("sha256") if isinstance(model, dict) else None
    if then and then != sha256:
        console.note(
            f"the recipe was made with other weights ({then[:12]}..., now {sha256[:12]}...): "
            "results will differ"
        )


def reader(args: argparse.Namespace, recipe: Mapping[str, Any] | None) -> Callable[[Path], Image]:
    """Return what opens images as the options, else the recipe, say."""
    from .reading import open_image

    return partial(open_image, args, recipe=recipe)


def run_jobs(
    args: argparse.Namespace,
    outputs: Sequence[str],
    model: str,
    begin: Callable[[], Task],
    console: Console,
    settings: Settings | None = None,
) -> int:
    """Do what is to be done and say what became of it; return the exit status.

    Parameters
    ----------
    args : argparse.Namespace
        With `add_input_options` and `add_repeat_options`; of `add_jobs`, if it is there.
    outputs : sequence of str
        Those of `Settings`.
    model : str
        Its name.
    begin : callable
        Loads the model; only called if there is something to do.
    console : Console
    settings : Settings, optional
        With which results that are there are compared.
    """
    from ..batch.run import BatchRun

    jobs = _plan(args, outputs, console)
    interrupted, device = False, None
    if any(job.status == "waiting" for job in jobs):
        task = begin()
        device = task.device
        run = BatchRun(task, jobs, args.output, at_once=getattr(args, "jobs", 1))
        try:
            with (
                _Teller(jobs, task.unit, args.traceback, console) as tell,
                closing(iter(run)) as steps,
            ):
                for step in steps:
                    tell(step)
        except KeyboardInterrupt:
            interrupted = True
    table = _write_table(jobs, args.output, console)
    console.document(
        {
            "output": str(args.output),
            "model": model,
            "device": device,
            "interrupted": interrupted,
            "table": None if table is None else str(table),
            "inputs": [job.to_json() for job in jobs],
        }
    )
    if settings is not None:
        _note_others(jobs, settings, console)
        _note_lacking(args, jobs, console)
    return _conclude(jobs, args.output, interrupted, console)


def _plan(args: argparse.Namespace, outputs: Sequence[str], console: Console) -> list[Job]:
    """List what is to be done, and say what is done otherwise than one might think."""
    from ..batch import jobs as batch
    from ..batch.inputs import expand
    from ..io.images import stem_of

    existing = batch.SKIP if args.skip_existing else batch.REFUSE
    paths, left_out = expand(args.inputs)
    if left_out:
        console.note(f"left out {left_out} results of earlier runs")
    if not paths:
        raise UsageError("expected images, found none")
    try:
        jobs = batch.plan(
            paths,
            args.output,
            outputs,
            format=args.format,
            existing=batch.REPLACE if args.overwrite else existing,
        )
    except InputError as error:
        raise UsageError(str(error)) from error
    renamed = [job for job in jobs if job.name != stem_of(job.path)]
    for job in renamed[:FEW]:
        console.note(f"{job.path}: results are called {job.name}_..., as names would clash")
    if len(renamed) > FEW:
        console.note(f"... and so on, {len(renamed)} in all")
    return jobs


def _recipes_there(jobs: list[Job]) -> list[Path]:
    """Recipes of the results of inputs that were skipped."""
    from ..io.records import RECIPE

    files = [file for job in jobs if job.status == "skipped" for file in job.files]
    return [file for file in files if file.name.endswith(RECIPE)]


def _note_others(jobs: list[Job], settings: Settings, console: Console) -> None:
    """Say if inputs were skipped whose results were made with other settings."""
    from ..io.records import read_recipe

    wanted, count, names = settings.to_json(), 0, set[str]()
    for recipe in _recipes_there(jobs):
        try:
            then = Settings.from_json(read_recipe(recipe)["settings"]).to_json()
        except InputError:
            continue
        other = {name for name in {*wanted} - {*INDIFFERENT} if wanted[name] != then[name]}
        count, names = count + bool(other), names | other
    if count:
        console.note(
            f"{count} of the inputs that were skipped have results of other settings "
            f"({', '.join(sorted(names))}): --overwrite does them again"
        )


def _note_lacking(args: argparse.Namespace, jobs: list[Job], console: Console) -> None:
    """Say if inputs were skipped whose results have no files that are asked for now."""
    from ..io.objects import OBJECTS
    from ..io.records import RECIPE
    from ..io.results import SEAMS

    recipes = _recipes_there(jobs)
    for option, end in (("seams", SEAMS), ("keep_raw", OBJECTS)):
        there = [one.with_name(one.name.removesuffix(RECIPE) + end).exists() for one in recipes]
        if getattr(args, option, False) and not all(there):
            console.note(
                f"{there.count(False)} of the inputs that were skipped have no {end}: "
                "--overwrite does them again"
            )


class _Teller:
    """Says what happens to inputs: a bar for the one that the model works on, a line at its end."""

    def __init__(self, jobs: list[Job], unit: str, traces: bool, console: Console) -> None:
        # Jobs that look alike are not the same.
        self._places = {id(job): f"{i}/{len(jobs)} " for i, job in enumerate(jobs, start=1)}
        self._untold = {id(job): job for job in jobs if job.status == "waiting"}
        self._unit, self._traces, self._console = unit, traces, console
        self._bar: Any = None
        self._job: Job | None = None

    def __enter__(self) -> _Teller:
        return self

    def __exit__(self, *details: object) -> None:
        """Say what ended while the run was stopped, too."""
        self._close()
        for job in list(self._untold.values()):
            if job.status in ("done", "failed"):
                self._say(job)

    def __call__(self, step: Step) -> None:
        """Say what has happened."""
        job, progress = step.job, step.progress
        if progress is None:
            if job is self._job:
                self._close()
            self._say(job)
        elif progress.total:
            if job is not self._job:
                self._close()
                desc = self._places[id(job)] + job.path.name
                self._job = job
                self._bar = self._console.bar(desc=desc, unit=self._unit, leave=False)
            self._bar.total = progress.total
            self._bar.update(progress.done - self._bar.n)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = self._job = None

    def _say(self, job: Job) -> None:
        self._untold.pop(id(job), None)
        if job.error:
            if self._traces:
                self._console.fail(job.trace)
            return
        more = f" and {len(job.files) - 1} more" if len(job.files) > 1 else ""
        self._console.say(
            f"{job.path}: {job.count} objects in {job.seconds:.1f} s -> {job.files[0]}{more}"
        )
        for warning in job.warnings:
            self._console.note(f"{job.path}: {warning}")


def _write_table(jobs: list[Job], output: Path, console: Console) -> Path | None:
    """Write the table of all inputs, if there are several."""
    if len(jobs) < 2:
        return None
    from ..batch.table import write_all

    try:
        table = write_all(jobs, output)
    except InputError as error:
        console.fail(str(error))
        return None
    if table is not None:
        console.note(f"objects of all inputs -> {table}")
    return table


def _conclude(jobs: list[Job], output: Path, interrupted: bool, console: Console) -> int:
    from ..batch.jobs import tally
    from ..io.run_folder import run_folder

    count = tally(jobs)
    failed = [job for job in jobs if job.error]
    if count("skipped"):
        console.note(f"{count('skipped')} inputs were skipped: they have all results already")
    if failed:
        console.fail(f"{len(failed)} of {len(jobs)} inputs failed:")
    for job in failed:
        where = " (see where: napari-instseg --traceback segment ...)" if job.unexpected else ""
        console.fail(f"  {job.failure}{where}")
    for job in jobs:
        if job.status in ("waiting", "failed") and run_folder(output, job.name).is_dir():
            console.fail(f"{job.path}: what was found is kept; go on with --resume")
        if job.status == "stopped":
            console.fail(f"{job.path}: stopped; {job.count} objects so far -> {job.files[0]}")
    if interrupted:
        console.fail(
            f"stopped: {count('done')} of {len(jobs)} inputs are finished; results are in {output}"
            " (--resume goes on)"
        )
        return INTERRUPTED
    return 1 if failed else 0
