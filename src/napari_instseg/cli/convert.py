"""``napari-instseg convert``: objects from one format to another."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from . import export, values


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "convert",
        help="objects from one format to another",
        description="Convert objects from any format that is read to any that is written.",
        epilog=export.formats_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="files or folders")
    parser.add_argument(
        "--from", dest="read_format", metavar="NAME", help="format of INPUT (default: looks)"
    )
    parser.add_argument(
        "--read-option",
        dest="read_options",
        action="append",
        default=[],
        type=values.option,
        metavar="KEY=VALUE",
        help="an option of the format of INPUT, see below; may be repeated",
    )
    export.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Convert all inputs; return the exit status."""
    return export.write(args, args.read_format, dict(args.read_options))
