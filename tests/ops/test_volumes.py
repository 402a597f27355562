"""Linked objects as label images and a table, at any threshold."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import ComponentSegmenter, brightness, draw, same_partition
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.measure import regionprops_table
from volumes import ellipsoids

from napari_instseg.evaluation import match_labels
from napari_instseg.instances import Instances, Mask
from napari_instseg.ops.axes import Image
from napari_instseg.ops.volumes import COLUMNS
from napari_instseg.pipeline import Run, run_to_end
from napari_instseg.segmentation import Segmentation
from napari_instseg.segmenter import Category
from napari_instseg.settings import Settings

CATEGORIES = (Category(1, "cell"), Category(3, "tissue", is_thing=False))


def result_of(
    planes: list[Instances],
    *,
    axes: str = "ZYX",
    shape: tuple[int, ...] = (),
    spacing: dict[str, float] | None = None,
    stuff: NDArray[Any] | None = None,
    **settings: Any,
) -> Segmentation:
    lead = shape or (len(planes),)
    image = Image(np.zeros((*lead, *planes[0].image_shape), np.uint8), axes, spacing or {})
    chosen = Settings(**{"link": True, "score_threshold": 0.0, **settings})
    return Segmentation(tuple(planes), image, CATEGORIES, chosen, {}, stuff=stuff)


def plane_of(picture: str, *scores: float) -> Instances:
    """Objects A, B, ... with their scores; 1 if none is given."""
    found = Instances.from_labels(draw(picture))
    return Instances.create(found.image_shape, found.masks, scores=scores or [1.0] * len(found))


def faulty() -> list[Instances]:
    """A is missed in the second plane and has a hole in the last, B is there in all but one."""
    return [
        plane_of("AAA..BB\nAAA..BB\nAAA....", 0.9, 0.4),
        plane_of(".....AA\n.....AA\n.......", 0.6),
        plane_of("AAA..BB\nA.A..BB\nAAA....", 0.7, 0.8),
        plane_of("AAA....\nAAA....\nAAA....", 0.8),
    ]


def test_an_object_has_one_number_and_one_row() -> None:
    result = result_of(faulty(), spacing={"Z": 0.5, "Y": 2.0, "X": 0.5})
    expected = [
        "AAA..BB\nAAA..BB\nAAA....",
        ".....BB\n.....BB\n.......",
        "AAA..BB\nA.A..BB\nAAA....",
        "AAA....\nAAA....\nAAA....",
    ]
    np.testing.assert_array_equal(result.instances, np.stack([draw(p) for p in expected]))
    assert result.instances.dtype == np.int32
    rows = result.table.to_dict("list")
    assert rows == {
        "index": [1, 2],
        "category_id": [1, 1],
        "category": ["cell", "cell"],
        "is_thing": [True, True],
        "score": pytest.approx([(9 * 0.9 + 8 * 0.7 + 9 * 0.8) / 26, 0.6]),
        "area": [26, 12],
        "hidden_area": [0, 0],
        "is_box": [False, False],
        "row_min": [0, 0],
        "col_min": [0, 5],
        "row_max": [3, 2],
        "col_max": [3, 7],
        "z": [0, 0],
        "touches_edge": [True, True],
        "source": ["nuclei", "nuclei"],
        "z_first": [0, 0],
        "z_last": [3, 2],
        "planes": [3, 3],
        "volume": [26, 12],
        "volume_um3": [13.0, 6.0],
        "link_iou_mean": pytest.approx([8 / 9, 1.0]),
        "link_iou_min": pytest.approx([8 / 9, 1.0]),
    }
    links = result.links
    assert links[["index", "z_from", "z_to"]].to_numpy().tolist() == [
        [1, 0, 2], [1, 2, 3], [2, 0, 1], [2, 1, 2],
    ]  # fmt: skip
    assert result.numbers.tolist() == [1, 2, 2, 1, 2, 1]


def test_holes_and_missing_planes_are_filled_where_nothing_is() -> None:
    planes = faulty()
    planes[1] = plane_of("A....BB\nA....BB\nA......", 0.3, 0.6)
    result = result_of(planes, link_fill=True, score_threshold=0.3)
    # What stands there is linked, so there is nothing to fill but the hole.
    assert result.instances[2, 1, 1] == 1
    assert result.table["planes"].tolist() == [4, 3]
    higher = result.with_score_threshold(0.35)
    assert (higher.instances[1, :, :3] == 1).all()
    assert higher.table["planes"].tolist() == [3, 3]
    assert higher.table["area"].tolist() == [4 * 9, 12]
    # Another object keeps its pixels, and the gap is filled around it.
    other = [Mask((1, 1), np.ones((1, 1), bool))]
    planes[1] = Instances.create((3, 7), other, category_ids=[2], scores=[0.1])
    around = result_of(planes, link_fill=True).instances
    np.testing.assert_array_equal(around[1], draw("AAA..BB\nACA..BB\nAAA...."))


def test_short_objects_are_left_out() -> None:
    planes = [plane_of("AA.B"), plane_of("AA.."), plane_of("AA..")]
    assert result_of(planes).count == 2
    result = result_of(planes, min_planes=2)
    np.testing.assert_array_equal(result.instances, [[[1, 1, 0, 0]]] * 3)
    assert result.table["planes"].tolist() == [3]
    nothing = result_of(planes, min_planes=4)
    assert nothing.count == len(nothing.table) == nothing.instances.max() == len(nothing.links) == 0


def test_a_threshold_is_that_of_a_run() -> None:
    """What a slider shows is what a run with that threshold finds; parts fall away with it."""
    planes = faulty()
    slider = result_of(planes)
    for threshold in (0.0, 0.5, 0.65, 0.75, 0.85, 1.0):
        moved = slider.with_score_threshold(threshold)
        whole = result_of(planes, score_threshold=threshold)
        kept = [p.take(p.scores >= np.float32(threshold)) for p in planes]
        fewer = result_of(kept, score_threshold=threshold)
        for other in (whole, fewer):
            np.testing.assert_array_equal(moved.instances, other.instances)
            # Without any object, nothing says what a category's name is made of.
            same = len(other.rendering.table) > 0
            pd.testing.assert_frame_equal(moved.table, other.table, check_dtype=same)
        assert (moved.table["score"] >= np.float32(threshold)).all()
        assert moved.count == len(moved.table) == moved.instances.max()
    assert slider.with_score_threshold(0.5).table["planes"].tolist() == [3, 2]


def test_the_slider_does_not_ask_for_the_objects_again() -> None:
    result = result_of(faulty())
    _ = result.instances
    object.__setattr__(result, "raw", None)
    assert result.with_score_threshold(0.5).count == 2


def test_other_axes_stay_apart() -> None:
    plane = plane_of("AA.B")
    result = result_of([plane] * 6, axes="TZYX", shape=(2, 3))
    assert result.count == 4
    assert sorted(zip(result.table["t"], result.table["col_min"], strict=True)) == [
        (0, 0), (0, 3), (1, 0), (1, 3),
    ]  # fmt: skip
    turned = result_of([plane] * 6, axes="ZTYX", shape=(3, 2))
    assert turned.count == 4
    assert same_partition(turned.instances.swapaxes(0, 1), result.instances)
    time = result_of([plane] * 3, axes="TYX")
    apart = result_of([plane] * 3, axes="TYX", link=False)
    np.testing.assert_array_equal(time.instances, apart.instances)
    pd.testing.assert_frame_equal(time.table, apart.table)


def test_semantic_and_panoptic_agree() -> None:
    stuff = np.full((4, 3, 7), 3)
    result = result_of(faulty(), stuff=stuff, link_fill=True)
    things = result.instances > 0
    np.testing.assert_array_equal(result.semantic, np.where(things, 1, 3))
    np.testing.assert_array_equal(result.panoptic[things], result.instances[things])
    assert (result.panoptic[~things] == result.count + 1).all()
    assert result.table["index"].tolist() == [1, 2, 3]
    counts = np.bincount(result.panoptic.ravel())[1:]
    assert result.table["area"].tolist() == counts.tolist()
    assert result.table["category"].iloc[-1] == "tissue"


@pytest.mark.parametrize("shape", [(0,), (3,), (0, 4), (2, 0)])
def test_nothing_is_linked_as_nothing(shape: tuple[int, ...]) -> None:
    planes = [Instances.empty((3, 4))] * int(np.prod(shape))
    image = Image(np.zeros((*shape, 3, 4)), "TZYX"[-len(shape) - 2 :])
    settings = Settings(link=True, link_fill=True)
    result = Segmentation(tuple(planes), image, CATEGORIES, settings, {})
    assert result.instances.shape == result.panoptic.shape == (*shape, 3, 4)
    assert result.count == len(result.table) == len(result.links) == 0
    assert set(COLUMNS) - {"volume_um3"} <= set(result.table.columns)


# ------------------------------------------------------------------------------ known volumes


def run(data: NDArray[Any], axes: str = "ZYX", **settings: Any) -> Segmentation:
    image = Image(data, axes, settings.pop("spacing", {}))
    chosen = Settings(limits=((0.0, 1.0),), **settings)
    return run_to_end(Run(image, ComponentSegmenter(), chosen))


@pytest.mark.parametrize(("step", "depth"), [(1.0, 50), (4.0, 16)])
def test_a_run_finds_ellipsoids_in_3d(step: float, depth: int) -> None:
    truth = ellipsoids((depth, 96, 96), 20, step, touching=1.1)
    spacing = {"Z": step / 2, "Y": 0.5, "X": 0.5}
    result = run(brightness(truth), link=True, spacing=spacing)
    (match,) = match_labels(truth, result.instances, [0.5]).matches.values()
    assert match.average_precision >= 0.95
    table = result.table
    measured = regionprops_table(result.instances, properties=("label", "area", "bbox"))
    for ours, theirs in {
        "index": "label",
        "area": "area",
        "volume": "area",
        "z_first": "bbox-0",
        "row_min": "bbox-1",
        "col_max": "bbox-5",
    }.items():
        np.testing.assert_array_equal(table[ours], measured[theirs])
    np.testing.assert_array_equal(table["z_last"] + 1, measured["bbox-3"])
    np.testing.assert_allclose(table["volume_um3"], table["volume"] * step / 8)


def test_the_recipe_links_again() -> None:
    truth = ellipsoids((20, 64, 64), 10)
    first = run(brightness(truth), link=True, link_gap=2, min_planes=2, link_fill=True)
    values = Settings.from_json(json.loads(json.dumps(first.recipe))["settings"]).to_json()
    del values["limits"]
    again = run(brightness(truth), **values)
    np.testing.assert_array_equal(again.instances, first.instances)
    assert again.table.equals(first.table)
    assert again.recipe == first.recipe


def test_only_z_is_linked_and_that_is_said() -> None:
    data = brightness(np.stack([draw("AA.B")] * 3))
    assert run(data, "TYX", link=True).warnings == (
        "link: only planes along Z are linked; those along T were left as they are",
    )
    assert run(data, "ZYX", link=True).warnings == run(data[0], "YX", link=True).warnings == ()


@given(st.integers(0, 10_000))
def test_one_plane_is_as_without_links(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = [
        Mask((int(r), int(c)), np.ones(rng.integers(2, 9, 2), bool))
        for r, c in rng.integers(0, 20, (rng.integers(0, 12), 2))
    ]
    plane = Instances.create((30, 30), masks, scores=rng.integers(0, 5, len(masks)) / 4)
    linked, apart = (result_of([plane], link=on, score_threshold=0.3) for on in (True, False))
    np.testing.assert_array_equal(linked.instances, apart.instances)
    pd.testing.assert_frame_equal(linked.table[list(apart.table.columns)], apart.table)


@given(st.integers(0, 10_000))
def test_order_and_direction_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    planes = []
    for _ in range(4):
        masks = [
            Mask((int(r), int(c)), np.ones(rng.integers(3, 9, 2), bool))
            for r, c in rng.integers(0, 20, (rng.integers(0, 7), 2))
        ]
        planes.append(Instances.create((30, 30), masks, scores=rng.random(len(masks))))
    result = result_of(planes, link_gap=2)
    mixed = result_of([p.take(rng.permutation(len(p))) for p in planes], link_gap=2)
    np.testing.assert_array_equal(mixed.instances, result.instances)
    pd.testing.assert_frame_equal(mixed.table, result.table)
    turned = result_of(planes[::-1], link_gap=2)
    assert same_partition(turned.instances[::-1], result.instances)
