"""What layers say about the objects of an image, wherever both lie in the world."""

from __future__ import annotations

from typing import Any

import napari.layers
import numpy as np
import pytest
from napari.components import ViewerModel

from napari_instseg.gui.layers import image_from_layer
from napari_instseg.gui.mapping import LayerMap
from napari_instseg.gui.prompt_layers import LabelsSource, Part, RowSource, read_layer, rectangle
from napari_instseg.segmenter import InputError
from napari_instseg.settings import Settings

LABELS = np.kron([[1, 0], [0, 2]], np.ones((8, 8), int))


def part_of(
    layer: napari.layers.Image, planes: Any = None, region: Any = None, level: int = 0
) -> Part:
    image = image_from_layer(layer, level=level)
    height, width = image.label_shape[-2:]
    whole = slice(0, height), slice(0, width)
    return Part(tuple(planes or image.planes()), region or whole)


def read(
    viewer: ViewerModel, layer: napari.layers.Image, other: Any, **options: Any
) -> LabelsSource | RowSource:
    return read_layer(
        viewer, layer, image_from_layer(layer, level=0), other, part_of(layer, **options)
    )


def test_labels_are_looked_up_where_they_lie() -> None:
    viewer = ViewerModel()
    options = {"scale": (2, 0.5), "rotate": 30, "translate": (3, -9)}
    layer = viewer.add_image(np.zeros((16, 16)), **options)
    same = viewer.add_labels(LABELS, **options)
    place = LayerMap(viewer, layer, image_from_layer(layer), same)
    np.testing.assert_array_equal(place.look_up(same.data, ()), LABELS)
    # Half as fine, and begun one of its pixels later: what lies outside is nothing.
    coarse = viewer.add_labels(LABELS[::2, ::2], scale=(2, 2), translate=(2.5, 0.5))
    plain = viewer.add_image(np.zeros((16, 16)))
    place = LayerMap(viewer, plain, image_from_layer(plain), coarse)
    found = place.look_up(coarse.data, ())
    assert not found[:2].any()
    np.testing.assert_array_equal(found[2:], LABELS[:-2])


def test_labels_of_a_plane_of_a_stack_of_a_pyramid_and_without_an_axis() -> None:
    viewer = ViewerModel()
    stack = viewer.add_image(np.zeros((3, 16, 16)), scale=(5, 1, 1))
    image = image_from_layer(stack)
    volume = np.zeros((3, 16, 16), int)
    volume[1] = LABELS
    for other, planes in (
        (viewer.add_labels(volume, scale=(5, 1, 1)), [1]),
        # One plane only, at its place.
        (viewer.add_labels(LABELS[None], scale=(5, 1, 1), translate=(5, 0, 0)), [1]),
        # Without the axis: on every plane.
        (viewer.add_labels(LABELS), [0, 1, 2]),
    ):
        place = LayerMap(viewer, stack, image, other)
        for z in range(3):
            expected = LABELS if z in planes else np.zeros_like(LABELS)
            np.testing.assert_array_equal(place.look_up(other.data, (z,)), expected)
    pyramid = viewer.add_image([np.zeros((32, 32)), np.zeros((16, 16))], name="pyramid")
    fine = viewer.add_labels(np.kron(LABELS, np.ones((2, 2), int)))
    place = LayerMap(viewer, pyramid, image_from_layer(pyramid, level=1), fine)
    np.testing.assert_array_equal(place.look_up(fine.data, ()), LABELS)


def test_objects_keep_what_their_table_tells() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((16, 16)))
    features = {
        "index": [2, 1, 3],
        "category_id": [4, 2, 9],
        "category": ["dividing", "resting", "sky"],
        "score": [0.25, 0.75, 1.0],
        "is_thing": [True, True, False],
    }
    labels = LABELS.copy()
    labels[0, 15], labels[15, 0] = 3, 77  # stuff, and one that the table does not know
    source = read(viewer, layer, viewer.add_labels(labels, features=features))
    assert isinstance(source, LabelsSource)
    assert source.scored
    found = source.segmentation(Settings())
    assert [(c.id, c.name) for c in found.categories][:2] == [(2, "resting"), (4, "dividing")]
    (plane,) = found.raw
    assert [mask.area for mask in plane.masks] == [64, 64, 1]
    assert plane.scores.tolist() == [0.75, 0.25, 1.0]
    assert plane.category_ids.tolist() == [2, 4, 2]
    bare = read(viewer, layer, viewer.add_labels(LABELS))
    assert isinstance(bare, LabelsSource)
    assert not bare.scored
    assert [c.name for c in bare.segmentation(Settings()).categories] == ["object"]


def test_only_the_chosen_region_and_planes_count() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((3, 16, 16)))
    labels = viewer.add_labels(np.broadcast_to(LABELS, (3, 16, 16)))
    corner = slice(0, 10), slice(0, 10)
    source = read(viewer, layer, labels, planes=[(1,)], region=corner)
    assert isinstance(source, LabelsSource)
    assert [len(plane) for plane in source.segmentation(Settings()).raw] == [0, 1, 0]
    empty = read(viewer, layer, labels, region=(slice(0, 3), slice(0, 3)))
    assert isinstance(empty, LabelsSource)
    with pytest.raises(InputError, match="there are none in the chosen region"):
        empty.segmentation(Settings())
    points = viewer.add_points([[1, 2, 3], [1, 12, 3], [2, 2, 3]])
    found = read(viewer, layer, points, planes=[(1,)], region=corner)
    assert isinstance(found, RowSource)
    # Prompts have the edges of pixels at whole numbers.
    assert (found.kind, found.rows.tolist()) == ("points", [[1, 2.5, 3.5]])
    with pytest.raises(InputError, match="expected points in"):
        read(viewer, layer, points, planes=[(0,)])
    # Points without the axis lie on the plane in view.
    viewer.dims.set_point(0, 2)
    flat = read(viewer, layer, viewer.add_points([[2, 3]]))
    assert isinstance(flat, RowSource)
    assert flat.rows.tolist() == [[2, 2.5, 3.5]]
    with pytest.raises(InputError, match="expected a Labels, Points or Shapes layer"):
        read(viewer, layer, None)


def test_shapes_are_boxes_and_regions() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((16, 16)), scale=(0.5, 0.5), name="cells")
    square = np.array([[1, 2], [1, 6], [5, 6], [5, 2]]) * 0.5
    shapes = viewer.add_shapes([square, square + 4], shape_type="rectangle", name="marks")
    shapes.add_lines([[0, 0], [0, 4]])
    found = read(viewer, layer, shapes)
    assert isinstance(found, RowSource)
    # A line is around nothing.
    assert found.rows.tolist() == [[1.5, 2.5, 5.5, 6.5], [9.5, 10.5, 13.5, 14.5]]
    image = image_from_layer(layer)
    shapes.selected_data = {0}
    assert rectangle(viewer, layer, image, shapes) == ((), (slice(1, 6), slice(2, 7)))
    shapes.selected_data = {2}
    with pytest.raises(InputError, match="draw one around the region"):
        rectangle(viewer, layer, image, shapes)
    beside = viewer.add_shapes([square + 100], name="beside")
    with pytest.raises(InputError, match="lies beside 'cells'"):
        rectangle(viewer, layer, image, beside)
