"""What commands that prompt a model share: options, and the session that they make."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..segmenter import InputError
from . import values
from .console import Console, UsageError, add_device, follow
from .reading import add_image_options, given_settings, open_image

if TYPE_CHECKING:
    from ..models.prompters import LoadedPrompter
    from ..prompting import PromptSession

DEFAULT_MODEL = "sam-nuclei"


def add_session_options(parser: argparse.ArgumentParser) -> None:
    """Add the model, and how it looks at the image."""
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="a name from 'models --task prompts', or a checkpoint of Segment Anything "
        f"(default: {DEFAULT_MODEL})",
    )
    add_device(parser, None)
    add_image_options(parser.add_argument_group("the image"))
    group = parser.add_argument_group("the run")
    group.add_argument(
        "--tile-size", type=values.whole, metavar="PX", help="(default: the model's own)"
    )
    group.add_argument(
        "--overlap",
        type=int,
        metavar="PX",
        help="what neighbouring tiles share (default: a quarter of the tile size)",
    )
    group.add_argument(
        "--precision", choices=("auto", "float32", "half"), help="number format of the network"
    )
    group.add_argument(
        "--no-cache", action="store_true", help="neither use nor keep embeddings on disk"
    )


def open_session(
    args: argparse.Namespace, console: Console, recipe: Mapping[str, Any] | None = None
) -> PromptSession:
    """Read the image and load the model.

    Parameters
    ----------
    args : argparse.Namespace
        ``image`` and what `add_session_options` added.
    console : Console
    recipe : mapping, optional
        Of an earlier run; options win over it.

    Raises
    ------
    UsageError
        If the options cannot be used.
    """
    from ..prompting import PromptSession

    name, settings = session_settings(args, recipe)
    image = open_image(args, args.image)
    loaded = load_prompter(name, settings, console)
    try:
        return PromptSession(image, loaded, cache=not args.no_cache, **settings)
    except InputError as error:
        raise UsageError(str(error)) from error


def load_prompter(name: str, settings: Mapping[str, Any], console: Console) -> LoadedPrompter:
    """Load a promptable model with the settings of a session, and say where it runs."""
    from ..models import prompters

    with console.bar(desc=name, unit="B", unit_scale=True, leave=False) as bar:
        loaded = prompters.load(
            name,
            settings.get("device") or "auto",
            precision=settings.get("precision") or "auto",
            report=follow(bar),
        )
    console.note(f"{loaded.name} on {loaded.prompter.device}")
    return loaded


def session_settings(
    args: argparse.Namespace, recipe: Mapping[str, Any] | None
) -> tuple[str, dict[str, Any]]:
    """Read the model's name and the settings of sessions: the recipe's, and options over them."""
    from ..prompting.options import FIELDS

    then = recipe["settings"] if recipe is not None else {}
    settings = {
        **{k: v for k, v in then.items() if k in (*FIELDS, "model")},
        **given_settings(args, ("model", "device", "tile_size", "overlap", "precision")),
    }
    return str(settings.pop("model", DEFAULT_MODEL)), settings
