"""Results as layers that are added once and then kept up to date."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import napari.layers
import napari.viewer
import numpy as np
from numpy.typing import NDArray

from ..ops.rendering import rows_of
from ..result import Result
from ..segmentation import Segmentation
from ..settings import OUTPUTS
from .boxes import BOXES, add_boxes, describe_boxes
from .geometry import Origin, Placement
from .label_colors import class_colors, same_colors
from .links import RECIPE_KEY, Link, find, hide_others, link_of, renew, set_link
from .tracks import TRACKS, add_tracks, can_show_tracks, describe_tracks

#: Of labels; where they fill boxes, the picture should still be seen.
OPACITY, OF_BOXES = 0.6, 0.3


def add_segmentation(
    viewer: napari.viewer.Viewer,
    segmentation: Segmentation,
    source_layer: napari.layers.Image | None = None,
    *,
    origin: Origin | None = None,
    view: bool = False,
    made: str = "",
) -> list[napari.layers.Layer]:
    """Show a result's outputs as Labels layers over the image layer that it came from.

    Layers of an earlier result of the same image layer are updated, unless their labels were
    edited since: then they are left alone and new layers are added.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    segmentation : Segmentation
        Its settings' ``outputs`` become layers; only the first is visible.
    source_layer : napari.layers.Image, optional
        None looks for an image layer with the image's name and shape.
    origin : Origin, optional
        The part of the layer that was segmented; None is all of it.
    view : bool
        Keep the layers apart from those of the whole image, and hide the latter.
    made : str
        What made it, if not the Segment dock: the same for layers of another tool.

    Returns
    -------
    list of napari.layers.Layer
        Labels in the order instances, semantic, panoptic; then, of a model that finds boxes, a
        Shapes layer with them; then, of objects through time, a Tracks layer.
    """
    source = source_layer or _find_source(viewer, segmentation)
    placement, transforms = place_of(viewer, segmentation, source, origin)
    key: Hashable = segmentation.image.name if source is None else source.unique_id
    hide_others(viewer, key, view, made)
    outputs = [output for output in OUTPUTS if output in segmentation.settings.outputs]
    layers: dict[str, napari.layers.Layer] = {}
    # The first output comes last: on top, and selected.
    for output in reversed(outputs):
        link = Link(key, output, view, made, None, placement)
        layers[output] = _add_labels(viewer, segmentation, link, transforms, output == outputs[0])
    link = Link(key, "", view, made, None, placement)
    more = _add_more(viewer, segmentation, link, transforms)
    return [*(layers[output] for output in outputs), *more]


def _add_more(
    viewer: napari.viewer.Viewer, segmentation: Segmentation, link: Link, transforms: dict[str, Any]
) -> list[napari.layers.Layer]:
    """Show boxes and tracks, where there are some; hide those of an earlier result."""
    layers: list[napari.layers.Layer] = []
    for output, there, add in (
        (BOXES, segmentation.rules.boxes_only, add_boxes),
        (TRACKS, can_show_tracks(segmentation), add_tracks),
    ):
        link = replace(link, output=output)
        if there:
            layers.append(add(viewer, segmentation, link, transforms))
        elif (stale := find(viewer, link)) is not None:
            stale.visible = False  # Of another run.
    return layers


def place_of(
    viewer: napari.viewer.Viewer,
    result: Result,
    source_layer: napari.layers.Image | None = None,
    origin: Origin | None = None,
) -> tuple[Placement | None, dict[str, Any]]:
    """Find where a result lies in the viewer: on its image layer, if there is one.

    Returns
    -------
    placement : Placement, optional
    transforms : dict
        Scale, translate, ... of a layer there.
    """
    source = source_layer or _find_source(viewer, result)
    placement = None
    if source is not None:
        placement = Placement(source, origin or _whole(source, result))
    return placement, _transforms(result, placement)


def _add_labels(
    viewer: napari.viewer.Viewer,
    segmentation: Segmentation,
    link: Link,
    transforms: dict[str, Any],
    visible: bool,
) -> napari.layers.Labels:
    """Show one output, in the layer of an earlier result if there is one unedited."""
    data = _data(segmentation, link.output, link.placement)
    layer = renew(viewer, link, data.ndim, transforms)
    if layer is None:
        layer = viewer.add_labels(
            # The result's arrays are shared and never written to; the layer's can be painted on.
            data.copy(),
            name=f"{segmentation.image.name} {link.title}",
            opacity=OF_BOXES if segmentation.rules.boxes_only else OPACITY,
            visible=visible,
            **transforms,
        )
    else:
        layer.data = data.copy()
        layer.visible = layer.visible or visible
    _write_link(layer, segmentation, replace(link, layer=layer.unique_id))
    describe(layer, segmentation)
    return layer


def repaint(layer: napari.layers.Layer, segmentation: Segmentation, *, other: bool = False) -> None:
    """Give one of our layers the labels of its result at another threshold, or of another one.

    Fast, for a slider that moves; `describe` brings the rest along when it rests, boxes and
    tracks too.

    Parameters
    ----------
    layer : napari.layers.Layer
    segmentation : Segmentation
        Of the same image, with the same outputs.
    other : bool
        It has other objects than the one that was shown, so that equal thresholds say nothing.
    """
    link = link_of(layer)
    if link is None or link.output in (BOXES, TRACKS):
        return
    if link.threshold == segmentation.score_threshold and not other:
        return
    # In place: napari's setter takes twice as long, for the dimensions that stay as they are.
    np.copyto(layer.data, _data(segmentation, link.output, link.placement))
    layer.refresh(extent=False)
    _write_link(layer, segmentation, link)


def describe(layer: napari.layers.Layer, segmentation: Segmentation) -> None:
    """Bring one of our layers' table, colours and recipe in line with its labels."""
    link = link_of(layer)
    if link is None:
        return
    if link.output == BOXES:
        describe_boxes(layer, segmentation)
    elif link.output == TRACKS:
        describe_tracks(layer, segmentation)
    else:
        describe_labels(layer, segmentation, link.output)


