"""``napari-instseg evaluate``: label images against the truth."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .console import Console, add_json


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "evaluate",
        help="compare label images with the truth",
        description="Compare label images with the truth: AP = TP / (TP + FP + FN) at IoU 0.5 "
        "to 0.9, precision, recall, F1, PQ, SQ, and Dice of the foreground.",
        epilog="Files are matched by name: a.tif or a_instances.tif with a.png. An index.csv "
        "with the columns name and kind, in the folder of the truth or above it, groups them.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("predicted", type=Path, metavar="PREDICTED", help="folder, or one file")
    parser.add_argument("truth", type=Path, metavar="TRUTH", help="folder, or one file")
    parser.add_argument("--output", "-o", type=Path, metavar="FILE", help="write the JSON there")
    parser.add_argument("--per-image", action="store_true", help="a row for each image, too")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Compare and print; return the exit status."""
    from ..evaluation import evaluate_folders
    from ..io.atomic import write_text

    console = Console.of(args)
    report = evaluate_folders(args.predicted, args.truth)
    values = report.to_json()
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        write_text(args.output, json.dumps(values, indent=2, ensure_ascii=False) + "\n")
    console.say(report.to_table(per_image=args.per_image))
    if report.unused:
        some = ", ".join(report.unused[:5]) + (", ..." if len(report.unused) > 5 else "")
        console.note(f"{len(report.unused)} predicted files have no truth: {some}")
    console.document(values)
    return 0
