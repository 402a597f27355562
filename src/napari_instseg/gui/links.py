"""What ties our layers to their image: they are kept up to date until a user edits them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import napari.layers
import napari.viewer
import numpy as np
from psygnal.containers import EventedSet

from ..label_set import EDITS
from ..segmenter import Category
from .geometry import Placement

#: Where a layer's metadata hold the recipe, and what ties the layer to its source.
RECIPE_KEY, LINK_KEY = "napari_instseg", "napari_instseg_layer"
#: In an image layer's metadata, what the user said that its dimensions are.
AXES_KEY = "napari_instseg_axes"
#: In the metadata of layers that read a label image lazily: its folder.
FILE_KEY = "napari_instseg_file"
#: In the metadata of layers that only show what a dock is doing, and go with it.
TEMPORARY_KEY = "napari_instseg_temporary"

#: Unique ids of layers that objects are prompted in now: nobody else takes what is painted there.
PROMPTED: EventedSet[Hashable] = EventedSet()


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """Ties a layer to the image layer and output that it shows.

    Parameters
    ----------
    source : Hashable
        Unique id of the image layer, or its name where there is none.
    output : {"instances", "semantic", "panoptic", "boxes", "tracks"}
    view : bool
        Whether only a part was segmented: that gets layers of its own.
    made : str
        What made it, as part of the layer's name: each tool has layers of its own. "" is the
        Segment dock.
    layer : Hashable
        Unique id of our layer: a duplicate that a user made is not ours.
    placement : Placement or None
        How label images become the layer's data.
    written : array or sequence of arrays, optional
        What the layer's data were when we last wrote them: other data are a user's work.
    threshold : float
        Score threshold of what was written.
    ground : callable, optional
        Makes the category ids of the stuff under objects, as the layer's data are.
    categories : tuple of Category
        Whose colours the layers have.
    """

    source: Hashable
    output: str
    view: bool
    made: str
    layer: Hashable
    placement: Placement | None
    written: Any = None
    threshold: float = 0.0
    ground: Callable[[], Any] | None = None
    categories: tuple[Category, ...] = ()

    def shows_same(self, other: Link) -> bool:
        """Whether both are for the same output, part and maker."""
        mine, others = (self.output, self.view, self.made), (other.output, other.view, other.made)
        return mine == others

    @property
    def title(self) -> str:
        """What follows the image's name in the layer's."""
        return " ".join(filter(None, ("view" if self.view else "", self.made, self.output)))


def is_temporary(layer: napari.layers.Layer) -> bool:
    """Whether a layer only shows what a dock is doing: not for anybody's choice of layers."""
    return bool(layer.metadata.get(TEMPORARY_KEY))


def add_temporary(viewer: napari.viewer.Viewer, layer: napari.layers.Layer) -> None:
    """Add a layer that only shows what a dock is doing, on top; what was selected stays so."""
    layer.metadata = {**layer.metadata, TEMPORARY_KEY: True}
    layers = viewer.layers
    active, chosen = layers.selection.active, set(layers.selection)
    layers.append(layer)
    layers.selection = chosen
    layers.selection.active = active


def link_of(layer: napari.layers.Layer) -> Link | None:
    """Return what ties a layer to its image, None if it is not ours."""
    link = layer.metadata.get(LINK_KEY)
    return link if isinstance(link, Link) and link.layer == layer.unique_id else None


def set_link(layer: napari.layers.Layer, link: Link) -> None:
    """Tie a layer to its image."""
    layer.metadata = {**layer.metadata, LINK_KEY: link}


def untie(layer: napari.layers.Layer) -> None:
    """Leave a layer to its user."""
    layer.metadata = {k: v for k, v in layer.metadata.items() if k != LINK_KEY}


def edited(layer: napari.layers.Layer) -> bool:
    """Whether the layer's data are no longer those that we wrote."""
    link = link_of(layer)
    if link is None or link.written is None:
        return True
    if isinstance(layer, napari.layers.Shapes):
        # Rectangles have their corners in an order of napari's own.
        same = len(layer.data) == len(link.written)
        return not same or not all(map(np.array_equal, layer.data, link.written))
    return not np.array_equal(layer.data, link.written)


def corrected(layer: napari.layers.Layer) -> bool:
    """Whether the layer's recipe has corrections: a user's work, whatever the data."""
    return bool(layer.metadata.get(RECIPE_KEY, {}).get(EDITS))


def find(viewer: napari.viewer.Viewer, wanted: Link) -> napari.layers.Layer | None:
    """Return our layer for the same output, part and maker of an image layer."""
    for layer, link in _ours(viewer, wanted.source):
        if link.shows_same(wanted):
            return layer
    return None


def renew(
    viewer: napari.viewer.Viewer, wanted: Link, ndim: int, transforms: Mapping[str, Any]
) -> napari.layers.Layer | None:
    """Return our layer, see `find`, with other transforms, if it can take new data.

    An edited one is left to its user; one with other dimensions, which napari cannot change,
    is removed.
    """
    layer = find(viewer, wanted)
    if layer is None:
        return None
    if edited(layer):
        untie(layer)
        return None
    if layer.ndim != ndim:
        viewer.layers.remove(layer)
        return None
    for key, value in transforms.items():
        setattr(layer, key, value)
    return layer


def hide_others(viewer: napari.viewer.Viewer, source: Hashable, view: bool, made: str) -> None:
    """Hide results of the view under those of the whole image and so on, and of other tools."""
    for layer, link in _ours(viewer, source):
        if (link.view, link.made) != (view, made):
            layer.visible = False


def _ours(viewer: napari.viewer.Viewer, source: Hashable) -> list[tuple[napari.layers.Layer, Link]]:
    pairs = [(layer, link_of(layer)) for layer in viewer.layers]
    return [(layer, link) for layer, link in pairs if link is not None and link.source == source]
