"""Sessions: what is looked at, what is encoded, and what is answered; with a foreseeable model."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from helpers import draw
from prompters import BrightnessPrompter

from napari_instseg.instances import Mask
from napari_instseg.io.embeddings import EmbeddingCache
from napari_instseg.models.prompters import LoadedPrompter
from napari_instseg.ops.intensity import IntensityMapping
from napari_instseg.ops.morphing import ellipse
from napari_instseg.ops.scaling import Resampling
from napari_instseg.ops.tiling import Tile
from napari_instseg.promptable import Habits
from napari_instseg.prompting import Prompt, PromptSession, View
from napari_instseg.prompting.asked import AskedRun
from napari_instseg.prompting.caching import embeddings_folder, limit_bytes
from napari_instseg.prompting.geometry import confine
from napari_instseg.prompting.limits import steady
from napari_instseg.prompting.pictures import average
from napari_instseg.prompting.prompts import read_prompts
from napari_instseg.prompting.requests import (
    Request,
    answer,
    drawn,
    name_categories,
    requests_from_json,
    requests_to_json,
)
from napari_instseg.prompting.views import Pyramid
from napari_instseg.segmenter import DeviceMemoryError, InputError
from napari_instseg.settings import Settings

LIMITS = ((0, 255),)


def loaded(prompter: BrightnessPrompter) -> LoadedPrompter:
    return LoadedPrompter(prompter, "bright", "bright.safetensors", "0" * 64)


def session_of(image, prompter=None, *, cache=False, **settings):
    chosen = {"limits": LIMITS, **settings}
    return PromptSession(image, loaded(prompter or BrightnessPrompter()), cache=cache, **chosen)


def two_objects() -> np.ndarray:
    """A small one, and one that is much larger than a tile of 64 px."""
    image = np.zeros((320, 400), np.uint8)
    image[48:58, 60:75] = 200
    image[96:256, 200:360] = 250
    return image


# ------------------------------------------------------------------------------------- the views


def pyramid(height: int, width: int, size: int = 64, overlap: int = 16) -> Pyramid:
    return Pyramid(Resampling.by((height, width), 1), size, overlap)


def test_levels_end_at_a_single_tile():
    found = pyramid(300, 400)
    assert found.levels == 4
    assert [found.shape(level) for level in range(4)] == [
        *((300, 400), (150, 200)),
        *((75, 100), (38, 50)),
    ]
    assert [view.tile for view in found.views((), 3)] == [Tile(0, 0, 38, 50)]


def test_a_small_plane_is_one_picture_at_its_own_size():
    found = pyramid(30, 64)
    assert found.levels == 1
    assert [view.tile for view in found.views((), 0)] == [Tile(0, 0, 30, 64)]


def test_tiles_are_of_one_size_and_cover_all():
    found = pyramid(65, 203)
    seen = np.zeros((65, 203), int)
    for view in found.views((), 0):
        assert view.tile.shape == (64, 64)
        seen[view.tile.top : view.tile.bottom, view.tile.left : view.tile.right] += 1
    assert seen.min() >= 1


def test_a_region_is_shown_by_the_nearest_tile_of_the_finest_level_that_holds_it():
    found = pyramid(300, 400)
    view = found.view_for((), (10, 10, 20, 20))
    assert (view.level, view.tile) == (0, Tile(0, 0, 64, 64))
    assert found.view_for((), (0, 0, 48, 48)).level == 0
    assert found.view_for((), (0, 0, 60, 60)).level == 1
    assert found.view_for((), (0, 0, 300, 400)).level == 3
    assert found.view_for((), (10, 10, 20, 20), lowest=2).level == 2


def test_every_point_has_a_view_that_shows_it():
    found = pyramid(130, 90)
    for row in np.linspace(0, 130, 27):
        for col in np.linspace(0, 90, 19):
            view = found.view_for((), (row, col, row, col))
            at = found.to_picture(view, (row, col))
            assert view.level == 0
            assert (at >= 0).all()
            assert (at <= 64).all()


def test_neighbours_come_nearest_first():
    found = pyramid(300, 400)
    views = list(found.views((), 0))
    around = found.neighbours(views[0])
    assert views[0] not in around
    assert around[0].tile in (views[1].tile, Tile(around[0].tile.top, 0, *around[0].tile.shape))
    lengths = [np.hypot(v.tile.top, v.tile.left) for v in around]
    assert lengths == sorted(lengths)
    assert len(around) == 8


def test_the_region_of_a_view_is_in_px_of_the_plane():
    found = pyramid(300, 401)
    assert found.region(View((), 3, Tile(0, 0, 38, 51))) == Tile(0, 0, 300, 401)
    assert found.region(View((), 1, Tile(10, 20, 30, 40))) == Tile(20, 40, 60, 80)


# ---------------------------------------------------------------------------------- the pictures


def test_a_coarse_picture_averages():
    image = np.arange(300 * 400, dtype=np.float32).reshape(300, 400)
    session = session_of(image, limits=((0, 120_000),))
    view = session.views(level=2)[-1]
    tile = view.tile
    expected = image.reshape(75, 4, 100, 4).mean((1, 3))[tile.top : tile.bottom]
    found = session.picture(view)[..., 0] * 120_000
    np.testing.assert_allclose(found, expected[:, tile.left : tile.right], rtol=1e-4)


def test_the_last_row_and_column_average_what_there_is():
    picture = np.arange(6, dtype=np.float32).reshape(2, 3, 1)
    np.testing.assert_array_equal(average(picture, 2)[..., 0], [[2, 3.5]])


def test_blocks_make_no_difference(monkeypatch):
    image = np.random.default_rng(0).integers(0, 255, (500, 700), np.uint8)
    whole = session_of(image)
    view = whole.views(level=3)[0]
    expected = whole.picture(view)
    monkeypatch.setattr("napari_instseg.prompting.pictures.BLOCK", 64)
    np.testing.assert_allclose(session_of(image).picture(view), expected, atol=1e-6)


def test_a_diameter_resizes_first():
    prompter = BrightnessPrompter()
    prompter.diameter = 20.0
    session = session_of(two_objects(), prompter, diameter=10.0)
    assert session.pyramid.shape(0) == (640, 800)
    found = session.segment(points=[(53, 67)])
    assert found.masks[0].slices == (slice(48, 58), slice(60, 75))


@pytest.mark.parametrize(
    ("own", "diameter", "message"),
    [
        (20.0, "as trained", "instead of 'as trained'"),
        (None, "auto", "no object size of its own"),
        (None, 12.0, "no object size of its own"),
    ],
)
def test_a_diameter_that_cannot_be_used_is_refused(own, diameter, message):
    prompter = BrightnessPrompter()
    prompter.diameter = own
    with pytest.raises(InputError, match=message):
        session_of(two_objects(), prompter, diameter=diameter)


def squares(side: int, step: int = 32, shape: tuple[int, int] = (256, 256)) -> np.ndarray:
    image = np.zeros(shape, np.uint8)
    for top in range(8, shape[0] - side, step):
        for left in range(8, shape[1] - side, step):
            image[top : top + side, left : left + side] = 200
    return image


@pytest.mark.parametrize("side", [6, 12, 20])
def test_a_model_that_knows_a_size_measures_the_objects(side):
    prompter = BrightnessPrompter()
    prompter.diameter = 20.0
    session = session_of(squares(side), prompter)
    # The best candidate is the region itself.
    expected = 2 * side / np.sqrt(np.pi)
    assert session.details["resolved"]["diameter_px"] == pytest.approx(expected)
    assert session.settings.diameter == "auto"
    assert session.pyramid.resampling.target[0] == round(256 * 20 / expected)


def test_native_is_not_measured():
    prompter = BrightnessPrompter()
    prompter.diameter = 20.0
    session = session_of(squares(12), prompter, diameter=None)
    assert (session.pyramid.resampling.identity, prompter.encoded) == (True, [])
    assert "diameter_px" not in session.details["resolved"]


def test_where_too_little_is_found_pixels_stay_as_they_are():
    prompter = BrightnessPrompter()
    prompter.diameter = 20.0
    session = session_of(np.zeros((256, 256), np.uint8), prompter)
    assert session.pyramid.resampling.identity
    assert 1 <= len(prompter.encoded) <= 5


def test_other_places_are_looked_at_where_the_middle_is_empty():
    image = squares(12, shape=(512, 512))
    image[192:320, 192:320] = 0
    prompter = BrightnessPrompter()
    prompter.diameter = 20.0
    session = session_of(image, prompter)
    assert session.details["resolved"]["diameter_px"] == pytest.approx(24 / np.sqrt(np.pi))


def test_a_lazy_image_is_read_only_where_it_is_looked_at():
    da = pytest.importorskip("dask.array")
    read = []

    def chunk(block_info=None):
        (top, bottom), (left, right) = block_info[None]["array-location"]
        read.append((bottom - top) * (right - left))
        return np.full((bottom - top, right - left), 200, np.uint8)

    image = da.map_blocks(chunk, chunks=((64,) * 64, (64,) * 64), dtype=np.uint8)
    read.clear()
    session = session_of(image)
    session.segment(box=(1000, 1000, 1020, 1030))
    assert sum(read) <= 4 * 64 * 64


def test_channels_and_rgb_are_shown():
    rgb = np.zeros((70, 70, 3), np.uint8)
    rgb[10:20, 10:20] = 255
    assert session_of(rgb).segment(points=[(15, 15)]).masks[0].area == 100
    channels = np.zeros((2, 70, 70), np.uint8)
    channels[1, 10:20, 10:20] = 255
    session = session_of(channels, axes="CYX", channels=(1,))
    assert session.segment(points=[(15, 15)]).masks[0].area == 100


def test_one_pixel_does_not_move_the_limits():
    limits = ((101.3, 1103.9),)
    moved = ((101.4, 1103.2),)
    settings = Settings()
    assert steady(IntensityMapping(limits), settings) == steady(IntensityMapping(moved), settings)
    fixed = Settings(limits=limits)
    assert steady(IntensityMapping(limits), fixed).limits == limits


# -------------------------------------------------------------------------------- the embeddings


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "embeddings")


def noisy(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (128, 200), np.uint8)


def test_each_view_is_encoded_once():
    prompter = BrightnessPrompter()
    session = session_of(noisy(), prompter)
    view = session.views()[0]
    assert not session.has(view)
    first = session.embedding(view)
    assert session.has(view)
    assert session.embedding(view) is first
    assert len(prompter.encoded) == 1
    assert first.arrays[0].dtype == np.float16


def test_another_session_takes_embeddings_from_the_disk(cache):
    prompter = BrightnessPrompter()
    views = session_of(noisy(), prompter, cache=cache).views(level=None)
    for _ in session_of(noisy(), prompter, cache=cache).prepare(views):
        pass
    assert len(prompter.encoded) == len(views)
    again = session_of(noisy(), prompter, cache=EmbeddingCache(cache.folder))
    fresh = session_of(noisy(), BrightnessPrompter())
    for view in views:
        np.testing.assert_array_equal(
            again.embedding(view).arrays[0], fresh.embedding(view).arrays[0]
        )
    assert len(prompter.encoded) == len(views)


def test_a_changed_pixel_encodes_its_tile_only(cache):
    prompter = BrightnessPrompter()
    image = noisy()
    session = session_of(image, prompter, cache=cache, limits=None)
    views = session.views()
    for _ in session.prepare(views):
        pass
    before = len(prompter.encoded)
    changed = image.copy()
    changed[2, 3] ^= 1
    other = session_of(changed, prompter, cache=cache, limits=None)
    for _ in other.prepare(views):
        pass
    assert len(prompter.encoded) == before + 1


def test_pixels_that_change_in_place_are_seen_when_said():
    prompter = BrightnessPrompter()
    image = noisy()
    session = session_of(image, prompter)
    for _ in session.prepare(session.views()):
        pass
    image[2, 3] ^= 1
    session.forget()
    for _ in session.prepare(session.views()):
        pass
    assert len(prompter.encoded) == len(session.views()) + 1


@pytest.mark.parametrize(
    "change", [{"limits": ((0, 200),)}, {"invert": True}, {"precision": "half"}]
)
def test_what_decides_the_embedding_decides_its_key(cache, change):
    prompter = BrightnessPrompter()
    first = session_of(noisy(), prompter, cache=cache)
    first.embedding(first.views()[0])
    second = session_of(noisy(), prompter, cache=cache, **change)
    second.embedding(second.views()[0])
    assert len(prompter.encoded) == 2


def test_another_model_has_embeddings_of_its_own(cache):
    prompter = BrightnessPrompter()
    for digest in ("1" * 64, "2" * 64):
        model = LoadedPrompter(prompter, "bright", "f", digest)
        session = PromptSession(noisy(), model, cache=cache, limits=LIMITS)
        session.embedding(session.views()[0])
    assert len(prompter.encoded) == 2


def test_memory_keeps_the_last_used():
    prompter = BrightnessPrompter()
    session = session_of(noisy(), prompter)
    views = session.views()
    size = session.embedding(views[0]).nbytes
    session._embedder._memory = 2 * size
    for view in (views[1], views[0], views[2]):
        session.embedding(view)
    assert session.has(views[0])
    assert not session.has(views[1])


def test_a_disk_that_fails_is_said_once_and_stops_nothing(tmp_path):
    (tmp_path / "embeddings").write_text("not a folder")
    session = session_of(two_objects(), cache=EmbeddingCache(tmp_path / "embeddings"))
    assert session.segment(points=[[(53, 67)], [(150, 300)]]).masks[0].area == 150
    (warning,) = session.warnings
    assert "cannot be kept" in warning


def test_threads_encode_each_view_once():
    prompter = BrightnessPrompter()
    session = session_of(noisy(), prompter)
    view = session.views()[0]
    threads = [threading.Thread(target=session.embedding, args=(view,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(prompter.encoded) == 1


def test_answers_do_not_wait_while_another_view_is_encoded():
    entered, go_on = threading.Event(), threading.Event()

    class Slow(BrightnessPrompter):
        def encode(self, pictures):
            if self.encoded:
                entered.set()
                assert go_on.wait(60)
            return super().encode(pictures)

    session = session_of(two_objects(), Slow())
    session.segment(points=[(53, 67)])
    other = threading.Thread(target=session.embedding, args=(session.views()[-1],))
    other.start()
    assert entered.wait(60)
    assert session.segment(points=[(53, 67)]).masks[0].area == 150
    go_on.set()
    other.join()


def test_leaving_the_preparation_keeps_what_is_done():
    prompter = BrightnessPrompter()
    session = session_of(noisy(), prompter)
    for progress in session.prepare(session.views()):
        if progress.done == 2:
            break
    assert len(prompter.encoded) == 2
    assert (progress.done, progress.total) == (2, len(session.views()))


def test_the_users_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_INSTSEG_CACHE", str(tmp_path))
    assert embeddings_folder() == tmp_path / "embeddings"
    monkeypatch.delenv("NAPARI_INSTSEG_CACHE")
    assert embeddings_folder().name == "embeddings"
    monkeypatch.setenv("NAPARI_INSTSEG_EMBEDDINGS_GB", "0.5")
    assert limit_bytes() == 500_000_000
    monkeypatch.setenv("NAPARI_INSTSEG_EMBEDDINGS_GB", "much")
    with pytest.raises(InputError, match="EMBEDDINGS_GB"):
        limit_bytes()


# ----------------------------------------------------------------------------------- the answers


def test_a_click_gives_the_best_candidate():
    session = session_of(two_objects())
    found = session.segment(points=[(53, 67)])
    assert found.masks[0].slices == (slice(48, 58), slice(60, 75))
    assert found.scores[0] == pytest.approx(0.9)
    assert found.image_shape == (320, 400)


def test_candidates_come_best_first():
    found = session_of(two_objects()).segment(points=[(53, 67)], candidates=True)
    assert [mask.area for mask in found.masks] == [150, 104, 200]
    assert found.scores == pytest.approx([0.9, 0.7, 0.6])


def test_a_click_finds_an_object_larger_than_a_tile():
    found = session_of(two_objects()).segment(points=[(150, 300)])
    assert found.masks[0].slices == (slice(96, 256), slice(200, 360))
    assert found.masks[0].area == pytest.approx(160 * 160, rel=0.01)


def test_a_preview_does_not_look_further():
    prompter = BrightnessPrompter()
    session = session_of(two_objects(), prompter)
    ((best, *_),) = session.candidates([Prompt(((150, 300),))], reach=0)
    assert best.is_cut
    assert best.view.level == 0
    assert len(prompter.encoded) == 1


def test_no_click_reads_a_huge_image(monkeypatch):
    monkeypatch.setattr("napari_instseg.prompting.answering.REACH_PIXELS", 130 * 130)
    prompter = BrightnessPrompter()
    ((best, *_),) = session_of(two_objects(), prompter).candidates([Prompt(((150, 300),))])
    assert best.view.level == 1
    assert best.is_cut


def test_a_box_is_answered_where_it_fits():
    prompter = BrightnessPrompter()
    session = session_of(two_objects(), prompter)
    found = session.segment(box=(92, 196, 260, 364))
    assert found.masks[0].area == pytest.approx(160 * 160, rel=0.01)
    assert found.scores[0] == pytest.approx(0.95)
    assert len(prompter.encoded) == 1


def whole(mask: Mask, shape: tuple[int, int]) -> np.ndarray:
    pixels = np.zeros(shape, bool)
    pixels[mask.slices] = mask.pixels
    return pixels


@pytest.mark.parametrize(
    ("box", "clicks", "kept"),
    [
        # 5 % of 20 px on each side; at least 1 px of 10 px.
        ((20, 20, 40, 40), (), (19, 19, 41, 41)),
        ((20, 20, 30, 40), (), (19, 19, 31, 41)),
        ((0, 0, 60, 60), (), (0, 0, 60, 60)),
        # A click on the object outside of the box.
        ((20, 20, 40, 40), ((50.5, 50.5),), (0, 0, 60, 60)),
        ((70, 70, 90, 90), (), (0, 0, 0, 0)),
        (None, ((30.5, 30.5),), (0, 0, 60, 60)),
    ],
)
def test_an_answer_to_a_box_stays_in_it(box, clicks, kept):
    mask = Mask((0, 0), np.ones((60, 60), bool))
    expected = np.zeros((100, 100), bool)
    expected[kept[0] : kept[2], kept[1] : kept[3]] = True
    found = confine(mask, Prompt(points=clicks, box=box))
    np.testing.assert_array_equal(whole(found, (100, 100)), expected)


def test_a_click_off_the_object_outside_of_the_box_changes_nothing():
    mask = Mask((10, 10), np.ones((30, 30), bool))
    prompt = Prompt(points=((60.5, 60.5),), labels=(0,), box=(20, 20, 40, 40))
    assert confine(mask, prompt).slices == (slice(19, 40), slice(19, 40))


@pytest.mark.parametrize("fills", [False, True])
def test_a_model_may_like_boxes_filled(monkeypatch, fills):
    prompter, asked = BrightnessPrompter(), []
    decode = prompter.decode
    monkeypatch.setattr(
        prompter, "decode", lambda e, prompts, **o: asked.append(prompts) or decode(e, prompts, **o)
    )
    prompter.habits = Habits(fills_boxes=fills)
    session = session_of(two_objects(), prompter)
    box = (46, 58, 60, 76)
    session.segment(box=box)
    session.segment(points=[(50.5, 61.5)], labels=[0], box=box)
    own = Mask((48, 60), np.ones((10, 15), bool))
    session.segment(mask=own)
    assert [prompts.points.shape[1] for prompts in asked] == [int(fills), 1, 0]
    assert asked[1].labels.tolist() == [[0]]
    view = session.view_for(None, box)
    np.testing.assert_array_equal(asked[2].logits[0], session.to_logits(view, own))
    if fills:
        np.testing.assert_allclose(asked[0].points[0], session.to_picture(view, [(53, 67)]))
        assert asked[0].labels.tolist() == [[1]]
        inscribed = session.to_logits(view, ellipse(box))
        for prompts in asked[:2]:
            np.testing.assert_array_equal(prompts.logits[0], inscribed)
    else:
        assert asked[0].logits is asked[1].logits is None


def test_a_mask_is_a_prompt():
    mask = np.zeros((320, 400), bool)
    mask[46:60, 58:77] = True
    session = session_of(two_objects())
    (found,) = session.segment(mask=mask).masks
    assert abs(found.area - 150) <= 15
    same = session.segment(mask=Mask((46, 58), np.ones((14, 19), bool)))
    np.testing.assert_array_equal(same.masks[0].pixels, found.pixels)


def test_logits_of_a_mask_say_how_much_of_each_cell_is_inside():
    session = session_of(np.zeros((64, 64), np.uint8))
    view = session.views()[0]
    logits = session.to_logits(view, Mask((3, 0), np.ones((4, 64), bool)))
    assert logits.shape == (32, 32)
    np.testing.assert_allclose(logits[:5, 0], [-8, 0, 8, 0, -8])


def test_many_prompts_are_one_batch_in_order():
    image = np.zeros((64, 64), np.uint8)
    image[5:10, 5:10] = image[20:28, 40:50] = 255
    prompter = BrightnessPrompter()
    session = session_of(image, prompter)
    found = session.segment(points=[[(22, 45)], [(7, 7)], [(40, 40)]])
    assert prompter.decoded == [3]
    assert [mask.area for mask in found.masks] == [80, 25, 0]
    assert found.scores[2] == 0


def test_prompts_of_several_kinds_are_batches_of_their_own():
    image = np.zeros((64, 64), np.uint8)
    image[5:10, 5:10] = image[20:28, 40:50] = 255
    prompter = BrightnessPrompter()
    session = session_of(image, prompter)
    asked = [
        Prompt(((7, 7),)),
        Prompt(box=(19, 39, 29, 51)),
        Prompt(((22, 45),)),
        Prompt(((7, 7), (22, 45)), (1, 0)),
    ]
    found = session.candidates(asked)
    assert sorted(prompter.decoded) == [1, 1, 2]
    assert [answer[0].mask.area for answer in found] == [25, 80, 80, 25]
    assert [len(answer) for answer in found] == [3, 1, 3, 1]


def test_batches_are_as_large_as_the_device_likes():
    prompter = BrightnessPrompter(batch_size=2)
    image = np.full((64, 64), 255, np.uint8)
    session_of(image, prompter).segment(points=[[(5, 5)]] * 5)
    assert prompter.decoded == [2, 2, 1]


def test_smaller_batches_where_memory_runs_out():
    class Small(BrightnessPrompter):
        def decode(self, embedding, prompts, **options):
            if len(prompts) > 2:
                raise DeviceMemoryError("out of memory")
            return super().decode(embedding, prompts, **options)

    prompter = Small()
    image = np.full((64, 64), 255, np.uint8)
    found = session_of(image, prompter).segment(points=[[(5, 5)]] * 5)
    assert [mask.area for mask in found.masks] == [64 * 64] * 5
    assert prompter.decoded == [2, 2, 1]


def test_a_corrective_click_stays_in_its_view_with_its_logits():
    seen = []

    class Watched(BrightnessPrompter):
        def decode(self, embedding, prompts, **options):
            seen.append(prompts)
            return super().decode(embedding, prompts, **options)

    session = session_of(two_objects(), Watched())
    ((first, *_),) = session.candidates([Prompt(((150, 300),))])
    ((second,),) = session.candidates([Prompt(((150, 300), (20, 20)), (1, 0), previous=first)])
    assert second.view == first.view
    np.testing.assert_array_equal(seen[-1].logits[0], first.logits)


def test_a_correction_beyond_the_view_takes_the_mask_along():
    seen = []

    class Watched(BrightnessPrompter):
        def decode(self, embedding, prompts, **options):
            seen.append(prompts)
            return super().decode(embedding, prompts, **options)

    session = session_of(two_objects(), Watched())
    ((first, *_),) = session.candidates([Prompt(((53, 67),))])
    ((second,),) = session.candidates([Prompt(((53, 67), (150, 300)), previous=first)])
    assert second.view != first.view
    assert seen[-1].logits is not None
    # Both objects: what the first click gave came along as logits.
    assert second.mask.slices[0].start < 58
    assert second.mask.slices[1].stop == 360


def test_planes_of_a_stack():
    stack = np.zeros((3, 70, 70), np.uint8)
    stack[1, 10:20, 10:20] = 255
    session = session_of(stack)
    assert session.segment(points=[(15, 15)], plane=1).masks[0].area == 100
    assert session.segment(points=[(15, 15)], plane=(0,)).masks[0].area == 0
    for plane in (None, 3, (0, 0), -1):
        with pytest.raises(InputError, match="plane"):
            session.segment(points=[(15, 15)], plane=plane)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({}, "none of these"),
        ({"points": [(400, 5)]}, "inside the plane of 320 x 400"),
        ({"points": [(np.nan, 5)]}, "finite"),
        ({"points": [(5, 5)], "labels": [1, 0]}, "one for each of 1 points"),
        ({"points": [(5, 5)], "labels": [2]}, "1 .on the object. or 0"),
        ({"points": [[(5, 5)]], "box": [[0, 0, 9, 9]] * 2}, "same number of objects"),
        ({"points": [(5, 5, 5)]}, "row, col"),
        ({"points": "here"}, "points"),
        ({"labels": [1]}, "points that they belong to"),
        ({"box": (9, 9, 3, 3)}, "min < max"),
        ({"box": (1, 2, 3)}, "row_min"),
        ({"box": (500, 500, 600, 600)}, "inside the plane"),
        ({"mask": np.zeros((320, 400), bool)}, "empty mask"),
        ({"mask": np.zeros((320, 400))}, "bool array"),
        ({"mask": np.ones((400, 400), bool)}, "sticks out"),
    ],
)
def test_prompts_that_cannot_be_are_refused(prompt, message):
    with pytest.raises(InputError, match=message):
        session_of(two_objects()).segment(**prompt)


def test_one_object_and_many_are_told_apart():
    assert len(read_prompts(points=[(1, 2), (3, 4)])) == 1
    assert len(read_prompts(points=[[(1, 2)], [(3, 4), (5, 6)]])) == 2
    assert len(read_prompts(points=np.zeros((3, 1, 2)))) == 3
    assert len(read_prompts(box=(0, 0, 1, 1))) == 1
    assert len(read_prompts(box=np.array([[0, 0, 1, 1]] * 2))) == 2
    several = read_prompts(points=[[], [(1, 2)]], labels=[[], [0]], box=[(0, 0, 1, 1)] * 2)
    assert [len(prompt.points) for prompt in several] == [0, 1]
    assert several[1].labels == (0,)
    assert read_prompts(points=[(1, 2)], box=(0, 0, 9, 9))[0].box == (0, 0, 9, 9)


def test_unknown_settings_are_refused():
    with pytest.raises(InputError, match="unknown"):
        session_of(two_objects(), weights="x.pth")


# ---------------------------------------------------------------------------------- the requests


def test_a_list_of_prompts_is_a_segmentation_with_a_recipe():
    stack = np.zeros((2, 64, 64), np.uint8)
    stack[0, 5:10, 5:10] = stack[1, 20:28, 40:50] = 255
    session = session_of(stack)
    categories = name_categories(["cell", "debris", "cell"])
    requests = [
        Request(Prompt(((22, 45),)), (1,), 2),
        Request(Prompt(box=(4, 4, 11, 11)), (0,), 1),
        Request(Prompt(((60, 60),)), (0,), 1),
    ]
    run = AskedRun(session, requests, categories)
    steps = list(run)
    assert (steps[-1].done, steps[-1].total) == (3, 3)
    result = run.result()
    assert result.count == 2
    assert result.table.category.tolist() == ["cell", "debris"]
    assert result.instances.shape == (2, 64, 64)
    assert result.warnings[1:] == ("nothing was found for 1 of the prompts",)
    assert "Z (z-stack, 2) was guessed" in result.warnings[0]
    assert result.recipe["model"]["sha256"] == "0" * 64
    again, names = requests_from_json(result.recipe["prompts"])
    assert names == categories
    repeated = AskedRun(session, again, names)
    for _ in repeated:
        pass
    np.testing.assert_array_equal(repeated.result().instances, result.instances)


def test_masks_go_through_a_recipe():
    pixels = np.random.default_rng(0).random((5, 7)) > 0.5
    for mask in (pixels, ~pixels, np.ones((2, 3), bool)):
        values = requests_to_json([Request(Prompt(mask=Mask((3, 4), mask)))], name_categories([]))
        ((request,), _) = requests_from_json(values)
        assert request.prompt.mask.origin == (3, 4)
        np.testing.assert_array_equal(request.prompt.mask.pixels, mask)


def test_leaving_the_run_keeps_what_is_done():
    image = np.full((64, 64), 255, np.uint8)
    session = session_of(image, BrightnessPrompter(batch_size=1))
    run = AskedRun(session, [Request(Prompt(((5, 5),)))] * 3, name_categories([]))
    for progress in run:
        if progress.done == 1:
            break
    result = run.result()
    assert not result.complete
    assert len(result.raw[0]) == 1


def two_squares() -> np.ndarray:
    image = np.zeros((24, 40), np.uint8)
    image[4:12, 4:12] = image[4:12, 20:30] = 255
    return image


def test_what_was_asked_for_an_answer_is_asked_again():
    session = session_of(two_squares())
    (first,) = session.candidates([Prompt(((6, 6),))])
    (wider,) = session.candidates([Prompt(((6, 6), (6, 24)), previous=first[2])], reach=0)
    (last,) = session.candidates(
        [Prompt(((6, 6), (6, 24), (6, 6)), (1, 1, 0), previous=wider[0])], multimask=True
    )
    request = Request.of(last[1], (), 1)
    values = json.loads(json.dumps(requests_to_json([request], name_categories([]))))
    assert values[0]["corrects"]["corrects"]["choice"] == 2
    assert (values[0]["choice"], values[0]["multimask"]) == (1, True)
    assert values[0]["corrects"]["reach"] == 0
    ((again,), _) = requests_from_json(values)
    found = answer(session_of(two_squares()), again)
    assert found.mask.origin == last[1].mask.origin
    np.testing.assert_array_equal(found.mask.pixels, last[1].mask.pixels)
    np.testing.assert_array_equal(found.logits, last[1].logits)


def test_a_drawn_mask_is_corrected_as_it_was():
    session, mask = session_of(two_squares()), Mask((3, 3), np.ones((10, 30), bool))
    before = drawn(session, (), mask)
    (found,) = session.candidates([Prompt(((6, 6),), (0,), mask=mask, previous=before)])
    request = Request.of(found[0], (), 1)
    assert request.corrects is not None
    assert request.corrects.drawn
    ((again,), _) = requests_from_json(requests_to_json([request], name_categories([])))
    np.testing.assert_array_equal(answer(session, again).mask.pixels, found[0].mask.pixels)
    # It may be accepted as it is, too: no model is asked.
    whole = session.draw([{"index": 3, "mask": filled(3, 3, 13, 33), "drawn": True}])
    assert (whole.instances == 3).sum() == 300


def boxes(*corners: tuple[int, int, int, int]) -> list[dict[str, object]]:
    return [{"drawn": True, "mask": filled(*one)} for one in corners]


def filled(top: int, left: int, bottom: int, right: int) -> dict[str, object]:
    shape = [bottom - top, right - left]
    return {"origin": [top, left], "shape": shape, "runs": [0, shape[0] * shape[1]]}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ([{}, {}], ["AAAB"] * 2),
        ([{}, {"overwrite": True}], ["ABBB"] * 2),
        ([{"overwrite": True}, {"overwrite": True, "together": True}], ["AAAB"] * 2),
        ([{}, {"index": 1}], ["AAAA"] * 2),
        ([{}, {"index": 1, "replaces": True}], [".AAA"] * 2),
    ],
    ids=["free pixels only", "over others", "the first of two", "parts of one", "anew"],
)
def test_objects_are_painted_in_their_order(more, expected):
    session = session_of(np.zeros((2, 4), np.uint8))
    prompts = [
        {"index": i, **one, **how}
        for i, (one, how) in enumerate(
            zip(boxes((0, 0, 2, 3), (0, 1, 2, 4)), more, strict=True), start=1
        )
    ]
    labels = session.draw(prompts)
    np.testing.assert_array_equal(labels.instances, draw("\n".join(expected)))
    again = AskedRun(session, *requests_from_json(labels.recipe["prompts"]))
    for _ in again:
        pass
    np.testing.assert_array_equal(again.labels().instances, labels.instances)


def test_a_drawn_list_has_a_table_with_classes():
    stack = np.zeros((2, 24, 40), np.uint8)
    stack[0] = stack[1] = two_squares()
    session = session_of(stack, axes="ZYX")
    labels = session.draw(
        [
            {"index": 7, "plane": [1], "points": [[6, 6]], "category": "cell"},
            {"index": 2, "plane": [0], "box": [2, 18, 14, 32], "category": "debris"},
            {"index": 7, "plane": [0], "points": [[6, 6]], "category": "cell"},
            {"index": 9, "plane": [0], "points": [[20, 2]]},
        ]
    )
    assert labels.table["index"].tolist() == [2, 7]
    assert labels.table["category"].tolist() == ["debris", "cell"]
    assert labels.table["area"].tolist() == [80, 128]
    assert labels.table["score"].tolist() == pytest.approx([0.95, 0.9])
    assert [c.name for c in labels.categories] == ["cell", "debris", "object"]
    assert "nothing was found for 1 of the prompts" in labels.recipe["warnings"]
    # Without labels of their own, they are numbered by their score, as any result.
    assert session.draw([{"plane": [0], "points": [[6, 6]]}]).recipe["prompts"][0]["box"] is None


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([{"points": [[6, 6]], "indexes": 1}], "expected some of .*, got 'indexes'"),
        ([{"points": [[6, 6]], "index": 1}, {"points": [[6, 6]]}], "an index of each object"),
        ([{"points": [[6, 6]], "index": "a"}], "as a recipe has them"),
        ([{"points": [[6, 6]], "choice": 3}], "one of 3 answers"),
        ([{}], "points, a box or a mask"),
        ([7], "as a recipe has them"),
        ([{"points": [[6, 600]]}], "inside the plane"),
    ],
)
def test_lists_that_cannot_be_drawn(prompts, message):
    with pytest.raises(InputError, match=message):
        session_of(two_squares()).draw(prompts)
