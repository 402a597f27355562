"""``napari-instseg demo``: the built-in model on the two images in the package."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .console import add_device


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "demo",
        help="try it on two images that come with it",
        description="Segment two images that come with the program, and show them in napari "
        "if there is a screen. Needs no network.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--output",
        "-o",
        type=Path,
        default=Path("instseg-demo"),
        metavar="DIR",
        help="folder for the results (default: ./instseg-demo)",
    )
    parser.add_argument("--no-viewer", action="store_true", help="do not open napari")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Run the demo; return the exit status."""
    from ..demo import run_demo

    run_demo(args.output, device=args.device, viewer=not args.no_viewer)
    return 0
