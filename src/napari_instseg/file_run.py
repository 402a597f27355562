"""A run from image to files that goes on where it was stopped, whatever stopped it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from .hands import OWN_HANDS, Hands
from .io.atomic import sweep
from .io.results import all_result_paths, check_format, check_tracks
from .io.run_folder import Existing, RunFolder, read_about, run_folder
from .models.entry import LoadedModel
from .ops.axes import Image
from .ops.lapses import TIME
from .ops.results import Watch
from .ortho import new_run
from .pipeline import Run
from .progress import Listener, Progress, ignore
from .provenance import versions
from .remote import portable
from .result import Result
from .segmenter import InputError
from .settings import CSV, ZARR, Settings


class FileRun:
    """Segments an image, writing as it goes.

    Iterate to work, then `save`; all within a ``with`` statement. Results of tiles are kept in a
    hidden folder beside the results until these are written. Label images as OME-Zarr are painted
    chunk by chunk, so memory does not grow with the image; TIFF, and objects that are linked
    through Z or tracked, need the label images in memory.

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
    tracks : sequence of str
        See `Segmentation.save`.
    existing : {"refuse", "resume", "replace"}
        What to do about an unfinished run that is there.
    path : Path, optional
        The file that the image was read from.
    hands : Hands
        Who does the work, such as `cluster.DaskHands`; ``model`` must be one that they can use,
        and they must see the output folder and the image's file.
    watch : callable, optional
        See `Run`.
    raw : bool
        See `Segmentation.save`; needs all objects in memory.
    seams : bool
        See `Segmentation.save`.

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
        tracks: Sequence[str] = (CSV,),
        existing: Existing = "refuse",
        path: Path | None = None,
        hands: Hands = OWN_HANDS,
        watch: Watch | None = None,
        raw: bool = False,
        seams: bool = False,
    ) -> None:
        if settings.track and TIME in image.plane_axes:
            check_tracks(tracks, image)
        self._tracks, self._raw, self._seams = tracks, raw, seams
        self._output, self._stem, self._format = output, stem, check_format(format, image)
        self._settings, self._saved = settings, False
        identity = identify(image, model, settings)
        self._folder = RunFolder(run_folder(output, stem), identity, existing=existing)
        try:
            sweep(all_result_paths(output, stem))
            if hands is not OWN_HANDS:
                image = portable(image, path, self._folder.path)
            self._run = new_run(
                *(image, model.segmenter, settings),
                model=model.identity,
                shelf=self._folder,
                hands=hands,
                watch=watch,
            )
        except BaseException:
            self._folder.close()
            raise

    def __enter__(self) -> Self:
        """Return the run."""
        return self

    def __exit__(self, *error: object) -> None:
        """See `close`."""
        self.close()

    def close(self) -> None:
        """Let others write; what was found stays if it has not been saved."""
        if self._saved:
            self._folder.remove()
        self._folder.close()

    def __iter__(self) -> Iterator[Progress]:
        """Do the work, one batch of tiles a step."""
        return iter(self._run)

    def save(self, report: Listener = ignore) -> tuple[Result, list[Path]]:
        """Write the results; return them, readable until `close`, and what was written.

        Parameters
        ----------
        report : callable
            See `Segmentation.save`; if it raises, what was found stays.

        Raises
        ------
        OSError
            If they cannot be written; nothing that was found is lost.
        """
        run = self._run
        result: Result
        # Objects through Z or T need all planes at once.
        together = self._settings.link or self._settings.track
        if self._format == ZARR and isinstance(run, Run) and not together:
            result = run.stored()
        else:
            result = run.result()
        files = result.save(
            *(self._output, self._stem, self._format, self._tracks),
            raw=self._raw,
            seams=self._seams,
            report=report,
        )
        self._saved = True
        return result, files


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
            "sample_sha256": image.sample_sha256,
        },
        "versions": versions(),
    }
