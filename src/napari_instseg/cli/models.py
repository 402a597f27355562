"""``napari-instseg models``: what can be picked, and what each needs."""

from __future__ import annotations

import argparse
from typing import Any

from .console import Console, add_json


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser("models", help="list the models", description="List the models.")
    parser.set_defaults(run=run)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the models; return the exit status."""
    from ..models.registry import entries

    console = Console.of(args)
    known = entries()
    for entry in known:
        console.say(f"{entry.name}: {entry.title}")
        console.say(f"  {entry.description}")
        console.say(f"  {entry.missing() or 'ready'}")
        console.say(f"  license: {entry.license}")
    console.document(
        [
            {
                "name": entry.name,
                "title": entry.title,
                "description": entry.description,
                "ready": not entry.missing(),
                "needs": entry.missing() or None,
                "license": entry.license,
                "file": str(entry.path),
                "sha256": entry.sha256,
            }
            for entry in known
        ]
    )
    return 0
