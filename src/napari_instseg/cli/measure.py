"""``napari-instseg measure``: labels in, a table of sizes, shapes and intensities out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..progress import how_many
from ..segmenter import InputError
from . import values
from .console import Console, UsageError, add_json, add_quiet
from .reading import AXES_HELP

if TYPE_CHECKING:
    from ..progress import Progress

EPILOG = """\
Columns: area, centroid (y, x), bbox (row_min, ...), equivalent_diameter, major_axis, minor_axis,
eccentricity, orientation, perimeter, solidity, feret_max, feret_min; of objects through z volume,
surface_area and sphericity; of each channel of each image mean, sd, min, max, sum. Where the pixel
size is known, there is each in µm, too (area_um2, ...).
Objects of a time-lapse have a row for each frame."""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "measure",
        help="measure size, shape and intensity of objects",
        description="Measure size, place, shape and intensity of the objects of a label image, "
        "larger than memory or not.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add(
        "labels",
        type=Path,
        metavar="LABELS",
        help="a result (its folder, label image or recipe), or any label image",
    )
    add(
        "--image",
        dest="images",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="whose grey values are measured, in all channels; repeat it for several",
    )
    add(
        "--output",
        "-o",
        required=True,
        type=Path,
        metavar="FILE",
        help="the table: .csv, .parquet, .xlsx; replaced if it is there",
    )
    add(
        "--columns",
        action="append",
        metavar="LIST",
        help="some of those below, separated by commas (default: all)",
    )
    add("--axes", metavar="AXES", help=f"of the labels: {AXES_HELP}")
    add("--pixel-size", type=values.positive, metavar="UM", help="µm per pixel in x and y")
    add("--z-step", type=values.positive, metavar="UM", help="µm from plane to plane of a z-stack")
    add(
        "--through-z",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="one row an object through z, or one a plane (default: through z if any number is "
        "in two planes)",
    )
    add_quiet(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and write; return the exit status."""
    from ..inputs import as_image
    from ..io.formats.result import refuse_of_result
    from ..io.tables import check_table, write_table
    from ..measuring import measure

    console = Console.of(args)
    try:
        check_table(args.output)
        refuse_of_result(args.output)
    except InputError as error:
        raise UsageError(str(error)) from error
    images = [as_image(path) for path in args.images]
    with console.bar(desc=args.labels.name, unit="part", leave=False) as bar:

        def report(step: Progress) -> None:
            if step.total != bar.total or step.done < bar.n:
                bar.reset(step.total)
            bar.set_description(f"{args.labels.name}: {step.message}", refresh=False)
            bar.update(step.done - bar.n)

        table = measure(
            args.labels,
            images,
            _columns(args.columns),
            axes=args.axes,
            spacing=_spacing(args),
            volumes=args.through_z,
            report=report,
        )
    write_table(args.output, table)
    for note in table.attrs["notes"]:
        console.note(f"{args.labels}: {note}")
    console.say(f"{args.labels}: {how_many(len(table), 'row')} -> {args.output}")
    console.document(
        {
            "labels": str(args.labels),
            "images": [str(path) for path in args.images],
            "rows": len(table),
            "columns": [*table.columns],
            "notes": table.attrs["notes"],
            "table": str(args.output),
        }
    )
    return 0


def _columns(texts: list[str] | None) -> list[str] | None:
    if texts is None:
        return None
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


def _spacing(args: argparse.Namespace) -> dict[str, float] | None:
    given = {"Z": args.z_step, "Y": args.pixel_size, "X": args.pixel_size}
    return {axis: size for axis, size in given.items() if size is not None} or None
