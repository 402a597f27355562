"""``napari-instseg everything``: all objects of images, without clicking on any."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..segmenter import InputError
from ..settings import Settings
from . import values
from .console import Console, UsageError, add_json, add_quiet, work
from .jobs import (
    Batch,
    Job,
    add_input_options,
    add_repeat_options,
    load_model,
    run_jobs,
)
from .reading import given_recipe
from .session import add_session_options, load_prompter, session_settings

if TYPE_CHECKING:
    from ..models.entry import LoadedModel
    from ..models.prompters import LoadedPrompter
    from ..ops.axes import Image
    from ..prompting import PromptSession
    from ..prompting.everything import EverythingRun
    from ..prompting.everything_settings import EverythingSettings
    from ..prompting.refine import RefineRun

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

    def begin() -> EverythingBatch:
        loaded = load_prompter(name, seen, console)
        detector = _load_detector(args, recipe, seen, console)
        chosen = EverythingSettings.for_model(loaded.prompter.habits, wanted)
        return EverythingBatch(loaded, recipe, args, console, seen, chosen, detector)

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


@dataclass(frozen=True, slots=True)
class EverythingBatch(Batch):
    """A `Batch` for a promptable model.

    Parameters
    ----------
    seen : dict
        Settings of the sessions.
    chosen : EverythingSettings
    detector : (LoadedModel, Settings), optional
        What finds the boxes; None: a grid of points is asked.
    """

    loaded: LoadedPrompter
    seen: dict[str, Any]
    chosen: EverythingSettings
    detector: tuple[LoadedModel, Settings] | None

    @property
    def device(self) -> str:
        """Where the model runs."""
        return self.loaded.prompter.device

    def segment(self, job: Job, place: str) -> None:
        """Segment an input and write what was found, also if Ctrl-C comes in between."""
        from ..prompting import PromptSession

        image = self.open(job)
        session = PromptSession(image, self.loaded, cache=not self.args.no_cache, **self.seen)
        with self.console.bar(desc=place + job.path.name, leave=False) as bar:
            run = self._prompted(session, image, bar)
            stopped = False
            try:
                work(run, bar)
            except KeyboardInterrupt:
                stopped = True
        self.keep(job, run.result())
        if stopped:
            self.console.fail(f"{job.path}: stopped; {job.count} objects so far -> {job.files[0]}")
            raise KeyboardInterrupt

    def _prompted(
        self, session: PromptSession, image: Image, bar: Any
    ) -> EverythingRun | RefineRun:
        """The run over a grid; or over a detector's boxes, once these are found."""
        from ..pipeline import Run
        from ..prompting.everything import EverythingRun
        from ..prompting.refine import RefineRun

        if self.detector is None:
            return EverythingRun(session, self.chosen)
        loaded, settings = self.detector
        detection = Run(image, loaded.segmenter, settings, model=loaded.identity)
        work(detection, bar)
        bar.reset()
        return RefineRun(session, detection.result())
