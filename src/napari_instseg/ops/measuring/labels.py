"""All objects of a label image, measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ...progress import Listener, Progress, how_many, ignore
from ..axes import ArrayLike, Image
from .blocks import Block, Pixels, plan_blocks
from .columns import Columns, channel_names, check_measures, value_columns
from .objects import Objects, goes_through
from .pieces import Pieces, find_pieces
from .shapes import crops, measure_shape, shape_columns

#: Shapes of objects whose box has more pixels are left out.
LARGEST = 2**27


def measure_labels(
    labels: ArrayLike,
    axes: str,
    images: Sequence[Image] = (),
    *,
    columns: Sequence[str] | None = None,
    spacing: Mapping[str, float] | None = None,
    volumes: bool | None = None,
    without_shape: Sequence[int] = (),
    report: Listener = ignore,
) -> pd.DataFrame:
    """Measure the objects of a label image.

    Parameters
    ----------
    labels : integer array (..., Y, X)
        0 and less is nothing; numbers need not be dense. NumPy, dask, Zarr or `LazyLabels`; may
        be larger than memory: each chunk is read at most twice, those of images once.
    axes : str
        One letter a dimension, the last two Y and X.
    images : sequence of Image
        Whose grey values are measured, in all channels; on the same grid. NaN is left out.
    columns : sequence of str, optional
        Some of `MEASURES`; None: all that there are for such objects.
    spacing : mapping of str to float, optional
        µm per pixel by axis letter: gives each length, area and volume in µm, too.
    volumes : bool, optional
        Whether objects go through Z; None: if any number is in two planes along it.
    without_shape : sequence of int
        Labels whose shapes are of no interest, such as those of stuff: NaN.
    report : callable
        Hears of each block, before it is read.

    Returns
    -------
    DataFrame
        One row for each object, and of objects that are not 3-D, for each plane it is in (a
        frame of a time-lapse); rising. ``attrs["keys"]`` are the columns that tell rows apart,
        ``attrs["notes"]`` what to know.

        Columns: index (the label); one for each other axis (t, ...: index of the plane); of 2-D
        objects area (px), y and x (centroid; the middle of the first pixel is 0), row_min,
        col_min, row_max, col_max (half-open), equivalent_diameter, major_axis, minor_axis,
        eccentricity and orientation (of the ellipse with the same second moments; radians from
        the rows' axis, anticlockwise), perimeter, solidity, feret_max, feret_min. Of 3-D objects
        volume, z, y, x, box with z_first and z_last, equivalent_diameter, major_axis,
        minor_axis, surface_area, sphericity. Of each channel <name>_mean, _sd (of all pixels,
        no n − 1), _min, _max, _sum.

        Lengths are in px, and in µm in a column of the same name with ``_um`` (``_um2``,
        ``_um3``) where the pixel sizes are known.

    Raises
    ------
    InputError
        If an image is on another grid, or there is no such column.

    Notes
    -----
    Area, centroid, box and the sums of integers are exact; so are, in µm, all but perimeter and
    surface, whatever the ratio of the pixel sizes. Of pixels that are not square there is no
    ``perimeter_um``, since the estimate [1]_ is only made for square ones; eccentricity and
    orientation are given twice then, of the pixels and, with ``_um``, as in reality. Surfaces
    are those of a mesh between the voxels [2]_, with its steps: those of balls come out a tenth
    too large, and their sphericity as 0.9. It is in reality where the voxel size is known.

    Numbers are those of `skimage.measure.regionprops`, whatever the chunks.

    References
    ----------
    .. [1] Benkrid and Crookes, "Design and FPGA implementation of a perimeter estimator", 2000.
    .. [2] Lewiner et al., "Efficient implementation of marching cubes' cases", 2003.
    """
    wanted = check_measures(columns)
    channels = [Pixels(image, axes, tuple(labels.shape)) for image in images]
    blocks = plan_blocks(labels, axes, images)
    pieces = _read(labels, blocks, channels, report)
    through = goes_through(pieces, axes) if volumes is None else volumes
    objects = Objects(pieces, axes, spacing or {}, through=through)
    shapes, notes = _shapes(labels, blocks, objects, wanted, without_shape, report)
    names = channel_names([name for pixels in channels for name in pixels.names])
    groups = [objects.geometry | shapes]
    groups += [value_columns(*pair) for pair in zip(objects.values, names, strict=True)]
    table = keys = objects.keys
    for group in groups:
        for measure in wanted:
            table = table | group.get(measure, {})
    found = pd.DataFrame(table)
    found.attrs |= {"keys": [*keys], "notes": notes}
    return found


def _read(
    labels: ArrayLike, blocks: Sequence[Block], channels: Sequence[Pixels], report: Listener
) -> Pieces:
    """Read label image and images once."""
    found = []
    for number, block in enumerate(blocks):
        report(Progress(number, len(blocks), "measuring"))
        part = np.asarray(labels[block])
        if part.any():
            seen = [pixels for image in channels for pixels in image.read(block)]
            found.append(find_pieces(number, block, part, seen))
    if not found:
        pixel = np.zeros((1,) * len(labels.shape), np.uint8)
        count = sum(len(image.names) for image in channels)
        found = [find_pieces(0, (slice(0, 1),) * pixel.ndim, pixel, [pixel] * count)]
    return Pieces.joined(found)


def _shapes(
    labels: ArrayLike,
    blocks: Sequence[Block],
    objects: Objects,
    wanted: Sequence[str],
    left_out: Sequence[int],
    report: Listener,
) -> tuple[dict[str, Columns], list[str]]:
    """Read the label image once more for what needs objects as a whole."""
    sizes = objects.sizes
    names = shape_columns(objects.letters, sizes, wanted)
    count = len(objects.label)
    columns = {m: {name: np.full(count, np.nan) for name in own} for m, own in names.items()}
    large = np.prod(np.diff(objects.boxes, axis=1), axis=(1, 2)) > LARGEST
    chosen = ~(large | np.isin(objects.label, list(left_out)))
    if names and chosen.any():
        where, of = objects.pieces_of(chosen)
        cut = crops(labels, blocks, where, of, objects.label, objects.boxes)
        for done, (owner, mask) in enumerate(cut):
            report(Progress(done, int(chosen.sum()), "shapes"))
            found = measure_shape(objects.spatial(mask), sizes, names)
            for own in columns.values():
                for name, values in own.items():
                    values[owner] = found[name]
    notes = []
    if names and large.any():
        some = ", ".join(map(str, objects.label[large][:5].tolist()))
        notes.append(
            f"{how_many(int(large.sum()), 'object')} with a box of more than {LARGEST:,} px: "
            f"no {', '.join(names)} ({some}{', ...' if large.sum() > 5 else ''})"
        )
    return columns, notes
