"""``napari-instseg prompt``: prompts in, label image, table and recipe out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..progress import how_many
from ..segmenter import InputError
from .console import Console, UsageError, add_json, add_quiet, work
from .jobs import add_format
from .reading import given_recipe
from .session import add_session_options, open_session

if TYPE_CHECKING:
    from ..prompting.requests import Request
    from ..segmenter import Category

EPILOG = """\
Boxes: columns row_min, col_min, row_max, col_max, in px from the first row and column; one row an
object. Points: row, col, and, if there are, label (1 on the object, 0 not) and object (rows of one
object have the same). Both may have a column for each plane axis (z, t), and category.
A table that another run wrote (<stem>_segments.csv) does for boxes.
Prompts: as recipes have them, such as '[{"points": [[12.5, 30]]}, {"box": [4, 4, 20, 18]}]'.
OUTPUT gets <stem>_instances.tif, <stem>_segments.csv and <stem>_recipe.json; of a Zarr input, and
with '--format zarr', <stem>_instances.zarr (OME-Zarr)."""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "prompt",
        help="segment objects that boxes or points show",
        description="Segment the objects that boxes or points show, with Segment Anything.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("image", type=Path, metavar="IMAGE")
    parser.add_argument("--output", "-o", required=True, type=Path, metavar="DIR")
    add_format(parser)
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--boxes", type=Path, metavar="CSV", help="a row an object")
    asked.add_argument("--points", type=Path, metavar="CSV", help="a row a point")
    asked.add_argument("--prompts", metavar="JSON", help="a list of prompts, as a recipe has it")
    asked.add_argument(
        "--recipe", type=Path, metavar="FILE", help="prompts and settings of an earlier run"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace results that are there")
    add_session_options(parser)
    add_quiet(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Answer all prompts; return the exit status."""
    from ..batch.jobs import format_of
    from ..io.formats.result import write_one
    from ..io.images import stem_of
    from ..io.results import check_format, result_paths

    console = Console.of(args)
    stem, form = stem_of(args.image), format_of(args.image, args.format)
    there = [p for p in result_paths(("instances",), args.output, stem, form) if p.exists()]
    if there and not args.overwrite:
        raise UsageError(f"{there[0]} exists: pass --overwrite")
    recipe = given_recipe(args)
    session = open_session(args, console, recipe)
    check_format(form, session.image)
    requests, categories = _requests(args, recipe, session.image.plane_axes)
    from ..prompting.asked import AskedRun

    asked = AskedRun(session, requests, categories)
    with console.bar(desc=args.image.name, unit="prompt", leave=False) as bar:
        work(asked, bar)
    result = asked.result()
    count = result.count
    if asked.numbered:
        labels = asked.labels()
        count, files = len(labels.table), write_one(labels, args.output, stem, form)
    else:
        files = result.save(args.output, stem, form)
    for warning in result.warnings:
        console.note(f"{args.image}: {warning}")
    found = f"{how_many(count, 'object')} of {how_many(len(requests), 'prompt')}"
    console.say(f"{args.image}: {found} -> {files[0]}")
    console.document(
        {
            "input": str(args.image),
            "model": session.loaded.name,
            "device": session.prompter.device,
            "prompts": len(requests),
            "count": count,
            "warnings": list(result.warnings),
            "files": [str(path) for path in files],
        }
    )
    return 0


def _requests(
    args: argparse.Namespace, recipe: dict[str, Any] | None, plane_axes: str
) -> tuple[list[Request], tuple[Category, ...]]:
    from ..prompting.requests import requests_from_json
    from .prompt_tables import read_boxes, read_points

    if recipe is not None:
        if "prompts" not in recipe:
            raise InputError(f"{args.recipe}: expected a recipe with 'prompts'")
        return requests_from_json(recipe["prompts"])
    if args.prompts is not None:
        try:
            return requests_from_json(json.loads(args.prompts))
        except json.JSONDecodeError as error:
            raise UsageError(f"--prompts: expected JSON ({error})") from error
    if args.boxes:
        return read_boxes(args.boxes, plane_axes)
    return read_points(args.points, plane_axes)
