"""Ids beyond int32: the same numbers in a wider type, on every way from model to file."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr
from distributed import Client
from helpers import ComponentSegmenter, brightness, draw, mask_of
from lapses import lapse
from local_workers import local_workers
from numpy.typing import NDArray
from test_stored import Noisy, assert_same, picture
from volumes import ellipsoids

import napari_instseg as nis
from napari_instseg.cluster import DaskHands
from napari_instseg.editing import Editor
from napari_instseg.evaluation import evaluate
from napari_instseg.file_run import FileRun
from napari_instseg.instances import Instances
from napari_instseg.io.images import read_image, read_labels
from napari_instseg.io.label_zarr import write_label_zarr
from napari_instseg.io.labels import write_labels
from napari_instseg.io.objects import Objects, read_objects, write_objects
from napari_instseg.io.run_folder import RunFolder
from napari_instseg.label_set import LabelSet
from napari_instseg.ops import ids
from napari_instseg.ops.axes import Image
from napari_instseg.ops.lazy import LazyLabels
from napari_instseg.ops.masks import paint_visible
from napari_instseg.ops.measuring import measure_labels
from napari_instseg.ops.objects import Numbers
from napari_instseg.ops.preview import Preview
from napari_instseg.ops.pyramid import halve
from napari_instseg.ops.results import TileResult
from napari_instseg.ops.stuff import Stuff
from napari_instseg.ops.tiling import Tile
from napari_instseg.ops.visibility import paint_window
from napari_instseg.ortho import new_run
from napari_instseg.pipeline import Run, run_to_end
from napari_instseg.remote import portable
from napari_instseg.segmentation import Segmentation
from napari_instseg.segmenter import Category, InputError, Rules
from napari_instseg.settings import Settings
from napari_instseg.stored_planes import Known, Scene, StoredPlane

# Dask warns on a busy machine.
pytestmark = pytest.mark.filterwarnings("ignore:Creating scratch directories:UserWarning")

OUTPUTS = ("instances", "semantic", "panoptic")
TILED = {"tile_size": 64, "overlap": 24, "limits": ((0.0, 1.0),)}
#: In place of the largest int32.
LOW = 6
#: Beyond int32, and beyond uint32.
HUGE = (2**31 - 1, 2**31, 2**31 + 7, 2**32 + 5)


@pytest.fixture
def low(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take int64 from the next one on."""
    monkeypatch.setattr(ids, "LARGEST_INT32", LOW)


def painted(result: Segmentation) -> Segmentation:
    """Number and paint now: a result does so when it is first asked."""
    # Beyond what stands for uint32 below.
    assert result.count > 2 * LOW + 1
    assert result.instances.any()
    assert len(result.table)
    return result


def assert_wide(wide: Segmentation, narrow: Segmentation) -> None:
    """The same in all, but for the type of ids."""
    for output in ("instances", "panoptic"):
        assert getattr(narrow, output).dtype == np.int32
        assert getattr(wide, output).dtype == np.int64
    for output in OUTPUTS:
        np.testing.assert_array_equal(getattr(wide, output), getattr(narrow, output))
    np.testing.assert_array_equal(wide.numbers, narrow.numbers)
    pd.testing.assert_frame_equal(wide.table, narrow.table, check_dtype=False)


# ------------------------------------------------------------------------------- whole runs


def test_a_real_picture_in_memory_and_into_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_image(Path(nis.__file__).parent / "data" / "fluorescence.png").data
    image, model = Image(whole[:160, :224], "YX"), nis.load_model(device="cpu")
    settings = Settings(tile_size=128, overlap=32, device="cpu")
    narrow = painted(run_to_end(Run(image, model.segmenter, settings, model=model.identity)))
    narrow.save(tmp_path / "narrow", "a", "zarr")
    monkeypatch.setattr(ids, "LARGEST_INT32", LOW)
    wide = run_to_end(Run(image, model.segmenter, settings, model=model.identity))
    assert_wide(wide, narrow)
    # Left after some tiles, and gone on with.
    for stop in (3, 100):
        what = image, model, settings, tmp_path / "out", "a", "zarr"
        with FileRun(*what, existing="resume") as run:
            for number, _ in enumerate(run):
                if number == stop:
                    break
            else:
                run.save()
        assert [*(tmp_path / "out").glob(".a.run/**/*.npz")] or stop == 100
    for output in ("instances", "panoptic"):
        before, after = (
            zarr.open_array(tmp_path / name / f"a_{output}.zarr" / "0", mode="r")
            for name in ("narrow", "out")
        )
        assert (before.dtype, after.dtype) == (np.uint32, np.uint64)
        np.testing.assert_array_equal(before[...], after[...])
    for name in ("a_segments.csv", "a_recipe.json"):
        old, new = ((tmp_path / folder / name).read_bytes() for folder in ("narrow", "out"))
        assert old == new


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with local_workers(1, threads=2) as client:
        yield client


