"""The tracks of a result as napari's own Tracks layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import napari
import napari.layers
import numpy as np
from gui.clicks import WAIT, click
from gui.fakes import FakeModel, result_of, squares
from napari.components import ViewerModel

from napari_instseg.gui.layers import add_segmentation, image_from_layer
from napari_instseg.gui.links import edited
from napari_instseg.gui.results import describe, repaint
from napari_instseg.gui.segment_widget import SegmentWidget
from napari_instseg.segmentation import Segmentation

#: One object that divides, and one that stays: scores 0.9 and 0.1, then 0.9, 0.5 and 0.1.
DIVIDING = np.zeros((4, 20, 40), np.int32)
DIVIDING[:2, 4:10, 6:18] = 1
DIVIDING[2:, 4:10, 4:10] = 1
DIVIDING[2:, 4:10, 14:20] = 2
DIVIDING[:, 14:18, 30:36] = 3


def dividing(layer: napari.layers.Image, **settings: Any) -> Segmentation:
    image = image_from_layer(layer)
    plain = result_of(image, DIVIDING.reshape(image.label_shape), threshold=0.0)
    chosen = {"track": True, "track_split": True, **settings}
    return replace(plain, settings=plain.settings.replace(**chosen))


def lapse_layer(viewer: ViewerModel, **options: Any) -> napari.layers.Image:
    shape = options.pop("shape", DIVIDING.shape)
    labels = ("t", "z", "y", "x")[-len(shape) :] if len(shape) > 3 else ("t", "y", "x")
    chosen = {"name": "lapse", "axis_labels": labels, **options}
    return viewer.add_image(np.zeros(shape, np.uint8), **chosen)


def test_one_line_a_track_and_who_is_whose() -> None:
    viewer = ViewerModel()
    layer = lapse_layer(viewer, scale=(1, 0.5, 0.5), translate=(0, 3, 4))
    found = dividing(layer)
    *labels, tracks = add_segmentation(viewer, found, layer)
    assert isinstance(tracks, napari.layers.Tracks)
    assert tracks.name == "lapse tracks"
    np.testing.assert_array_equal(tracks.data[:, 0], found.tracks["track"])
    np.testing.assert_array_equal(tracks.data[:, 1:], found.tracks[["t", "y", "x"]])
    assert {int(child): [int(p) for p in parents] for child, parents in tracks.graph.items()} == (
        found.lineage
    )
    assert len(found.lineage) == 2
    # Each object of a frame lies where its label is.
    for number, *place in tracks.data:
        where = labels[0].world_to_data(tracks.data_to_world(place))
        assert labels[0].data[tuple(np.round(where).astype(int))] == number
    np.testing.assert_allclose(tracks.scale, layer.scale)
    assert tracks.features["area"].tolist() == found.tracks["area"].tolist()
    assert tracks.metadata["napari_instseg"]["settings"]["track"] is True
    # It has the colour of its label.
    for number, color in zip(tracks.data[:, 0], tracks.track_colors, strict=True):
        np.testing.assert_allclose(color, labels[0].get_color(int(number)), atol=0.01)
    # Labels are edited and looked up, so they stay chosen.
    assert viewer.layers.selection.active is labels[0]
    assert viewer.layers[-1] is tracks
    assert not edited(tracks)


def test_the_layer_follows_the_result() -> None:
    viewer = ViewerModel()
    layer = lapse_layer(viewer)
    found = dividing(layer)
    tracks = add_segmentation(viewer, found, layer)[-1]
    # Without the second daughter there is no division.
    fewer = found.with_score_threshold(0.6)
    repaint(tracks, fewer)
    assert len(tracks.data) == len(found.tracks)
    describe(tracks, fewer)
    np.testing.assert_array_equal(tracks.data[:, 0], fewer.tracks["track"])
    assert not tracks.graph
    describe(tracks, found)
    assert len(tracks.graph) == 2
    # Another run takes the same layer; one without tracks hides it.
    assert add_segmentation(viewer, fewer, layer)[-1] is tracks
    add_segmentation(viewer, dividing(layer, track=False), layer)
    assert not tracks.visible
    assert add_segmentation(viewer, found, layer)[-1] is tracks
    assert tracks.visible
    nothing = found.with_score_threshold(1.0)
    describe(tracks, nothing)
    assert tracks.data.tolist() == [[0, 0, 0, 0]]
    describe(tracks, found)
    assert len(tracks.data) == len(found.tracks)


def test_a_result_without_any_track() -> None:
    viewer = ViewerModel()
    layer = lapse_layer(viewer)
    tracks = add_segmentation(viewer, dividing(layer, score_threshold=1.0), layer)[-1]
    assert isinstance(tracks, napari.layers.Tracks)
    assert tracks.data.tolist() == [[0, 0, 0, 0]]
    assert not edited(tracks)


def test_time_has_to_come_first() -> None:
    """Napari takes the first dimension of tracks for time."""
    viewer = ViewerModel()
    layer = lapse_layer(viewer, shape=(1, 4, 20, 40), axis_labels=("z", "t", "y", "x"))
    found = dividing(layer)
    assert found.tracked
    layers = add_segmentation(viewer, found, layer)
    assert [type(x) for x in layers] == [napari.layers.Labels] * 3


def test_frames_are_tracked_for_images_with_t(
    viewer: napari.Viewer, dock: SegmentWidget, model: FakeModel, qtbot: Any
) -> None:
    time = dock.form.more.time
    dock.form.more.toggleButton().click()
    viewer.add_image(np.stack([squares()] * 3), name="stack", axis_labels=("z", "y", "x"))
    assert not time.isVisible()
    moving = np.stack([np.roll(squares(), 2 * t, axis=1) for t in range(3)])
    viewer.add_image(moving, name="lapse", axis_labels=("t", "y", "x"))
    assert time.isVisible()
    assert not time.gap.isVisible()
    assert not dock.form.settings().track
    time.track.choose(True)
    assert time.gap.isVisible()
    assert dock.form.settings().track_distance is None
    time.distance.setValue(4.5)
    time.overlap.setValue(0.35)
    time.gap.setValue(2)
    time.frames.setValue(2)
    time.split.setChecked(True)
    settings = dock.form.settings()
    assert (settings.track, settings.track_distance, settings.track_gap) == (True, 4.5, 2)
    assert (settings.track_overlap, settings.track_distance_unit) == (0.35, "px")
    assert (settings.track_split, settings.min_frames) == (True, 2)
    assert dock.form.minimumSizeHint().width() + 16 <= dock.minimumWidth()

    click(qtbot, dock.run_button)
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    labels, tracks = viewer.layers["lapse instances"], viewer.layers["lapse tracks"]
    assert labels.data.max() == len(labels.features) == 13
    assert set(labels.features["frames"]) == {3}
    np.testing.assert_array_equal(np.roll(labels.data[0], 4, axis=1), labels.data[2])
    assert len(tracks.data) == 39
    assert dock.status.text().startswith("13 tracks")
    tiles = model.tiles
    dock.form.threshold.setValue(0.9)
    qtbot.waitUntil(lambda: labels.data.max() == 2, timeout=WAIT)
    qtbot.waitUntil(lambda: len(tracks.data) == 6, timeout=WAIT)
    assert model.tiles == tiles
    # Of one frame there is nothing to track.
    click(qtbot, dock.view_button)
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    assert "lapse view tracks" not in viewer.layers
