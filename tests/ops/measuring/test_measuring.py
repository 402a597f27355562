"""Measures of label images, against scikit-image and exact drawings, whatever the chunks."""

from __future__ import annotations

import tracemalloc
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import zarr
from helpers import draw
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import regionprops_table

from napari_instseg import InputError
from napari_instseg.ops.axes import Image
from napari_instseg.ops.lazy import LazyLabels
from napari_instseg.ops.measuring import MEASURES, blocks, labels, measure_labels
from napari_instseg.ops.measuring.shapes import crops

UM = {"Z": 2.0, "Y": 0.5, "X": 0.5}
#: Ours, and scikit-image's.
SAME = {
    "index": "label",
    "area": "area",
    "y": "centroid-0",
    "x": "centroid-1",
    "row_min": "bbox-0",
    "col_min": "bbox-1",
    "row_max": "bbox-2",
    "col_max": "bbox-3",
    "equivalent_diameter": "equivalent_diameter_area",
    "major_axis": "axis_major_length",
    "minor_axis": "axis_minor_length",
    "eccentricity": "eccentricity",
    "perimeter": "perimeter",
    "solidity": "solidity",
    "feret_max": "feret_diameter_max",
}
INTENSITY = {"mean": "mean", "min": "min", "max": "max", "sd": "std"}


def blobs(seed: int, shape: tuple[int, ...] = (90, 110), count: int = 25) -> np.ndarray:
    """Ellipses that cover and cut each other, with holes, numbered anyhow up to 70,000."""
    rng = np.random.default_rng(seed)
    found = np.zeros(shape, np.int32)
    grid = np.indices(shape).reshape(len(shape), -1).T
    for label in rng.permutation(70_000)[:count] + 1:
        radius = rng.uniform(0.6, 11, len(shape))
        away = ((grid - rng.uniform(0, shape)) / radius) ** 2
        inside = away.sum(axis=1).reshape(shape) < 1
        found[inside] = label
        if rng.random() < 0.3:
            found[away.sum(axis=1).reshape(shape) < 0.1] = 0
    return found


def oracle(labels: np.ndarray, **options: Any) -> dict[str, np.ndarray]:
    names = {name.partition("-")[0] for name in SAME.values()} | {"orientation"}
    return regionprops_table(labels, properties=sorted(names), **options)


@pytest.mark.parametrize("seed", range(3))
def test_numbers_are_those_of_scikit_image(seed: int) -> None:
    label_image = blobs(seed)
    found = measure_labels(label_image, "YX")
    wanted = oracle(label_image)
    for ours, theirs in SAME.items():
        np.testing.assert_allclose(found[ours], wanted[theirs], rtol=1e-9, atol=1e-9, err_msg=ours)
    # A disc has no direction, and rounding decides.
    long = found["eccentricity"] > 0.05
    turned = found["orientation"][long] - wanted["orientation"][long]
    np.testing.assert_allclose(np.sin(turned), 0, atol=1e-7)


def test_sizes_in_micrometres_are_those_of_scikit_image() -> None:
    label_image = blobs(5)
    found = measure_labels(label_image, "YX", spacing={"Y": 0.5, "X": 0.5})
    wanted = oracle(label_image, spacing=(0.5, 0.5))
    for ours in ("major_axis", "minor_axis", "perimeter", "feret_max", "equivalent_diameter"):
        np.testing.assert_allclose(found[f"{ours}_um"], wanted[SAME[ours]], rtol=1e-9)
    np.testing.assert_allclose(found["area_um2"], wanted["area"])
    np.testing.assert_allclose(found["y_um"], wanted["centroid-0"])
    assert "eccentricity_um" not in found


def test_pixels_that_are_not_square() -> None:
    label_image = blobs(6)
    found = measure_labels(label_image, "YX", spacing={"Y": 2.0, "X": 0.5})
    # Perimeters are refused there, and so is a table with them.
    names = [name for name in {*SAME.values()} - {"perimeter"} if "-" not in name]
    wanted = regionprops_table(
        label_image, properties=[*names, "orientation", "centroid"], spacing=(2.0, 0.5)
    )
    for ours in ("major_axis", "minor_axis", "eccentricity", "feret_max", "equivalent_diameter"):
        np.testing.assert_allclose(found[f"{ours}_um"], wanted[SAME[ours]], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found["area_um2"], wanted["area"])
    np.testing.assert_allclose(found["x_um"], wanted["centroid-1"])
    long = found["eccentricity_um"] > 0.05
    turned = found["orientation_um"][long] - wanted["orientation"][long]
    np.testing.assert_allclose(np.sin(turned), 0, atol=1e-7)
    assert "perimeter" in found
    assert "perimeter_um" not in found


