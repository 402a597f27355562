"""``napari-instseg models``: what can be picked, what each needs, and where it is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import values
from .console import Console, add_json, add_quiet, follow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..models.entry import ModelEntry

TASKS = ("boxes", "instances", "semantic", "panoptic", "prompts")
HEADINGS = {
    "built-in": "Built in",
    "zoo": "Detectron2's zoo",
    "segment-anything": "Segment Anything",
    "yours": "Yours",
}


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "models",
        help="list, download, add and remove models",
        description="List the models, or do something with them.",
        epilog="Downloads are kept in the folder NAPARI_INSTSEG_CACHE, your own models in "
        "NAPARI_INSTSEG_DATA_HOME; NAPARI_INSTSEG_MIRROR is a base URL to download from instead "
        "('napari-instseg models where' shows the folders).",
    )
    parser.set_defaults(run=run_list)
    _add_filters(parser)
    actions = parser.add_subparsers(metavar="ACTION", title="actions")

    def action(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        # What is given before the action's name counts as well.
        quiet = argparse.SUPPRESS
        added: argparse.ArgumentParser = actions.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}.", argument_default=quiet
        )
        added.set_defaults(run=run)
        return added

    _add_filters(action("list", run_list, "list the models (as without any action)"))
    download = action("download", run_download, "download weights, or go on with a download")
    download.add_argument("names", nargs="+", metavar="NAME", help="a model that is downloaded")
    add_quiet(download)
    _describe_add(action("add", run_add, "give a model of your own a name"))
    remove = action("remove", run_remove, "remove your own model, or weights of the zoo")
    remove.add_argument("name", metavar="NAME")
    where = action("where", run_where, "show folders and files, and how much disk they use")
    where.add_argument("name", nargs="?", default=None, metavar="NAME")
    for parser in (download, remove, where, actions.choices["add"]):
        add_json(parser)


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", choices=TASKS, help="only models that give this")
    parser.add_argument(
        "--search", metavar="TEXT", help="only models that have all these words about them"
    )
    add_json(parser)


def _describe_add(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", metavar="NAME", help="what it is to be called")
    add(
        "--weights",
        type=Path,
        required=True,
        metavar="FILE",
        help=".safetensors of 'train', or a checkpoint of Detectron2 (.pth, .pkl) or of Segment "
        "Anything (.pth, .pt, .safetensors)",
    )
    add(
        "--config",
        default=None,
        metavar="FILE",
        help="of a checkpoint: the Detectron2 config (.yaml), or the name of one in its zoo",
    )
    add(
        "--categories",
        type=Path,
        default=None,
        metavar="FILE",
        help="names for a config's classes: .txt or .json",
    )
    add(
        "--diameter",
        type=values.positive,
        default=None,
        metavar="PX",
        help="typical object size in training",
    )
    add("--title", default="", metavar="TEXT", help="for people (default: the name)")
    add("--description", default="", metavar="TEXT", help="what it is for")
    add("--license", default="", metavar="TEXT", help="of the weights")
    add(
        "--link",
        action="store_true",
        default=False,
        help="copy nothing: the files stay where they are",
    )


def run_list(args: argparse.Namespace) -> int:
    """Print the models; return the exit status."""
    from ..models import library
    from ..models.registry import entries

    console = Console.of(args)
    for problem in library.problems():
        console.fail(problem)
    known = [e for e in entries() if _wanted(e, args.task, args.search)]
    for group, heading in HEADINGS.items():
        _say_group(console, heading, [e for e in known if e.group == group])
    if not known:
        console.say("no model is like that")
    console.document([_to_json(entry) for entry in known])
    return 0


def _wanted(entry: ModelEntry, task: str | None, search: str | None) -> bool:
    if task and task not in entry.outputs:
        return False
    about = (entry.name, entry.title, entry.description, entry.dataset, entry.license)
    text = " ".join((*about, *entry.outputs, entry.group)).lower()
    return all(word in text for word in (search or "").lower().split())


def _say_group(console: Console, heading: str, group: Sequence[ModelEntry]) -> None:
    """Print a group as a table; what holds for all of it is said once, above."""
    if not group:
        return
    licenses = {entry.license for entry in group}
    needs = {entry.missing() for entry in group}
    shared = [values.pop() for values in (licenses, needs) if len(values) == 1]
    console.say(": ".join([heading, "; ".join(filter(None, shared))]).removesuffix(": "))
    rows = [_row(entry) for entry in group]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for entry, row in zip(group, rows, strict=True):
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        console.say(f"  {cells.rstrip()}")
        special = [entry.missing() if needs else "", entry.license if licenses else ""]
        if entry.group != "zoo":
            special.insert(0, entry.description)
        if any(special):
            console.say(f"      {'; '.join(filter(None, special))}")


def _row(entry: ModelEntry) -> tuple[str, ...]:
    """What is said of a model in one line; published names tell as much as their titles."""
    title = () if entry.url else (entry.title,)
    gives = "panoptic" if "panoptic" in entry.outputs else "+".join(entry.outputs)
    here = "here" if entry.present else "not here"
    return entry.name, *title, gives, entry.dataset, _megabytes(entry), here


def _megabytes(entry: ModelEntry) -> str:
    if entry.present:
        return _size(entry.path.stat().st_size)
    return f"about {_size(entry.size)}" if entry.size else ""


def _size(count: int) -> str:
    return f"{count / 1e6:.0f} MB" if count >= 1e7 else f"{count / 1e6:.1f} MB"


def _to_json(entry: ModelEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "title": entry.title,
        "description": entry.description,
        "group": entry.group,
        "outputs": list(entry.outputs),
        "dataset": entry.dataset or None,
        "ready": entry.ready,
        "here": entry.present,
        "needs": entry.missing() or None,
        "license": entry.license,
        "bytes": entry.path.stat().st_size if entry.present else entry.size,
        "url": entry.url or None,
        "file": str(entry.path),
        "sha256": entry.sha256,
        "config": entry.config or None,
        "categories": str(entry.categories) if entry.categories else None,
        "diameter": entry.diameter,
    }


def run_download(args: argparse.Namespace) -> int:
    """Download weights, one after the other; return the exit status."""
    from ..models.registry import find
    from ..segmenter import ModelError

    console = Console.of(args)
    done, failed = [], 0
    # A wrong name is told before hours of downloads.
    chosen = [find(name) for name in args.names]
    for entry in chosen:
        if not entry.url:
            raise ModelError(f"{entry.name!r} is not downloaded: it is at {entry.path}")
    for entry in chosen:
        try:
            digest = _download(entry, console)
        except ModelError as error:
            failed += 1
            console.fail(f"{entry.name}: {error}")
            continue
        except KeyboardInterrupt:
            console.fail("what has come stays: the same command goes on from there")
            raise
        console.say(f"{entry.name}: {entry.path}")
        done.append({"name": entry.name, "file": str(entry.path), "sha256": digest})
    console.document(done)
    return 1 if failed else 0


def _download(entry: ModelEntry, console: Console) -> str | None:
    from ..models import downloads

    options: dict[str, Any] = {"unit": "B", "unit_scale": True, "unit_divisor": 1000}
    with console.bar(desc=entry.path.name, leave=False, **options) as bar:
        try:
            return downloads.fetch_weights(entry, follow(bar))
        except downloads.DamagedFileError as error:
            if not entry.present:
                raise
            console.note(f"{entry.name}: {error.args[0].partition(';')[0]}; downloading it again")
            downloads.remove(entry.path)
        return downloads.fetch_weights(entry, follow(bar))


def run_add(args: argparse.Namespace) -> int:
    """Add a model of the user's own; return the exit status."""
    from ..models import library

    console = Console.of(args)
    entry = library.add(
        args.name,
        args.weights,
        config=args.config,
        categories=args.categories,
        title=args.title,
        description=args.description,
        diameter=args.diameter,
        license=args.license,
        copy=not args.link,
    )
    console.say(f"{entry.name}: {entry.path}")
    command = "everything" if entry.promptable else "segment"
    console.say(f"use it with: napari-instseg {command} --model {entry.name!r} ...")
    console.document(_to_json(entry))
    return 0


