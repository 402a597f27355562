"""Results as Labels layers that are added once and then kept up to date."""

from __future__ import annotations

import colorsys
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import napari.layers
import napari.viewer
import numpy as np
import pandas as pd
from napari.utils.colormaps import CyclicLabelColormap, DirectLabelColormap
from numpy.typing import NDArray

from ..segmentation import Segmentation
from ..segmenter import Category
from ..settings import OUTPUTS
from .geometry import Origin, Placement

#: Where a layer's metadata hold the recipe, and what ties the layer to its source.
RECIPE_KEY, LINK_KEY = "napari_instseg", "napari_instseg_layer"
#: Shades of a category's colour, so that neighbouring objects can be told apart.
SHADES = 24
OPACITY = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """Ties a Labels layer to the image layer and output that it shows.

    Parameters
    ----------
    source : Hashable
        Unique id of the image layer, or its name where there is none.
    output : {"instances", "semantic", "panoptic"}
    view : bool
        Whether only a part was segmented: that gets layers of its own.
    layer : Hashable
        Unique id of the Labels layer: a duplicate that a user made is not ours.
    placement : Placement or None
        How label images become the layer's data.
    written : int32 array, optional
        What the layer's data were when we last wrote them: other data are a user's work.
    threshold : float
        Score threshold of what was written.
    """

    source: Hashable
    output: str
    view: bool
    layer: Hashable
    placement: Placement | None
    written: NDArray[np.int32] | None = None
    threshold: float = 0.0


def add_segmentation(
    viewer: napari.viewer.Viewer,
    segmentation: Segmentation,
    source_layer: napari.layers.Image | None = None,
    *,
    origin: Origin | None = None,
    view: bool = False,
) -> list[napari.layers.Labels]:
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

    Returns
    -------
    list of napari.layers.Labels
        In the order instances, semantic, panoptic.
    """
    source = source_layer or _find_source(viewer, segmentation)
    placement = None
    if source is not None:
        placement = Placement(source, origin or _whole(source, segmentation))
    key: Hashable = segmentation.image.name if source is None else source.unique_id
    _hide_others(viewer, key, view)
    outputs = [output for output in OUTPUTS if output in segmentation.settings.outputs]
    layers: dict[str, napari.layers.Labels] = {}
    # The first output comes last: on top, and selected.
    for output in reversed(outputs):
        layer = _find(viewer, key, output, view)
        if layer is not None and (not _fits(layer, placement, segmentation) or edited(layer)):
            _let_go(viewer, layer)
            layer = None
        transforms = _transforms(segmentation, placement)
        if layer is None:
            layer = viewer.add_labels(
                _data(segmentation, output, placement).copy(),
                name=f"{segmentation.image.name} {'view ' if view else ''}{output}",
                opacity=OPACITY,
                visible=output == outputs[0],
                **transforms,
            )
            _set_link(layer, segmentation, Link(key, output, view, layer.unique_id, placement))
        else:
            _update(layer, segmentation, placement, transforms)
            layer.visible = layer.visible or output == outputs[0]
        describe(layer, segmentation)
        layers[output] = layer
    return [layers[output] for output in outputs]


def repaint(layer: napari.layers.Labels, segmentation: Segmentation) -> None:
    """Give one of our layers the labels of the same result at another threshold.

    Fast, for a slider that moves; `describe` brings the rest along when it rests.
    """
    link = _link(layer)
    if link is None or link.threshold == segmentation.score_threshold:
        return
    # In place: napari's setter takes twice as long, for the dimensions that stay as they are.
    np.copyto(layer.data, _data(segmentation, link.output, link.placement))
    layer.refresh(extent=False)
    _set_link(layer, segmentation, link)


def describe(layer: napari.layers.Labels, segmentation: Segmentation) -> None:
    """Bring one of our layers' table, colours and recipe in line with its labels."""
    link = _link(layer)
    if link is None:
        return
    layer.events.data(value=layer.data)
    layer.features = _features(segmentation, link.output)
    layer.metadata = {**layer.metadata, RECIPE_KEY: segmentation.recipe}
    colormap = _colormap(segmentation, link.output)
    if colormap is not None and not _same_colors(layer.colormap, colormap):
        layer.colormap = colormap