def test_volumes_are_those_of_scikit_image() -> None:
    label_image = blobs(7, (14, 40, 50), 12)
    found = measure_labels(label_image, "ZYX", spacing=UM)
    names = {
        "volume": "area",
        "z": "centroid-0",
        "x": "centroid-2",
        "row_max": "bbox-4",
        "equivalent_diameter": "equivalent_diameter_area",
        "major_axis": "axis_major_length",
        "minor_axis": "axis_minor_length",
    }
    properties = sorted({name.partition("-")[0] for name in names.values()})
    for suffix, spacing in (("", (1, 1, 1)), ("_um", (2.0, 0.5, 0.5))):
        wanted = regionprops_table(label_image, properties=properties, spacing=spacing)
        for ours, theirs in names.items():
            name = {"volume_um": "volume_um3"}.get(ours + suffix, ours + suffix)
            if name in found:
                np.testing.assert_allclose(found[name], wanted[theirs], rtol=1e-7, atol=1e-6)
    boxes = regionprops_table(label_image, properties=["bbox"])
    np.testing.assert_array_equal(found["z_last"], boxes["bbox-3"] - 1)
    assert "perimeter" not in found


def test_surface_and_sphericity_of_a_ball_and_a_box() -> None:
    z, y, x = np.indices((30, 60, 60)) - np.array([15, 30, 30])[:, None, None, None]
    ball = ((z * 2) ** 2 + y**2 + x**2 < 24**2).astype(np.int32)
    row = measure_labels(ball, "ZYX", spacing={"Z": 2.0, "Y": 1.0, "X": 1.0}).iloc[0]
    # Steps of voxels make the mesh larger than the ball.
    assert 1 < row["surface_area_um2"] / (4 * np.pi * 24**2) < 1.12
    assert 0.88 < row["sphericity"] < 1
    assert row["equivalent_diameter_um"] == pytest.approx(48, rel=0.01)
    plate = np.zeros((6, 60, 60), np.int32)
    plate[2:4, 5:55, 5:55] = 3
    assert measure_labels(plate, "ZYX").loc[0, "sphericity"] < 0.5


def test_intensities_of_all_channels_leave_out_nan() -> None:
    rng = np.random.default_rng(8)
    label_image = blobs(8)
    counts = rng.integers(0, 65536, label_image.shape).astype(np.uint16)
    channels = rng.normal(1e5, 1, (*label_image.shape, 2)).astype(np.float32)
    found = measure_labels(
        label_image,
        "YX",
        [Image(counts, "YX", name="dapi"), Image(channels, "YXC", name="dapi")],
    )
    for name, pixels in (
        ("dapi", counts),
        ("dapi_c0", channels[..., 0].astype(float)),
        ("dapi_c1", channels[..., 1].astype(float)),
    ):
        wanted = regionprops_table(
            label_image, pixels, properties=[f"intensity_{name}" for name in INTENSITY.values()]
        )
        for ours, theirs in INTENSITY.items():
            np.testing.assert_allclose(
                found[f"{name}_{ours}"], wanted[f"intensity_{theirs}"], rtol=1e-9
            )
    for index, total in zip(found["index"], found["dapi_sum"], strict=True):
        assert total == sum(counts[label_image == index].tolist())
    assert found["dapi_sum"].dtype == np.int64


def test_nan_and_objects_of_nothing_else() -> None:
    label_image = draw("AAB.")
    pixels = np.array([[1.0, np.nan, np.nan, 7.0]], np.float32)
    found = measure_labels(label_image, "YX", [Image(pixels, "YX", name="a")])
    assert found.loc[0, ["a_mean", "a_sd", "a_min", "a_max", "a_sum"]].tolist() == [1, 0, 1, 1, 1]
    assert found.loc[1, ["a_mean", "a_sd", "a_min", "a_max", "a_sum"]].isna().all()


def test_sums_that_have_no_room_in_32_and_in_64_bits() -> None:
    label_image = np.ones((300, 300), np.uint8)
    bright = np.full(label_image.shape, 2**32 - 1, np.uint32)
    found = measure_labels(label_image, "YX", [Image(bright, "YX", name="a")])
    assert found.loc[0, "a_sum"] == 90_000 * (2**32 - 1)
    assert found.loc[0, "a_sd"] == 0
    found = measure_labels(label_image, "YX", [Image(bright.astype(np.uint64) << 31, "YX")])
    assert found.loc[0, "image_sum"] == pytest.approx(90_000 * (2.0**32 - 1) * 2**31)


