"""``napari-instseg segment``: files in, label images, tables and recipes out."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..segmenter import InputError
from ..settings import PRECISIONS, Settings
from . import values
from .console import INTERRUPTED, Console, UsageError, add_device, add_json, add_quiet, follow
from .jobs import Batch, Job, plan

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
        help="a name from 'models', a weights file, or a Detectron2 config (.yaml) "
        f"(default: {default.model})",
    )
    add("--weights", metavar="FILE", help="the checkpoint that belongs to a config: .pth or .pkl")
    add("--categories", metavar="FILE", help="names for a config's classes: .txt or .json")
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
    add_image_options(parser.add_argument_group("the image"))
    _add_run_options(parser.add_argument_group("the run"))
    add_quiet(parser)
    add_json(parser)


def add_image_options(group: Any) -> None:
    """Describe how the image is read; for all commands that take one."""
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
        help="typical object size: auto, native, 30, 30px or 12um, or as-trained: resize each tile "
        "to the picture size of the model's training (Detectron2) (default: native)",
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
    add(
        "--precision",
        choices=PRECISIONS,
        help="number format of the network; auto takes half precision on NVIDIA GPUs "
        f"(default: {default.precision})",
    )
    add("--batch-size", type=int, metavar="N", help="tiles at a time (default: 0, automatic)")
    add("--recipe", type=Path, metavar="FILE", help="settings of an earlier run; options here win")
    existing = group.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace results that are there")
    existing.add_argument(
        "--skip-existing", action="store_true", help="leave out inputs that have all results"
    )


def run(args: argparse.Namespace) -> int:
    """Segment every input; return the exit status."""
    from ..models.registry import load_for

    console = Console.of(args)
    recipe, settings = read_settings(args)
    jobs = plan(args, settings, console)
    interrupted, device = False, None
    if any(job.status == "waiting" for job in jobs):
        with console.bar(desc=settings.model, unit="B", unit_scale=True, leave=False) as bar:
            loaded = load_for(settings, follow(bar))
        device = loaded.segmenter.device
        console.note(f"{loaded.name} on {device}")
        batch = Batch(loaded, settings, recipe, args, console)
        batch.check_weights()
        try:
            batch.do(jobs)
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
            *("model", "weights", "categories", "outputs", "score_threshold", "device"),
            *("percentiles", "invert", "tile_size", "overlap", "batch_size", "precision"),
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
