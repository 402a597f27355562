"""Labels layers read as label sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import napari.layers
import numpy as np
import pandas as pd
import pytest
from gui.fakes import result_of, squares
from helpers import draw
from napari.components import ViewerModel
from scipy import ndimage

import napari_instseg
from napari_instseg import InputError
from napari_instseg.gui.label_layers import label_set_of
from napari_instseg.gui.layers import add_segmentation, image_from_layer
from napari_instseg.gui.links import RECIPE_KEY, link_of, set_link
from napari_instseg.gui.stored_layers import _give_way

LABELS = ndimage.label(squares())[0].astype(np.int32)


@pytest.mark.parametrize("axes", ["YX", "ZYX", "YXC"])
def test_a_result_is_read_with_its_table_and_all_outputs(axes: str) -> None:
    viewer = ViewerModel()
    shape = {"YX": LABELS.shape, "ZYX": (3, *LABELS.shape), "YXC": (*LABELS.shape, 2)}[axes]
    layer = viewer.add_image(np.zeros(shape, np.uint8), scale=[0.5] * len(shape), units="um")
    image = image_from_layer(layer, axes=axes)
    result = result_of(image, np.broadcast_to(LABELS, image.label_shape))
    layers = add_segmentation(viewer, result, layer)
    layers[0].axis_labels = [a.lower() for a in axes]
    found = label_set_of(viewer, layers[0])
    assert found.axes[-2:] == "YX"
    assert found.spacing["Y"] == 0.5
    for output in ("instances", "semantic", "panoptic"):
        wanted = getattr(result, output)
        np.testing.assert_array_equal(found.read(output).reshape(wanted.shape), wanted)
    assert found.table["index"].tolist() == result.table["index"].tolist()
    assert {c.name for c in found.categories} == set(result.table["category"])
    # Not a copy: what is painted there is seen here.
    layers[0].data[(0,) * layers[0].ndim] = 77
    assert found.read("instances").max() == 77


def test_any_labels_layer_will_do() -> None:
    viewer = ViewerModel()
    layer = viewer.add_labels(LABELS, name="drawn")
    found = label_set_of(viewer, layer)
    assert found.table["index"].tolist() == list(range(1, LABELS.max() + 1))
    assert set(found.table["source"]) == {"drawn"}
    with pytest.raises(InputError, match="expected a Labels layer, got Image"):
        label_set_of(viewer, viewer.add_image(np.zeros((4, 4))))


def test_a_layer_is_exported_as_it_is_seen(tmp_path: Path) -> None:
    layer = napari.layers.Labels(draw("AA.\n..C"), name="drawn", scale=(0.5, 0.5))
    layer.data[0, 2] = 7
    napari_instseg.export(layer, tmp_path / "a.json")
    found = napari_instseg.read_labels(tmp_path / "a.json")
    assert (found.name, found.table["index"].tolist()) == ("drawn", [1, 3, 7])
    np.testing.assert_array_equal(found.instances, layer.data)


def test_of_stuff_alone_there_is_a_category_to_draw() -> None:
    viewer = ViewerModel()
    rows = {"index": [1], "category_id": [4], "category": ["sky"], "is_thing": [False]}
    table = pd.DataFrame({**rows, "score": [1.0], "area": [9], "source": ["model"]})
    layer = viewer.add_labels(np.zeros((4, 4), np.int32), features=table)
    found = label_set_of(viewer, layer)
    assert [(c.id, c.name, c.is_thing) for c in found.categories] == [
        (4, "sky", False),
        (5, "object", True),
    ]


def test_corrected_layers_are_left_to_their_user() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros(LABELS.shape, np.uint8))
    result = result_of(image_from_layer(layer), LABELS)
    mine = add_segmentation(viewer, result, layer)[0]
    link = link_of(mine)
    assert link is not None
    # As the Review dock leaves it.
    set_link(mine, replace(link, written=None))
    mine.metadata = {**mine.metadata, RECIPE_KEY: {"edits": [{"edit": "delete", "ids": [1]}]}}
    _give_way(viewer, link)
    assert mine in viewer.layers
    assert link_of(mine) is None
