"""``napari-instseg segment``: files in, label images, tables and recipes out."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..hands import OWN_HANDS, Hands
from ..segmenter import InputError
from ..settings import PRECISIONS, Settings
from . import values
from .console import Console, UsageError, add_device, add_json, add_quiet, work
from .jobs import (
    Batch,
    Job,
    add_input_options,
    add_repeat_options,
    load_model,
    run_jobs,
)
from .reading import add_image_options, given_recipe, given_settings

if TYPE_CHECKING:
    from ..io.run_folder import Existing
    from ..models.entry import LoadedModel

#: Options that say how to link planes.
LINK_FIELDS = ("link_overlap", "link_gap", "min_planes", "link_fill", "ortho")
EPILOG = """\
For each input, OUTPUT gets <stem>_instances.tif, <stem>_semantic.tif, <stem>_panoptic.tif,
<stem>_segments.csv (one row an object) and <stem>_recipe.json (all settings, to run again).
Label images of Zarr inputs, and with '--format zarr', are OME-Zarr: <stem>_instances.zarr, ...
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
    add_input_options(parser)
    add = parser.add_argument
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
    _add_link_options(parser.add_argument_group("objects through z"))
    _add_run_options(parser.add_argument_group("the run"))
    _add_cluster_options(parser.add_argument_group("past one machine"))
    add_quiet(parser)
    add_json(parser)


def _add_link_options(group: Any) -> None:
    default = Settings()
    add, switch = group.add_argument, argparse.BooleanOptionalAction
    add(
        "--link",
        action=switch,
        default=None,
        help="link the planes of a z-stack: one number and one row for each object through z "
        "(default: each plane by itself)",
    )
    add(
        "--link-overlap",
        type=float,
        metavar="IOU",
        help="least overlap of an object's masks in neighbouring planes, above 0 to 1 "
        f"(default: {default.link_overlap})",
    )
    add(
        "--link-gap",
        type=int,
        metavar="N",
        help=f"planes in a row that it may be missing in (default: {default.link_gap})",
    )
    add(
        "--min-planes",
        type=int,
        metavar="N",
        help=f"leave out what is found in fewer planes (default: {default.min_planes})",
    )
    add("--link-fill", action=switch, default=None, help="fill holes and missing planes")
    add(
        "--ortho",
        action=switch,
        default=None,
        help="see the stack from three sides (xy, xz, yz), and keep what two of them agree on",
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
    existing = add_repeat_options(group)
    existing.add_argument(
        "--resume",
        dest="skip_existing",
        action="store_true",
        help="leave out inputs that have all results, and go on with runs that were stopped",
    )


def _add_cluster_options(group: Any) -> None:
    group.add_argument(
        "--scheduler",
        metavar="WHERE",
        help="work on a Dask cluster: address of its scheduler, such as tcp://10.0.0.1:8786, or "
        "local for processes of this machine; workers must see the inputs and OUTPUT",
    )
    group.add_argument(
        "--workers",
        type=values.whole,
        metavar="N",
        help="processes for '--scheduler local' (default: one a core)",
    )


def run(args: argparse.Namespace) -> int:
    """Segment every input; return the exit status."""
    console = Console.of(args)
    recipe, settings = read_settings(args)
    if args.workers is not None and args.scheduler != "local":
        raise UsageError("--workers is for processes of this machine: add --scheduler local")
    with ExitStack() as stack:

        def begin() -> SegmentBatch:
            if args.scheduler is None:
                return SegmentBatch(load_model(settings, console), recipe, args, console, settings)
            from ..cluster import connect

            hands = stack.enter_context(connect(args.scheduler, args.workers))
            loaded = hands.load(settings)
            console.note(f"{loaded.name} on {loaded.segmenter.device}, {hands}")
            return SegmentBatch(loaded, recipe, args, console, settings, hands)

        return run_jobs(args, settings.outputs, settings.model, begin, console)


def read_settings(args: argparse.Namespace) -> tuple[dict[str, Any] | None, Settings]:
    """Combine the recipe, if there is one, with the options given.

    Raises
    ------
    UsageError
        If they cannot be used.
    """
    from ..api import recipe_settings

    given = given_settings(
        args,
        (
            *("model", "weights", "categories", "outputs", "score_threshold", "device"),
            *("tile_size", "overlap", "batch_size", "precision"),
            *("link", *LINK_FIELDS),
        ),
    )
    try:
        recipe = given_recipe(args)
        base: Mapping[str, Any] = recipe_settings(recipe) if recipe else {}
        if args.tile_size and args.overlap is None:
            usual = base.get("overlap", Settings().overlap)
            given["overlap"] = min(usual, args.tile_size // 2)
        settings = Settings.from_json({**base, **given})
        vain = [name for name in LINK_FIELDS if name in given and not settings.link]
        if vain:
            raise UsageError(f"--{vain[0].replace('_', '-')} says how to link: add --link")
        return recipe, settings
    except InputError as error:
        raise UsageError(str(error)) from error


@dataclass(frozen=True, slots=True)
class SegmentBatch(Batch):
    """A `Batch` for a model that finds objects by itself."""

    loaded: LoadedModel
    settings: Settings
    hands: Hands = OWN_HANDS

    @property
    def device(self) -> str:
        """Where the model runs."""
        return self.loaded.segmenter.device

    def segment(self, job: Job, place: str) -> None:
        """Segment an input and write what was found."""
        from ..file_run import FileRun

        image = self.open(job)
        args, bar = self.args, self.console.bar
        existing: Existing = "refuse"
        if args.overwrite:
            existing = "replace"
        elif args.skip_existing:
            existing = "resume"
        with (
            self._telling(job),
            FileRun(
                *(image, self.loaded, self.settings, args.output, job.name, job.format),
                existing=existing,
                path=job.path,
                hands=self.hands,
            ) as run,
            bar(desc=place + job.path.name, unit="tile", leave=False) as shown,
        ):
            work(run, shown)
            self.note(job, *run.save())

    @contextmanager
    def _telling(self, job: Job) -> Iterator[None]:
        """Say at the end, however that comes, if there is something to go on with."""
        from ..file_run import run_folder

        try:
            yield
        finally:
            if run_folder(self.args.output, job.name).is_dir():
                self.console.note(f"{job.path}: what was found is kept; go on with --resume")
