"""The boxes of a model that finds no outlines, as a Shapes layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import napari
import napari.layers
import numpy as np
import pytest
from gui.fakes import FakeModel, result_of, squares
from napari.components import ViewerModel
from scipy import ndimage

from napari_instseg.gui.boxes import box_table
from napari_instseg.gui.geometry import Origin
from napari_instseg.gui.layers import add_segmentation, image_from_layer
from napari_instseg.gui.links import edited
from napari_instseg.gui.results import describe, repaint
from napari_instseg.gui.segment_widget import SegmentWidget
from napari_instseg.instances import Instances, Mask
from napari_instseg.ops.axes import Image
from napari_instseg.segmentation import Segmentation
from napari_instseg.segmenter import Category, Rules

WAIT = 180_000
SHAPE = (64, 80)
LABELS = ndimage.label(squares())[0].astype(np.int32)
BOXES_ONLY = Rules(boxes_only=True, min_visible=0.0)
CATEGORIES = (Category(1, "car", True, (1, 0, 0)), Category(2, "cat", True, (0, 1, 0)))


def boxes_of(image: Image, **options: Any) -> Segmentation:
    labels = np.broadcast_to(LABELS, image.label_shape)
    return result_of(image, labels, outputs=("instances",), rules=BOXES_ONLY, **options)


def show(viewer: ViewerModel, layer: napari.layers.Image, **options: Any) -> napari.layers.Shapes:
    *labels, boxes = add_segmentation(viewer, boxes_of(image_from_layer(layer), **options), layer)
    assert [type(x) for x in labels] == [napari.layers.Labels]
    assert isinstance(boxes, napari.layers.Shapes)
    return boxes


def test_one_rectangle_an_object_around_its_pixels() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(
        np.zeros(SHAPE, np.uint8), name="street", scale=(2, 3), translate=(5, 7), units="um"
    )
    boxes = show(viewer, layer, categories=CATEGORIES, category_ids=[1, 2] * 10)
    assert boxes.name == "street boxes"
    assert viewer.layers[-1] is boxes
    assert set(boxes.shape_type) == {"rectangle"}
    assert len(boxes.data) == len(boxes.features) == 10
    # The first square: rows and columns 4 to 11, whose pixels end half a pixel further on.
    np.testing.assert_allclose(boxes.data[0].min(axis=0), (3.5, 3.5))
    np.testing.assert_allclose(boxes.data[0].max(axis=0), (11.5, 11.5))
    np.testing.assert_allclose(boxes.edge_color[:2], [(1, 0, 0, 1), (0, 1, 0, 1)])
    assert not boxes.face_color[:, 3].any()
    assert list(boxes.features["index"]) == list(range(1, 11))
    assert list(boxes.features["category"][:2]) == ["car", "cat"]
    assert boxes.features["score"].is_monotonic_decreasing
    for name in ("scale", "translate", "units"):
        np.testing.assert_array_equal(getattr(boxes, name), getattr(layer, name))
    assert boxes.metadata["napari_instseg"]["settings"]["score_threshold"] == 0.5
    # The numbers are those of the Labels layer.
    labels = viewer.layers["street instances"]
    for i, data in zip(boxes.features["index"], boxes.data, strict=True):
        assert labels.data[tuple(data.mean(axis=0).astype(int))] == i


def test_planes_channels_and_views() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(
        np.zeros((2, 3, 4, *SHAPE), np.uint8), axis_labels=("t", "c", "z", "y", "x")
    )
    boxes = show(viewer, layer, threshold=0.0)
    assert boxes.ndim == 5
    assert len(boxes.data) == 2 * 4 * 20
    places = {tuple(data[0, :3]) for data in boxes.data}
    assert places == {(t, 0, z) for t in range(2) for z in range(4)}
    labels = next(x for x in viewer.layers if x.name.endswith("instances"))
    np.testing.assert_allclose(boxes.data_to_world((0,) * 5), labels.data_to_world((0,) * 5))

    origin = Origin("TCZYX", plane={"T": 1, "Z": 2})
    image = Image(np.zeros(SHAPE, np.uint8), "YX", name=layer.name)
    view = add_segmentation(viewer, boxes_of(image), layer, origin=origin, view=True)[-1]
    assert view.name.endswith("view boxes")
    assert not boxes.visible
    world = view.data_to_world(view.data[0][0])
    assert (world[0], world[2]) == (1, 2)


def test_without_a_layer_and_without_objects() -> None:
    viewer = ViewerModel()
    result = boxes_of(Image(np.zeros(SHAPE, np.uint8), "YX", {"Y": 0.5, "X": 0.5}, "far"))
    boxes = result.add_to(viewer)[-1]
    np.testing.assert_allclose(boxes.scale, (0.5, 0.5))
    nothing = result.with_score_threshold(1.0)
    assert nothing.add_to(viewer)[-1] is boxes
    assert len(boxes.data) == len(boxes.features) == 0
    assert not edited(boxes)
    assert result.add_to(viewer)[-1] is boxes
    assert len(boxes.data) == 10


def test_runs_update_what_nobody_edited() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros(SHAPE, np.uint8), name="street")
    boxes = show(viewer, layer)
    boxes.name, layer.scale = "mine", (2, 2)
    assert show(viewer, layer, threshold=0.8) is boxes
    assert boxes.name == "mine"
    assert len(boxes.data) == len(boxes.features) < 10
    np.testing.assert_allclose(boxes.scale, (2, 2))

    # The slider moves labels at once, boxes when it rests.
    lower = boxes_of(image_from_layer(layer)).with_score_threshold(0.0)
    before = len(boxes.data)
    repaint(boxes, lower)
    assert len(boxes.data) == before
    describe(boxes, lower)
    assert len(boxes.data) == 20
    assert not edited(boxes)

    boxes.selected_data = {0}
    boxes.remove_selected()
    assert edited(boxes)
    again = show(viewer, layer)
    assert again is not boxes
    assert len(boxes.data) == 19
    assert again.name == "street boxes"
    moved = [data + 1 for data in again.data]
    again.data = moved
    assert edited(again)

    # Boxes of an earlier model are not left over the outlines of another one.
    fresh = show(viewer, layer)
    image = image_from_layer(layer)
    add_segmentation(viewer, result_of(image, LABELS, outputs=("instances",)), layer)
    assert not fresh.visible
    assert show(viewer, layer) is fresh
    assert fresh.visible


def test_a_run_with_a_model_of_boxes_and_the_slider(
    viewer: napari.Viewer, dock: SegmentWidget, model: FakeModel, qtbot: Any
) -> None:
    model.rules = BOXES_ONLY
    dock.form.model.choose("COCO-Detection/retinanet_R_50_FPN_1x")
    viewer.add_image(squares(), name="street")
    dock.run_button.click()
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    assert [x.name for x in viewer.layers] == ["street", "street instances", "street boxes"]
    boxes, labels = viewer.layers["street boxes"], viewer.layers["street instances"]
    assert len(boxes.data) == labels.data.max() == 13
    assert labels.features["is_box"].all()
    dock.form.threshold.setValue(0.9)
    qtbot.waitUntil(lambda: len(boxes.data) == 2, timeout=WAIT)
    assert labels.data.max() == 2
    boxes.selected_data = {0}
    boxes.remove_selected()
    dock.form.threshold.setValue(0.0)
    qtbot.waitUntil(lambda: labels.data.max() == 20, timeout=WAIT)
    qtbot.waitUntil(lambda: "edited by hand" in dock.status.text(), timeout=WAIT)
    assert len(boxes.data) == 1


@pytest.mark.parametrize("count", [0, 1])
def test_lines_have_a_width_for_any_number_of_boxes(count: int) -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros(SHAPE, np.uint8))
    labels = np.where(count >= LABELS, LABELS, 0)
    result = result_of(image_from_layer(layer), labels, rules=BOXES_ONLY)
    boxes = add_segmentation(viewer, result, layer)[-1]
    assert len(boxes.data) == count
    assert all(width > 0 for width in boxes.edge_width)


def test_linked_boxes_have_the_number_of_their_object() -> None:
    whole = Mask((0, 0), np.ones((3, 4), bool))
    planes = (
        Instances.create(SHAPE, [whole, whole.shift(0, 3)], scores=[0.9, 0.7]),
        Instances.create(SHAPE, [whole], scores=[0.6]),
    )
    result = boxes_of(Image(np.zeros((2, *SHAPE), np.uint8), "ZYX"))

    def rows(**settings: float) -> list[list[float]]:
        chosen = result.settings.replace(link=True, **settings)
        table = box_table(replace(result, raw=planes, settings=chosen))
        return table[["index", "plane"]].to_numpy().tolist()

    # The first object's score is the mean of its boxes', 0.75.
    assert rows() == [[1, 0], [2, 0], [1, 1]]
    assert rows(min_planes=2) == [[1, 0], [1, 1]]
    assert rows(score_threshold=0.65) == [[1, 0], [2, 0]]
