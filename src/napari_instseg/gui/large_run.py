"""A run on an image whose results go to disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.entry import LoadedModel
from ..ops.preview import Preview
from ..progress import Progress
from ..result import Result
from ..settings import ZARR
from .on_disk import free_folder, stem_of_image
from .tasks import CancelledError
from .worker import Job, ModelHolder, SegmentWorker

if TYPE_CHECKING:
    from ..io.run_folder import Existing


@dataclass(frozen=True, eq=False, kw_only=True)
class LargeJob(Job):
    """What a `LargeWorker` is to do: an image, all planes.

    Parameters
    ----------
    root : Path
        Folder for the folder of the image's results.
    existing : {"refuse", "resume", "replace"}
        What to do about an unfinished run that is there.
    preview : Preview
        Painted on as tiles are done.
    """

    root: Path
    existing: Existing
    preview: Preview


@dataclass(frozen=True, eq=False)
class SavedRun:
    """A result that lies on disk.

    Parameters
    ----------
    result : Result
        Its label images may be gone from memory; the rest is there.
    folder : Path
    levels : dict of str to (list of dask array, str)
        Of each output, the finest first, and their axes.
    files : dict of str to Path
        Of each output, its folder.
    """

    result: Result
    folder: Path
    levels: dict[str, tuple[list[Any], str]]
    files: dict[str, Path]


class LargeWorker(SegmentWorker):
    """Loads the model, and segments to disk; after a cancel, what was found stays there.

    ``returned`` comes with a `SavedRun`, ``aborted`` with None.

    Parameters
    ----------
    job : LargeJob
    models : ModelHolder
    """

    _job: LargeJob

    def __init__(self, job: LargeJob, models: ModelHolder) -> None:
        super().__init__(job, models)

    def _segment(self, model: LoadedModel) -> SavedRun | None:
        # Brings the file formats, which opening the dock does not need.
        from ..file_run import FileRun

        job = self._job
        folder, stem = free_folder(job.root, job.image), stem_of_image(job.image)
        with FileRun(
            job.image,
            model,
            job.settings,
            folder,
            stem,
            ZARR,
            existing=job.existing,
            watch=job.preview.add,
        ) as run:
            try:
                for step in run:
                    self._tell(step)
                result, files = run.save(self._tell)
            except CancelledError:
                self.signals.aborted.emit(None)
                return None
        # Computed by the GUI's thread otherwise.
        _ = result.table
        named = dict(zip(result.settings.outputs, files, strict=False))
        return SavedRun(result, folder, _open(named), named)

    def _tell(self, step: Progress) -> None:
        """Pass on how far it is, and stop if that is wanted."""
        self.signals.progress.emit(step.done, step.total, step.message)
        if self.cancelled():
            raise CancelledError


def _open(files: Mapping[str, Path]) -> dict[str, tuple[list[Any], str]]:
    from ..io.zarr import read_label_pyramid
    from .reader import lazy_levels

    found = {}
    for output, path in files.items():
        pyramid = read_label_pyramid(path)
        if pyramid is not None:
            found[output] = lazy_levels(pyramid), pyramid.axes
    return found
