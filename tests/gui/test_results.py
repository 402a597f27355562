from __future__ import annotations

import napari.layers
import numpy as np
import pytest
from gui.fakes import result_of, squares
from napari.components import ViewerModel
from scipy import ndimage

from napari_instseg.gui.geometry import Origin
from napari_instseg.gui.layers import add_segmentation, image_from_layer
from napari_instseg.gui.links import edited
from napari_instseg.gui.results import describe, repaint
from napari_instseg.ops.axes import Image
from napari_instseg.segmenter import Category

SHAPE = (64, 80)
LABELS = ndimage.label(squares())[0].astype(np.int32)
INSTANCES = ("instances",)


def show(
    viewer: ViewerModel,
    layer: napari.layers.Image,
    axes: str | None = None,
    **options: object,
) -> list[napari.layers.Labels]:
    image = image_from_layer(layer, axes=axes)
    labels = np.broadcast_to(LABELS, image.label_shape)
    return add_segmentation(viewer, result_of(image, labels, **options), layer)


def transforms(ndim: int) -> dict[str, object]:
    """A different value everywhere, so that mixing axes up shows."""
    affine = np.eye(ndim + 1)
    affine[-3:-1, -3:-1] = [[1.0, 0.2], [0.1, 0.9]]
    affine[:-1, -1] = np.arange(1, ndim + 1)
    rotate = np.eye(ndim)
    rotate[-2:, -2:] = [[0.8, -0.6], [0.6, 0.8]]
    shear = np.zeros(ndim * (ndim - 1) // 2)
    shear[-1] = 0.3
    return {
        "scale": np.linspace(0.5, 2, ndim),
        "translate": np.linspace(10, 20, ndim),
        "rotate": rotate,
        "shear": shear,
        "affine": affine,
    }


@pytest.mark.parametrize(
    ("axes", "shape", "labels_shape", "place"),
    [
        # place: where pixel (..., 3, 5) of the labels lies in the image's pixels.
        ("YX", SHAPE, SHAPE, (3, 5)),
        ("ZYX", (4, *SHAPE), (4, *SHAPE), (2, 3, 5)),
        ("TZYX", (2, 3, *SHAPE), (2, 3, *SHAPE), (1, 2, 3, 5)),
        ("TCYX", (4, 3, *SHAPE), (4, 1, *SHAPE), (2, 1, 3, 5)),
        ("YXC", (*SHAPE, 3), (*SHAPE, 1), (3, 5, 1)),
        ("CYX", (3, *SHAPE), SHAPE, (None, 3, 5)),
        ("CTYX", (3, 4, *SHAPE), (4, *SHAPE), (None, 2, 3, 5)),
    ],
)
def test_labels_lie_on_the_pixels_of_the_image(
    axes: str,
    shape: tuple[int, ...],
    labels_shape: tuple[int, ...],
    place: tuple[int | None, ...],
) -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros(shape, np.uint8), rgb=False, **transforms(len(shape)))
    (labels,) = show(viewer, layer, axes, outputs=INSTANCES)
    assert labels.data.shape == labels_shape
    index = [
        0 if size == 1 else p for p, size in zip(place, _pad(labels_shape, place), strict=True)
    ]
    index = [i for i, p in zip(index, place, strict=True) if p is not None]
    there = layer.data_to_world([0 if p is None else p for p in place])
    here = labels.data_to_world(index)
    np.testing.assert_allclose(here, there[-len(here) :])


def _pad(shape: tuple[int, ...], place: tuple[int | None, ...]) -> tuple[int, ...]:
    return (0,) * (len(place) - len(shape)) + shape


def test_units_and_axis_labels_are_carried() -> None:
    viewer = ViewerModel()
    names, units = ("c", "t", "y", "x"), ("pixel", "second", "micrometer", "micrometer")
    layer = viewer.add_image(
        np.zeros((3, 4, *SHAPE), np.uint8), axis_labels=names, units=units, scale=(1, 2, 0.5, 0.5)
    )
    (labels,) = show(viewer, layer, outputs=INSTANCES)
    assert labels.axis_labels == ("t", "y", "x")
    assert [str(unit) for unit in labels.units] == ["second", "micrometer", "micrometer"]


def test_a_channel_in_between_spans_all_channels_and_adds_no_slider_steps() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(
        np.zeros((4, 3, *SHAPE), np.uint8), axis_labels=("t", "c", "y", "x"), scale=(1, 5, 1, 1)
    )
    before = viewer.dims.nsteps
    (labels,) = show(viewer, layer, outputs=INSTANCES)
    assert viewer.dims.nsteps == before
    for channel in range(3):
        viewer.dims.current_step = (1, channel, 0, 0)
        index = np.round(labels.world_to_data(viewer.dims.point)).astype(int)
        assert tuple(index[:2]) == (1, 0)


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
def test_a_rotated_channel_axis_is_kept() -> None:
    rotate = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((3, *SHAPE), np.uint8), rotate=rotate)
    (labels,) = show(viewer, layer, "CYX", outputs=INSTANCES)
    assert labels.data.shape == (1, *SHAPE)
    np.testing.assert_allclose(labels.data_to_world((0, 3, 5)), layer.data_to_world((1, 3, 5)))


