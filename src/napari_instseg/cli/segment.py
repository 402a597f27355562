"""``napari-instseg segment``: files in, label images, tables and recipes out."""

from __future__ import annotations

import argparse
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..segmenter import InputError, InstsegError
from ..settings import Settings
from . import values
from .console import INTERRUPTED, Console, UsageError, add_device, add_json, add_quiet

if TYPE_CHECKING:
    from ..models.registry import LoadedModel
    from ..ops.axes import Image

EPILOG = """\
For each input, OUTPUT gets <stem>_instances.tif, <stem>_semantic.tif, <stem>_panoptic.tif,
<stem>_segments.csv (one row an object) and <stem>_recipe.json (all settings, to run again).
Exit status: 0 all done, 1 some input failed, 2 a wrong option, 130 stopped by Ctrl-C."""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    default = Settings()
    parser: argparse.ArgumentParser = commands.add_parser(
        "segment",
        help="segment images",
        description="Segment images: TIFF, OME-TIFF, PNG, JPEG, npy, Zarr, OME-Zarr.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("inputs", nargs="+", metavar="INPUT", help="files, folders, or patterns such as '*.tif'")
    add("--output", "-o", required=True, type=Path, metavar="DIR", help="folder for the results")
    add(
        "--model",
        metavar="MODEL",
        help=f"a name from 'models', or a weights file (default: {default.model})",
    )
    add(
        "--outputs",
        type=values.outputs,
        metavar="LIST",
        help=f"some of {','.join(default.outputs)} (default: all)",
    )
    add(
        "--score-threshold",
        type=float,
        metavar="S",
        help=f"leave out objects below it, 0 to 1 (default: {default.score_threshold})",
    )
    add_device(parser, None)
    _add_image_options(parser.add_argument_group("the image"))
    _add_run_options(parser.add_argument_group("the run"))
    add_quiet(parser)
    add_json(parser)


def _add_image_options(group: Any) -> None:
    low, high = Settings().percentiles
    add = group.add_argument
    add("--axes", metavar="AXES", help="one letter a dimension, such as ZYX, TCYX, YXS (S = RGB)")
    add("--pixel-size", type=values.positive, metavar="UM", help="µm per pixel in x and y")
    add(
        "--channel",
        dest="channels",
        action="append",
        type=values.channels,
        metavar="K",
        help="channels to use, from 0; 0,2 or repeated for several (default: all)",
    )
    add(
        "--diameter",
        type=values.diameter,
        metavar="D",
        help="typical object size: auto, native, 30, 30px or 12um (default: native)",
    )
    add(
        "--percentiles",
        type=values.pair,
        metavar="LO,HI",
        help=f"percentages of pixels shown as black and white (default: {low:g},{high:g})",
    )
    add(
        "--limits",
        action="append",
        type=values.pair,
        metavar="LO,HI",
        help="fixed grey values instead; repeat it for each channel; negative: --limits=-5,10",
    )
    add(
        "--invert",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="swap dark and light first",
    )


def _add_run_options(group: Any) -> None:
    default = Settings()
    add = group.add_argument
    add("--tile-size", type=values.whole, metavar="PX", help=f"(default: {default.tile_size})")
    add(
        "--overlap",
        type=int,
        metavar="PX",
        help=f"what neighbouring tiles share (default: {default.overlap})",
    )
    add("--batch-size", type=int, metavar="N", help="tiles at a time (default: 0, automatic)")
    add("--recipe", type=Path, metavar="FILE", help="settings of an earlier run; options here win")
    existing = group.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace results that are there")
    existing.add_argument(
        "--skip-existing", action="store_true", help="leave out inputs that have all results"
    )


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


def run(args: argparse.Namespace) -> int:
    """Segment every input; return the exit status."""
    from ..models.registry import load

    console = Console.of(args)
    recipe, settings = read_settings(args)
    jobs = _plan(args, settings, console)
    interrupted, device = False, None
    if any(job.status == "waiting" for job in jobs):
        loaded = load(settings.model, settings.device)
        device = loaded.segmenter.device
        console.note(f"{loaded.name} on {device}")
        _check_weights(recipe, loaded, console)
        try:
            for number, job in enumerate(jobs, start=1):
                if job.status == "waiting":
                    _try(job, f"{number}/{len(jobs)} ", loaded, settings, recipe, args, console)
        except KeyboardInterrupt:
            interrupted = True
    console.document(
        {
            "output": str(args.output),
            "model": settings.model,
            "device": device,
            "interrupted": interrupted,
            "inputs": [job.to_json() for job in jobs],
        }
    )
    return _conclude(jobs, args.output, interrupted, console)


def read_settings(args: argparse.Namespace) -> tuple[dict[str, Any] | None, Settings]:
    """Combine the recipe, if there is one, with the options given.

    Raises
    ------
    UsageError
        If they cannot be used.
    """
    from ..api import recipe_settings
    from ..io.results import read_recipe

    given = {
        name: getattr(args, name)
        for name in (
            *("model", "outputs", "score_threshold", "device", "percentiles", "invert"),
            *("tile_size", "overlap", "batch_size"),
        )
        if getattr(args, name) is not None
    }
    if args.channels:
        given["channels"] = tuple(number for group in args.channels for number in group)
    if args.diameter:
        given["diameter"], given["diameter_unit"] = args.diameter
    if args.limits or args.percentiles:
        given["limits"] = tuple(args.limits) if args.limits else None
    try:
        recipe = read_recipe(args.recipe) if args.recipe else None
        base: Mapping[str, Any] = recipe_settings(recipe) if recipe else {}
        if args.tile_size and args.overlap is None:
            usual = base.get("overlap", Settings().overlap)
            given["overlap"] = min(usual, args.tile_size // 2)
        return recipe, Settings.from_json({**base, **given})
    except InputError as error:
        raise UsageError(str(error)) from error


def _plan(args: argparse.Namespace, settings: Settings, console: Console) -> list[Job]:
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


def _try(
    job: Job,
    place: str,
    loaded: LoadedModel,
    settings: Settings,
    recipe: Mapping[str, Any] | None,
    args: argparse.Namespace,
    console: Console,
) -> None:
    """Do one job; whatever is wrong with it does not stop the others."""
    begin = time.perf_counter()
    job.status = "failed"
    try:
        _segment(job, place, loaded, settings, recipe, args, console)
        job.status = "done"
    except (InstsegError, OSError) as error:
        job.error = str(error)
    except MemoryError:
        job.error = f"{job.path}: out of memory"
    except Exception as error:  # noqa: BLE001 - one input must not take the others with it
        job.error = f"{job.path}: unexpected {type(error).__name__}: {error}"
        if not args.traceback:
            job.error += " (run 'napari-instseg --traceback segment ...' to see where)"
    if job.error and args.traceback:
        console.fail(traceback.format_exc())
    job.seconds = time.perf_counter() - begin
    if job.status == "done":
        where = job.files[0]
        console.say(f"{job.path}: {job.count} objects in {job.seconds:.1f} s -> {where}, ...")
    for warning in job.warnings:
        console.note(f"{job.path}: {warning}")


def _segment(
    job: Job,
    place: str,
    loaded: LoadedModel,
    settings: Settings,
    recipe: Mapping[str, Any] | None,
    args: argparse.Namespace,
    console: Console,
) -> None:
    from ..io.images import read_image
    from ..pipeline import Run

    image = read_image(job.path, args.axes)
    if recipe is not None and args.axes is None:
        image = _as_in_recipe(image, recipe)
    if args.pixel_size:
        image = replace(image, spacing={**image.spacing, **dict.fromkeys("YX", args.pixel_size)})
    run_ = Run(image, loaded.segmenter, settings, model=loaded.identity)
    with console.bar(desc=place + job.path.name, unit="tile", leave=False) as bar:
        for step in run_:
            bar.total = step.total
            bar.update(step.done - bar.n)
    result = run_.result()
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


def _check_weights(
    recipe: Mapping[str, Any] | None, loaded: LoadedModel, console: Console
) -> None:
    model = recipe.get("model") if recipe else None
    then = model.get("sha256") if isinstance(model, Mapping) else None
    if then and then != loaded.sha256:
        console.note(
            f"the recipe was made with other weights ({then[:12]}..., now "
            f"{loaded.sha256[:12]}...): results will differ"
        )


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