def run_remove(args: argparse.Namespace) -> int:
    """Remove a user's model, or downloaded weights; return the exit status."""
    from ..models import downloads, library, sam_zoo, zoo
    from ..segmenter import ModelError

    console = Console.of(args)
    listed = next((kind for kind in (zoo, sam_zoo) if kind.knows(args.name)), None)
    if listed is not None:
        entry = listed.find(args.name)
        freed = downloads.remove(entry.path)
        text = f"weights removed ({_size(freed)})" if freed else "its weights are not here"
        console.say(f"{entry.name}: {text}")
    elif args.name in library.BUILT_IN_NAMES:
        raise ModelError(f"{args.name!r} comes with the package and stays")
    else:
        freed = library.remove(args.name)
        text = _size(freed) if freed else "your own files stay where they are"
        console.say(f"{args.name}: removed ({text})")
    console.document({"name": args.name, "freed": freed})
    return 0


def run_where(args: argparse.Namespace) -> int:
    """Print folders, or a model's files; return the exit status."""
    from ..models import downloads, library
    from ..models.registry import entries, find

    console = Console.of(args)
    if args.name is not None:
        entry = find(args.name)
        console.say(f"{entry.path}: {_megabytes(entry)}{'' if entry.present else ', not here'}")
        if entry.url and not entry.present:
            console.say(f"from {entry.url}")
        console.document(_to_json(entry))
        return 0
    folders = {
        "downloads": (downloads.cache_folder(), downloads.CACHE),
        "yours": (library.data_folder(), library.HOME),
    }
    use = {kind: downloads.disk_use(folder) for kind, (folder, _) in folders.items()}
    for kind, (folder, variable) in folders.items():
        console.say(f"{kind}: {folder} ({_size(use[kind])}; set with {variable})")
    for entry in entries():
        if entry.present and entry.group != "built-in":
            console.say(f"  {entry.name}: {_megabytes(entry)}, {entry.path}")
    console.document(
        {kind: {"folder": str(f), "bytes": use[kind]} for kind, (f, _) in folders.items()}
    )
    return 0
