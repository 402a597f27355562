"""An image of a batch and its results, read from their files, as layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import napari.layers
import napari.viewer
import numpy as np

from ..batch.jobs import Job
from ..io.images import read_image, read_labels
from ..io.records import RECIPE, TABLE, read_recipe, read_table
from ..label_set import name_colors
from ..ops.axes import CHANNEL, Image
from ..ops.rendering import rows_of
from ..settings import OUTPUTS
from .label_colors import direct_colors
from .links import RECIPE_KEY
from .reader import LayerData, read_layers
from .results import OPACITY, world_of

#: In the metadata of layers that were opened from a batch: the path of the image.
BATCH_KEY = "napari_instseg_batch"


def load(job: Job, axes: str | None = None) -> list[LayerData]:
    """Read an image and its label images; for a thread of its own.

    Parameters
    ----------
    job : Job
        Its ``files`` are read if they are there.
    axes : str, optional
        Of the image; see `read_image`.

    Returns
    -------
    list of (data, options, kind)
        The image, with a layer for each channel, then panoptic, semantic and instances, of
        which the last is visible.

    Raises
    ------
    InputError
        If a file cannot be read; the message names it.
    """
    image = read_image(job.path, axes)
    layers = _image_layers(image, job.name)
    files = [path for path in job.files if path.exists()]
    found = [(o, path) for o in OUTPUTS for path in files if path.stem.endswith(f"_{o}")]
    for output, path in reversed(found):
        if path.is_dir():
            layers += read_layers(str(path))
        else:
            layers.append(_labels_layer(image, job, output, path))
    for place, (_, options, _) in enumerate(layers):
        labels = place >= len(layers) - len(found)
        options["visible"] = not labels or place == len(layers) - 1
        options["metadata"] = {**options.get("metadata", {}), BATCH_KEY: str(job.path)}
    return layers


def _image_layers(image: Image, name: str) -> list[LayerData]:
    letters = image.axes.replace("S", "")
    data: Any = image.data
    if not isinstance(data, np.ndarray):
        data = np.asarray(data[...])
    if CHANNEL not in letters:
        return [(data, _options(image, letters, name), "image")]
    planes = np.moveaxis(data, letters.index(CHANNEL), 0)
    letters = letters.replace(CHANNEL, "")
    options = [_options(image, letters, f"{name} channel {i}") for i in range(len(planes))]
    more = {"blending": "additive"}
    return [(plane, {**o, **more}, "image") for plane, o in zip(planes, options, strict=True)]


def _options(image: Image, letters: str, name: str) -> dict[str, Any]:
    return {"name": name, "rgb": image.is_rgb, **world_of(letters, image.spacing)}


def _labels_layer(image: Image, job: Job, output: str, path: Path) -> LayerData:
    files = {file.name.rpartition("_")[2]: file for file in job.files}
    rows = rows_of(read_table(files[TABLE]), output)
    options: dict[str, Any] = {
        "name": f"{job.name} {output}",
        "opacity": OPACITY,
        "features": rows,
        "metadata": {RECIPE_KEY: read_recipe(files[RECIPE])},
        **world_of(image.label_axes, image.spacing),
    }
    if output == "semantic":
        colors = name_colors(len(rows))
        options["colormap"] = direct_colors(
            (int(i), (*color, 1.0)) for i, color in zip(rows["index"], colors, strict=True)
        )
    labels = read_labels(path)
    return labels.astype(np.int32), options, "labels"


def add_layers(viewer: napari.viewer.Viewer, layers: list[LayerData]) -> None:
    """Add what `load` gave to the viewer, and hide what was opened of other images."""
    for layer in viewer.layers:
        if BATCH_KEY in layer.metadata:
            layer.visible = False
    for data, options, kind in layers:
        viewer.add_layer(napari.layers.Layer.create(data, options, kind))
    viewer.reset_view()


def is_open(viewer: napari.viewer.Viewer, job: Job) -> bool:
    """Show the layers of an image that were opened before; say whether there are any."""
    key = str(job.path)
    own = [layer for layer in viewer.layers if layer.metadata.get(BATCH_KEY) == key]
    if not own:
        return False
    for layer in viewer.layers:
        if BATCH_KEY in layer.metadata:
            labels = isinstance(layer, napari.layers.Labels)
            layer.visible = layer in own and (not labels or layer is own[-1])
    viewer.layers.selection.active = own[-1]
    return True
