"""Tracked objects as label images and tables, at any threshold."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from helpers import ComponentSegmenter, brightness, draw, same_partition
from hypothesis import given
from hypothesis import strategies as st
from lapses import frames_of, lapse
from skimage.measure import regionprops

from napari_instseg.instances import Instances
from napari_instseg.ops.axes import Image
from napari_instseg.ops.lapses import COLUMNS
from napari_instseg.pipeline import Run, run_to_end
from napari_instseg.segmentation import Segmentation
from napari_instseg.segmenter import Category, InputError
from napari_instseg.settings import Settings

CATEGORIES = (Category(1, "cell"), Category(3, "tissue", is_thing=False))


def result_of(
    planes: list[Instances],
    *,
    axes: str = "TYX",
    shape: tuple[int, ...] = (),
    spacing: dict[str, float] | None = None,
    **settings: Any,
) -> Segmentation:
    lead = shape or (len(planes),)
    image = Image(np.zeros((*lead, *planes[0].image_shape), np.uint8), axes, spacing or {})
    chosen = Settings(**{"track": True, "score_threshold": 0.0, **settings})
    return Segmentation(tuple(planes), image, CATEGORIES, chosen, {})


def frame_of(picture: str, *scores: float) -> Instances:
    """Objects A, B, ... with their scores; 1 if none is given."""
    found = Instances.from_labels(draw(picture))
    return Instances.create(found.image_shape, found.masks, scores=scores or [1.0] * len(found))


def moving() -> list[Instances]:
    """A goes to the right and is missed once; B stays, and comes late."""
    return [
        frame_of("AA......\nAA......\n........", 0.9),
        frame_of(".AA....B\n.AA....B\n........", 0.8, 0.5),
        frame_of(".......A\n.......A\n........", 0.6),
        frame_of("..AA...B\n..AA...B\n........", 0.7, 0.7),
    ]


def test_one_number_through_all_frames() -> None:
    found = result_of(moving())
    first, second, third, fourth = found.instances
    np.testing.assert_array_equal(first, draw("AA......\nAA......\n........"))
    np.testing.assert_array_equal(second, draw(".AA....B\n.AA....B\n........"))
    np.testing.assert_array_equal(third, draw(".......B\n.......B\n........"))
    np.testing.assert_array_equal(fourth, draw("..AA...B\n..AA...B\n........"))
    assert found.count == 2
    assert found.numbers.tolist() == [1, 1, 2, 2, 1, 2]
    np.testing.assert_array_equal(found.panoptic, found.instances)
    assert np.unique(found.semantic).tolist() == [0, 1]


def test_one_row_a_track() -> None:
    table = result_of(moving(), spacing={"Y": 0.5, "X": 0.5}).table.set_index("index")
    own = list(COLUMNS)
    assert list(table.columns[-len(own) :]) == own
    rows = table[[*own, "t", "area", "row_min", "row_max", "col_min", "col_max"]]
    assert rows.loc[1].tolist() == [0, 3, 3, 0, 4, 2, 1, 0, 12, 0, 2, 0, 4]
    assert rows.loc[2].tolist() == [1, 3, 3, 0, 2, 0, 0, 1, 6, 0, 2, 7, 8]
    np.testing.assert_allclose(table["score"], [0.8, 0.6], atol=1e-6)
    assert "path_um" not in result_of(moving()).table


def test_one_row_an_object_of_a_frame() -> None:
    tracks = result_of(moving()).tracks
    columns = ["track", "parent", "t", "y", "x", "area", "score", "category"]
    assert list(tracks.columns) == columns
    assert tracks["track"].tolist() == [1, 1, 1, 2, 2, 2]
    assert tracks["t"].tolist() == [0, 1, 3, 1, 2, 3]
    assert tracks["x"].tolist() == [0.5, 1.5, 2.5, 7, 7, 7]
    assert tracks["y"].tolist() == [0.5] * 6
    assert tracks["area"].tolist() == [4, 4, 4, 2, 2, 2]


def test_without_tracks_all_is_as_before() -> None:
    plain = result_of(moving(), track=False)
    assert not plain.tracked
    assert plain.count == 6
    assert not len(plain.tracks)
    assert list(plain.tracks.columns) == list(result_of(moving()).tracks.columns)
    assert plain.lineage == {}
    # Nor are other axes than T tracked.
    depth = result_of(moving(), axes="ZYX")
    np.testing.assert_array_equal(depth.instances, plain.instances)
    assert not depth.tracked


def test_another_threshold_tracks_anew_as_a_run_would() -> None:
    loose = result_of(moving())
    strict = loose.with_score_threshold(0.65)
    # B has lost all but its last frame.
    assert strict.tracks["t"].tolist() == [0, 1, 3, 3]
    same = result_of(moving(), score_threshold=0.65)
    np.testing.assert_array_equal(strict.instances, same.instances)
    assert strict.table.equals(same.table)
    assert strict.tracks.equals(same.tracks)
    assert (strict.table["score"] >= 0.65).all()


def test_short_tracks_are_left_out() -> None:
    found = result_of(moving(), track_gap=0, min_frames=2)
    # Without the leap, A is two frames and one.
    assert found.table["frames"].tolist() == [2, 3]
    assert np.unique(found.instances).tolist() == [0, 1, 2]
    assert found.numbers.tolist() == [1, 1, 2, 2, 0, 2]
    assert result_of(moving(), min_frames=5).count == 0


def dividing() -> list[Instances]:
    return [
        frame_of("..AAAA..\n..AAAA.."),
        frame_of("..AAAA..\n..AAAA..", 0.9),
        frame_of(".AA..BB.\n.AA..BB.", 0.9, 0.8),
        frame_of("AA....BB\nAA....BB", 0.9, 0.8),
    ]


def test_daughters_know_their_parent() -> None:
    found = result_of(dividing(), track_split=True)
    np.testing.assert_array_equal(found.instances[1], draw("..AAAA..\n..AAAA.."))
    np.testing.assert_array_equal(found.instances[3], draw("BB....CC\nBB....CC"))
    assert found.lineage == {2: [1], 3: [1]}
    assert found.table["parent"].tolist() == [0, 1, 1]
    assert found.tracks["parent"].tolist() == [0, 0, 1, 1, 1, 1]
    assert result_of(dividing()).lineage == {}
    # A parent that is left out is none.
    alone = result_of(dividing()[1:], track_split=True, min_frames=2)
    assert alone.table["parent"].tolist() == [0, 0]


def test_each_index_of_other_axes_is_a_lapse_of_its_own() -> None:
    one, two = moving(), moving()[::-1]
    found = result_of([*one, *two], axes="PTYX", shape=(2, 4))
    assert same_partition(found.instances[0], result_of(one).instances)
    assert same_partition(found.instances[1], result_of(two).instances)
    assert not {*np.unique(found.instances[0])} & {*np.unique(found.instances[1])} - {0}
    # The same with time first.
    turned = [plane for pair in zip(one, two, strict=True) for plane in pair]
    other = result_of(turned, axes="TPYX", shape=(4, 2))
    assert same_partition(other.instances.swapaxes(0, 1), found.instances)


def deep() -> list[Instances]:
    """Two frames of three planes: A moves down a plane, B stays."""
    return [
        frame_of("AA...BB\nAA...BB"),
        frame_of("AA...BB\nAA...BB"),
        frame_of(".....AA\n.....AA"),
        frame_of(".....AA\n.....AA"),
        frame_of("AA...BB\nAA...BB"),
        frame_of("AA...BB\nAA...BB"),
    ]


def test_objects_through_z_are_tracked_in_3d() -> None:
    spacing = {"Z": 2.0, "Y": 1.0, "X": 1.0}
    found = result_of(deep(), axes="TZYX", shape=(2, 3), link=True, spacing=spacing)
    assert found.count == 2
    assert found.tracks["z"].tolist() == [0.5, 1.5, 1.0, 1.0]
    assert found.tracks["area"].tolist() == [8, 8, 12, 12]
    table = found.table
    assert table["path"].tolist() == [2, 0]
    assert table[["z_first", "z_last", "frames"]].to_numpy().tolist() == [[0, 2, 2], [0, 2, 2]]
    assert table["area_mean"].tolist() == [8, 12]
    assert "volume" not in table
    # Links through Z are named by track, and frame.
    links = found.links
    assert links[["index", "t", "z_from", "z_to"]].to_numpy().tolist() == [
        [1, 0, 0, 1],
        [1, 1, 1, 2],
        [2, 0, 0, 1],
        [2, 0, 1, 2],
        [2, 1, 0, 1],
        [2, 1, 1, 2],
    ]


def test_planes_that_are_not_linked_are_tracked_each_by_itself() -> None:
    found = result_of(deep(), axes="TZYX", shape=(2, 3))
    # B in three planes, A in one that it keeps, and in one that it leaves and one that it enters.
    assert found.count == 6
    assert sorted(found.table["frames"]) == [1, 1, 2, 2, 2, 2]


def test_a_distance_in_micrometers_follows_the_pixel_size() -> None:
    spacing = {"Y": 0.5, "X": 0.5}
    far = result_of(moving(), track_distance=0.6, track_distance_unit="um", spacing=spacing)
    near = result_of(moving(), track_distance=0.4, track_distance_unit="um", spacing=spacing)
    # A goes 1 px a frame, and as far over its gap, where 0.8 px times the root of 2 is enough.
    assert (far.count, near.count) == (2, 3)
    with pytest.raises(InputError, match="known pixel size"):
        Run(
            Image(np.zeros((3, 64, 64), np.uint8), "TYX"),
            ComponentSegmenter(),
            Settings(track=True, track_distance=1.0, track_distance_unit="um"),
        )


def test_a_run_tracks_what_the_model_finds() -> None:
    truth = lapse(96, 6, 8, speed=2.0, seed=3)
    settings = Settings(track=True, tile_size=64, overlap=32)
    image = Image(brightness(truth.labels), "TYX")
    found = run_to_end(Run(image, ComponentSegmenter(), settings))
    assert found.warnings == ()
    assert found.table["t_last"].max() == 5
    assert json.loads(json.dumps(found.recipe))["settings"]["track"] is True
    note = run_to_end(
        Run(Image(brightness(truth.labels), "ZYX"), ComponentSegmenter(), Settings(track=True))
    ).warnings
    assert len(note) == 1
    assert "only planes along T are tracked" in note[0]


def test_wandering_objects_keep_their_tracks() -> None:
    """Apart from where discs of the truth lie on one another, tracks are those of the truth."""
    truth = lapse(160, 10, 12, speed=2.0, seed=1)
    found = result_of(frames_of(truth.labels))
    assert same_partition(found.instances, truth.labels)


@given(st.integers(0, 1000), st.floats(0, 0.3), st.booleans())
def test_tables_are_true_of_the_labels(seed: int, missed: float, split: bool) -> None:
    truth = lapse(48, 5, 5, speed=3.0, radius=(3.0, 5.0), division=0.3, seed=seed)
    found = result_of(frames_of(truth.labels, missed, seed), track_split=split)
    labels, table, tracks = found.instances, found.table, found.tracks
    assert table["index"].tolist() == list(range(1, found.count + 1))
    assert (np.diff(table["score"]) <= 0).all()
    for row in table.itertuples():
        frames = np.flatnonzero((labels == row.index).any(axis=(1, 2)))
        assert (row.t_first, row.t_last, row.frames) == (frames[0], frames[-1], len(frames))
        assert row.area == np.count_nonzero(labels == row.index)
    seen = 0
    for t, frame in enumerate(labels):
        here = tracks[tracks["t"] == t].set_index("track")
        for region in regionprops(frame):
            row = here.loc[region.label]
            assert (row["area"], row["y"], row["x"]) == pytest.approx(
                (region.area, *region.centroid)
            )
            seen += 1
    assert seen == len(tracks)
    assert all(math.isfinite(value) for value in table["path"])
