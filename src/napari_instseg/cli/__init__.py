"""The command line: one file a command, each with ``add_parser`` and ``run``."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from .. import __version__
from ..segmenter import InstsegError
from . import (
    cache,
    convert,
    demo,
    doctor,
    evaluate,
    everything,
    export,
    install,
    measure,
    models,
    prompt,
    replay,
    segment,
    train,
)
from .console import INTERRUPTED, UsageError

DESCRIPTION = """\
Instance, semantic and panoptic segmentation of microscopy images.
Start with 'napari-instseg demo'; if something does not work, run 'napari-instseg doctor'."""

#: In the order in which the help lists them.
COMMANDS = (
    *(segment, everything, prompt, replay, demo),
    *(models, cache, train, evaluate, measure, export, convert, install, doctor),
)


def build_parser() -> argparse.ArgumentParser:
    """Describe all commands; imports neither torch nor napari."""
    parser = argparse.ArgumentParser(
        prog="napari-instseg",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"napari-instseg {__version__}")
    parser.add_argument(
        "--traceback", action="store_true", help="show where in the program an error arose"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; None takes those of the process.

    Returns
    -------
    int
        The exit status: 0 all good, 1 something failed, 2 a wrong option, 130 stopped by
        Ctrl-C.

    Raises
    ------
    SystemExit
        From ``--help``, ``--version`` and wrong options.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that lacks a sign (µ) gets another; it is no reason to fail.
            stream.reconfigure(errors="replace")
    parser = build_parser()
    args = parser.parse_args(arguments)
    try:
        status = int(args.run(args))
        sys.stdout.flush()
    except UsageError as error:
        parser.exit(2, f"napari-instseg {args.command}: {error}\n")
    except BrokenPipeError:
        # The reader ('| head') has seen enough; keep Python from writing to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    # A full disk or a folder that is read-only is no fault of the program.
    except (InstsegError, OSError) as error:
        if args.traceback:
            traceback.print_exc()
        print(f"napari-instseg {args.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"napari-instseg {args.command}: stopped", file=sys.stderr)
        return INTERRUPTED
    return status
