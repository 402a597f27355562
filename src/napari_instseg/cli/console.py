"""What commands say, and where: results on stdout, all else on stderr."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..progress import Progress

#: Exit status after Ctrl-C, as shells have it.
INTERRUPTED = 130


class UsageError(Exception):
    """Options that cannot be used; ends with status 2."""


@dataclass(frozen=True, slots=True)
class Console:
    """Where a command's words go.

    Parameters
    ----------
    quiet : bool
        Only results asked for as JSON, and failures.
    json : bool
        Stdout holds one JSON document and nothing else.
    """

    quiet: bool = False
    json: bool = False

    @classmethod
    def of(cls, args: argparse.Namespace) -> Console:
        """Read ``--quiet`` and ``--json`` where the command has them."""
        return cls(getattr(args, "quiet", False), getattr(args, "json", False))

    def say(self, text: str) -> None:
        """Print a result for people."""
        if not (self.quiet or self.json):
            print(text, flush=True)

    def note(self, text: str) -> None:
        """Print what the user should know, but did not ask for."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def fail(self, text: str) -> None:
        """Print what went wrong, always."""
        print(text, file=sys.stderr, flush=True)

    def document(self, values: Any) -> None:
        """Print the JSON document, if it was asked for."""
        if self.json:
            print(json.dumps(values, indent=2, ensure_ascii=False), flush=True)

    def bar(self, **options: Any) -> Any:
        """Return a tqdm progress bar on stderr; silent if quiet or not on a terminal."""
        from tqdm import tqdm

        hidden = True if self.quiet else None
        return tqdm(file=sys.stderr, disable=hidden, dynamic_ncols=True, **options)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print one JSON document to stdout")


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Add ``--quiet``."""
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress, failures only")


def add_device(parser: argparse.ArgumentParser, default: str | None = "auto") -> None:
    """Add ``--device``."""
    parser.add_argument(
        "--device",
        default=default,
        metavar="DEVICE",
        help="auto (CUDA, then MPS, then CPU; the default), cpu, cuda, cuda:1, mps",
    )


def follow(bar: Any) -> Callable[[int, int, str], None]:
    """Return what shows the progress of a download (`models.entry.Report`) in a tqdm bar."""

    def report(done: int, total: int, message: str) -> None:
        bar.set_description(message, refresh=False)
        bar.total = total or None
        bar.update(done - bar.n)

    return report


def work(run: Iterable[Progress], bar: Any) -> None:
    """Do all steps of a run and show them in a tqdm bar."""
    for step in run:
        bar.total = step.total
        bar.update(step.done - bar.n)
