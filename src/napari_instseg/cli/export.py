"""``napari-instseg export``: results in formats of other programs."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import values
from .console import Console, UsageError, add_json, add_quiet

if TYPE_CHECKING:
    from ..label_set import LabelSet


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "export",
        help="write results in formats of other programs",
        description="Write results in formats of other programs.",
        epilog=formats_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="RESULT",
        help="a folder of results, FOLDER/STEM, a recipe, or a label image",
    )
    add_output(parser)


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add options on what is written, and where."""
    add = parser.add_argument
    add("--output", "-o", type=Path, required=True, metavar="PATH", help="a file, or a folder")
    add("--format", metavar="NAME", help="see below (default: by the ending of PATH)")
    add(
        "--option",
        dest="options",
        action="append",
        default=[],
        type=values.option,
        metavar="KEY=VALUE",
        help="an option of the format, see below; may be repeated",
    )
    add("--overwrite", action="store_true", help="replace files that are there")
    add_quiet(parser)
    add_json(parser)


def formats_help() -> str:
    """List the formats and their options."""
    from ..io.formats.registry import FORMATS

    lines = ["formats (-> written, <- read):"]
    for one in FORMATS:
        ways = f"{'<-' if one.read else '  '}{'->' if one.write else '  '}"
        endings = ", ".join(one.endings) or "folder"
        lines.append(f"  {one.name:<12}{ways}  {one.title} ({endings})")
        lines += [f"{'':20}{key}={text}" for key, text in one.options.items()]
        lines += [f"{'':20}{key}={text} (<-)" for key, text in one.reading.items()]
    return "\n".join(lines)


def run(args: argparse.Namespace) -> int:
    """Export all results; return the exit status."""
    return write(args, None, {})


def write(args: argparse.Namespace, read_format: str | None, read_options: dict[str, Any]) -> int:
    """Read all inputs, write them, say what was written and what the format cannot hold."""
    from ..io.formats.engine import read_sets, write_sets

    console = Console.of(args)
    output = args.output.expanduser()
    if output.is_file() and not args.overwrite:
        raise UsageError(f"{output} is there: --overwrite replaces it")

    def sets() -> Iterator[LabelSet]:
        for path in args.inputs:
            yield from read_sets(path.expanduser(), read_format, **read_options)

    done = write_sets(sets(), output, args.format, replace=args.overwrite, **dict(args.options))
    for path in done.paths:
        console.say(str(path))
    for note in done.notes:
        console.note(f"note: {note}")
    console.document({"files": [str(path) for path in done.paths], "notes": list(done.notes)})
    return 0
