"""Inputs, what their results are called, and what has become of each."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..io.results import result_paths
from ..io.run_folder import run_folder
from ..io.zarr import is_zarr
from ..segmenter import InputError, InstsegError
from ..settings import TIFF, ZARR
from .inputs import name_results
from .status import DONE, FAILED, SKIPPED, STOPPED, WAITING, Status, read_status

#: What to do about results that are there.
REFUSE, SKIP, REPLACE = EXISTING = ("refuse", "skip", "replace")


@dataclass(slots=True)
class Job:
    """One input, name and format of its results, and what became of it.

    Parameters
    ----------
    path : Path
        Of the image.
    name : str
        Of its results: files are called ``<name>_instances.tif`` and so on.
    format : {"tiff", "zarr"}
    status : str
        One of `status.STATUSES`.
    error : str
        Why it failed; "" if it did not.
    trace : str
        Where in the program that arose.
    unexpected : bool
        Whether the error is none that the user could do something about.
    count : int
        Of objects.
    seconds : float
        Of work, without waiting for other inputs.
    warnings : tuple of str
    files : tuple of Path
        What was written.
    """

    path: Path
    name: str
    format: str = TIFF
    status: str = WAITING
    error: str = ""
    trace: str = ""
    unexpected: bool = False
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
            "count": self.count if self.status in (DONE, STOPPED) else None,
            "seconds": round(self.seconds, 3),
            "warnings": list(self.warnings),
            "files": [str(path) for path in self.files],
        }

    def fail(self, error: Exception) -> None:
        """Keep why it failed."""
        self.status, self.trace = FAILED, "".join(traceback.format_exception(error))
        if isinstance(error, (InstsegError, OSError)):
            self.error = str(error)
        elif isinstance(error, MemoryError):
            self.error = f"{self.path}: out of memory"
        else:
            self.unexpected = True
            self.error = f"{self.path}: unexpected {type(error).__name__}: {error}"

    @property
    def failure(self) -> str:
        """Why it failed, with its path."""
        return self.error if str(self.path) in self.error else f"{self.path}: {self.error}"


def format_of(path: Path, chosen: str | None = None) -> str:
    """Find the format of label images: the one chosen, else what suits the input."""
    return chosen or (ZARR if is_zarr(path) else TIFF)


def plan(
    paths: Sequence[Path],
    output: Path,
    outputs: Sequence[str],
    *,
    format: str | None = None,
    existing: str = REFUSE,
) -> list[Job]:
    """List what is to be done, and find out what cannot be before the model is loaded.

    Parameters
    ----------
    paths : sequence of Path
        All different, as `inputs.expand` gives them.
    output : Path
        Folder for the results.
    outputs : sequence of str
        Those of `Settings`.
    format : {"tiff", "zarr"}, optional
        Of label images; None: what suits each input.
    existing : {"refuse", "skip", "replace"}
        Results that are there make an input fail, or are replaced; with "skip", inputs that are
        finished are left out, and others done anew, but none that no run has begun. An input is
        never replaced.

    Returns
    -------
    list of Job
        Those to do are "waiting"; others "skipped" or "failed".

    Raises
    ------
    InputError
        If the output is a file, or results cannot be given different names.
    """
    if existing not in EXISTING:
        raise InputError(f"existing: expected one of {EXISTING}, got {existing!r}")
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file; expected a folder for the results")
    jobs = [
        Job(path, name, format_of(path, format))
        for path, name in zip(paths, name_results(paths), strict=True)
    ]
    inputs = {os.path.realpath(path) for path in paths}
    if output.is_dir():
        for job in jobs:
            _look(job, output, outputs, existing, inputs)
    return jobs


def _look(
    job: Job, output: Path, outputs: Sequence[str], existing: str, inputs: Collection[str]
) -> None:
    """Decide what becomes of a job whose results may be there already."""
    targets = result_paths(outputs, output, job.name, job.format)
    there = [path for path in targets if path.exists()]
    before = read_status(output, job.name)
    own = [path for path in there if os.path.realpath(path) in inputs]
    if own:
        job.status = FAILED
        job.error = (
            f"{own[0]} is an input, and has the name of a result of {job.path.name}: choose "
            "another output folder"
        )
    elif not there or existing == REPLACE:
        return
    elif before is not None and not before.is_of(job.path):
        job.status = FAILED
        job.error = (
            f"{there[0]} is of another input, {before.input}: choose another output folder, or "
            "replace it (--overwrite)"
        )
    elif existing == SKIP:
        if len(there) == len(targets) and (before is None or before.status == DONE):
            job.status, job.files = SKIPPED, tuple(targets)
            _remember(job, before)
        elif before is None and not _was_begun(output, job.name):
            job.status = FAILED
            job.error = f"{there[0]} exists, and is not of an unfinished run: pass --overwrite"
    else:
        job.status = FAILED
        job.error = f"{there[0]} exists: pass --overwrite or --skip-existing"


def _was_begun(output: Path, name: str) -> bool:
    """Whether a run without a status file, such as of `segment_to`, has left something."""
    recipe = result_paths((), output, name)[-1]
    return recipe.exists() or run_folder(output, name).is_dir()


def _remember(job: Job, before: Status | None) -> None:
    if before is not None:
        job.count, job.seconds = before.count, before.seconds


def tally(jobs: Sequence[Job]) -> Callable[[str], int]:
    """Return what counts the jobs of a status."""
    return [job.status for job in jobs].count
