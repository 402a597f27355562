"""Label images in OME-Zarr, opened from napari's File menu or by dropping them on the window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd

from ..io.images import stem_of
from ..io.journal import settle
from ..io.ngff import VALUE
from ..io.records import RECIPE, TABLE, read_recipe, read_table
from ..io.tiff import LAZY_BYTES
from ..io.zarr import LabelPyramid, read_label_pyramid
from ..ops.rendering import rows_of
from ..settings import OUTPUTS
from .label_colors import direct_colors
from .links import RECIPE_KEY
from .results import OPACITY, world_of

#: Colour of labels for which a file names none.
UNKNOWN = (0.5, 0.5, 0.5, 1.0)

LayerData = tuple[Any, dict[str, Any], str]


def get_reader(path: str | Sequence[str]) -> Callable[[Any], list[LayerData]] | None:
    """Offer to read a folder if it is a label image in OME-Zarr; leave all others to others.

    Parameters
    ----------
    path : str or sequence of str
        As npe2 hands it over; several are for a stack, which labels are not.
    """
    if not isinstance(path, str) or read_label_pyramid(Path(path)) is None:
        return None
    return read_layers


def read_layers(path: str) -> list[LayerData]:
    """Open a label image in OME-Zarr as one Labels layer.

    Parameters
    ----------
    path : str
        A folder. Of a label image that this program wrote, the table and the recipe beside it
        are read, too.

    Returns
    -------
    list of (levels, options, "labels")
        Several levels are read lazily, as a multiscale layer. Features are the table's rows;
        without a table, the properties in the Zarr.

    Raises
    ------
    InputError
        If the table or the recipe beside it is damaged.

    Warns
    -----
    UserWarning
        If an edit of it was cut off; see `journal.settle`.
    """
    folder = Path(path)
    settle(folder)
    pyramid = read_label_pyramid(folder)
    if pyramid is None:
        return []
    stem, _, output = stem_of(folder).rpartition("_")
    own = output in OUTPUTS
    beside = f"{stem}_" if stem else ""
    table, recipe = (folder.with_name(beside + name) for name in (TABLE, RECIPE))
    options: dict[str, Any] = {
        "name": f"{stem} {output}".strip() if own else stem_of(folder),
        "multiscale": len(pyramid.levels) > 1,
        "opacity": OPACITY,
        "features": rows_of(read_table(table), output)
        if own and table.is_file()
        else _listed(pyramid),
        "metadata": {RECIPE_KEY: read_recipe(recipe)} if own and recipe.is_file() else {},
    }
    if pyramid.axes:
        options |= world_of(pyramid.axes, pyramid.spacing)
    # Instances have napari's own colours, as they have after a run: new ones can be painted, too.
    if output != "instances" and set(pyramid.colors) - {0}:
        colors = ((label, np.divide(rgba, 255)) for label, rgba in pyramid.colors.items())
        options["colormap"] = direct_colors(colors, others=UNKNOWN)
    return [(_data(pyramid), options, "labels")]


def _data(pyramid: LabelPyramid) -> Any:
    """Levels as they are; a small image that has only one in memory, where it can be painted on."""
    levels = lazy_levels(pyramid)
    if len(levels) > 1:
        return levels
    return levels[0].compute() if levels[0].nbytes <= LAZY_BYTES else levels[0]


def lazy_levels(pyramid: LabelPyramid) -> list[Any]:
    """Give each level as a dask array."""
    # Of a Zarr array as such napari would read all planes to show one.
    return [da.from_zarr(level) for level in pyramid.levels]


def _listed(pyramid: LabelPyramid) -> pd.DataFrame:
    """Properties as a table whose column ``index`` is the label, as napari wants it."""
    rows = pd.DataFrame([dict(row) for row in pyramid.properties])
    return rows.rename(columns={VALUE: "index"})
