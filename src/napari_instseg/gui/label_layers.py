"""Labels layers, ours and others', read as label sets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import napari.layers
import napari.viewer
import pandas as pd

from ..label_set import COLUMNS, OBJECT, LabelSet, categories_in
from ..segmenter import Category, InputError
from ..settings import OUTPUTS
from .axes import layer_axes
from .geometry import level_shape
from .layers import layer_spacing
from .links import RECIPE_KEY, link_of


def label_set_of(
    viewer: napari.viewer.Viewer | None, layer: napari.layers.Labels, *, listed: bool = True
) -> LabelSet:
    """Read a Labels layer, and those of the same result, as they are now.

    Parameters
    ----------
    viewer : napari.viewer.Viewer or None
        None: the current one.
    layer : napari.layers.Labels
        Instances: of one of our results, opened from a file, or drawn. Of a multiscale layer the
        finest level counts; lazy data stay lazy.
    listed : bool
        False: do not look at the pixels of a layer without a table, which takes a while; the
        table is empty then.

    Returns
    -------
    LabelSet
        Its arrays are the layers' own, not copies. The table has the features of the layer where
        they are ours (column ``index`` and so on), else one row a label. Semantic and panoptic
        label images are those that stand beside it in the viewer.

    Raises
    ------
    InputError
        If it is not a Labels layer.
    """
    if not isinstance(layer, napari.layers.Labels):
        kind = type(layer).__name__
        raise InputError(f"expected a Labels layer, got {kind}: choose the layer with the objects")
    viewer = napari.current_viewer() if viewer is None else viewer
    letters, table = layer_axes(layer).letters, table_of(viewer, layer)
    labels, axes = _data(layer, letters), _arranged(letters)
    spacing = layer_spacing(layer, letters, level_shape(layer, 0))
    if table is None:
        return LabelSet.from_labels(
            *(labels, axes),
            spacing=spacing,
            name=layer.name,
            source=layer.name,
            listed=listed,
        )
    outputs = outputs_of(viewer, layer)
    others = {name: _data(outputs[name], letters) for name in OUTPUTS[1:] if name in outputs}
    return LabelSet(
        labels,
        axes,
        table,
        _with_a_thing(_colored(categories_in(table), layer)),
        layer.name,
        spacing,
        **others,
        ground=_ground(layer, letters),
        recipe=dict(layer.metadata.get(RECIPE_KEY, {})),
    )


def _colored(known: tuple[Category, ...], layer: napari.layers.Labels) -> tuple[Category, ...]:
    """Categories with the colours that a result's layer shows them in, where these are known."""
    link = link_of(layer)
    shown = {} if link is None else {category.id: category.color for category in link.categories}
    return tuple(replace(one, color=shown.get(one.id, one.color)) for one in known)


def _with_a_thing(known: tuple[Category, ...]) -> tuple[Category, ...]:
    """Categories with one for what a user may draw."""
    if any(category.is_thing for category in known):
        return known
    return (*known, replace(OBJECT, id=max((c.id for c in known), default=0) + 1))


def outputs_of(
    viewer: napari.viewer.Viewer | None, layer: napari.layers.Labels
) -> dict[str, napari.layers.Labels]:
    """Find the Labels layers that show the same result as a layer, by output, itself included."""
    mine = link_of(layer)
    if mine is None or viewer is None:
        return {"instances": layer}
    found = {}
    for other in viewer.layers:
        link = link_of(other)
        if (
            isinstance(other, napari.layers.Labels)
            and link is not None
            and link.output in OUTPUTS
            and (link.source, link.view, link.made) == (mine.source, mine.view, mine.made)
        ):
            found[link.output] = other
    return found


def table_of(
    viewer: napari.viewer.Viewer | None, layer: napari.layers.Labels
) -> pd.DataFrame | None:
    """Find the table of our layers: that of panoptic has all rows; None if there is none."""
    outputs = outputs_of(viewer, layer)
    for one in (outputs.get("panoptic"), layer):
        if one is not None and {*COLUMNS} <= {*one.features.columns}:
            table: pd.DataFrame = one.features.reset_index(drop=True)
            return table
    return None


def _data(layer: napari.layers.Labels, axes: str) -> Any:
    """Labels at the finest level, as a view whose last axes are Y and X."""
    return _turned(layer.data[0] if layer.multiscale else layer.data, axes)


def _ground(layer: napari.layers.Labels, axes: str) -> Any:
    """The stuff under the objects of a result in memory, where it is known."""
    link = link_of(layer)
    ground = None if link is None or link.ground is None else link.ground()
    same = ground is not None and not layer.multiscale and ground.shape == layer.data.shape
    return _turned(ground, axes) if same else None


def _turned(data: Any, axes: str) -> Any:
    order = [axes.index(letter) for letter in _arranged(axes)]
    return data if order == sorted(order) else data.transpose(order)


def _arranged(axes: str) -> str:
    return "".join(letter for letter in axes if letter not in "YX") + "YX"