def test_a_drawing_by_hand() -> None:
    found = measure_labels(
        draw(
            """
            AAA..
            A.A.B
            AAA..
            """
        ),
        "YX",
    ).set_index("index")
    ring, dot = found.loc[1], found.loc[2]
    assert (ring["area"], ring["y"], ring["x"], ring["solidity"]) == (8, 1, 1, 8 / 9)
    assert ring["feret_max"] == pytest.approx(np.hypot(3, 2))
    assert (dot["area"], dot["y"], dot["x"], dot["eccentricity"]) == (1, 1, 4, 0)
    assert (dot["major_axis"], dot["perimeter"], dot["solidity"]) == (0, 0, 1)
    assert (dot["feret_max"], dot["feret_min"]) == pytest.approx((1, np.sqrt(0.5)))


class Counting:
    """An array that counts how often each of its chunks is read."""

    def __init__(self, data: np.ndarray, chunks: tuple[int, ...]) -> None:
        self.data, self.chunks, self.shape, self.dtype = data, chunks, data.shape, data.dtype
        grid = [-(-size // chunk) for size, chunk in zip(data.shape, chunks, strict=True)]
        self.reads = np.zeros(grid, int)

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        spans = [
            slice(span.start // chunk, -(-span.stop // chunk))
            for span, chunk in zip(
                (slice(*span.indices(size)) for span, size in zip(key, self.shape, strict=True)),
                self.chunks,
                strict=True,
            )
        ]
        self.reads[tuple(spans)] += 1
        return self.data[key]


@pytest.mark.parametrize("axes", ["ZYX", "TYX"])
def test_chunks_change_nothing_and_are_read_once_or_twice(
    axes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "USUAL", 700)
    label_image = blobs(9, (7, 50, 60), 20)
    pixels = np.random.default_rng(9).normal(100, 9, (7, 2, 50, 60)).astype(np.float32)
    pixels[3, 0, 5:9] = np.nan
    letters = f"{axes[0]}CYX"
    options = {"spacing": UM, "volumes": axes == "ZYX"}
    whole = measure_labels(label_image, axes, [Image(pixels, letters)], **options)
    counted = Counting(label_image, (3, 16, 25))
    image = Counting(pixels, (3, 2, 16, 25))
    parts = measure_labels(counted, axes, [Image(image, letters)], **options)
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-9, atol=1e-9)
    for name in whole.columns[whole.dtypes == np.int64]:
        assert whole[name].equals(parts[name])
    assert counted.reads.max() == 2
    assert image.reads.max() == 1
    sizes = measure_labels(counted, axes, columns=["area", "volume", "centroid"], **options)
    assert len(sizes) == len(whole)
    assert counted.reads.max() == 3


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.int64, st.tuples(*3 * (st.integers(1, 6),)), elements=st.integers(-1, 4)),
    st.tuples(*3 * (st.integers(1, 6),)),
    st.booleans(),
)
def test_any_labels_in_any_chunks(
    label_image: np.ndarray, chunks: tuple[int, ...], volumes: bool
) -> None:
    lazy = da.from_array(label_image, chunks=chunks)
    whole = measure_labels(label_image, "ZYX", volumes=volumes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "USUAL", 1)
        parts = measure_labels(lazy, "ZYX", volumes=volumes)
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-9, atol=1e-7)
    size = "volume" if volumes else "area"
    for label, rows in whole.groupby("index"):
        assert rows[size].sum() == (label_image == label).sum()
    assert {*whole["index"]} == {*label_image[label_image > 0].tolist()}


def test_zarr_dask_and_what_is_painted_when_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "USUAL", 900)
    monkeypatch.setattr(blocks, "EDGE", 32)
    label_image = blobs(10)
    whole = measure_labels(label_image, "YX")
    stored = zarr.create_array(zarr.storage.MemoryStore(), data=label_image, chunks=(20, 30))
    lazy = LazyLabels(label_image.shape, lambda _, *where: lambda: label_image[where], 70_000)
    for other in (stored, da.from_array(label_image, chunks=((1, 89), (50, 60))), lazy):
        pd.testing.assert_frame_equal(whole, measure_labels(other, "YX"), rtol=1e-9)


