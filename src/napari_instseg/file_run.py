"""A run from image to files that goes on where it was stopped, whatever stopped it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from .io.atomic import sweep
from .io.results import check_format
from .io.run_folder import Existing, RunFolder, read_about
from .models.entry import LoadedModel
from .ops.axes import Image
from .ops.identity import sample_sha256
from .ops.results import Watch
from .pipeline import Run
from .progress import Listener, Progress, ignore
from .provenance import versions
from .segmentation import Result
from .segmenter import InputError
from .settings import ZARR, Settings


class FileRun:
    """Segments an image, writing as it goes.

    Iterate to work, then `save`; all within a ``with`` statement. Results of tiles are kept in a
    hidden folder beside the results until these are written. Label images as OME-Zarr are painted
    chunk by chunk, so memory does not grow with the image; TIFF, and objects that are linked
    through Z, need the label images in memory.

    Parameters
    ----------
    image : Image
    model : LoadedModel
    settings : Settings
    output : Path
        Folder for the results; made if it is not there.
    stem : str
        See `Segmentation.save`.
    format : {"tiff", "zarr"}, optional
        See `Segmentation.save`.
    existing : {"refuse", "resume", "replace"}
        What to do about an unfinished run that is there.
    watch : callable, optional
        See `Run`.

    Raises
    ------
    InputError
        If the settings or the format do not fit the image, another run is writing the same
        results, or an unfinished run is there that is not to be resumed or is another one.
    OSError
        If the output folder cannot be written to.

    Examples
    --------
    >>> with FileRun(image, model, settings, Path("out"), "a", existing="resume") as run:
    ...     for progress in run:
    ...         print(progress.done, progress.total)
    ...     result, files = run.save()  # doctest: +SKIP
    """

    def __init__(
        self,
        image: Image,
        model: LoadedModel,
        settings: Settings,
        output: Path,
        stem: str = "",
        format: str | None = None,
        *,
        existing: Existing = "refuse",
        watch: Watch | None = None,
    ) -> None:
        self._output, self._stem, self._format = output, stem, check_format(format, image)
        self._streams = self._format == ZARR and not settings.link
        identity = identify(image, model, settings)
        self._folder = RunFolder(run_folder(output, stem), identity, existing=existing)
        try:
            sweep(output, f"{stem}_" if stem else "")
            self._run = Run(
                image,
                model.segmenter,
                settings,
                model=model.identity,
                shelf=self._folder,
                watch=watch,
            )
        except BaseException:
            self._folder.close()
            raise

    def __enter__(self) -> Self:
        """Return the run."""
        return self

    def __exit__(self, *error: object) -> None:
        """Let others write; what was found stays until it has been saved."""
        self._folder.close()

    def __iter__(self) -> Iterator[Progress]:
        """Do the work, one batch of tiles a step."""
        return iter(self._run)

    def save(self, report: Listener = ignore) -> tuple[Result, list[Path]]:
        """Write the results; return them, and the files that were written.

        Parameters
        ----------
        report : callable
            See `Segmentation.save`; if it raises, what was found stays.

        Raises
        ------
        OSError
            If they cannot be written; nothing that was found is lost.
        """
        result: Result = self._run.stored() if self._streams else self._run.result()
        files = result.save(self._output, self._stem, self._format, report=report)
        self._folder.remove()
        return result, files


def run_folder(output: Path, stem: str) -> Path:
    """Name the folder of an unfinished run.

    Examples
    --------
    >>> run_folder(Path("out"), "cells").name
    '.cells.run'
    """
    return output / f".{stem}.run"


def unfinished(output: Path, stem: str) -> dict[str, Any] | None:
    """Read what identifies a run that is not finished, see `identify`; None if there is none."""
    try:
        return read_about(run_folder(output, stem))
    except InputError:
        return None


def identify(image: Image, model: LoadedModel, settings: Settings) -> dict[str, Any]:
    """What decides the results of a run, as values that JSON can hold."""
    return {
        "settings": settings.to_json(),
        "model": model.identity,
        "image": {
            "shape": list(image.data.shape),
            "axes": image.axes,
            "spacing_um": dict(image.spacing),
            "sample_sha256": sample_sha256(image),
        },
        "versions": versions(),
    }