def describe_labels(layer: napari.layers.Labels, result: Result, output: str) -> None:
    """Give a Labels layer of an output a result's table, colours and recipe."""
    layer.events.data(value=layer.data)
    table = result.table
    layer.features = rows_of(table, output)
    layer.metadata = {**layer.metadata, RECIPE_KEY: result.recipe}
    colormap = class_colors(table["index"], table["category_id"], result.categories, output)
    if colormap is not None and not same_colors(layer.colormap, colormap):
        layer.colormap = colormap


def _write_link(layer: napari.layers.Labels, segmentation: Segmentation, link: Link) -> None:
    link = replace(
        link,
        written=_data(segmentation, link.output, link.placement),
        threshold=segmentation.score_threshold,
        categories=segmentation.categories,
        ground=None
        if segmentation.stuff is None
        else partial(_ground, segmentation, link.placement),
    )
    set_link(layer, link)


def _data(
    segmentation: Segmentation, output: str, placement: Placement | None
) -> NDArray[np.int32]:
    return _arranged(getattr(segmentation, output), segmentation, placement)


def _ground(segmentation: Segmentation, placement: Placement | None) -> NDArray[np.int32] | None:
    ground = segmentation.label_set.ground
    return None if ground is None else _arranged(np.asarray(ground), segmentation, placement)


def _arranged(
    labels: NDArray[np.int32], segmentation: Segmentation, placement: Placement | None
) -> NDArray[np.int32]:
    if placement is None:
        return labels
    return placement.arrange(labels, segmentation.image.label_axes)


def _transforms(segmentation: Result, placement: Placement | None) -> dict[str, Any]:
    if placement is not None:
        return placement.transforms()
    return world_of(segmentation.image.label_axes, segmentation.image.spacing)


def world_of(axes: str, spacing: Mapping[str, float]) -> dict[str, Any]:
    """Scale, units and axis labels of a layer with pixels of a known size (µm), or of none."""
    known = {"Y", "X"} <= set(spacing)
    return {
        "scale": [spacing.get(a, 1.0) if known else 1.0 for a in axes],
        "units": ["um" if known and a in spacing else "pixel" for a in axes],
        "axis_labels": [a.lower() for a in axes],
    }


def _find_source(viewer: napari.viewer.Viewer, segmentation: Result) -> napari.layers.Image | None:
    """Return the image layer with the image's name and shape."""
    image = segmentation.image
    for layer in viewer.layers:
        if isinstance(layer, napari.layers.Image) and layer.name == image.name:
            levels = layer.data if layer.multiscale else [layer.data]
            if any(tuple(level.shape) == tuple(image.data.shape) for level in levels):
                return layer
    return None


def _whole(source: napari.layers.Image, segmentation: Result) -> Origin:
    image = segmentation.image
    levels = source.data if source.multiscale else [source.data]
    shapes = [tuple(level.shape) for level in levels]
    return Origin(image.axes, shapes.index(tuple(image.data.shape)))


def names(layers: Sequence[napari.layers.Layer]) -> str:
    """Quote layers' names for a message."""
    return ", ".join(f"“{layer.name}”" for layer in layers)
