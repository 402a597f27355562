"""``napari-instseg doctor``: what is installed, what is missing, what to do."""

from __future__ import annotations

import argparse
from typing import Any

from .console import Console, add_json


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "doctor",
        help="say what is missing and how to mend it",
        description="Check the installation: versions, devices, weights, window system. "
        "Exit status 1 if something that the command line needs is missing.",
    )
    parser.set_defaults(run=run)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print what was found; return the exit status."""
    from ..doctor import examine, format_report

    console = Console.of(args)
    findings = examine()
    console.say(format_report(findings))
    console.document([finding.to_json() for finding in findings])
    return 1 if any(finding.status == "missing" for finding in findings) else 0
