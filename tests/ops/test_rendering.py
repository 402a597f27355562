"""Objects to label images and a table: numbers, order, overlaps, planes, stuff."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import draw, mask_of
from numpy.typing import NDArray
from skimage.measure import regionprops_table

from napari_instseg.instances import Instances, Mask
from napari_instseg.ops.axes import Image
from napari_instseg.ops.rendering import Rendering, add_stuff, render
from napari_instseg.segmentation import Segmentation
from napari_instseg.segmenter import Category, Rules
from napari_instseg.settings import Settings

CATEGORIES = (Category(1, "cell"), Category(2, "nucleus"), Category(3, "tissue", is_thing=False))


def flat(instances: Instances) -> Rendering:
    return render([instances], (), "", instances.image_shape, CATEGORIES, "model")


def overlapping() -> Instances:
    """Three objects; the best is the second, and lies over a part of the first."""
    masks = [mask_of("####\n####"), mask_of("##\n##\n##", (0, 3)), mask_of("##", (3, 0))]
    return Instances.create((4, 6), masks, scores=[0.7, 0.9, 0.2], category_ids=[2, 1, 7])


def test_numbers_follow_falling_score_and_the_better_object_lies_on_top() -> None:
    rendering = flat(overlapping())
    expected = draw("""
        BBBAA.
        BBBAA.
        ...AA.
        CC....
    """)
    np.testing.assert_array_equal(rendering.labels, expected)
    assert rendering.labels.dtype == np.int32


def test_the_table_has_a_row_an_object() -> None:
    table = flat(overlapping()).table
    assert table.to_dict("list") == {
        "index": [1, 2, 3],
        "category_id": [1, 2, 7],
        "category": ["cell", "nucleus", "category 7"],
        "is_thing": [True, True, True],
        "score": pytest.approx([0.9, 0.7, 0.2]),
        "area": [6, 6, 2],
        "hidden_area": [0, 2, 0],
        "is_box": [False] * 3,
        "row_min": [0, 0, 3],
        "col_min": [3, 0, 0],
        "row_max": [3, 2, 4],
        "col_max": [5, 4, 2],
        "touches_edge": [True, True, True],
        "source": ["model"] * 3,
    }


def test_a_threshold_keeps_the_first_numbers() -> None:
    rendering = flat(overlapping())
    assert [rendering.count(t) for t in (0, 0.2, 0.21, 0.7, 0.9, 0.91, 1)] == [3, 3, 2, 2, 1, 0, 0]
    for count in range(4):
        np.testing.assert_array_equal(
            rendering.instances(count), rendering.labels * (rendering.labels <= count)
        )
    np.testing.assert_array_equal(rendering.semantic(2)[0], [2, 2, 2, 1, 1, 0])
    assert rendering.semantic(2).max() == 2


def test_another_view_of_a_better_object_is_left_out() -> None:
    masks = [mask_of("####\n####"), mask_of("####\n###."), mask_of("####", (1, 0))]
    rendering = flat(Instances.create((2, 5), masks, scores=[0.9, 0.8, 0.7]))
    assert rendering.table["score"].tolist() == pytest.approx([0.9])
    np.testing.assert_array_equal(rendering.labels, draw("AAAA.\nAAAA."))


def test_half_hidden_stays_and_what_a_left_out_object_covers_is_free() -> None:
    # B is mostly under A and goes, so C keeps its left pixel.
    masks = [mask_of("######"), mask_of("#######", (0, 1)), mask_of("##", (0, 7))]
    rendering = flat(Instances.create((1, 9), masks, scores=[0.9, 0.8, 0.7]))
    np.testing.assert_array_equal(rendering.labels, draw("AAAAAA.BB"))
    half = [mask_of("##"), mask_of("##", (0, 1))]
    rendering = flat(Instances.create((1, 3), half, scores=[0.9, 0.8]))
    np.testing.assert_array_equal(rendering.labels, draw("AAB"))


def random_field(count: int, size: int, radius: int, seed: int = 0) -> Instances:
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    masks = []
    for _ in range(count):
        a, b = rng.uniform(0.5, 1, 2) * radius
        row, col = rng.integers(0, size - 2 * radius, 2)
        tight = Mask((int(row), int(col)), (y / a) ** 2 + (x / b) ** 2 <= 1).tight()
        masks += [tight] if tight is not None else []
    return Instances.create(
        (size, size), masks, scores=rng.permutation(count) / count, category_ids=[1] * count
    )


@pytest.mark.parametrize("count", [0, 1, 60])
def test_the_table_measures_as_scikit_image_does(count: int) -> None:
    rendering = flat(random_field(count, 200, 12))
    names = ("label", "area", "bbox")
    truth = pd.DataFrame(regionprops_table(rendering.labels, properties=names))
    table = rendering.table
    np.testing.assert_array_equal(table["index"], truth["label"])
    np.testing.assert_array_equal(table["area"], truth["area"])
    clear = (table["hidden_area"] == 0).to_numpy()
    assert count == 0 or clear.any()
    for ours, theirs in (("row_min", 0), ("col_min", 1), ("row_max", 2), ("col_max", 3)):
        np.testing.assert_array_equal(table[ours][clear], truth[f"bbox-{theirs}"][clear])


@pytest.mark.parametrize(
    ("origin", "touches"),
    [((0, 2), True), ((2, 0), True), ((4, 2), True), ((2, 4), True), ((1, 1), False)],
)
def test_touching_the_edge(origin: tuple[int, int], touches: bool) -> None:
    table = flat(Instances.create((6, 6), [mask_of("##\n##", origin)])).table
    assert table["touches_edge"].tolist() == [touches]


def stack() -> tuple[list[Instances], tuple[int, int]]:
    """Two time points of three planes; objects in (0, 1) and (1, 2)."""
    shape = (3, 4)
    planes = [Instances.empty(shape) for _ in range(6)]
    planes[1] = Instances.create(shape, [mask_of("##")], scores=[0.5])
    planes[5] = Instances.create(shape, [mask_of("#"), mask_of("#", (2, 3))], scores=[0.5, 0.9])
    return planes, shape


def test_planes_have_columns_and_numbers_run_through_all() -> None:
    planes, shape = stack()
    rendering = render(planes, (2, 3), "TZ", shape, CATEGORIES, "model")
    assert rendering.labels.shape == (2, 3, *shape)
    assert rendering.labels[1, 2, 2, 3] == 1
    assert rendering.labels[0, 1, 0, 0] == 2
    assert rendering.labels[1, 2, 0, 0] == 3
    assert np.count_nonzero(rendering.labels) == 4
    assert rendering.table["t"].tolist() == [1, 0, 1]
    assert rendering.table["z"].tolist() == [2, 1, 2]


@pytest.mark.parametrize("plane_shape", [(0,), (0, 4), (3,), ()])
def test_nothing_renders_as_nothing(plane_shape: tuple[int, ...]) -> None:
    axes = "TZ"[: len(plane_shape)]
    planes = [Instances.empty((3, 4))] * int(np.prod(plane_shape))
    rendering = render(planes, plane_shape, axes, (3, 4), CATEGORIES, "model")
    assert rendering.labels.shape == (*plane_shape, 3, 4)
    assert len(rendering.table) == rendering.count(0) == 0
    assert {"index", "score", *axes.lower()} <= set(rendering.table.columns)


def test_stuff_follows_the_objects_and_lies_under_them() -> None:
    rendering = flat(overlapping())
    more = (*CATEGORIES, Category(9, "glass", is_thing=False), Category(4, "air", is_thing=False))
    # Things in the map (1) are ignored; glass is hidden by an object; air is not there.
    stuff = np.full((4, 6), 3)
    stuff[:, 3], stuff[:2, :3], stuff[3, 5] = 1, 9, 9
    semantic, panoptic, table = add_stuff(rendering, 2, stuff, more, "model")
    np.testing.assert_array_equal(
        panoptic,
        draw("""
            BBBAAC
            BBBAAC
            CCCAAC
            CCC.CD
        """),
    )
    np.testing.assert_array_equal(semantic[3], [3, 3, 3, 0, 3, 9])
    np.testing.assert_array_equal(semantic[0], [2, 2, 2, 1, 1, 3])
    last = table.iloc[2:].to_dict("list")
    assert last["index"] == [3, 4]
    assert last["category"] == ["tissue", "glass"]
    assert last["is_thing"] == [False, False]
    assert last["area"] == [np.count_nonzero(panoptic == n) for n in (3, 4)]
    assert [last[c][0] for c in ("row_min", "col_min", "row_max", "col_max")] == [0, 0, 4, 6]
    assert list(table.columns) == list(rendering.table.columns)
    assert table["index"].dtype == rendering.table["index"].dtype


def test_stuff_without_objects() -> None:
    rendering = flat(Instances.empty((2, 2)))
    _, panoptic, table = add_stuff(rendering, 0, np.full((2, 2), 3), CATEGORIES, "model")
    assert (panoptic == 1).all()
    assert table["category"].tolist() == ["tissue"]


def field(instances: Instances, **settings: float) -> Segmentation:
    image = Image(np.zeros(instances.image_shape, np.uint8), "YX")
    return Segmentation((instances,), image, CATEGORIES, Settings(**settings), {})  # type: ignore[arg-type]


def visible_at(instances: Instances, threshold: float) -> NDArray[np.int32]:
    """The slow way: render only what is left."""
    return flat(instances.take(instances.scores >= np.float32(threshold))).labels


@pytest.mark.parametrize("threshold", [0.05, 0.5, 0.75, 1.0])
def test_a_threshold_after_painting_is_a_threshold_before(threshold: float) -> None:
    instances = random_field(300, 256, 12, seed=1)
    result = field(instances, score_threshold=0.0).with_score_threshold(threshold)
    np.testing.assert_array_equal(result.instances, visible_at(instances, threshold))
    assert result.count == len(result.table) == result.instances.max()


def test_thousands_of_objects_are_shown_at_another_threshold_without_looking_at_them() -> None:
    result = field(random_field(5000, 2048, 12), score_threshold=0.3)
    full = result.instances
    object.__setattr__(result, "raw", None)  # Nothing may ask for the objects again.
    higher = result.with_score_threshold(0.6)
    assert 0 < higher.count < result.count
    np.testing.assert_array_equal(higher.instances, full * (full <= higher.count))
    np.testing.assert_array_equal(higher.panoptic, higher.instances)
    np.testing.assert_array_equal(higher.semantic, higher.instances > 0)
    lower = higher.with_score_threshold(0.3)
    np.testing.assert_array_equal(lower.instances, full)


def test_a_changed_table_is_the_callers_own() -> None:
    result = field(overlapping(), score_threshold=0.5)
    result.table["index"] = 0
    assert result.with_score_threshold(0.1).table["index"].tolist() == [1, 2, 3]


def test_how_much_must_be_visible_is_the_models_rule() -> None:
    whole = Mask((0, 0), np.ones((2, 6), bool))
    right = Mask((0, 3), np.ones((2, 3), bool))
    found = Instances.create((2, 6), [right, whole, right], scores=[0.9, 0.8, 0.7])

    def areas(rules: Rules) -> list[tuple[int, int]]:
        rendering = render([found], (), "", (2, 6), CATEGORIES, "model", rules)
        table = rendering.table
        return list(zip(table["area"], table["hidden_area"], strict=True))

    assert areas(Rules()) == [(6, 0), (6, 6)]
    assert areas(Rules(min_visible=0.6)) == [(6, 0)]
    assert areas(Rules(min_visible=0.0)) == [(6, 0), (6, 6), (0, 6)]


def test_a_box_models_objects_are_marked() -> None:
    found = overlapping()
    rendering = render([found], (), "", found.image_shape, CATEGORIES, "m", Rules(boxes_only=True))
    assert rendering.table["is_box"].all()


def test_small_stuff_is_left_out_of_its_plane() -> None:
    stuff = np.zeros((2, 4, 5), np.int32)
    stuff[0, :2], stuff[1, 0, :3] = 9, 9
    empty = Instances.empty((4, 5))
    ground = (Category(9, "ground", is_thing=False),)
    rendering = render([empty, empty], (2,), "Z", (4, 5), ground, "model")

    def area(least: int) -> list[int]:
        _, panoptic, table = add_stuff(
            rendering, 0, stuff, ground, "model", Rules(min_stuff_area=least)
        )
        assert np.count_nonzero(panoptic) == table["area"].sum()
        return list(table["area"])

    assert area(0) == area(3) == [13]
    assert area(4) == area(10) == [10]
    assert area(11) == []
