"""``napari-instseg segment``: files in, label images, tables and recipes out."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ..hands import OWN_HANDS, Hands
from ..segmenter import InputError
from ..settings import CSV, PRECISIONS, TRACK_FORMATS, Settings
from . import values
from .console import Console, UsageError, add_device, add_json, add_quiet
from .jobs import (
    add_input_options,
    add_jobs,
    add_repeat_options,
    check_weights,
    load_model,
    reader,
    run_jobs,
)
from .reading import add_image_options, given_recipe, given_settings

if TYPE_CHECKING:
    from ..batch.tasks import SegmentTask
    from ..io.run_folder import Existing

#: Options that say how to link planes.
LINK_FIELDS = ("link_overlap", "link_waists", "link_gap", "min_planes", "link_fill", "ortho")
#: Options that say how to track objects.
TRACK_FIELDS = ("track_overlap", "track_gap", "track_split", "min_frames")
EPILOG = """\
For each input, OUTPUT gets <stem>_instances.tif, <stem>_semantic.tif, <stem>_panoptic.tif,
<stem>_segments.csv (one row an object) and <stem>_recipe.json (all settings, to run again).
With '--track' there is <stem>_tracks.csv, too (one row an object a frame), or what '--track-format'
says: <stem>_RES (ctc: the Cell Tracking Challenge's masks and res_track.txt), <stem>_tracks.geff.
<stem>_status.json says whether an input is done; of several, all-segments.csv has all objects.
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
    _add_track_options(parser.add_argument_group("objects through time"))
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
        "--link-waists",
        action=switch,
        default=None,
        help="cut objects where they become narrow from both sides (default; --no-link-waists for "
        "tubes)",
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


def _add_track_options(group: Any) -> None:
    default = Settings()
    add, switch = group.add_argument, argparse.BooleanOptionalAction
    add(
        "--track",
        action=switch,
        default=None,
        help="track objects along T: one number and one row for each through all frames; with "
        "--link, in 3-D (default: each frame by itself)",
    )
    add(
        "--track-distance",
        type=values.distance,
        metavar="D",
        help="how far an object may go from frame to frame: 15, 15px, 4um (default: as far as a "
        "typical one is wide)",
    )
    add(
        "--track-overlap",
        type=float,
        metavar="W",
        help=f"how much overlap counts beside distance, 0 to 1 (default: {default.track_overlap})",
    )
    add(
        "--track-gap",
        type=int,
        metavar="N",
        help=f"frames in a row that it may be missing in (default: {default.track_gap})",
    )
    add("--track-split", action=switch, default=None, help="objects divide: find the daughters")
    add(
        "--min-frames",
        type=int,
        metavar="N",
        help=f"leave out what is found in fewer frames (default: {default.min_frames})",
    )
    add(
        "--track-format",
        type=values.track_formats,
        metavar="LIST",
        help=f"some of {','.join(TRACK_FORMATS)} (default: {CSV})",
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
    add(
        "--keep-raw",
        action="store_true",
        help="write <stem>_objects.npz, too: all that the model found, so that the saved result "
        "can be shown at other score thresholds",
    )
    add(
        "--seams",
        action="store_true",
        help="write <stem>_seams.csv, too: one row for each place where objects of two tiles were "
        "joined, or might have been, with their IoU, or where one ends at a tile's edge",
    )
    add_jobs(group)
    add_repeat_options(group)


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

        def begin() -> SegmentTask:
            from ..batch.tasks import SegmentTask

            hands: Hands = OWN_HANDS
            if args.scheduler is None:
                loaded = load_model(settings, console)
            else:
                from ..cluster import connect

                hands = cluster = stack.enter_context(connect(args.scheduler, args.workers))
                loaded = cluster.load(settings)
                console.note(f"{loaded.name} on {loaded.segmenter.device}, {cluster}")
            check_weights(recipe, loaded.sha256, console)
            existing: Existing = "refuse"
            if args.overwrite or args.skip_existing:
                existing = "replace" if args.overwrite else "resume"
            return SegmentTask(
                *(reader(args, recipe), loaded, settings),
                tracks=args.track_format or (CSV,),
                existing=existing,
                hands=hands,
                raw=args.keep_raw,
                seams=args.seams,
            )

        return run_jobs(args, settings.outputs, settings.model, begin, console, settings)


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
            *("track", *TRACK_FIELDS),
        ),
    )
    if args.track_distance is not None:
        given["track_distance"], given["track_distance_unit"] = args.track_distance
    try:
        recipe = given_recipe(args)
        base: Mapping[str, Any] = recipe_settings(recipe) if recipe else {}
        if args.tile_size and args.overlap is None:
            usual = base.get("overlap", Settings().overlap)
            given["overlap"] = min(usual, args.tile_size // 2)
        settings = Settings.from_json({**base, **given})
        _refuse_vain(args, settings)
        return recipe, settings
    except InputError as error:
        raise UsageError(str(error)) from error


def _refuse_vain(args: argparse.Namespace, settings: Settings) -> None:
    """Refuse options that say how to do what is not done."""
    of_tracks = (*TRACK_FIELDS, "track_distance", "track_format")
    for doing, done, fields in (
        ("link", settings.link, LINK_FIELDS),
        ("track", settings.track, of_tracks),
    ):
        for name in fields:
            if not done and getattr(args, name) is not None:
                option = name.replace("_", "-")
                raise UsageError(f"--{option} says how to {doing}: add --{doing}")