def edited(layer: napari.layers.Labels) -> bool:
    """Whether the layer's labels are no longer those that we wrote."""
    link = _link(layer)
    if link is None or link.written is None:
        return True
    return not np.array_equal(layer.data, link.written)


def _update(
    layer: napari.layers.Labels,
    segmentation: Segmentation,
    placement: Placement | None,
    transforms: dict[str, Any],
) -> None:
    """Write the labels of another run, and their place, into one of our layers."""
    link: Link = layer.metadata[LINK_KEY]
    # The result's arrays are shared and never written to; the layer's can be painted on.
    layer.data = _data(segmentation, link.output, placement).copy()
    for name, value in transforms.items():
        setattr(layer, name, value)
    _set_link(layer, segmentation, replace(link, placement=placement))


def _set_link(layer: napari.layers.Labels, segmentation: Segmentation, link: Link) -> None:
    link = replace(
        link,
        written=_data(segmentation, link.output, link.placement),
        threshold=segmentation.score_threshold,
    )
    layer.metadata = {**layer.metadata, LINK_KEY: link}


def _data(
    segmentation: Segmentation, output: str, placement: Placement | None
) -> NDArray[np.int32]:
    labels: NDArray[np.int32] = getattr(segmentation, output)
    if placement is None:
        return labels
    return placement.arrange(labels, segmentation.image.label_axes)


def _transforms(segmentation: Segmentation, placement: Placement | None) -> dict[str, Any]:
    if placement is not None:
        return placement.transforms()
    image = segmentation.image
    known = {"Y", "X"} <= set(image.spacing)
    return {
        "scale": [image.spacing.get(a, 1.0) if known else 1.0 for a in image.label_axes],
        "units": ["um" if known and a in image.spacing else "pixel" for a in image.label_axes],
        "axis_labels": [a.lower() for a in image.label_axes],
    }


def _find_source(
    viewer: napari.viewer.Viewer, segmentation: Segmentation
) -> napari.layers.Image | None:
    """Return the image layer with the image's name and shape."""
    image = segmentation.image
    for layer in viewer.layers:
        if isinstance(layer, napari.layers.Image) and layer.name == image.name:
            levels = layer.data if layer.multiscale else [layer.data]
            if any(tuple(level.shape) == tuple(image.data.shape) for level in levels):
                return layer
    return None


def _whole(source: napari.layers.Image, segmentation: Segmentation) -> Origin:
    image = segmentation.image
    levels = source.data if source.multiscale else [source.data]
    shapes = [tuple(level.shape) for level in levels]
    return Origin(image.axes, shapes.index(tuple(image.data.shape)))


def _link(layer: napari.layers.Layer) -> Link | None:
    link = layer.metadata.get(LINK_KEY)
    return link if isinstance(link, Link) and link.layer == layer.unique_id else None


def _ours(viewer: napari.viewer.Viewer, key: Hashable) -> list[tuple[napari.layers.Labels, Link]]:
    pairs = [(layer, _link(layer)) for layer in viewer.layers]
    return [(layer, link) for layer, link in pairs if link is not None and link.source == key]


def _find(
    viewer: napari.viewer.Viewer, key: Hashable, output: str, view: bool
) -> napari.layers.Labels | None:
    for layer, link in _ours(viewer, key):
        if link.output == output and link.view == view:
            return layer
    return None


def _hide_others(viewer: napari.viewer.Viewer, key: Hashable, view: bool) -> None:
    """Hide results of the view under those of the whole image, and the other way round."""
    for layer, link in _ours(viewer, key):
        if link.view != view:
            layer.visible = False


