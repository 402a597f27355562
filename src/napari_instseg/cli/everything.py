"""``napari-instseg everything``: all objects of images, without clicking on any."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..segmenter import InputError
from ..settings import Settings
from . import values
from .console import Console, UsageError, add_json, add_quiet
from .jobs import (
    add_input_options,
    add_jobs,
    add_repeat_options,
    check_weights,
    load_model,
    reader,
    run_jobs,
)
from .reading import given_recipe
from .session import add_session_options, load_prompter, session_settings

if TYPE_CHECKING:
    from ..batch.prompting import EverythingTask
    from ..models.entry import LoadedModel

GRID, DETECTOR = PROMPTS = ("grid", "detector")
DEFAULT_DETECTOR = "nuclei"
#: Options that are fields of `EverythingSettings`.
FIELDS = (
    *("mode", "points_per_side", "min_predicted_iou", "min_stability", "nms", "levels"),
    *("min_area", "max_area", "overlapping"),
)
#: What detector and promptable model see alike.
SEEN_ALIKE = ("channels", "colors", "percentiles", "limits", "invert", "device", "precision")
EPILOG = """\
Prompts are a grid of points over each picture, or the boxes of a detector, which gives each object
its class and score ('--prompts detector').
For each input, OUTPUT gets <stem>_instances.tif, <stem>_segments.csv (one row an object) and
<stem>_recipe.json (all settings, to run again). What is done when Ctrl-C is pressed is kept.
<stem>_status.json says whether an input is done; of several, all-segments.csv has all objects.
The label image of a Zarr input, and with '--format zarr', is OME-Zarr: <stem>_instances.zarr.
Exit status: 0 all done, 1 some input failed, 2 a wrong option, 130 stopped by Ctrl-C."""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "everything",
        help="segment everything in images",
        description="Segment everything that Segment Anything finds in images.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add_input_options(parser)
    add = parser.add_argument
    add("--prompts", choices=PROMPTS, help=f"what is asked (default: {GRID})")
    add(
        "--detector",
        metavar="MODEL",
        help=f"the model that finds boxes, see 'models' (default: {DEFAULT_DETECTOR})",
    )
    title = "masks of the grid (default: what suits the model)"
    _add_everything_options(parser.add_argument_group(title))
    add_session_options(parser)
    add_jobs(parser)
    add_repeat_options(parser)
    add_quiet(parser)
    add_json(parser)


def _add_everything_options(group: Any) -> None:
    add = group.add_argument
    add("--mode", choices=("fast", "exact"), help="exact asks at every point (default: fast)")
    add("--points-per-side", type=values.whole, metavar="N", help="of a picture")
    add("--min-predicted-iou", type=float, metavar="S", help="0 to 1")
    add("--min-stability", type=float, metavar="S", help="0 to 1")
    add(
        "--nms",
        type=float,
        metavar="IOU",
        help="of boxes that overlap more, only the best stays (default: 0.7)",
    )
    add("--levels", type=values.whole, metavar="N", help="coarser ones find larger objects")
    add("--min-area", type=float, metavar="PX", help="leave out smaller masks")
    add("--max-area", type=float, metavar="PX", help="leave out larger masks")
    add(
        "--overlapping",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="keep masks that lie in one another, and background",
    )


def run(args: argparse.Namespace) -> int:
    """Segment every input; return the exit status."""
    from ..prompting.everything_settings import EverythingSettings

    console = Console.of(args)
    recipe = given_recipe(args)
    try:
        name, seen = session_settings(args, recipe)
        wanted = read_settings(args, recipe)
    except InputError as error:
        raise UsageError(str(error)) from error

    def begin() -> EverythingTask:
        from ..batch.prompting import EverythingTask

        loaded = load_prompter(name, seen, console)
        detector = _load_detector(args, recipe, seen, console)
        check_weights(recipe, loaded.sha256, console)
        chosen = EverythingSettings.for_model(loaded.prompter.habits, wanted)
        options = {**seen, "cache": not args.no_cache}
        return EverythingTask(reader(args, recipe), loaded, options, chosen, detector)

    return run_jobs(args, ("instances",), name, begin, console)


def read_settings(args: argparse.Namespace, recipe: Mapping[str, Any] | None) -> dict[str, Any]:
    """Combine the recipe, if there is one, with the options given: fields of `EverythingSettings`.

    Raises
    ------
    InputError
        If they cannot be used.
    """
    from ..prompting.everything_settings import EverythingSettings

    then = recipe.get("everything", {}) if recipe else {}
    if not isinstance(then, Mapping):
        raise InputError(f"{args.recipe}: expected settings as 'everything', got {then!r}")
    given = {name: getattr(args, name) for name in FIELDS if getattr(args, name) is not None}
    EverythingSettings.from_json({**then, **given})
    return {**then, **given}


def _load_detector(
    args: argparse.Namespace,
    recipe: Mapping[str, Any] | None,
    seen: Mapping[str, Any],
    console: Console,
) -> tuple[LoadedModel, Settings] | None:
    """Load the detector and say how it runs; None for a grid of points."""
    found = recipe.get("detector") if recipe else None
    then = dict(found.get("settings", {})) if isinstance(found, Mapping) else {}
    if (args.prompts or (DETECTOR if then or args.detector else GRID)) == GRID:
        return None
    alike = {name: seen[name] for name in SEEN_ALIKE if seen.get(name) is not None}
    then["model"] = args.detector or then.get("model", DEFAULT_DETECTOR)
    settings = Settings.from_json({**then, **alike, "outputs": ("instances",)})
    return load_model(settings, console), settings
