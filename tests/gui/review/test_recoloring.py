"""New objects and classes have their colours at once: those that a layer made anew has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.array as da
import napari
import numpy as np
import pytest
from gui.fakes import NUCLEUS, result_of
from gui.review.objects import CELL, LABELS
from napari.components import ViewerModel

from napari_instseg.gui.geometry import Origin
from napari_instseg.gui.label_colors import class_colors, direct_colors
from napari_instseg.gui.label_layers import label_set_of
from napari_instseg.gui.large_run import SavedRun
from napari_instseg.gui.layers import add_segmentation, image_from_layer
from napari_instseg.gui.reader import read_layers
from napari_instseg.gui.review.session import ReviewSession
from napari_instseg.gui.stored_layers import add_saved
from napari_instseg.io.overlay import object_colors
from napari_instseg.io.zarr import read_label_pyramid
from napari_instseg.ops.axes import Image
from napari_instseg.segmentation import Segmentation
from napari_instseg.segmenter import Category

TISSUE = Category(3, "tissue", False, (0.2, 0.3, 0.4))
CLASSES = (NUCLEUS, CELL, TISSUE)
NEW = 40


def result(image: Image, classes: tuple[Category, ...] = CLASSES) -> Segmentation:
    """Nuclei and cells in turns, on tissue."""
    stuff = np.full(LABELS.shape, 3) if TISSUE in classes else None
    ids = [1, 2] * 10 if CELL in classes else None
    return result_of(image, LABELS, threshold=0, categories=classes, category_ids=ids, stuff=stuff)


def in_memory(
    viewer: napari.Viewer | ViewerModel, folder: Path, classes: tuple[Category, ...] = CLASSES
) -> ReviewSession:
    layer = viewer.add_image(np.where(LABELS > 0, 200, 0).astype(np.uint8), name="cells")
    layers = add_segmentation(viewer, result(image_from_layer(layer), classes), layer)
    return ReviewSession(viewer, layers[0], label_set_of(viewer, layers[0]))


def on_disk(viewer: ViewerModel, folder: Path) -> ReviewSession:
    layer = viewer.add_image(np.where(LABELS > 0, 200, 0).astype(np.uint8), name="cells")
    found = result(image_from_layer(layer))
    found.save(folder, format="zarr")
    files = {o: folder / f"{o}.zarr" for o in found.settings.outputs}
    pyramids = {o: read_label_pyramid(file) for o, file in files.items()}
    levels = {o: ([da.from_zarr(p.levels[0])], "YX") for o, p in pyramids.items() if p}
    saved = SavedRun(found, folder, levels, files)
    layers = add_saved(viewer, saved, layer, Origin("YX", 0))
    return ReviewSession(viewer, layers[0], label_set_of(viewer, layers[0]))


@pytest.fixture(params=[in_memory, on_disk])
def session(qapp: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ReviewSession]:
    made = request.param(ViewerModel(), tmp_path)
    for layer in made.layers.values():
        layer.visible = True
    yield made
    made.close()


def paint(session: ReviewSession, label: int, row: int = 0, col: int = 0) -> None:
    runs = (label, 9)
    session.apply("paint", start=(row, col), stop=(row + 3, col + 3), runs=runs, category_id=2)


def check(session: ReviewSession) -> None:
    """Compare what is seen with what layers made anew show."""
    labels = session.labels
    index, classes = labels.table["index"], labels.table["category_id"]
    known = tuple({c.id: c for c in CLASSES}.get(c.id, c) for c in labels.categories)
    for output in ("semantic", "panoptic"):
        layer = session.layers[output]
        data = np.asarray(layer.data)
        anew = class_colors(index, classes, known, output)
        assert anew is not None
        seen = layer.colormap.map(data)
        np.testing.assert_allclose(seen, anew.map(data), atol=1e-6)
        assert (seen[data > 0][:, 3] == 1).all()
        # What goes to the graphics card leads to the same colours.
        texture = np.asarray(layer._slice.image.view)
        lut = layer.colormap._values_mapping_to_minimum_values_set()[1]
        np.testing.assert_allclose(
            [lut[int(value)] for value in texture.flat], seen.reshape(-1, 4), atol=1e-6
        )


def test_every_edit_undo_and_redo_shows_what_a_layer_made_anew_shows(
    session: ReviewSession,
) -> None:
    check(session)
    paint(session, NEW)
    panoptic = session.layers["panoptic"]
    assert panoptic.get_color(NEW)[3] == 1
    check(session)
    session.apply("categorize", ids=[3, NEW], category_id=7, name="debris")
    assert session.layers["semantic"].get_color(7)[3] == 1
    assert not np.allclose(panoptic.get_color(3), panoptic.get_color(NEW + 1))
    check(session)
    middle = np.argwhere(LABELS == 1).mean(axis=0)
    line = [[middle[0], middle[1] - 20], [middle[0], middle[1] + 20]]
    session.apply("split_line", id=1, line=line, plane=())
    check(session)
    session.apply("renumber")
    check(session)
    for _ in range(4):
        session.undo()
        check(session)
    for _ in range(4):
        session.redo()
        check(session)


def test_stuff_that_comes_to_light_has_its_colour(qapp: Any, tmp_path: Path) -> None:
    stuff = np.zeros(LABELS.shape, int)
    stuff[:3, :3] = 3
    viewer = ViewerModel()
    layer = viewer.add_image(np.where(LABELS > 0, 200, 0).astype(np.uint8), name="cells")
    found = result_of(image_from_layer(layer), LABELS, threshold=0, categories=CLASSES, stuff=stuff)
    layers = add_segmentation(viewer, found, layer)
    session = ReviewSession(viewer, layers[0], label_set_of(viewer, layers[0]))
    (first,) = np.unique(layers[2].data[:3, :3])
    session.apply("paint", start=(0, 0), stop=(3, 3), runs=(NEW, 9))
    session.apply("renumber")
    session.apply("delete", ids=[int(layers[0].data[0, 0])])
    (new,) = np.unique(layers[2].data[:3, :3])
    assert new != first
    np.testing.assert_allclose(layers[2].get_color(int(new))[:3], TISSUE.color, atol=1e-6)
    session.close()


def test_hidden_ones_stay_hidden_and_new_ones_are_seen(session: ReviewSession) -> None:
    session.hide(np.array([2, 4]))
    paint(session, NEW)
    session.apply("categorize", ids=[2, 3], category_id=7, name="debris")
    for output in ("instances", "panoptic"):
        layer = session.layers[output]
        data, seen = np.asarray(layer.data), np.asarray(layer._slice.image.view)
        clear = seen == layer.colormap._data_to_texture(np.zeros(1, data.dtype))
        np.testing.assert_array_equal(clear, np.isin(data, [0, 2, 4]))
    session.show_all()
    check(session)


def test_the_first_object_of_another_class(qapp: Any, tmp_path: Path) -> None:
    session = in_memory(ViewerModel(), tmp_path, (NUCLEUS,))
    session.apply("categorize", ids=[3], category_id=7, name="debris")
    labels = session.labels
    layer = session.layers["panoptic"]
    known = (NUCLEUS, *labels.categories[1:])
    anew = class_colors(labels.table["index"], labels.table["category_id"], known, "panoptic")
    assert anew is not None
    np.testing.assert_allclose(layer.colormap.map(layer.data), anew.map(layer.data), atol=1e-6)
    session.close()


def test_what_was_opened_from_a_file_has_the_colours_of_files(qapp: Any, tmp_path: Path) -> None:
    image = Image(np.zeros(LABELS.shape, np.uint8), "YX", {}, "cells")
    result(image, (NUCLEUS, CELL)).save(tmp_path, format="zarr")
    ((data, options, _),) = read_layers(str(tmp_path / "panoptic.zarr"))
    layer = ViewerModel().add_labels(data, **options)
    viewer = ViewerModel()
    viewer.layers.append(layer)
    session = ReviewSession(viewer, layer, label_set_of(viewer, layer))
    session.apply("paint", start=(0, 0), stop=(3, 3), runs=(NEW, 9))
    # As a run writes it into the Zarr.
    wanted = object_colors(np.array([NEW]))[0] / 255
    np.testing.assert_allclose(layer.get_color(NEW)[:3], wanted, atol=1e-6)
    np.testing.assert_allclose(options["colormap"].map(7)[:3], layer.get_color(7)[:3])
    session.close()


def test_a_users_own_colours_are_left_alone(qapp: Any, tmp_path: Path) -> None:
    session = in_memory(ViewerModel(), tmp_path)
    own = {None: "transparent", 1: "red"}
    session.layers["panoptic"].colormap = own
    paint(session, NEW)
    assert session.layers["panoptic"].get_color(NEW)[3] == 0
    session.close()


@pytest.mark.parametrize("numbers", [[1, 2, 70_000], [1, 10**9, 2**31 - 1]])
@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64])
def test_labels_of_any_size_have_colours(numbers: list[int], dtype: Any) -> None:
    red, green, blue = (1, 0, 0, 1), (0, 1, 0, 1), (0, 0, 1, 1)
    colors = direct_colors(zip(numbers, (red, green, red), strict=True), others=(0.5,) * 4)
    labels = np.array([[0, 3], [numbers[1], numbers[2]]], dtype)
    colors.map(labels)
    colors.give([(3, blue), (numbers[2], green)])
    wanted = [[(0, 0, 0, 0), blue], [green, green]]
    np.testing.assert_allclose(colors.map(labels), wanted)
    np.testing.assert_allclose(colors.map(np.array([7], dtype)), [(0.5,) * 4])
    layer = napari.layers.Labels(labels, colormap=colors)
    layer.selected_label, layer.show_selected_label = 3, True
    assert np.asarray(layer._slice.image.view).astype(bool).tolist() == [
        [False, True],
        [False, False],
    ]


def test_more_colours_than_a_byte_holds() -> None:
    colors = direct_colors((i, (i / 300, 0, 0, 1)) for i in range(1, 252))
    labels = np.arange(300, dtype=np.int32)
    assert colors._data_to_texture(labels).dtype == np.uint8
    colors.give((i, (i / 300, 0, 0, 1)) for i in range(252, 300))
    assert colors._data_to_texture(labels).dtype == np.uint16
    np.testing.assert_allclose(colors.map(labels)[:, 0], labels / 300, atol=1e-6)
