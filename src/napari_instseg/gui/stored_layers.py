"""Results on disk as Labels layers that read what is looked at."""

from __future__ import annotations

from dataclasses import replace

import napari.layers
import napari.viewer
import numpy as np

from ..settings import OUTPUTS
from .geometry import Origin, Placement
from .large_run import SavedRun
from .links import FILE_KEY, Link, corrected, edited, find, hide_others, link_of, set_link, untie
from .results import OPACITY, describe_labels


def add_saved(
    viewer: napari.viewer.Viewer, saved: SavedRun, source: napari.layers.Image, origin: Origin
) -> list[napari.layers.Labels]:
    """Show a result's outputs as lazy Labels layers over their image layer.

    They take the place of an earlier result's layers, unless these were edited.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    saved : SavedRun
    source : napari.layers.Image
    origin : Origin

    Returns
    -------
    list of napari.layers.Labels
        In the order instances, semantic, panoptic; only the first is visible.
    """
    placement = Placement(source, origin)
    hide_others(viewer, source.unique_id, view=False, made="")
    outputs = [output for output in OUTPUTS if output in saved.levels]
    layers = {}
    # The first output comes last: on top, and selected.
    for output in reversed(outputs):
        link = Link(source.unique_id, output, False, "", None, placement)
        _give_way(viewer, link)
        levels, axes = saved.levels[output]
        data = [placement.arrange(level, axes) for level in levels]
        layers[output] = layer = viewer.add_labels(
            data if len(data) > 1 else data[0],
            multiscale=len(data) > 1,
            name=f"{saved.result.image.name} {link.title}",
            opacity=OPACITY,
            visible=output == outputs[0],
            metadata={FILE_KEY: str(saved.files[output])},
            **placement.transforms(),
        )
        # Nothing is remembered as written: that would be all of the labels.
        categories = saved.result.categories
        set_link(layer, replace(link, layer=layer.unique_id, categories=categories))
        describe_labels(layer, saved.result, output)
    return [layers[output] for output in outputs]


def _give_way(viewer: napari.viewer.Viewer, wanted: Link) -> None:
    """Remove an earlier result's layer; one that was edited is left to its user."""
    layer = find(viewer, wanted)
    link = None if layer is None else link_of(layer)
    if layer is None or link is None:
        return
    # Of labels on disk nothing is remembered as written.
    lazy = not isinstance(layer.data, np.ndarray)
    if not corrected(layer) and (lazy or not edited(layer)):
        viewer.layers.remove(layer)
    else:
        untie(layer)
