"""What commands that prompt a model share: options, and the session that they make."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..segmenter import InputError
from . import values
from .console import Console, UsageError, add_device, follow
from .segment import add_image_options

if TYPE_CHECKING:
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


def recipe_options(args: argparse.Namespace) -> dict[str, Any] | None:
    """Read the recipe, if one was given."""
    from ..io.results import read_recipe

    return read_recipe(args.recipe) if getattr(args, "recipe", None) else None


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
    from ..io.images import read_image
    from ..models import prompters
    from ..prompting import PromptSession

    settings = _settings(args, recipe)
    name = str(settings.pop("model", DEFAULT_MODEL))
    image = read_image(args.image, args.axes)
    if args.pixel_size:
        size = dict.fromkeys("YX", args.pixel_size)
        image = replace(image, spacing={**image.spacing, **size})
    with console.bar(desc=name, unit="B", unit_scale=True, leave=False) as bar:
        loaded = prompters.load(
            name,
            settings.get("device") or "auto",
            precision=settings.get("precision") or "auto",
            report=follow(bar),
        )
    console.note(f"{loaded.name} on {loaded.prompter.device}")
    try:
        return PromptSession(image, loaded, cache=not args.no_cache, **settings)
    except InputError as error:
        raise UsageError(str(error)) from error


def _settings(args: argparse.Namespace, recipe: Mapping[str, Any] | None) -> dict[str, Any]:
    """Settings of the recipe, and the options over them."""
    from ..prompting.options import FIELDS

    given: dict[str, Any] = {}
    if recipe is not None:
        given = {k: v for k, v in recipe["settings"].items() if k in (*FIELDS, "model")}
    for name in ("model", "device", "percentiles", "invert", "tile_size", "overlap", "precision"):
        if getattr(args, name) is not None:
            given[name] = getattr(args, name)
    if args.channels:
        given["channels"] = tuple(number for group in args.channels for number in group)
    if args.diameter:
        given["diameter"], given["diameter_unit"] = args.diameter
    if args.limits or args.percentiles:
        given["limits"] = tuple(args.limits) if args.limits else None
    return given
