from __future__ import annotations

import json

import numpy as np
import pytest
from prompters import BrightnessPrompter

from napari_instseg.instances import Mask
from napari_instseg.models.prompters import LoadedPrompter
from napari_instseg.ops.tiling import Tile
from napari_instseg.promptable import Candidates, Embedding, Prompts
from napari_instseg.prompting import PromptSession
from napari_instseg.prompting.everything import EverythingRun, everything
from napari_instseg.prompting.everything_points import (
    AdaptiveSearch,
    GridSearch,
    features_at,
    grid,
    lies_in,
    strides_of,
)
from napari_instseg.prompting.everything_settings import EverythingSettings
from napari_instseg.prompting.picture_masks import PictureMasks
from napari_instseg.prompting.views import View
from napari_instseg.segmenter import DeviceMemoryError, InputError

DISCS = [(20, 20, 7), (45, 64, 9), (115, 105, 36), (100, 20, 8), (25, 130, 6)]


def discs(shape=(170, 160), what=DISCS) -> np.ndarray:
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    image = np.zeros(shape, np.float32)
    for row, col, radius in what:
        image[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = 1
    return image


def session_of(image, prompter=None, **settings) -> PromptSession:
    loaded = LoadedPrompter(prompter or BrightnessPrompter(), "test", "file", "0" * 64)
    return PromptSession(image, loaded, cache=False, limits=((0, 1),), **settings)


def small(**changes) -> EverythingSettings:
    return EverythingSettings(**{"points_per_side": 12, **changes})


def objects(instances) -> set[tuple[int, int, int]]:
    """Row, column and area of each object."""
    return {
        (*np.add(m.origin, np.floor_divide(m.pixels.shape, 2)).tolist(), m.area)
        for m in instances.masks
    }


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_one_picture(mode):
    image = discs()
    found = everything(session_of(image, tile_size=256), mode=mode, points_per_side=20)
    assert found.count == len(DISCS)
    assert np.array_equal(found.instances > 0, image > 0)
    assert found.complete
    assert found.recipe["everything"]["mode"] == mode
    json.dumps(found.recipe)


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_tiles_and_levels_find_what_one_picture_shows(mode):
    # The large disc is larger than a tile; so a coarser level has to find it.
    image = discs()
    session = session_of(image, tile_size=64, overlap=24)
    found = everything(session, mode=mode, points_per_side=12)
    whole = everything(session_of(image, tile_size=256), points_per_side=20)
    assert found.count == whole.count == len(DISCS)
    small_ones = {entry for entry in objects(whole.raw[0]) if entry[2] < 500}
    assert small_ones <= objects(found.raw[0])
    both = (found.instances > 0) & (image > 0)
    assert both.sum() >= 0.97 * ((found.instances > 0) | (image > 0)).sum()


def test_finest_level_alone_keeps_no_more_than_its_tiles_show():
    session = session_of(discs(), tile_size=64, overlap=24)
    run = EverythingRun(session, small(levels=1))
    list(run)
    assert {picture.view.level for picture in run.raw().pictures} == {0}


def test_other_limits_need_no_model():
    prompter = BrightnessPrompter()
    session = session_of(discs(), prompter, tile_size=64, overlap=24)
    run = EverythingRun(session, small(keep_predicted_iou=0.5))
    list(run)
    raw, asked = run.raw(), list(prompter.decoded)
    assert raw.filter().count == len(DISCS)
    assert raw.filter(max_area=300).count < len(DISCS)
    assert raw.filter(min_area=2000).count == 1
    assert raw.filter(min_predicted_iou=0.95).count == 0
    # Eroded and dilated versions pass now; each goes with a better one.
    assert raw.filter(min_predicted_iou=0.5).count == len(DISCS)
    assert raw.filter(nms_by="masks", nms=0.5).count == len(DISCS)
    assert prompter.decoded == asked
    with pytest.raises(InputError, match="nms"):
        raw.filter(nms=2)


def test_fast_mode_asks_less_and_finds_the_same():
    counts, found = {}, {}
    for mode in ("exact", "fast"):
        prompter = BrightnessPrompter()
        session = session_of(discs(), prompter, tile_size=256)
        found[mode] = everything(session, mode=mode, points_per_side=32)
        counts[mode] = sum(prompter.decoded)
    assert counts["exact"] == 32**2
    assert counts["fast"] < 0.9 * counts["exact"]
    assert objects(found["fast"].raw[0]) == objects(found["exact"].raw[0])


def test_leaving_the_loop_keeps_what_is_done():
    session = session_of(discs(), tile_size=64, overlap=24)
    run = EverythingRun(session, small(points_per_batch=10, mode="exact"))
    assert run.result().count == 0
    for progress in run:
        if progress.done >= progress.total // 8:
            break
    result = run.result()
    assert 0 < result.count < len(DISCS)
    assert not result.complete
    assert not result.recipe["complete"]


def test_progress_goes_up_to_the_end():
    steps = list(EverythingRun(session_of(discs(), tile_size=96, overlap=20), small()))
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert steps[-1].done == steps[-1].total
    assert all("picture" in step.message for step in steps)


def test_a_region_is_asked_in_alone():
    prompter = BrightnessPrompter()
    session = session_of(discs(), prompter, tile_size=256)
    found = everything(session, region=(slice(0, 40), slice(0, 40)), points_per_side=32)
    assert objects(found.raw[0]) == {(20, 20, 149)}
    assert sum(prompter.decoded) < 32**2 / 8
    with pytest.raises(InputError, match="region"):
        everything(session, region=(slice(5, 5), slice(0, 9)))


def test_planes_are_chosen_and_checked():
    stack = np.stack([discs(), np.zeros((170, 160), np.float32), discs(what=DISCS[:2])])
    session = session_of(stack, tile_size=256)
    found = everything(session, planes=[(2,)], points_per_side=16)
    assert [len(plane) for plane in found.raw] == [0, 0, 2]
    with pytest.raises(InputError, match="planes"):
        everything(session, planes=[(3,)])


class LittleMemory(BrightnessPrompter):
    """Has memory for three prompts at a time."""

    def decode(self, embedding: Embedding, prompts: Prompts, **options) -> Candidates:
        if len(prompts) > 3:
            raise DeviceMemoryError("the test device ran out of memory")
        return super().decode(embedding, prompts, **options)


def test_less_memory_means_smaller_batches():
    run = EverythingRun(session_of(discs(), LittleMemory(), tile_size=256), small())
    list(run)
    result = run.result()
    plain = everything(session_of(discs(), tile_size=256), points_per_side=12)
    assert objects(result.raw[0]) == objects(plain.raw[0])
    assert "2 points at a time" in result.warnings[-1]


def test_embeddings_of_many_pictures_do_not_stay_in_memory():
    one, many = session_of(discs(), tile_size=256), session_of(discs(), tile_size=64)
    for session in (one, many):
        everything(session, points_per_side=4, levels=1)
    assert [session.has(view) for session in (one, many) for view in session.views()] == [
        True,
        *[False] * len(many.views()),
    ]


def test_background_is_kept_but_not_shown():
    image = 1 - discs()
    run = EverythingRun(session_of(image, tile_size=256), small())
    list(run)
    raw = run.raw()
    assert raw.filter().count == 0
    assert raw.filter(overlapping=True).count == 1
    assert len(raw.instances[0]) == 1


def test_settings_are_checked_and_go_through_json():
    settings = EverythingSettings(nms=0.5, max_area=100.0, mode="exact")
    assert EverythingSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    for name, bad in (
        ("points_per_side", 0),
        ("nms", 1.5),
        ("mode", "quick"),
        ("levels", 0),
        ("max_area", 0),
        ("min_stability", "high"),
        ("overlapping", 1),
    ):
        with pytest.raises(InputError, match=name):
            EverythingSettings(**{name: bad})
    with pytest.raises(InputError, match="unknown"):
        EverythingSettings.from_json({"point": 3})


# ------------------------------------------------------------------------------------- parts


def test_the_grid_is_the_references():
    amg = pytest.importorskip("segment_anything.utils.amg")
    for side, shape in ((1, (5, 9)), (8, (100, 60)), (32, (640, 480))):
        expected = amg.build_point_grid(side) * (shape[1], shape[0])
        ours = grid(side, shape)
        # It counts from the middle of pixels, (x, y).
        assert np.allclose(np.minimum(expected[:, ::-1] + 0.5, shape), ours)


def asked_by(search) -> np.ndarray:
    """All points that a search asks at, to answers that are never good."""
    batches = []
    while len(batch := search.next(5)):
        batches.append(batch)
    return np.concatenate(batches)


def test_exact_mode_asks_at_each_point_in_order():
    points = grid(7, (70, 70))
    search = GridSearch(points)
    assert np.array_equal(asked_by(search), points.astype(np.float32))
    assert search.done == 49


def adaptive(points: np.ndarray, features: np.ndarray) -> AdaptiveSearch:
    side = int(len(points) ** 0.5)
    return AdaptiveSearch(points, strides_of(side), features.astype(np.float32))


def test_fast_mode_asks_at_no_point_twice_and_at_few_more_than_half():
    points = grid(16, (160, 160))
    search = adaptive(points, np.zeros((256, 3)))
    asked = []
    while len(batch := search.next(7)):
        asked.append(batch)
        none = np.zeros(len(batch), np.int64)
        masks = (Mask((0, 0), np.ones((1, 1), bool)),) * len(batch)
        good = Candidates((160, 160), none, none, np.ones(len(batch)), np.ones(len(batch)), masks)
        search.tell(good)
    every = np.concatenate(asked)
    assert len(np.unique(every, axis=0)) == len(every) <= 154
    assert search.done == 256


def test_fast_mode_learns_where_nothing_is():
    # What the encoder says of the left half differs; good masks come from there alone.
    points = grid(32, (320, 320))
    left = points[:, 1] < 160
    search = adaptive(points, np.stack([left, ~left], axis=1))
    asked = []
    while len(batch := search.next(16)):
        asked.append(batch)
        good = np.flatnonzero(batch[:, 1] < 160)
        spots = tuple(Mask((int(r), int(c)), np.ones((1, 1), bool)) for r, c in batch[good])
        ones = np.ones(len(good))
        search.tell(Candidates((320, 320), good, good, ones, ones, spots))
    later = np.concatenate(asked)[256:]
    assert len(later) == 358
    assert (later[:, 1] < 160).all()


def test_fast_mode_asks_last_where_many_good_masks_lie():
    points = grid(32, (320, 320))
    search = adaptive(points, np.zeros((1024, 1)))
    covered = Mask((0, 0), np.ones((320, 160), bool))
    asked = []
    while len(batch := search.next(16)):
        asked.append(batch)
        good = np.arange(len(batch))
        ones = np.ones(len(batch))
        search.tell(Candidates((320, 320), good, good, ones, ones, (covered,) * len(batch)))
    later = np.concatenate(asked)[256:]
    assert (later[:, 1] >= 160).all()
    assert len(later) == 358


def test_a_small_region_is_asked_all_over():
    points = grid(16, (160, 160))[:40]
    search = AdaptiveSearch(points, np.ones(40, np.int64), np.zeros((40, 2), np.float32))
    assert len(asked_by(search)) == 40


def test_features_are_those_of_the_cell_under_a_point():
    cells = np.arange(32, dtype=np.float16).reshape(2, 4, 4)
    embedding = Embedding((cells,), (40, 80), "model")
    found = features_at(np.array([[0.0, 0.0], [39.9, 79.9], [20, 45]]), embedding)
    assert found.tolist() == [[0, 16], [7, 23], [6, 22]]


def test_coarse_points_come_first():
    strides = strides_of(16).reshape(16, 16)
    assert (strides == 4).sum() == 16
    assert (strides >= 2).sum() == 64


def test_pixels_in_a_mask():
    mask = Mask((2, 3), np.array([[True, False], [True, True]]))
    pixels = np.array([[2, 3], [2, 4], [3, 4], [1, 3], [4, 3], [0, 0]])
    assert lies_in(pixels, mask).tolist() == [True, False, True, False, False, False]


def test_packed_masks_come_back():
    random = np.random.default_rng(0)
    masks = [Mask((4, n), random.random((9 + n, 7)) > 0.5) for n in range(3)]
    none = Mask((0, 0), np.zeros((3, 3), bool))
    numbers, worth = np.zeros(4, np.int64), np.arange(4, dtype=np.float32) / 4
    view = View((), 0, Tile(10, 20, 40, 60))
    found = Candidates((30, 40), numbers, numbers, worth, worth, (masks[0], none, *masks[1:]))
    kept = PictureMasks.of(view, found)
    assert kept.predicted_iou.tolist() == [0, 0.5, 0.75]
    for picture, order in ((kept, [0, 1, 2]), (kept.take([2, 0]), [2, 0])):
        joined = PictureMasks.join(view, [picture, kept])
        for back, n in zip(joined.masks(range(len(joined))), [*order, 0, 1, 2], strict=True):
            expected = masks[n].tight().shift(10, 20)
            assert back.origin == expected.origin
            assert np.array_equal(back.pixels, expected.pixels)


def test_masks_of_many_pictures_stay_the_same_in_one_piece(monkeypatch):
    plain = EverythingRun(session_of(discs(), tile_size=64, overlap=24), small())
    list(plain)
    monkeypatch.setattr("napari_instseg.prompting.everything.TOGETHER", 4)
    run = EverythingRun(session_of(discs(), tile_size=64, overlap=24), small())
    list(run)
    raw, expected = run.raw(), plain.raw()
    assert len(raw.pictures) > 8
    assert len({id(picture.bits.base) for picture in raw.pictures[:8]}) == 2
    for picture, other in zip(raw.pictures, expected.pictures, strict=True):
        assert picture.view == other.view
        assert np.array_equal(picture.predicted_iou, other.predicted_iou)
        assert np.array_equal(picture.bounds, other.bounds)
        for a, b in zip(*(one.masks(range(len(one))) for one in (picture, other)), strict=True):
            assert np.array_equal(a.pixels, b.pixels)
    assert np.array_equal(raw.filter().instances, expected.filter().instances)


def test_twins_go_but_not_what_is_chosen():
    session = session_of(discs(), tile_size=256)
    run = EverythingRun(session, small(points_per_side=32, mode="exact"))
    list(run)
    (picture,) = run.raw().pictures
    # 32 points on the large disc gave as many equal masks.
    assert len(picture) <= 3 * len(DISCS)
    chosen = picture.choose(run.settings, 1)
    assert len(chosen) == len(DISCS)
    assert isinstance(picture.take(chosen), PictureMasks)