def _fits(
    layer: napari.layers.Labels, placement: Placement | None, segmentation: Segmentation
) -> bool:
    """Whether the layer can take the new result: napari fixes a layer's dimensions."""
    ndim = len(segmentation.image.label_axes) if placement is None else placement.ndim
    return bool(layer.ndim == ndim)


def _let_go(viewer: napari.viewer.Viewer, layer: napari.layers.Labels) -> None:
    """Leave an edited layer to its user; remove one that only has the wrong dimensions."""
    if edited(layer):
        layer.metadata = {k: v for k, v in layer.metadata.items() if k != LINK_KEY}
    else:
        viewer.layers.remove(layer)


def _features(segmentation: Segmentation, output: str) -> pd.DataFrame:
    table = segmentation.table
    if output == "instances":
        return table.iloc[: segmentation.count]
    if output == "panoptic":
        return table
    groups = table.groupby(["category_id", "category", "is_thing"], as_index=False)
    rows = groups.agg(segments=("index", "size"), area=("area", "sum"))
    rows.insert(0, "index", rows["category_id"])
    return rows


def _colormap(
    segmentation: Segmentation, output: str
) -> CyclicLabelColormap | DirectLabelColormap | None:
    """Class colours; None leaves napari's own, one for each object."""
    categories = segmentation.categories
    if output == "instances":
        return None
    if output == "semantic":
        return _direct((c.id, (*c.color, 1.0)) for c in categories)
    if len(categories) == 1 and categories[0].is_thing:
        # One rule for all numbers: a colour for each of 100,000 objects would take seconds.
        return CyclicLabelColormap(
            colors=np.vstack([np.zeros(4), _shades(categories[0])]), background_value=0
        )
    shades = {c.id: _shades(c) if c.is_thing else np.array([(*c.color, 1.0)]) for c in categories}
    table = segmentation.table
    return _direct(
        (int(index), shades[category][index % len(shades[category])])
        for index, category in zip(table["index"], table["category_id"], strict=True)
        if category in shades
    )


def _direct(colors: Iterable[tuple[int, Any]]) -> DirectLabelColormap:
    # Without a color for None, napari warns.
    clear = (0.0, 0.0, 0.0, 0.0)
    return DirectLabelColormap(
        color_dict={None: np.array(clear), 0: np.array(clear)}
        | {index: np.asarray(color, np.float32) for index, color in colors}
    )


def _shades(category: Category) -> NDArray[np.float32]:
    """Colours around a category's own, (SHADES, 4) float32 in [0, 1], far apart in sequence."""
    hue, saturation, value = colorsys.rgb_to_hsv(*category.color)
    shades = []
    for i in range(SHADES):
        # Multiples of the golden ratio fill the range evenly, without neighbours alike.
        step = (i * 0.618034) % 1
        other = (i * 0.381966 + 0.5) % 1
        rgb = colorsys.hsv_to_rgb(
            (hue + 0.16 * (step - 0.5)) % 1,
            min(1.0, saturation * (0.6 + 0.5 * other)),
            min(1.0, max(0.35, value) * (0.6 + 0.45 * (1 - step))),
        )
        shades.append((*rgb, 1.0))
    return np.array(shades, np.float32)


def _same_colors(old: Any, new: Any) -> bool:
    """Whether two colour maps give the same colours; setting one redraws the layer."""
    if type(old) is not type(new):
        return False
    if isinstance(new, DirectLabelColormap):
        a, b = old.color_dict, new.color_dict
        return set(a) == set(b) and all(np.allclose(a[k], b[k]) for k in b)
    return old.colors.shape == new.colors.shape and bool(np.allclose(old.colors, new.colors))


def names(layers: Sequence[napari.layers.Layer]) -> str:
    """Quote layers' names for a message."""
    return ", ".join(f"“{layer.name}”" for layer in layers)
