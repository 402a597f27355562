"""``napari-instseg cache``: embeddings on disk."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .console import INTERRUPTED, Console, add_json, add_quiet
from .session import add_session_options, open_session


def add_parser(commands: Any) -> None:
    """Describe the command and its actions."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "cache",
        help="show, empty or fill the cache of embeddings",
        description="Embeddings are what Segment Anything makes of each tile of an image; kept on "
        "disk, the next prompt in the tile takes a moment.",
        epilog="They are kept in the folder NAPARI_INSTSEG_CACHE (in it: embeddings), at most "
        "NAPARI_INSTSEG_EMBEDDINGS_GB (5); what was not used for longest goes first.",
    )
    actions = parser.add_subparsers(metavar="ACTION", title="actions", required=True)
    info = actions.add_parser("info", help="show where it is and how much it holds")
    info.set_defaults(run=run_info)
    clear = actions.add_parser("clear", help="remove all embeddings")
    clear.set_defaults(run=run_clear)
    precompute = actions.add_parser("precompute", help="encode all tiles of an image")
    precompute.set_defaults(run=run_precompute)
    precompute.add_argument("image", type=Path, metavar="IMAGE")
    precompute.add_argument(
        "--levels", type=int, metavar="N", help="only the N finest resolutions (default: all)"
    )
    add_session_options(precompute)
    for action in (info, clear, precompute):
        add_quiet(action)
        add_json(action)


def run_info(args: argparse.Namespace) -> int:
    """Show what the cache holds; return the exit status."""
    from ..prompting.caching import users_cache

    info = users_cache().info()
    console = Console.of(args)
    console.say(f"folder: {info.folder}")
    console.say(f"embeddings: {info.count}, {_gb(info.size)} of at most {_gb(info.limit)}")
    console.document(
        {
            "folder": str(info.folder),
            "count": info.count,
            "bytes": info.size,
            "limit_bytes": info.limit,
        }
    )
    return 0


def run_clear(args: argparse.Namespace) -> int:
    """Remove all embeddings; return the exit status."""
    from ..prompting.caching import users_cache

    cache = users_cache()
    before = cache.clear()
    left = cache.info().count
    console = Console.of(args)
    console.say(f"removed {before.count - left} embeddings, {_gb(before.size)}")
    if left:
        console.fail(f"{left} could not be removed from {before.folder}")
    console.document({"removed": before.count - left, "left": left})
    return 1 if left else 0


def run_precompute(args: argparse.Namespace) -> int:
    """Encode all tiles of an image; return the exit status."""
    console = Console.of(args)
    session = open_session(args, console)
    levels = session.levels if args.levels is None else min(args.levels, session.levels)
    views = [
        view
        for plane in session.planes
        for level in range(levels)
        for view in session.views(plane, level)
    ]
    for note in session.image.notes:
        console.note(f"{args.image}: {note}")
    done, interrupted = 0, False
    with console.bar(desc=args.image.name, unit="tile", leave=False) as bar:
        try:
            for step in session.prepare(views):
                bar.total, done = step.total, step.done
                bar.update(step.done - bar.n)
                if session.warnings:
                    break
        except KeyboardInterrupt:
            interrupted = True
    for warning in session.warnings:
        console.fail(warning)
    console.say(f"{args.image}: {done} of {len(views)} tiles are encoded")
    console.document({"tiles": len(views), "done": done, "interrupted": interrupted})
    if interrupted:
        console.fail(f"stopped: {done} of {len(views)} tiles are kept")
        return INTERRUPTED
    return 1 if session.warnings else 0


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