def test_stuff_planes_and_workers(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, settings = Image(picture((2, 2, 90, 70)), "TZYX"), Settings(**TILED)
    narrow = painted(run_to_end(Run(image, Noisy(diameter=20.0), settings)))
    # Workers do not know of the lower limit: the type comes with the numbers.
    monkeypatch.setattr(ids, "LARGEST_INT32", LOW)
    wide = run_to_end(Run(image, Noisy(diameter=20.0), settings))
    assert_wide(wide, narrow)
    with RunFolder(tmp_path / "run", {}) as folder:
        sent = portable(image, None, folder.path)
        hands = DaskHands(client)
        run = Run(sent, Noisy(diameter=20.0), settings, shelf=folder, hands=hands)
        for _ in run:
            pass
        stored = run.stored()
        assert_same(stored, narrow)
        assert stored.instances.dtype == stored.panoptic.dtype == np.int64
        assert stored.panoptic[0].dtype == np.int64
        assert stored.objects.numbers.dtype == np.int64
        np.testing.assert_array_equal(stored.objects.numbers, wide.numbers)
        stored.save(tmp_path / "workers", format="zarr")
    wide.save(tmp_path / "alone", format="zarr")
    for output in ("instances", "panoptic"):
        one, other = (
            zarr.open_array(tmp_path / name / f"{output}.zarr" / "0", mode="r")
            for name in ("workers", "alone")
        )
        assert one.dtype == other.dtype == np.uint64
        np.testing.assert_array_equal(one[...], other[...])


@pytest.mark.parametrize("ortho", [False, True])
def test_objects_through_z(ortho: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image(brightness(ellipsoids((12, 70, 70), 24, radius=(4.0, 6.0))), "ZYX")
    settings = Settings(link=True, link_fill=True, ortho=ortho, limits=((0.0, 1.0),))
    narrow = painted(run_to_end(new_run(image, ComponentSegmenter(), settings)))
    monkeypatch.setattr(ids, "LARGEST_INT32", LOW)
    wide = run_to_end(new_run(image, ComponentSegmenter(), settings))
    assert_wide(wide, narrow)
    pd.testing.assert_frame_equal(wide.links, narrow.links, check_dtype=False)


def test_tracks(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image(brightness(lapse(120, 4, 18, division=0.1).labels), "TYX")
    settings = Settings(track=True, track_split=True, limits=((0.0, 1.0),))
    narrow = painted(run_to_end(Run(image, ComponentSegmenter(), settings)))
    monkeypatch.setattr(ids, "LARGEST_INT32", LOW)
    wide = run_to_end(Run(image, ComponentSegmenter(), settings))
    assert_wide(wide, narrow)
    pd.testing.assert_frame_equal(wide.tracks, narrow.tracks, check_dtype=False)


def test_the_type_follows_the_largest_id_that_there_is(low: None) -> None:
    """Planes have more objects than what is made of them."""
    image = Image(brightness(ellipsoids((12, 60, 60), 5, radius=(4.0, 6.0))), "ZYX")
    result = run_to_end(Run(image, ComponentSegmenter(), Settings(link=True, limits=((0.0, 1.0),))))
    assert len(result.rendering.table) > LOW >= result.count > 1
    assert result.rendering.labels.dtype == np.int64
    assert result.instances.dtype == np.int32


def test_what_is_made_of_a_wide_result(low: None, tmp_path: Path) -> None:
    result = run_to_end(Run(Image(picture((150, 130)), "YX"), Noisy(), Settings(**TILED)))
    assert result.instances.dtype == np.int64
    less = result.with_score_threshold(0.6)
    assert less.instances.dtype == np.int64
    assert 0 < less.count < result.count
    result.save(tmp_path, "a", raw=True)
    again = nis.read_result(tmp_path / "a")
    np.testing.assert_array_equal(again.instances, result.instances)
    np.testing.assert_array_equal(
        nis.read_result(tmp_path / "a").with_score_threshold(0.6).instances, less.instances
    )
    editor = Editor(result.label_set)
    editor.apply("delete", ids=[1])
    assert 1 not in editor.labels.instances
    assert len(result.measure()) == len(result.table)
    assert evaluate(result, result.label_set).pooled.matches[0.5].average_precision == 1.0


# ------------------------------------------------------------------------------- huge numbers


@pytest.fixture
def labels() -> NDArray[np.int64]:
    return np.array([0, *HUGE])[draw("AA.BB\nAACCB\nDD.C.")]


def test_painting() -> None:
    masks = [mask_of("###"), mask_of("..\n##", (0, 1)), mask_of(".#\n##", (0, 2))]
    numbers = np.array([HUGE[3], HUGE[1], HUGE[2]])
    window = paint_window(masks, numbers, slice(0, 2), slice(0, 4))
    canvas = np.zeros((2, 4), np.int64)
    visible, area = paint_visible(canvas, masks, numbers, 0.0)
    expected = np.array([0, *numbers])[draw("AAAC\n.BBC")]
    np.testing.assert_array_equal(window, expected)
    np.testing.assert_array_equal(canvas, expected)
    assert window.dtype == np.int64
    assert (visible.tolist(), area.tolist()) == ([3, 2, 2], [3, 2, 3])


def test_stuff_gets_the_next_number() -> None:
    """The first number that int32 does not hold is that of a segment of stuff."""
    stuff = Stuff((Category(1, "cell"), Category(3, "glass", is_thing=False)), Rules(), HUGE[0])
    assert stuff.dtype == np.int64
    panoptic, semantic = np.zeros((1, 3), stuff.dtype), np.zeros((1, 3), np.int32)
    ground = np.array([[0, 3, 3]])
    stuff.look((), (0, 0), panoptic, ground)
    stuff.paint((), ground, semantic, panoptic)
    assert panoptic.tolist() == [[0, 2**31, 2**31]]
    assert Stuff((Category(1, "cell"),), Rules(), HUGE[0]).dtype == np.int32


@pytest.mark.parametrize(("largest", "dtype"), [(HUGE[0], np.int32), (HUGE[1], np.int64)])
def test_label_images_that_are_painted_where_looked_at(largest: int, dtype: Any) -> None:
    lazy = LazyLabels((2, 3), lambda *where: lambda: np.full((2, 3), largest), largest)
    assert lazy.dtype == lazy[...].dtype == dtype
    assert (np.asarray(lazy) == largest).all()


@pytest.mark.parametrize("count", range(1, 5))
def test_ome_zarr_holds_them(labels: NDArray[np.int64], count: int, tmp_path: Path) -> None:
    labels[labels > HUGE[count - 1]] = 0
    path = write_label_zarr(tmp_path / "a.zarr", labels, "YX", {}, {})
    array = zarr.open_array(path / "0", mode="r")
    assert array.dtype == (np.uint64 if count == 4 else np.uint32)
    np.testing.assert_array_equal(read_labels(path), labels)
    lazy = LazyLabels((3, 5), lambda plane, r, c: lambda: labels[r, c], int(labels.max()))
    write_label_zarr(path, lazy, "YX", {}, {})
    np.testing.assert_array_equal(read_labels(path), labels)


def test_tiff_holds_them_up_to_32_bit(labels: NDArray[np.int64], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"TIFF holds .* 4294967295, got 4294967301: write OME-Z"):
        write_labels(tmp_path / "a.tif", labels, "YX")
    assert [*tmp_path.iterdir()] == []
    labels[labels > 2**32 - 1] = 2**32 - 1
    write_labels(tmp_path / "a.tif", labels, "YX")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), labels)


def test_objects_keep_them(labels: NDArray[np.int64], tmp_path: Path) -> None:
    raw = Instances.from_labels(draw("AA.BB"))
    for numbers in ([3, 0], [HUGE[1], HUGE[3]]):
        found = np.array(numbers, ids.id_type(max(numbers)))
        path = write_objects(tmp_path / "a.npz", Objects((raw,), found, (), None))
        again = read_objects(path).numbers
        assert again.dtype == found.dtype
        np.testing.assert_array_equal(again, found)
    for wrong in (np.array([-1, 2]), np.array([1.5, 2]), np.array([1, 2**63], np.uint64)):
        write_objects(path, Objects((raw,), wrong, (), None))
        with pytest.raises(InputError, match="expected labels"):
            read_objects(path)


def test_pyramids_and_measurements(labels: NDArray[np.int64]) -> None:
    assert halve(labels).tolist() == [[HUGE[0], HUGE[2], HUGE[1]], [HUGE[3], 0, 0]]
    table = measure_labels(labels, "YX", [Image(np.ones((3, 5)), "YX", {}, "i")])
    assert table["index"].tolist() == [*HUGE]
    assert table["area"].tolist() == [4, 3, 3, 2]


def test_what_has_only_int32_says_so(labels: NDArray[np.int64]) -> None:
    """Corrections and scores do not take other numbers for these."""
    wide = LabelSet.from_labels(labels, "YX")
    assert wide.table["index"].tolist() == [*HUGE]
    with pytest.raises(InputError, match=r"labels .*2147483647, got .*4294967301"):
        Editor(wide).apply("delete", ids=[HUGE[1]])
    with pytest.raises(InputError, match=r"labels .*2147483647, got .*4294967301"):
        wide.read("instances")


def test_a_preview_begins_its_numbers_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    preview = Preview((1, 7), 0.5)
    preview._last = HUGE[0] - 1
    preview.add((), [TileResult(Instances.from_labels(draw("AA.B.CC")), Tile(0, 0, 1, 7))])
    values = [HUGE[0], 1, 2]
    assert sorted(np.unique(preview.labels).tolist()) == sorted([0, *values])


def test_a_window_takes_no_memory_for_objects_elsewhere() -> None:
    """The numbers there are large where there are many objects; the window has three."""
    found = Instances.from_labels(draw("AA.B.C."))
    result = TileResult(found, Tile(0, 0, 1, 7))
    numbers = np.array(HUGE[1:])[[1, 0, 2]]
    kinds = np.array([4, 5, 6], np.int32)
    where = Tile(0, 0, 1, 7)
    scene = Scene(
        lambda tile: result, where, {0: where}, [(0, i) for i in range(3)], numbers, kinds, []
    )
    tracemalloc.start()
    semantic, panoptic = scene.semantic(None), scene.panoptic(None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert semantic.tolist() == [[4, 4, 0, 5, 0, 6, 0]]
    assert panoptic.tolist() == [[HUGE[2]] * 2 + [0, HUGE[1], 0, HUGE[3], 0]]
    assert peak < 2**20


def test_finding_what_a_window_shows_takes_no_memory_for_objects_elsewhere() -> None:
    count = 40_000
    corner = 4 * np.stack(np.divmod(np.arange(count), 200), axis=1)
    bounds = np.concatenate([corner, corner + 2], axis=1)
    known = Numbers(
        np.array([count]),
        np.ones(count, np.float32),
        np.ones(count, np.int64),
        bounds.astype(np.float32),
        bounds,
    )
    plane = StoredPlane((800, 800), [Tile(0, 0, 800, 800)], None, [Known(known, [])])
    numbers = np.arange(1, count + 1, dtype=np.int32)
    where = slice(0, 8), slice(0, 8)
    plane.scene(numbers, count, *where)
    tracemalloc.start()
    scene = plane.scene(numbers, 201, *where)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert scene.numbers.tolist() == [1, 2, 201]
    # That of the numbers of all, and of whether they are shown, is 200 kB.
    assert peak < 100_000