def test_frames_and_planes_are_rows_of_their_own() -> None:
    movie = np.stack([draw("AA.\n..B"), draw("A..\n.BB"), draw("...\nBBB")])
    found = measure_labels(movie, "TYX", columns=["area"])
    assert found.attrs["keys"] == ["index", "t"]
    assert found.to_numpy().tolist() == [[1, 0, 2], [1, 1, 1], [2, 0, 1], [2, 1, 2], [2, 2, 3]]
    through = measure_labels(movie, "ZYX", columns=["volume", "bbox", "area"])
    assert through["volume"].tolist() == [3, 6]
    assert through["z_last"].tolist() == [1, 2]
    planes = np.stack([draw("AA.\n..."), draw("...\n.BB")])
    assert measure_labels(planes, "ZYX")["z"].tolist() == [0, 1]
    both = measure_labels(np.stack([movie, movie]), "TZYX", columns=["volume"])
    assert both.to_numpy().tolist() == [[1, 0, 3], [1, 1, 3], [2, 0, 6], [2, 1, 6]]
    odd = measure_labels(np.moveaxis(np.stack([movie, movie]), 1, 0), "ZTYX", columns=["volume"])
    assert odd.to_numpy().tolist() == both.to_numpy().tolist()


def test_images_with_other_orders_of_axes() -> None:
    label_image = blobs(11, (2, 3, 20, 24), 20)
    pixels = np.random.default_rng(1).integers(0, 99, (2, 3, 20, 24, 2))
    wanted = measure_labels(label_image, "TZYX", [Image(pixels, "TZYXC")])
    other = Image(pixels.transpose(3, 1, 4, 0, 2), "XZCTY")
    pd.testing.assert_frame_equal(wanted, measure_labels(label_image, "TZYX", [other]))
    # Letters may differ where shapes do not.
    named = measure_labels(label_image, "TZYX", [Image(pixels, "PQYXC")])
    np.testing.assert_array_equal(named["image_c1_sum"], wanted["image_c1_sum"])
    flat = measure_labels(label_image[:1, 0], "TYX", [Image(pixels[0, 0], "YXC")])
    assert {*flat["t"]} == {0}


def test_thin_objects_in_large_boxes_take_little_memory() -> None:
    lines, size, edge = 40, 512, 64
    label_image = np.zeros((size, size), np.int32)
    at = np.arange(size - lines)
    for line in range(lines):
        label_image[at, at + line] = line + 1
    parts = [
        (slice(row, row + edge), slice(col, col + edge))
        for row in range(0, size, edge)
        for col in range(0, size, edge)
    ]
    pieces = [
        (number, label - 1)
        for number, part in enumerate(parts)
        for label in np.unique(label_image[part])
        if label
    ]
    where, owner = np.array(pieces, np.int64).T
    numbers = np.arange(lines)
    low = np.stack([np.zeros(lines, np.int64), numbers], axis=1)
    boxes = np.stack([low, low + len(at)], axis=1)
    seen = []
    tracemalloc.start()
    try:
        for number, mask in crops(label_image, parts, where, owner, numbers + 1, boxes):
            assert np.array_equal(mask, np.eye(len(at), dtype=bool))
            seen.append(number)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sorted(seen) == numbers.tolist()
    # All boxes together have 9 MB, the pixels of all lines 76 kB.
    assert peak < 8 * len(at) ** 2


def test_an_object_that_is_too_large_for_its_shape_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "LARGEST", 20)
    label_image = np.zeros((20, 20), np.int32)
    label_image[:2, :2], label_image[5:10, 5:10] = 7, 9
    found = measure_labels(label_image, "YX")
    assert found["area"].tolist() == [4, 25]
    assert found["perimeter"].isna().tolist() == [False, True]
    (note,) = found.attrs["notes"]
    assert "1 object with a box of more than 20 px: no perimeter" in note
    assert "(9)" in note


def test_what_does_not_fit_is_named() -> None:
    label_image = draw("AB")
    with pytest.raises(InputError, match=r"gfp: .*\(1, 2\) \(YX\), got \(2, 1\) \(YX\)"):
        measure_labels(label_image, "YX", [Image(np.zeros((2, 1)), "YX", name="gfp")])
    with pytest.raises(InputError, match=r"columns: expected some of area, .*, got 'ara'"):
        measure_labels(label_image, "YX", columns=["ara"])
    for size in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match=r"spacing: expected numbers above 0 \(µm\), got"):
            measure_labels(label_image, "YX", spacing={"Y": size, "X": 1.0})
    assert {*MEASURES} >= {"area", "volume", "mean", "perimeter"}


def test_nothing_at_all() -> None:
    image = [Image(np.zeros((3, 4)), "YX")]
    empty = measure_labels(np.zeros((3, 4), np.int32), "YX", image)
    full = measure_labels(np.ones((3, 4), np.int32), "YX", image)
    assert len(empty) == 0
    assert [*empty.columns] == [*full.columns]
    assert len(measure_labels(np.zeros((0, 4), np.int32), "YX")) == 0
