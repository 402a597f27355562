"""``napari-instseg replay``: a recipe and its image in, the same labels out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..progress import how_many
from .console import Console, UsageError, add_device, add_json, add_quiet, follow, work
from .jobs import add_format
from .reading import AXES_HELP

if TYPE_CHECKING:
    from ..replaying import Replayed


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "replay",
        help="make the labels of a recipe again",
        description="Do again what a recipe says, edits included: the same labels of the same "
        "image. Another image, or a model with other weights, is an error; other versions of "
        "packages are told.",
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("recipe", type=Path, metavar="RECIPE", help="<stem>_recipe.json of a result")
    add("--input", "-i", required=True, type=Path, metavar="FILE", help="the image of the recipe")
    add("--output", "-o", type=Path, metavar="DIR", help="folder for the result (default: none)")
    add("--other-image", action="store_true", help="take the settings for another image; no edits")
    add("--axes", metavar="AXES", help=f"of the image: {AXES_HELP}")
    add_device(parser, None)
    add_format(parser)
    add("--overwrite", action="store_true", help="replace results that are there")
    add_quiet(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Do it again and write; return the exit status."""
    from ..io.images import stem_of
    from ..io.records import read_recipe
    from ..label_set import EDITS
    from ..replaying import Replay, image_for

    console = Console.of(args)
    stem, recipe = stem_of(args.input), read_recipe(args.recipe)
    _refuse_results(args, stem)
    image = image_for(recipe, args.input, args.axes)
    with console.bar(desc="loading", unit="B", unit_scale=True, leave=False) as bar:
        again = Replay(
            recipe, image, other_image=args.other_image, device=args.device, report=follow(bar)
        )
    with console.bar(desc=args.input.name, leave=False) as bar:
        work(again, bar)
    found = again.result()
    files = [] if args.output is None else _save(found, args, stem)
    for note in found.notes:
        console.note(f"{args.input}: {note}")
    count = len(found.labels.things)
    where = f" -> {files[0]}" if files else ""
    console.say(f"{args.input}: {how_many(count, 'object')}{where}")
    console.document(
        {
            "input": str(args.input),
            "recipe": str(args.recipe),
            "count": count,
            "edits": len(recipe.get(EDITS) or ()),
            "notes": list(found.notes),
            "files": [str(path) for path in files],
        }
    )
    return 0


def _refuse_results(args: argparse.Namespace, stem: str) -> None:
    from ..batch.jobs import format_of
    from ..io.results import result_paths
    from ..settings import OUTPUTS

    if args.output is None or args.overwrite:
        return
    paths = result_paths(OUTPUTS, args.output, stem, format_of(args.input, args.format))
    there = [path for path in paths if path.exists()]
    if there:
        raise UsageError(f"{there[0]} exists: pass --overwrite")


def _save(found: Replayed, args: argparse.Namespace, stem: str) -> list[Path]:
    from ..batch.jobs import format_of
    from ..io.formats.result import write_one

    form = format_of(args.input, args.format)
    if found.as_found:
        return found.result.save(args.output, stem, form)
    return write_one(found.labels, args.output, stem, form)
