"""Runs with a segmenter whose right answer is known: every kind of image, every interruption."""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from helpers import ComponentSegmenter, brightness, draw, same_partition
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.measure import label as label_components

from napari_instseg.instances import Instances
from napari_instseg.ops.axes import Image
from napari_instseg.pipeline import Run, run_to_end
from napari_instseg.segmentation import Segmentation
from napari_instseg.segmenter import RGB, Category, DeviceMemoryError, InputError, Prediction
from napari_instseg.settings import Settings

FIELD = draw("""
    AAA...........
    AAA....BB.....
    .......BB.....
    ..............
    ...CCCC.......
    ...CCCC....DDD
    ...........DDD
""")
UNIT = ((0.0, 1.0),)


def blobs(shape: tuple[int, int], count: int, seed: int = 0) -> NDArray[np.int32]:
    """Ellipses of 6 to 24 px, the later over the earlier."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    y, x = np.ogrid[: shape[0], : shape[1]]
    for n in range(1, count + 1):
        row, col, a, b = (*rng.uniform((0, 0), shape), *rng.uniform(3, 12, 2))
        labels[((y - row) / a) ** 2 + ((x - col) / b) ** 2 <= 1] = n
    return labels


def segment(
    data: Any,
    axes: str = "YX",
    segmenter: ComponentSegmenter | None = None,
    run: dict[str, Any] | None = None,
    spacing: dict[str, float] | None = None,
    **settings: Any,
) -> Segmentation:
    image = data if isinstance(data, Image) else Image(data, axes, spacing or {})
    return run_to_end(
        Run(image, segmenter or ComponentSegmenter(), Settings(**settings), **(run or {}))
    )


def assert_found(result: Segmentation, truth: NDArray[np.integer]) -> None:
    assert same_partition(result.instances, truth), f"\n{result.instances}\n{truth}"
    assert result.complete
    assert result.warnings == ()


# ------------------------------------------------------------------------------ kinds of images


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i2", "f2", "f4", "f8", ">u2", ">f4"])
def test_every_dtype_gives_the_same_objects(dtype: str) -> None:
    scale = 1 if np.dtype(dtype).kind == "f" else 100
    data = (brightness(FIELD) * scale).astype(dtype)
    assert_found(segment(data, percentiles=(0, 100)), FIELD)


def test_bool_images_hold_objects_of_one_brightness() -> None:
    assert_found(segment(FIELD > 0), FIELD)


@pytest.mark.parametrize("samples", [3, 4])
def test_rgb_and_rgba(samples: int) -> None:
    data = np.repeat((brightness(FIELD) * 255).astype(np.uint8)[..., None], samples, axis=-1)
    data[..., 3:] = 77
    assert_found(segment(data, "YXS", percentiles=(0, 100)), FIELD)


@pytest.mark.parametrize("axes", ["CYX", "YCX", "YXC"])
def test_a_channel_is_chosen_wherever_its_axis_stands(axes: str) -> None:
    channels = np.stack([np.zeros_like(FIELD), FIELD[::-1], FIELD])
    data = np.einsum(f"CYX->{axes}", np.stack([brightness(c) for c in channels]))
    assert_found(segment(data, axes, channels=(2,), limits=UNIT), FIELD)
    assert_found(segment(data, axes, channels=(1,), limits=UNIT), FIELD[::-1])


def test_channels_are_painted_in_their_colours() -> None:
    data = np.stack([brightness(FIELD * (FIELD < 3)), brightness(FIELD * (FIELD > 2))])
    white = ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0))
    assert_found(segment(data, "CYX", colors=white, limits=UNIT), FIELD)
    # The segmenter looks at red alone.
    red = ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    assert_found(segment(data, "CYX", colors=red, limits=UNIT), FIELD * (FIELD > 2))


@pytest.mark.parametrize("axes", ["ZYX", "TYX", "TZYX", "TCZYX", "YXZ"])
def test_planes_are_segmented_one_by_one(axes: str) -> None:
    planes = [FIELD, FIELD[::-1], FIELD[:, ::-1], np.zeros_like(FIELD)]
    lead = {"ZYX": (4,), "TYX": (4,), "YXZ": (4,)}.get(axes, (2, 2))
    truth = np.stack(planes).reshape(*lead, *FIELD.shape)
    data = brightness(truth)
    if axes == "TCZYX":
        data = np.stack([np.zeros_like(data), data], axis=1)
    if axes == "YXZ":
        data = np.moveaxis(data, 0, -1)
    chosen = {"channels": (1,)} if "C" in axes else {}
    result = segment(data, axes, limits=UNIT, **chosen)
    assert result.instances.shape == truth.shape
    for index in np.ndindex(*lead):
        assert same_partition(result.instances[index], truth[index])
    numbers = result.instances[result.instances > 0]
    assert np.unique(numbers).tolist() == list(range(1, 13))
    columns = [result.table[axis.lower()] for axis in result.image.plane_axes]
    places = sorted(zip(*columns, strict=True))
    filled = [index for index in np.ndindex(*lead) if truth[index].any()]
    assert places == sorted(filled * 4)


@pytest.mark.parametrize("shape", [(0, 0), (0, 7), (7, 0), (0, 5, 6), (2, 0, 6)])
@pytest.mark.parametrize("diameter", [None, 10.0, "auto"])
def test_images_without_pixels(shape: tuple[int, ...], diameter: float | str | None) -> None:
    result = segment(
        np.zeros(shape, np.uint16), "ZYX"[-len(shape) :], ComponentSegmenter(10), diameter=diameter
    )
    assert result.instances.shape == result.panoptic.shape == result.semantic.shape == shape
    assert (result.count, len(result.table), result.warnings) == (0, 0, ())
    assert result.complete


@pytest.mark.parametrize("dtype", ["?", "u1", "u2", "u4", "f2", "f4", "f8"])
@pytest.mark.parametrize("value", [0, 1])
def test_empty_and_constant_images_hold_nothing(dtype: str, value: int) -> None:
    assert_found(segment(np.full((50, 70), value, dtype)), np.zeros((50, 70), int))


def test_an_image_of_nan_holds_nothing() -> None:
    result = segment(np.full((5, 6), np.nan))
    assert result.count == 0
    assert result.warnings == ("30 pixels are NaN or infinite and were masked",)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1)])
def test_images_one_pixel_wide(shape: tuple[int, int]) -> None:
    truth = np.zeros(shape, int)
    truth.flat[: shape[0] * shape[1] // 2 + 1] = 1
    result = segment(truth.astype(float), limits=UNIT, tile_size=64, overlap=32)
    assert_found(result, truth)


# ------------------------------------------------------------------------------------------ NaN


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize(("tile", "overlap"), [(1024, 128), (64, 32), (64, 20)])
@pytest.mark.parametrize("diameter", [None, 5.0])
def test_pixels_without_a_value_are_masked_and_counted_once(
    dtype: str, tile: int, overlap: int, diameter: float | None
) -> None:
    truth = blobs((150, 130), 20)
    data = brightness(truth).astype(dtype)
    data[30:33], data[:, 50], data[100, 100] = np.nan, np.inf, -np.inf
    bad = int(np.count_nonzero(~np.isfinite(data)))
    result = segment(
        data,
        segmenter=Threshold(10),
        tile_size=tile,
        overlap=overlap,
        limits=UNIT,
        diameter=diameter,
    )
    assert f"{bad} pixels are NaN or infinite and were masked" in result.warnings
    if diameter is None:
        assert not result.instances[30:33, :50].any()


def test_a_pixel_with_one_bad_channel_counts_once() -> None:
    data = np.zeros((2, 9, 9))
    data[:, 4, 4] = np.nan
    data[0, 1, 1] = np.nan
    assert segment(data, "CYX").warnings == ("2 pixels are NaN or infinite and were masked",)


# ------------------------------------------------------------------------------------ lazy data


class Ledger:
    """A dask array that notes which of its chunks were computed, in order."""

    def __init__(self, data: NDArray[Any], chunks: Any) -> None:
        self.read: list[tuple[int, ...]] = []

        def note(block: NDArray[Any], block_info: Any = None) -> NDArray[Any]:
            self.read.append(tuple(block_info[0]["chunk-location"]))
            return block

        self.array = da.from_array(data, chunks=chunks).map_blocks(
            note, dtype=data.dtype, meta=np.empty((0,) * data.ndim, data.dtype)
        )


def test_dask_arrays_are_computed_tile_by_tile() -> None:
    truth = blobs((256, 256), 30)
    ledger = Ledger(brightness(truth), (64, 64))
    run = Run(
        Image(ledger.array, "YX"),
        ComponentSegmenter(),
        Settings(limits=UNIT, tile_size=64, overlap=0),
    )
    steps = iter(run)
    next(steps)
    assert ledger.read == []
    for done in range(1, 17):
        next(steps)
        assert len(ledger.read) == done
    assert sorted(ledger.read) == list(itertools.product(range(4), range(4)))


def test_only_the_planes_channels_and_region_asked_for_are_read() -> None:
    data = np.zeros((3, 4, 128, 128), np.float32)
    data[1, 2] = brightness(blobs((128, 128), 10))
    ledger = Ledger(data, (1, 1, 64, 64))
    result = segment(
        Image(ledger.array, "ZCYX"),
        run={"planes": [(1,)], "region": (slice(0, 60), slice(70, 128))},
        channels=(2,),
        limits=UNIT,
    )
    assert ledger.read == [(1, 2, 0, 1)]
    assert result.count > 0
    assert isinstance(result.image.data, da.Array)


def test_an_image_in_a_file_is_not_loaded(tmp_path: Path) -> None:
    truth = blobs((200, 210), 30)
    np.save(tmp_path / "image.npy", brightness(truth))
    mapped = np.load(tmp_path / "image.npy", mmap_mode="r")
    result = segment(mapped, limits=UNIT, tile_size=96, overlap=48)
    assert_found(result, segment(np.asarray(mapped), limits=UNIT).instances)


# --------------------------------------------------------------------------- regions and planes


def test_a_region_gives_its_part_in_the_images_own_place() -> None:
    truth = blobs((160, 180), 40)
    region = (slice(37, 120), slice(50, 161))
    result = segment(
        brightness(truth), run={"region": region}, limits=UNIT, tile_size=64, overlap=32
    )
    alone = segment(brightness(truth)[region], limits=UNIT)
    expected = np.zeros_like(truth)
    expected[region] = alone.instances
    assert same_partition(result.instances, expected)
    assert result.raw[0].boxes[:, 0].min() >= 50


@pytest.mark.parametrize("region", [(slice(5, 5), slice(0, 9)), (slice(0, 9), slice(99, 120))])
def test_an_empty_region_is_named(region: tuple[slice, slice]) -> None:
    with pytest.raises(InputError, match="region: expected rows and columns within 7 x 14 px, got"):
        segment(brightness(FIELD), run={"region": region})


def test_only_the_planes_asked_for_are_filled() -> None:
    data = brightness(np.stack([FIELD] * 4))
    result = segment(data, "ZYX", run={"planes": [(3,), (1,)]}, limits=UNIT)
    assert [bool(plane.any()) for plane in result.instances] == [False, True, False, True]
    assert sorted(set(result.table["z"])) == [1, 3]


@pytest.mark.parametrize("planes", [[(4,)], [(-1,)], [(0, 0)], [()]])
def test_planes_that_are_not_there_are_named(planes: list[tuple[int, ...]]) -> None:
    with pytest.raises(InputError, match=r"planes: expected indices along Z within \(4,\), got"):
        segment(brightness(np.stack([FIELD] * 4)), "ZYX", run={"planes": planes})


def test_planes_are_worked_on_in_their_order() -> None:
    data = brightness(np.stack([FIELD] * 3))
    run = Run(Image(data, "TYX"), ComponentSegmenter(), Settings(limits=UNIT), planes=[(2,), (0,)])
    messages = [(p.done, p.total, p.message) for p in run]
    assert messages[1:] == [(1, 2, "tile 1 of 2 (t 2)"), (2, 2, "tile 2 of 2 (t 0)")]


# ------------------------------------------------------------------------------------- diameter


def discs(
    diameter: float, shape: tuple[int, int] = (320, 320), step: int = 64
) -> NDArray[np.bool_]:
    y, x = np.indices(shape) + 0.5
    centers = [(y % step - step / 2), (x % step - step / 2)]
    return np.asarray(np.hypot(*centers) <= diameter / 2)


class Threshold(ComponentSegmenter):
    """Connected components above 0.5, whatever their brightness: edges may be smooth."""

    @staticmethod
    def _find(gray: NDArray[np.float32]) -> Instances:
        return Instances.from_labels(label_components(gray > 0.5, connectivity=1))


class Watching(Threshold):
    """Notes the diameter (px) of what it is shown."""

    def __init__(self, diameter: float) -> None:
        super().__init__(diameter)
        self.seen: list[float] = []

    def segment(self, tiles: Sequence[RGB]) -> list[Prediction]:
        predictions = super().segment(tiles)
        areas = [m.area for p in predictions for m in p.instances.masks]
        self.seen.append(float(2 * np.sqrt(np.median(areas) / np.pi)) if areas else 0.0)
        return predictions


@pytest.mark.parametrize(
    ("settings", "spacing"),
    [
        ({"diameter": 40.0}, {}),
        ({"diameter": 10.0, "diameter_unit": "um"}, {"Y": 0.25, "X": 0.25}),
        ({"diameter": "auto"}, {}),
    ],
)
def test_objects_are_shown_in_the_size_the_model_knows(
    settings: dict[str, Any], spacing: dict[str, float]
) -> None:
    truth = discs(40)
    watching = Watching(20)
    result = segment(
        truth.astype(float), segmenter=watching, spacing=spacing, limits=UNIT, **settings
    )
    assert watching.seen[-1] == pytest.approx(20, abs=1)
    assert result.recipe["resolved"]["diameter_px"] == pytest.approx(40, abs=1)
    assert result.instances.shape == truth.shape
    assert result.count == 25
    wrong = np.count_nonzero((result.instances > 0) != truth)
    assert wrong < 0.05 * np.count_nonzero(truth)


def test_native_leaves_the_pixels_as_they_are() -> None:
    watching = Watching(20)
    assert_found(segment(brightness(FIELD), segmenter=watching, limits=UNIT), FIELD)
    assert watching.calls == [[FIELD.shape]]


@pytest.mark.parametrize("size", [(200, 61), (90, 90)])
@pytest.mark.parametrize("diameter", [10.0, 33.0])
def test_zoomed_tiles_are_the_zoomed_whole(size: tuple[int, int], diameter: float) -> None:
    data = brightness(blobs(size, 12))
    whole = segment(data, segmenter=Threshold(20), diameter=diameter, limits=UNIT)
    tiled = segment(
        data,
        segmenter=Threshold(20),
        diameter=diameter,
        limits=UNIT,
        tile_size=64,
        overlap=32,
    )
    foreground = (whole.instances > 0) == (tiled.instances > 0)
    assert foreground.mean() > 0.995


def test_a_diameter_needs_a_model_with_one_and_micrometres_need_a_pixel_size() -> None:
    with pytest.raises(InputError, match=r"the model 'nuclei' has no object size.*use None"):
        segment(brightness(FIELD), diameter=10.0)
    with pytest.raises(InputError, match="'um' needs an image with a known pixel size"):
        segment(
            brightness(FIELD), segmenter=ComponentSegmenter(20), diameter=10.0, diameter_unit="um"
        )


def test_a_guess_needs_objects_and_says_so() -> None:
    result = segment(np.zeros((64, 64)), segmenter=ComponentSegmenter(20), diameter="auto")
    assert result.warnings == (
        "diameter: too few objects to measure; pixels were left as they are",
    )
    assert result.recipe["resolved"]["diameter_px"] == 20


# ------------------------------------------------------------------------------- interruptions


def steps_of(count: int, run: Run) -> Segmentation:
    for _ in itertools.islice(iter(run), count + 1):
        pass
    return run.result()


def test_cancel_keeps_what_is_done_and_says_that_it_is_not_all() -> None:
    truth = np.zeros((64, 256), int)
    for n in range(4):
        truth[20:40, 64 * n + 20 : 64 * n + 40] = n + 1
    run = Run(
        Image(brightness(truth), "YX"),
        ComponentSegmenter(),
        Settings(limits=UNIT, tile_size=64, overlap=0),
    )
    result = steps_of(2, run)
    assert not result.complete
    assert result.recipe["complete"] is False
    assert same_partition(result.instances, truth * (truth <= 2))


def test_before_the_first_step_there_is_an_empty_result() -> None:
    run = Run(Image(brightness(FIELD), "YX"), ComponentSegmenter(), Settings())
    assert not run.result().instances.any()
    assert not run.result().complete


def test_looking_at_the_result_does_not_change_the_run() -> None:
    data = brightness(np.stack([blobs((160, 130), 30, seed) for seed in range(2)]))
    settings = Settings(limits=UNIT, tile_size=64, overlap=32)
    undisturbed = run_to_end(Run(Image(data, "ZYX"), ComponentSegmenter(), settings))
    run = Run(Image(data, "ZYX"), ComponentSegmenter(), settings)
    counts = []
    for _ in run:
        counts.append(run.result().count)
    assert counts[0] == 0 < counts[len(counts) // 2] < counts[-1]
    np.testing.assert_array_equal(run.result().instances, undisturbed.instances)
    assert run.result().warnings == undisturbed.warnings


def test_one_tile_at_a_time_reports_every_tile() -> None:
    segmenter = ComponentSegmenter()
    run = Run(Image(np.zeros((2, 128, 128)), "ZYX"), segmenter, Settings(tile_size=64, overlap=0))
    seen = [(p.done, p.total) for p in run]
    assert seen == [(0, 0), *((n, 8) for n in range(1, 9))]
    assert segmenter.calls == [[(64, 64)]] * 8


# --------------------------------------------------------------------------------------- memory


def test_out_of_memory_takes_fewer_tiles_at_a_time() -> None:
    data = brightness(blobs((256, 256), 60))
    tight = ComponentSegmenter(memory=3 * 64 * 64)
    settings = {"tile_size": 64, "overlap": 32, "limits": UNIT}
    result = segment(data, segmenter=tight, batch_size=8, **settings)
    assert {len(call) for call in tight.calls[2:]} <= {1, 2}
    assert result.warnings == (
        "CPU ran out of memory: 4 tiles at a time",
        "CPU ran out of memory: 2 tiles at a time",
    )
    np.testing.assert_array_equal(result.instances, segment(data, **settings).instances)


def test_out_of_memory_makes_tiles_smaller_and_the_result_is_that_of_small_tiles() -> None:
    data = brightness(blobs((900, 800), 300))
    result = segment(
        data, segmenter=ComponentSegmenter(memory=300 * 300), limits=UNIT, batch_size=1
    )
    small = segment(data, limits=UNIT, tile_size=256, overlap=128)
    np.testing.assert_array_equal(result.instances, small.instances)
    assert result.warnings == (
        "CPU ran out of memory: tiles were made smaller (512 px)",
        "CPU ran out of memory: tiles were made smaller (256 px)",
    )
    assert result.recipe["resolved"]["tile_size"] == 256


def test_too_little_memory_for_the_smallest_tile_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(DeviceMemoryError, match=r"one tile of 256 px.*choose the device 'cpu'"):
        segment(np.zeros((600, 600)), segmenter=ComponentSegmenter(memory=100 * 100))


def test_out_of_memory_while_guessing_the_diameter() -> None:
    result = segment(
        discs(40, (640, 640)).astype(float),
        segmenter=Threshold(20, memory=300 * 300),
        diameter="auto",
        limits=UNIT,
    )
    assert result.recipe["resolved"]["diameter_px"] == pytest.approx(40, abs=1)


def test_a_run_that_starts_a_plane_again_counts_its_remarks_once() -> None:
    class Grumpy(Capped):
        refused = False

        def segment(self, tiles: Sequence[RGB]) -> list[Prediction]:
            if len(self.calls) == 1 and not self.refused:
                self.refused = True
                raise DeviceMemoryError("the test device ran out of memory")
            return super().segment(tiles)

    data = np.full((256, 600), np.nan)
    result = segment(data, segmenter=Grumpy(7), tile_size=512, overlap=0)
    assert result.warnings[1:] == (
        "limit of 7 objects reached on 3 tiles: objects with scores below 1.00 may be missing "
        "there; use smaller tiles",
        f"{256 * 600} pixels are NaN or infinite and were masked",
    )


# -------------------------------------------------------------------------- limits and remarks


class Capped(ComponentSegmenter):
    """Says that it reached its cap wherever it finds as many objects as that, or always for 7."""

    def __init__(self, cap: int) -> None:
        super().__init__()
        self.cap = cap

    def segment(self, tiles: Sequence[RGB]) -> list[Prediction]:
        found = [p.instances for p in super().segment(tiles)]
        reached = [self.cap if len(i) >= self.cap or self.cap == 7 else 0 for i in found]
        return [Prediction(i, limit_reached=r) for i, r in zip(found, reached, strict=True)]


def test_a_limit_that_was_reached_is_told_with_its_number_of_tiles() -> None:
    data = np.zeros((64, 192))
    data[10:20, 10:20] = data[10:20, 100:110] = data[40:50, 100:110] = data[10:20, 140:150] = 1
    data[40:50, 140:150] = 1
    told = [
        segment(data, segmenter=Capped(cap), tile_size=64, overlap=0, limits=UNIT).warnings
        for cap in (1, 2, 3)
    ]
    text = "limit of {} objects reached on {} tiles: objects with scores below 1.00 may be missing "
    text += "there; use smaller tiles"
    assert told == [(text.format(1, 3),), (text.format(2, 2),), ()]


def test_objects_without_a_counterpart_are_told_if_they_are_shown() -> None:
    class LeftOnly(ComponentSegmenter):
        def segment(self, tiles: Sequence[RGB]) -> list[Prediction]:
            (prediction,) = super().segment(tiles)
            return [prediction if len(self.calls) == 1 else Prediction(Instances.empty((64, 64)))]

    data = np.zeros((64, 96))
    data[20:40, 10:90] = 0.8
    settings = {"tile_size": 64, "overlap": 32, "limits": UNIT}
    told = segment(data, segmenter=LeftOnly(), **settings).warnings
    assert len(told) == 0 or "1 objects end at a tile's edge without a counterpart" in told[0]
    hidden = segment(data, segmenter=LeftOnly(), score_threshold=0.9, **settings).warnings
    assert hidden == ()


# ---------------------------------------------------------------------------------- axis orders


def stack_of_blobs() -> NDArray[np.float32]:
    """Two times, three planes, two channels: each object of a brightness, and a score, of its own.

    Objects go through all planes of Z; the second channel holds others than the first.
    """
    labels = np.zeros((2, 2, 40, 44), np.int32)
    for t, c in itertools.product(range(2), range(2)):
        found = blobs((40, 44), 6, seed=2 * t + c)
        labels[t, c] = np.where(found > 0, found + 6 * (2 * t + c), 0)
    fading = np.array([1.0, 0.99, 0.98], np.float32)
    return np.einsum("tcyx,z->tzcyx", brightness(labels), fading).astype(np.float32)


STACK = stack_of_blobs()


@settings(max_examples=25, deadline=None)
@given(order=st.permutations("TZCYX"), channel=st.integers(0, 1), link=st.booleans())
def test_the_order_of_axes_changes_no_label(order: list[str], channel: int, link: bool) -> None:
    axes = "".join(order)
    options: dict[str, Any] = {"channels": (channel,), "limits": UNIT, "link": link}
    usual = segment(STACK, "TZCYX", **options)
    turned = segment(np.einsum(f"TZCYX->{axes}", STACK), axes, **options)
    assert turned.image.label_axes == axes.replace("C", "").replace("Y", "").replace("X", "") + "YX"
    back = np.einsum(f"{turned.image.label_axes}->TZYX", turned.instances)
    np.testing.assert_array_equal(back, usual.instances)
    assert usual.count > 3
    order_of_rows = ["index", "score", "area", "t", "z"]
    assert turned.table[order_of_rows].equals(usual.table[order_of_rows])


# ------------------------------------------------------------------------------ recipe and stuff


def test_the_recipe_reproduces_the_result() -> None:
    data = (brightness(blobs((200, 220), 50)) * 4000).astype(np.uint16)
    first = segment(
        data,
        segmenter=Threshold(20),
        spacing={"Y": 0.5, "X": 0.5},
        diameter=12.0,
        diameter_unit="um",
        tile_size=96,
        overlap=40,
        percentiles=(1, 99),
        score_threshold=0.6,
    )
    recipe = json.loads(json.dumps(first.recipe))
    again = segment(
        data,
        segmenter=Threshold(20),
        spacing=recipe["input"]["spacing_um"],
        **Settings.from_json(recipe["settings"]).to_json(),
    )
    assert first.count > 0
    np.testing.assert_array_equal(again.instances, first.instances)
    assert again.table.equals(first.table)
    assert again.recipe == first.recipe
    assert recipe["input"]["shape"] == [200, 220]
    assert recipe["input"]["dtype"] == "uint16"
    assert {"python", "numpy", "torch"} <= recipe["versions"].keys()


class WithGround(ComponentSegmenter):
    """Says that the darker half of the ground is soil."""

    categories = (Category(1, "object"), Category(5, "soil", is_thing=False))

    def segment(self, tiles: Sequence[RGB]) -> list[Prediction]:
        predictions = super().segment(tiles)
        return [
            Prediction(p.instances, np.where(tile[..., 0] < 0.2, 5, 0))
            for p, tile in zip(predictions, tiles, strict=True)
        ]


@pytest.mark.parametrize("tile", [64, 1024])
def test_stuff_is_joined_from_the_tiles(tile: int) -> None:
    truth = blobs((150, 170), 20)
    data = brightness(truth)
    data[:, 100:][truth[:, 100:] == 0] = 0.4
    result = segment(
        np.stack([data, data[::-1]]), "ZYX", WithGround(), limits=UNIT, tile_size=tile, overlap=32
    )
    soil = (truth == 0) & (np.arange(170) < 100)
    expected = np.stack([soil, soil[::-1]])
    np.testing.assert_array_equal(result.semantic == 5, expected)
    np.testing.assert_array_equal(result.panoptic == result.count + 1, expected)
    np.testing.assert_array_equal(result.panoptic * ~expected, result.instances)
    assert result.table["category"].iloc[-1] == "soil"


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    """Nothing may warn, whatever the caller's filters say."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_a_diameter_far_below_the_models_own_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"expected at least 1.2 px .* enlarge the image 200 times"
    ):
        segment(brightness(FIELD), segmenter=ComponentSegmenter(diameter=20.0), diameter=0.1)


def test_label_images_are_read_only() -> None:
    result = segment(brightness(FIELD))
    for labels in (result.instances, result.semantic, result.panoptic):
        with pytest.raises(ValueError, match="read-only"):
            labels[0, 0] = 1
