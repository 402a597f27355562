"""The editor of what Labels layers show: it changes their arrays, or the Zarr that they read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

import napari.layers
import napari.viewer
import numpy as np

from ...editing import Editor
from ...io.zarr import read_label_pyramid
from ...label_set import LabelSet
from ...segmenter import InputError
from ..copying import file_of
from ..label_layers import label_set_of, outputs_of, table_of

#: Of larger arrays the objects are listed in a thread of its own, px.
QUICK_PIXELS = 1 << 22


def is_quick(viewer: napari.viewer.Viewer, layer: napari.layers.Labels) -> bool:
    """Whether a layer is read, and its editor made, in no time."""
    data = layer.data[0] if layer.multiscale else layer.data
    small = isinstance(data, np.ndarray) and data.size <= QUICK_PIXELS
    return small or (not isinstance(data, np.ndarray) and table_of(viewer, layer) is not None)


def read_layer(
    viewer: napari.viewer.Viewer, layer: napari.layers.Labels
) -> tuple[LabelSet, Editor | None]:
    """Read a layer, with all that takes long: for a thread of its own.

    Returns
    -------
    labels : LabelSet
    editor : Editor, optional
        None if the labels can only be read.
    """
    labels = label_set_of(viewer, layer)
    try:
        return labels, open_editor(labels, outputs_of(viewer, layer))
    except InputError:
        return labels, None


def open_editor(labels: LabelSet, layers: Mapping[str, napari.layers.Labels]) -> Editor:
    """Make an editor that changes label images where they are.

    Parameters
    ----------
    labels : LabelSet
        As `label_set_of` read it.
    layers : mapping of str to napari.layers.Labels
        That it was read from, by output.

    Returns
    -------
    Editor
        Of arrays in memory that may be written to, and of OME-Zarr in a folder: in place.

    Raises
    ------
    InputError
        If the labels can only be read.
    """
    arrays = {name: _editable(getattr(labels, name), layer) for name, layer in layers.items()}
    return Editor(replace(labels, **arrays), in_place=True)


def _editable(array: Any, layer: napari.layers.Labels) -> Any:
    if isinstance(array, np.ndarray) and layer.multiscale:
        raise InputError(
            f"{layer.name!r} has several levels in memory, which would no longer show the same: "
            "correct a layer with its finest level alone"
        )
    if isinstance(array, np.ndarray) or array is None:
        return array
    file = file_of(layer)
    pyramid = None if file is None else read_label_pyramid(file)
    if pyramid is None or tuple(pyramid.levels[0].shape) != tuple(array.shape):
        raise InputError(
            f"the labels of {layer.name!r} can only be read: open them from a label image in "
            "OME-Zarr, or as a layer in memory, to correct them"
        )
    return pyramid.levels[0]


def read_anew(layer: napari.layers.Labels) -> None:
    """Show what is in a layer's Zarr now: dask and napari keep what they read before."""
    import dask.array as da

    file = file_of(layer)
    pyramid = None if file is None else read_label_pyramid(file)
    if pyramid is None:
        layer.refresh(extent=False)
        return
    levels = [da.from_zarr(level, name=f"edited-{uuid4()}") for level in pyramid.levels]
    layer.data = levels if layer.multiscale else levels[0]
