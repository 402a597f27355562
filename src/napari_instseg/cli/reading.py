"""What commands that look at images share: options, the recipe, the image as it is to be read."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..settings import Settings
from . import values

if TYPE_CHECKING:
    from ..ops.axes import Image

AXES_HELP = (
    "one letter a dimension, in any order: Z depth, T time, C channels, Y, X, S RGB (last), any "
    "other: separate images; such as TCZYX, YXS (default: what the file says, else a guess, which "
    "is noted)"
)


def add_image_options(group: Any) -> None:
    """Describe how the image is read; for all commands that take one."""
    low, high = Settings().percentiles
    add = group.add_argument
    add("--axes", metavar="AXES", help=AXES_HELP)
    add("--pixel-size", type=values.positive, metavar="UM", help="µm per pixel in x and y")
    add("--z-step", type=values.positive, metavar="UM", help="µm from plane to plane of a z-stack")
    add(
        "--channel",
        dest="channels",
        action="append",
        type=values.channels,
        metavar="K",
        help="channels to use, from 0; 0,2 or repeated for several (default: all)",
    )
    add(
        "--diameter",
        type=values.diameter,
        metavar="D",
        help="typical object size: auto, native, 30, 30px or 12um, or as-trained: resize each tile "
        "to the picture size of the model's training (Detectron2) (default: native)",
    )
    add(
        "--percentiles",
        type=values.pair,
        metavar="LO,HI",
        help=f"percentages of pixels shown as black and white (default: {low:g},{high:g})",
    )
    add(
        "--limits",
        action="append",
        type=values.pair,
        metavar="LO,HI",
        help="fixed grey values instead; repeat it for each channel; negative: --limits=-5,10",
    )
    add(
        "--invert",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="swap dark and light first",
    )


def given_settings(args: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """Fields of `Settings` that were given: those of ``names``, and of `add_image_options`."""
    given = {
        name: getattr(args, name)
        for name in (*names, "percentiles", "invert")
        if getattr(args, name) is not None
    }
    if args.channels:
        given["channels"] = tuple(number for group in args.channels for number in group)
    if args.diameter:
        given["diameter"], given["diameter_unit"] = args.diameter
    if args.limits or args.percentiles:
        given["limits"] = tuple(args.limits) if args.limits else None
    return given


def given_recipe(args: argparse.Namespace) -> dict[str, Any] | None:
    """Read the recipe, if one was given."""
    from ..io.records import read_recipe

    return read_recipe(args.recipe) if args.recipe else None


def open_image(
    args: argparse.Namespace, path: Path, recipe: Mapping[str, Any] | None = None
) -> Image:
    """Open an image with the axes and pixel size of the options, else of the recipe."""
    from ..inputs import as_in_recipe
    from ..io.images import read_image

    image = read_image(path, args.axes)
    if recipe is not None and args.axes is None:
        image = as_in_recipe(image, recipe)
    given = {"Y": args.pixel_size, "X": args.pixel_size, "Z": args.z_step}
    size = {axis: value for axis, value in given.items() if value and axis in image.axes}
    return replace(image, spacing={**image.spacing, **size}) if size else image
