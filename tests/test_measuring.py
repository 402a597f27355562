"""Measures of results, label sets, arrays and files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from helpers import ComponentSegmenter, brightness, draw

import napari_instseg as nis
from napari_instseg import Category, InputError, LabelSet, Settings
from napari_instseg.io.labels import write_labels
from napari_instseg.ops.axes import Image
from napari_instseg.pipeline import Run, run_to_end

LABELS = draw(
    """
    AA...
    AA.BB
    ...BB
    """
)


def with_stuff() -> LabelSet:
    """Two objects, and a background that is a segment of its own."""
    plain = LabelSet.from_labels(LABELS, "YX")
    rows = [
        *plain.table.to_dict("records"),
        {**plain.table.iloc[0].to_dict(), "index": 3, "category_id": 2, "is_thing": False},
    ]
    table = pd.DataFrame(rows).assign(category=["cell", "cell", "ground"])
    return replace(
        plain,
        table=table,
        categories=(Category(1, "cell"), Category(2, "ground", is_thing=False)),
        panoptic=np.where(LABELS > 0, LABELS, 3),
        semantic=np.where(LABELS > 0, 1, 2),
        spacing={"Y": 0.5, "X": 0.5},
    )


def test_rows_say_what_they_are_of_and_stuff_has_no_shape() -> None:
    found = with_stuff().measure(columns=["area", "perimeter"])
    assert [*found.columns] == [
        *("index", "category_id", "category", "is_thing", "score"),
        *("area", "area_um2", "perimeter", "perimeter_um"),
    ]
    assert found["category"].tolist() == ["cell", "cell", "ground"]
    assert found["area"].tolist() == [4, 4, 7]
    assert found["area_um2"].tolist() == [1, 1, 1.75]
    assert found["perimeter"].isna().tolist() == [False, False, True]


def test_segments_without_pixels_are_told() -> None:
    labels = with_stuff()
    gone = replace(labels, panoptic=np.where(LABELS == 1, 0, labels.panoptic))
    found = gone.measure(columns=["area"])
    assert found["index"].tolist() == [2, 3]
    assert found.attrs["notes"] == ["1 segment without pixels left out"]


def test_objects_that_the_table_does_not_list_are_measured() -> None:
    labels = LabelSet.from_labels(LABELS, "YX")
    drawn = replace(labels, instances=np.where(LABELS == 2, 70_000, LABELS))
    found = drawn.measure(columns=["area"])
    assert found["index"].tolist() == [1, 70_000]
    assert found["category"].isna().tolist() == [False, True]


def test_a_result_measures_its_own_image(tmp_path: Path) -> None:
    pixels = brightness(LABELS)
    result = run_to_end(
        Run(Image(pixels, "YX", name="a"), ComponentSegmenter(), Settings(limits=((0, 1),)))
    )
    found = result.measure()
    for row in found.itertuples():
        inside = result.instances == row.index
        assert row.a_mean == pytest.approx(pixels[inside].mean())
        assert row.score == pytest.approx(pixels[inside].mean(), abs=1e-3)
    kept = result.save(tmp_path, "a")
    pd.testing.assert_frame_equal(nis.measure(kept[0], result.image), found, check_dtype=False)
    result.save(tmp_path, "b")
    with pytest.raises(InputError, match=r"labels of one image, got 2 \(a, a, \.\.\.\)"):
        nis.measure(tmp_path)
    other = result.measure([Image(10 * pixels, "YX", name="b")], ["max"])
    np.testing.assert_allclose(other["b_max"], 10 * found["a_max"])


def test_files_arrays_and_results_give_the_same(tmp_path: Path) -> None:
    pixels = np.arange(LABELS.size, dtype=np.uint16).reshape(LABELS.shape)
    write_labels(tmp_path / "l.tif", LABELS, "YX", {"Y": 0.5, "X": 0.5})
    write_labels(tmp_path / "i.tif", pixels.astype(np.int32), "YX")
    stored = zarr.create_array(str(tmp_path / "l.zarr"), data=LABELS, chunks=(2, 2))
    found = nis.measure(tmp_path / "l.tif", tmp_path / "i.tif")
    assert found["area_um2"].tolist() == pytest.approx([1, 1])
    assert found["i_sum"].tolist() == [pixels[k == LABELS].sum() for k in (1, 2)]
    for labels in (LABELS, stored, LabelSet.from_labels(LABELS, "YX"), tmp_path / "l.zarr"):
        same = nis.measure(labels, [tmp_path / "i.tif"], spacing={"Y": 0.5, "X": 0.5}, axes="YX")
        pd.testing.assert_frame_equal(same, found)


def test_spacing_of_the_image_counts_where_labels_have_none() -> None:
    image = Image(np.zeros(LABELS.shape), "YX", {"Y": 2.0, "X": 2.0})
    assert nis.measure(LABELS, image)["area_um2"].tolist() == [16, 16]
    assert nis.measure(LABELS, image, spacing={"Y": 1, "X": 1})["area_um2"].tolist() == [4, 4]
    known = replace(LabelSet.from_labels(LABELS, "YX"), spacing={"Y": 3.0, "X": 3.0})
    assert nis.measure(known, image)["area_um2"].tolist() == [36, 36]


def test_what_is_no_label_image_is_named() -> None:
    with pytest.raises(InputError, match="label images of integers, got float64"):
        nis.measure(np.zeros((3, 4)))
    with pytest.raises(InputError, match=r"labels' shape \(3, 5\) \(YX\), got \(3, 4\)"):
        LabelSet.from_labels(LABELS, "YX").measure([np.zeros((3, 4))])
