"""``napari-instseg evaluate``: label images against the truth."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import values
from .console import Console, add_json

if TYPE_CHECKING:
    from ..evaluation import Options


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "evaluate",
        help="compare label images with the truth",
        description="Compare label images with the truth: AP = TP / (TP + FP + FN) at IoU 0.5 "
        "to 0.95, precision, recall, F1, PQ, SQ, Dice of the foreground, objects that are split "
        "or merged; where categories are known, PQ, IoU and Dice of each; and how sure that is.",
        epilog="Files are matched by name: a.tif or a_instances.tif with a.png. An index.csv "
        "with the columns name and kind, in the folder of the truth or above it, groups them. "
        "Categories and scores come from the table beside a label image (a_segments.csv). Of a "
        "time-lapse each frame is an image; planes of a z-stack belong together.",
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("predicted", type=Path, metavar="PREDICTED", help="folder, or one file")
    add("truth", type=Path, metavar="TRUTH", help="folder, or one file")
    add(
        "--output",
        "-o",
        type=Path,
        metavar="FILE",
        help="write the JSON there, or a CSV; replaced if it is there",
    )
    add("--per-image", action="store_true", help="a row for each image, too")
    add(
        "--errors",
        type=Path,
        metavar="FOLDER",
        help="write label images and tables of what is missed (1), spurious (2), split (3), merged "
        "(4), badly outlined (5), of a wrong category (6)",
    )
    add("--coco", action="store_true", help='COCO\'s AP and AR, too (extra "evaluate")')
    add("--boundary", action="store_true", help="mean distance of outlines, too")
    add(
        "--categories",
        choices=("auto", "name", "one"),
        default="auto",
        help="compare categories by name, or all objects as one category (default: by name where "
        "both sides have names)",
    )
    add(
        "--void",
        action=argparse.BooleanOptionalAction,
        help="pixels without a label in the truth are unlabelled: they count for nothing (default: "
        "where the truth has stuff); else they are background",
    )
    add("--iou", type=values.positive, default=0.5, metavar="T", help="least IoU of a match (0.5)")
    add(
        "--poor",
        type=values.positive,
        default=0.75,
        metavar="T",
        help="matches below this IoU have a poor boundary (0.75)",
    )
    add("--draws", type=int, default=1000, metavar="N", help="for intervals; 0: none")
    add("--seed", type=int, default=0, metavar="N", help="of the draws")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Compare and print; return the exit status."""
    from ..evaluation import evaluate_folders
    from ..io.formats.result import refuse_of_result

    console = Console.of(args)
    if args.output:
        refuse_of_result(args.output)
    options = _options(args)
    report = evaluate_folders(args.predicted, args.truth, options=options, errors=args.errors)
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        report.save(args.output)
    console.say(report.to_text(per_image=args.per_image))
    if report.unused:
        some = ", ".join(report.unused[:5]) + (", ..." if len(report.unused) > 5 else "")
        console.note(f"{len(report.unused)} predicted files have no truth: {some}")
    console.document(report.to_json())
    return 0


def _options(args: argparse.Namespace) -> Options:
    from ..evaluation import Options, thresholds_from

    return Options(
        thresholds=thresholds_from(args.iou),
        poor_below=args.poor,
        categories=args.categories,
        void=args.void,
        coco=args.coco,
        boundary=args.boundary,
        draws=args.draws,
        seed=args.seed,
    )