def test_rgb() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), rgb=True, scale=(2, 3))
    (labels,) = show(viewer, layer, outputs=INSTANCES)
    assert labels.data.shape == SHAPE
    np.testing.assert_allclose(labels.scale, (2, 3))


def test_a_coarse_level_is_stretched_over_the_fine_one() -> None:
    viewer = ViewerModel()
    fine, coarse = np.zeros((128, 160), np.uint8), np.zeros(SHAPE, np.uint8)
    layer = viewer.add_image([fine, coarse], multiscale=True, scale=(0.5, 0.25), translate=(7, 9))
    image = image_from_layer(layer, level=1)
    (labels,) = add_segmentation(viewer, result_of(image, LABELS, outputs=INSTANCES), layer)
    assert labels.data.shape == SHAPE
    np.testing.assert_allclose(labels.extent.world, layer.extent.world, atol=0.3)
    # Pixel 0 of the coarse level covers pixels 0 and 1 of the fine one.
    np.testing.assert_allclose(labels.data_to_world((0, 0)), layer.data_to_world((0.5, 0.5)))
    np.testing.assert_allclose(labels.data_to_world((63, 79)), layer.data_to_world((126.5, 158.5)))


def test_a_plane_lies_at_its_place_in_the_stack() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((5, 4, *SHAPE), np.uint8), scale=(3, 2, 1, 1))
    image = Image(np.zeros(SHAPE, np.uint8), "YX", name=layer.name)
    result = result_of(image, LABELS, outputs=INSTANCES)
    origin = Origin("TZYX", plane={"T": 2, "Z": 3})
    (labels,) = add_segmentation(viewer, result, layer, origin=origin, view=True)
    assert labels.data.shape == (1, 1, *SHAPE)
    np.testing.assert_allclose(
        labels.data_to_world((0, 0, 3, 5)), layer.data_to_world((2, 3, 3, 5))
    )
    assert labels.name.endswith("view instances")


def test_three_outputs_with_names_tables_and_recipe() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros(SHAPE, np.uint8), name="cells")
    layers = show(viewer, layer)
    assert [x.name for x in layers] == ["cells instances", "cells semantic", "cells panoptic"]
    assert [x.visible for x in layers] == [True, False, False]
    assert viewer.layers[-1] is layers[0]
    instances, semantic, panoptic = layers
    assert list(instances.features["index"]) == list(range(1, 11))
    assert set(np.unique(instances.data)) == set(range(11))
    assert list(semantic.features["index"]) == [1]
    assert list(panoptic.features["index"]) == list(range(1, 11))
    for x in layers:
        assert x.metadata["napari_instseg"]["settings"]["score_threshold"] == 0.5
    # Hovering finds the row of the label under the mouse.
    assert "category: nucleus" in " ".join(instances._get_properties((4 + 3, 4 + 3)))


def test_class_colours() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros(SHAPE, np.uint8))
    categories = (
        Category(1, "nucleus", True, (0.9, 0.1, 0.1)),
        Category(2, "cell", True, (0.1, 0.9, 0.1)),
        Category(3, "tissue", False, (0.1, 0.1, 0.9)),
    )
    _, semantic, panoptic = show(
        viewer, layer, categories=categories, category_ids=[1, 2] * 10, stuff=np.full(SHAPE, 3)
    )
    assert set(np.unique(semantic.data)) == {1, 2, 3}
    for category in categories:
        np.testing.assert_allclose(semantic.get_color(category.id)[:3], category.color, atol=1e-6)
    assert semantic.get_color(0) is None or semantic.get_color(0)[3] == 0
    assert panoptic.data.max() == 11
    np.testing.assert_allclose(panoptic.get_color(11)[:3], categories[2].color, atol=1e-6)
    reds = [panoptic.get_color(i) for i in range(1, 11) if i % 2]
    assert len({tuple(np.round(color, 3)) for color in reds}) == 5
    assert all(color[0] > color[1] and color[0] > color[2] for color in reds)


def test_one_class_needs_no_colour_for_each_object() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros(SHAPE, np.uint8))
    panoptic = show(viewer, layer)[2]
    colors = [panoptic.get_color(i) for i in range(1, 11)]
    assert len({tuple(np.round(color, 3)) for color in colors}) == 10
    assert all(color[3] == 1 for color in colors)


