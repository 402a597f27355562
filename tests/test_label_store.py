"""Label images that are edited where they are: what they hold, and what follows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_instseg import Editor, InputError, LabelSet
from napari_instseg.evaluation.assessment import assess
from napari_instseg.io.zarr import read_label_pyramid


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.uint32])
def test_numbers_beyond_int32_are_refused_not_changed(in_place: bool, dtype: Any) -> None:
    labels = np.array([[1, 0, 2], [0, 2**32 - 5, 0]], dtype)
    before = labels.copy()
    sets = LabelSet.from_labels(labels, "YX")
    with pytest.raises(InputError, match=r"expected labels from 0 to 2147483647, got 0 to 42949"):
        Editor(sets, in_place=in_place)
    np.testing.assert_array_equal(labels, before)


def test_wide_types_with_small_numbers_are_edited() -> None:
    labels = np.array([[1, 0, 2]], np.uint64)
    editor = Editor(LabelSet.from_labels(labels, "YX"), in_place=True)
    editor.apply("delete", ids=[1])
    assert labels.tolist() == [[0, 0, 2]]
    editor.undo()
    assert labels.tolist() == [[1, 0, 2]]
    assert labels.dtype == np.uint64


def test_in_zarr_a_wide_number_is_met_when_it_is_read(tmp_path: Path) -> None:
    labels = np.array([[1, 0, 2**40]], np.int64)
    array = zarr.create_array(tmp_path / "a.zarr", data=labels)
    with pytest.raises(InputError, match="number the objects anew"):
        Editor(LabelSet.from_labels(array, "YX"), in_place=True).apply("grow", ids=[1])
    np.testing.assert_array_equal(array[:], labels)


def test_coarser_levels_follow_in_ome_zarr_0_4(tmp_path: Path) -> None:
    fine = np.zeros((8, 8), np.int32)
    fine[:4, :4], fine[4:, 4:] = 1, 2
    group = zarr.open_group(tmp_path / "old.zarr", mode="w", zarr_format=2)
    for name, level in (("0", fine), ("1", fine[::2, ::2])):
        group.create_array(name, data=level)
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}],
            "datasets": [{"path": "0"}, {"path": "1"}],
        }
    ]
    group.attrs["image-label"] = {"version": "0.4"}
    pyramid = read_label_pyramid(tmp_path / "old.zarr")
    assert pyramid is not None
    editor = Editor(LabelSet.from_labels(pyramid.levels[0], "YX"), in_place=True)
    editor.apply("delete", ids=[1])
    found = zarr.open_group(tmp_path / "old.zarr", mode="r")
    assert set(np.unique(found["0"][:])) == set(np.unique(found["1"][:])) == {0, 2}
    assert dict(found.attrs)["image-label"] == {"version": "0.4"}


def test_one_refusal_wherever_numbers_beyond_int32_are_met(tmp_path: Path) -> None:
    labels = np.array([[1, 0, 2**40]], np.int64)
    sets = LabelSet.from_labels(labels, "YX")
    stored = replace(sets, instances=zarr.create_array(tmp_path / "a.zarr", data=labels))
    said = []
    for use in (
        lambda: sets.read("instances"),
        lambda: Editor(sets),
        lambda: Editor(sets, in_place=True),
        lambda: Editor(stored, in_place=True).apply("grow", ids=[1]),
        lambda: assess(sets, sets),
    ):
        with pytest.raises(InputError) as refused:
            use()
        said.append(str(refused.value).removeprefix("'labels': "))
    assert len(set(said)) == 1
    assert "expected labels from 0 to 2147483647, got 0 to 1099511627776" in said[0]
