"""``napari-instseg install detectron2``: what cannot simply be a dependency."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from .console import Console, add_json, add_quiet


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "install",
        help="install Detectron2, without a compiler",
        description="Put Detectron2 0.6 into this environment, from its source on PyPI, without "
        "its compiled extension. Needs no compiler and changes nothing that is installed; "
        "'pip uninstall detectron2' removes it. A Detectron2 that is here already is left as it "
        "is.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("package", choices=["detectron2"], help="what to install")
    parser.add_argument(
        "--dry-run", action="store_true", help="only say what would be done, with the commands"
    )
    add_quiet(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Install; return the exit status."""
    from ..models.detectron2 import install

    console = Console.of(args)
    if args.dry_run:
        lines = install.plan()
        console.say("\n".join(lines))
        console.document({**asdict(install.state()), "plan": lines})
        return 0

    def note(line: str) -> None:
        if line:
            console.note(line)

    console.document(asdict(install.install(note)))
    return 0