def test_a_repeated_run_updates_its_own_layers() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros(SHAPE, np.uint8))
    first = show(viewer, layer)
    first[0].opacity, first[0].name = 0.3, "mine"
    layer.scale = (2, 2)
    second = show(viewer, layer, threshold=0.8)
    assert second == first
    assert len(viewer.layers) == 4
    assert (first[0].opacity, first[0].name) == (0.3, "mine")
    np.testing.assert_allclose(first[0].scale, (2, 2))
    assert len(first[0].features) == first[0].data.max() < 10
    assert first[0].metadata["napari_instseg"]["settings"]["score_threshold"] == 0.8


def test_edited_labels_are_left_alone() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros(SHAPE, np.uint8), name="cells")
    (first,) = show(viewer, layer, outputs=INSTANCES)
    assert not edited(first)
    first.fill((8, 8), 77)
    assert edited(first)
    painted = first.data.copy()
    (second,) = show(viewer, layer, outputs=INSTANCES)
    assert second is not first
    np.testing.assert_array_equal(first.data, painted)
    # From here on the new layer is the one that is updated.
    assert show(viewer, layer, outputs=INSTANCES) == [second]
    first.undo()
    assert show(viewer, layer, outputs=INSTANCES) == [second]


def test_painting_does_not_reach_the_result() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros(SHAPE, np.uint8))
    result = result_of(image_from_layer(layer), LABELS)
    shown = add_segmentation(viewer, result, layer)
    for labels in shown:
        labels.data[...] = 5
        assert edited(labels)
    assert result.instances[0, 0] == result.semantic[0, 0] == result.panoptic[0, 0] == 0


def test_a_duplicate_belongs_to_the_user() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros(SHAPE, np.uint8))
    (ours,) = show(viewer, layer, outputs=INSTANCES)
    data, state, _ = ours.as_layer_data_tuple()
    copy = viewer.add_labels(data.copy(), **{**state, "name": "copy"})
    viewer.layers.remove(ours)
    (fresh,) = show(viewer, layer, outputs=INSTANCES, threshold=0.8)
    assert fresh is not copy
    assert copy.data.max() == 10


def test_two_images_of_one_name_keep_their_results_apart() -> None:
    viewer = ViewerModel()
    one = viewer.add_image(np.zeros(SHAPE, np.uint8), name="cells")
    two = viewer.add_image(np.zeros(SHAPE, np.uint8), name="cells")
    two.name = "cells"
    first, second = (show(viewer, x, outputs=INSTANCES)[0] for x in (one, two))
    assert first is not second


def test_other_dimensions_replace_the_layer() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((3, *SHAPE), np.uint8))
    (stack,) = show(viewer, layer, "ZYX", outputs=INSTANCES)
    (flat,) = show(viewer, layer, "CYX", outputs=INSTANCES)
    assert stack not in viewer.layers
    assert flat.data.shape == SHAPE


def test_view_and_whole_hide_each_other() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros(SHAPE, np.uint8))
    result = result_of(image_from_layer(layer), LABELS, outputs=INSTANCES)
    (whole,) = add_segmentation(viewer, result, layer)
    (part,) = add_segmentation(viewer, result, layer, view=True)
    assert (whole.visible, part.visible) == (False, True)
    add_segmentation(viewer, result, layer)
    assert (whole.visible, part.visible) == (True, False)


def test_without_a_layer_the_image_is_found_by_name_and_shape() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros(SHAPE, np.uint8), name="cells", scale=(3, 3))
    result = result_of(image_from_layer(layer), LABELS, outputs=INSTANCES)
    (labels,) = result.add_to(viewer)
    np.testing.assert_allclose(labels.scale, (3, 3))
    spacing = {"Y": 0.5, "X": 0.25}
    other = result_of(Image(np.zeros(SHAPE), "YX", spacing, "elsewhere"), LABELS, outputs=INSTANCES)
    (alone,) = other.add_to(viewer)
    np.testing.assert_allclose(alone.scale, (0.5, 0.25))
    assert [str(unit) for unit in alone.units] == ["micrometer"] * 2
    assert other.add_to(viewer) == [alone]


def test_another_threshold_is_painted_into_the_same_layers() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros(SHAPE, np.uint8))
    result = result_of(image_from_layer(layer), LABELS)
    layers = add_segmentation(viewer, result, layer)
    lower = result.with_score_threshold(0.0)
    for labels in layers:
        repaint(labels, lower)
        describe(labels, lower)
        assert not edited(labels)
    assert len(layers[0].features) == layers[0].data.max() == layers[2].data.max() == 20
    assert layers[1].features["segments"].tolist() == [20]


def test_nothing_found_is_a_normal_result() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros(SHAPE, np.uint8))
    result = result_of(image_from_layer(layer), np.zeros(SHAPE, np.int32))
    for labels in add_segmentation(viewer, result, layer):
        assert labels.data.max() == 0
        assert len(labels.features) == 0
