"""Results on disk: what memory gives, from files, and after any interruption the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import ComponentSegmenter, brightness
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_instseg.instances import Instances, Mask
from napari_instseg.io.npy import read_npz
from napari_instseg.io.run_folder import RunFolder
from napari_instseg.io.tile_files import read_tile, write_tile
from napari_instseg.ops.axes import Image
from napari_instseg.ops.masks import paint_visible
from napari_instseg.ops.objects import Objects
from napari_instseg.ops.results import TileResult
from napari_instseg.ops.tiling import Tile
from napari_instseg.ops.visibility import Overlaps, find_visible, paint_window, shown_in
from napari_instseg.pipeline import Run, run_to_end
from napari_instseg.saved import read_result
from napari_instseg.segmenter import RGB, Category, InputError, Prediction, Rules
from napari_instseg.settings import Settings

OUTPUTS = ("instances", "semantic", "panoptic")


class Noisy(ComponentSegmenter):
    """Components, some of them twice and grown, with scores by their size; dark ground is soil."""

    categories = (Category(1, "object"), Category(5, "soil", is_thing=False))
    rules = Rules(min_stuff_area=40)

    def segment(self, tiles: Sequence[RGB]) -> list[Prediction]:
        return [self._more(p, tile) for p, tile in zip(super().segment(tiles), tiles, strict=True)]

    def _more(self, prediction: Prediction, tile: RGB) -> Prediction:
        found = prediction.instances
        height = found.image_shape[0]
        masks = list(found.masks)
        for mask in found.masks[::3]:
            rows, cols = mask.slices
            wide = np.zeros((min(rows.stop + 3, height) - rows.start, cols.stop - cols.start), bool)
            wide[: mask.pixels.shape[0]] = mask.pixels
            wide[-4:] |= mask.pixels[-1]
            masks.append(Mask(mask.origin, wide))
        scores = [0.2 + 0.7 * (mask.area % 97) / 97 for mask in masks]
        found = Instances.create(found.image_shape, masks, scores=scores)
        return Prediction(found, np.where(tile[..., 0] < 0.2, 5, 0))


def picture(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    """Planes of bright ellipses on a ground that is dark on the left."""
    if 0 in shape:
        return np.zeros(shape, np.float32)
    rng = np.random.default_rng(seed)
    planes = []
    y, x = np.ogrid[: shape[-2], : shape[-1]]
    for _ in range(int(np.prod(shape[:-2]))):
        labels = np.zeros(shape[-2:], np.int32)
        for n in range(1, shape[-2] * shape[-1] // 400):
            row, col, a, b = (*rng.uniform((0, 0), shape[-2:]), *rng.uniform(3, 12, 2))
            labels[((y - row) / a) ** 2 + ((x - col) / b) ** 2 <= 1] = n
        plane = brightness(labels)
        plane[(labels == 0) & (x >= shape[-1] // 2)] = 0.4
        planes.append(plane)
    return np.stack(planes).reshape(shape)


def make(
    tmp_path: Path, data: NDArray[Any], axes: str, run: dict[str, Any] | None = None, **wanted: Any
) -> tuple[Any, Any]:
    """The same run in memory and on disk."""
    image, chosen = Image(data, axes), Settings(limits=((0.0, 1.0),), **wanted)
    folder = RunFolder(tmp_path / "run", {})
    memory = Run(image, Noisy(diameter=20.0), chosen, **(run or {}))
    disk = Run(image, Noisy(diameter=20.0), chosen, shelf=folder, **(run or {}))
    for _ in disk:
        pass
    folder.close()
    return run_to_end(memory), disk


def assert_same(stored: Any, result: Any) -> None:
    for output in OUTPUTS:
        labels = getattr(stored, output)
        assert labels.shape == getattr(result, output).shape
        np.testing.assert_array_equal(np.asarray(labels), getattr(result, output))
        assert labels.largest >= getattr(result, output).max(initial=0)
    pd.testing.assert_frame_equal(stored.table, result.table)
    assert stored.recipe == result.recipe
    assert stored.count == result.count


@pytest.mark.parametrize(
    ("shape", "axes", "wanted", "run"),
    [
        ((150, 170), "YX", {"tile_size": 64, "overlap": 24}, {}),
        ((2, 3, 90, 70), "TZYX", {"tile_size": 64, "overlap": 24}, {}),
        ((150, 170), "YX", {"tile_size": 64, "overlap": 24, "diameter": 13.0}, {}),
        ((130, 170), "YX", {}, {"region": (slice(20, 111), slice(33, 150))}),
        ((3, 90, 70), "ZYX", {"tile_size": 64, "overlap": 24}, {"planes": [(2,), (0,)]}),
        ((0, 40), "YX", {}, {}),
        ((0, 40, 40), "ZYX", {}, {}),
    ],
)
def test_what_is_stored_is_what_memory_gives(
    shape: tuple[int, ...],
    axes: str,
    wanted: dict[str, Any],
    run: dict[str, Any],
    tmp_path: Path,
) -> None:
    result, disk = make(tmp_path, picture(shape), axes, run, **wanted)
    stored = disk.stored()
    assert_same(stored, result)
    assert_same(stored.with_score_threshold(0.7), result.with_score_threshold(0.7))
    # The shelf gives the whole result, too.
    again = disk.result()
    np.testing.assert_array_equal(again.panoptic, result.panoptic)
    if result.count > 30:
        assert {"object", "soil"} == set(result.table["category"])
        assert (result.table["hidden_area"] > 0).any()


def test_label_images_are_indexed_as_arrays_are(tmp_path: Path) -> None:
    result, disk = make(tmp_path, picture((2, 3, 90, 70)), "TZYX", tile_size=64, overlap=24)
    lazy, whole = disk.stored().instances, result.instances
    for key in [
        1,
        (1, 2),
        (..., slice(10, 40)),
        (0, slice(1, None), slice(5, 60, 7), slice(-30, None)),
        (slice(None), -1, 33, 12),
        (slice(0, 0), 0),
        (1, 1, slice(60, 20, -3), slice(None, None, -1)),
    ]:
        np.testing.assert_array_equal(lazy[key], whole[key])
    turned = lazy.transpose((1, 0, 2, 3))
    assert turned.shape == (3, 2, 90, 70)
    np.testing.assert_array_equal(turned[2, 1], whole[1, 2])
    np.testing.assert_array_equal(turned.transpose((1, 0, 2, 3)), whole)
    with pytest.raises(ValueError, match="stay the last axes"):
        lazy.transpose((0, 3, 2, 1))
    with pytest.raises(IndexError):
        lazy[2]
    with pytest.raises(IndexError, match="at most 4"):
        lazy[0, 0, 0, 0, 0]


# ------------------------------------------------------------------------- what can be seen


@st.composite
def crowds(draw: st.DrawFn) -> list[Mask]:
    """Random masks in a plane of 40 x 50 px."""
    masks = []
    for _ in range(draw(st.integers(0, 14))):
        top, left = draw(st.integers(0, 36)), draw(st.integers(0, 46))
        height, width = draw(st.integers(1, 40 - top)), draw(st.integers(1, 50 - left))
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        tight = Mask((top, left), rng.random((height, width)) < 0.8).tight()
        if tight is not None:
            masks.append(tight)
    return masks


@given(crowds(), st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_objects_are_seen_as_if_all_were_painted(
    masks: list[Mask], least: float, random: Any
) -> None:
    shape = (40, 50)
    rank = list(range(1, len(masks) + 1))
    random.shuffle(rank)
    numbers = np.array(rank, np.int32)
    canvas = np.zeros(shape, np.int32)
    expected = paint_visible(canvas, masks, numbers, least)
    cut = random.randint(0, len(masks))
    parts = [Instances.create(shape, masks[:cut]), Instances.create(shape, masks[cut:])]
    objects = Objects(shape, parts)
    overlaps = Overlaps(objects.bounds)
    visible, area = find_visible(objects, overlaps, numbers, least)
    np.testing.assert_array_equal(visible, expected[0])
    np.testing.assert_array_equal(area, expected[1])
    shown = np.where(visible >= least * area, numbers, np.int32(0))
    part = slice(7, 33), slice(11, 50)
    near = shown_in(overlaps, shown, len(masks), *part)
    some = random.randint(0, len(masks))
    less = shown_in(overlaps, shown, some, *part)
    np.testing.assert_array_equal(less, near[shown[near] <= some])
    window = paint_window([objects.mask(i) for i in near], shown[near], *part)
    np.testing.assert_array_equal(window, canvas[7:33, 11:50])


# ------------------------------------------------------------------------------------- files


def a_result() -> TileResult:
    masks = [Mask((3, 4), np.eye(5, dtype=bool)), Mask((0, 0), np.ones((1, 1), bool))]
    found = Instances.create((20, 30), masks, scores=[0.25, 1.0], category_ids=[3, 70000])
    semantic = np.arange(50, dtype=np.int32).reshape(5, 10)
    return TileResult(found, Tile(2, 3, 7, 13), semantic, 17, (100, 0.125))


@pytest.mark.parametrize("empty", [False, True])
def test_a_tile_comes_back_as_it_was(empty: bool, tmp_path: Path) -> None:
    given_, path = a_result(), tmp_path / "tile.npz"
    if empty:
        given_ = TileResult(Instances.empty((9, 9)), Tile(0, 0, 9, 9))
    write_tile(path, given_)
    back = read_tile(path)
    assert (back.core, back.non_finite, back.capped) == (
        *(given_.core, given_.non_finite, given_.capped),
    )
    for name in ("boxes", "scores", "category_ids"):
        np.testing.assert_array_equal(
            getattr(back.instances, name), getattr(given_.instances, name)
        )
    for a, b in zip(back.instances.masks, given_.instances.masks, strict=True):
        assert a.origin == b.origin
        np.testing.assert_array_equal(a.pixels, b.pixels)
    if not empty:
        np.testing.assert_array_equal(back.semantic, given_.semantic)


@pytest.mark.parametrize("kept", [0, 0.3, 0.9])
def test_a_cut_off_file_is_named(kept: float, tmp_path: Path) -> None:
    path = tmp_path / "tile.npz"
    write_tile(path, a_result())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(InputError, match=r"tile.npz: not the whole result of a tile"):
        read_tile(path)


def test_a_file_with_a_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tile.npz"
    np.savez(path, boxes=np.array([{"run": "me"}], object))
    with pytest.raises(InputError, match="not the whole result"):
        read_tile(path)


@pytest.mark.parametrize(
    ("shape", "axes", "run"),
    [
        ((150, 170), "YX", {}),
        ((2, 2, 90, 70), "TZYX", {}),
        ((3, 90, 70), "ZYX", {"planes": [(2,), (0,)]}),
        ((0, 40), "YX", {}),
    ],
)
def test_raw_objects_of_a_stored_result_give_any_threshold_again(
    shape: tuple[int, ...], axes: str, run: dict[str, Any], tmp_path: Path
) -> None:
    data, tiles = picture(shape), {"tile_size": 64, "overlap": 24}
    memory, disk = make(tmp_path, data, axes, run, **tiles, score_threshold=0.6)
    files = disk.stored().save(tmp_path / "out", "a", format="zarr", raw=True)
    assert files[-3].name == "a_objects.npz"
    again = read_result(tmp_path / "out" / "a")
    np.testing.assert_array_equal(again.numbers, memory.numbers)
    for threshold in (0.6, 0.25, 0.8):
        shown = again.with_score_threshold(threshold)
        fresh, _ = make(
            tmp_path / str(threshold), data, axes, run, **tiles, score_threshold=threshold
        )
        for output in OUTPUTS:
            np.testing.assert_array_equal(getattr(shown, output), getattr(fresh, output))
        pd.testing.assert_frame_equal(shown.table, fresh.table)
    # The same file as of the result in memory.
    memory.save(tmp_path / "memory", "a", format="zarr", raw=True)
    ours, theirs = (read_npz(tmp_path / name / "a_objects.npz") for name in ("out", "memory"))
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[key], theirs[key]) for key in ours)
