"""Label images and their table, wherever they come from."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from helpers import draw

from napari_instseg import InputError, LabelSet
from napari_instseg.ops.extents import find_extents, windows


def test_a_label_image_of_which_nothing_is_known() -> None:
    labels = draw(
        """
        AA..
        A..G
        ...G
        """
    )
    found = LabelSet.from_labels(labels, "YX", name="a", source="a.tif")
    row = {"category_id": 1, "category": "object", "is_thing": True, "score": 1.0}
    first = {"area": 3, "row_min": 0, "col_min": 0, "row_max": 2, "col_max": 2}
    second = {"area": 2, "row_min": 1, "col_min": 3, "row_max": 3, "col_max": 4}
    rest = {"touches_edge": True, "source": "a.tif"}
    assert found.table.to_dict("records") == [
        {"index": 1, **row, **first, **rest},
        {"index": 7, **row, **second, **rest},
    ]
    np.testing.assert_array_equal(found.read("panoptic"), labels)
    np.testing.assert_array_equal(found.read("semantic"), (labels > 0).astype(np.int32))
    np.testing.assert_array_equal(
        found.read("semantic", (slice(1, 3), slice(3, 4))), np.ones((2, 1))
    )


def test_extents_do_not_depend_on_the_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    labels = np.zeros((3, 40, 50), np.int32)
    for label in rng.permutation(70_000)[:30]:
        top, left = rng.integers(0, 30, 2)
        labels[rng.integers(0, 3) :, top : top + 9, left : left + 12] = label + 1
    whole = find_extents(labels, "ZYX")
    monkeypatch.setattr(windows, "__defaults__", (7,))
    parts = find_extents(labels, "ZYX")
    assert whole.equals(parts)
    for row in whole.itertuples():
        z, y, x = np.nonzero(labels == row.index)
        box = z.min(), z.max(), y.min(), x.min(), y.max() + 1, x.max() + 1
        named = row.z_first, row.z_last, row.row_min, row.col_min, row.row_max, row.col_max
        assert (len(z), box) == (row.area, named)


def test_labels_beyond_int64() -> None:
    with pytest.raises(InputError, match="expected labels up to 9223372036854775807, got 9223"):
        LabelSet.from_labels(np.array([[0, 2**63]], np.uint64), "YX")


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64, np.int64])
def test_labels_that_have_no_room_are_refused(dtype: type) -> None:
    large = 2**31 if dtype is np.uint32 else 2**32 + 1
    lazy = da.from_array(np.array([[0, 1], [2**31 - 1, large]], dtype))
    labels = LabelSet.from_labels(lazy, listed=False)
    rows = slice(0, 1), slice(None)
    assert labels.read("instances", rows).tolist() == [[0, 1]]
    for output in ("instances", "panoptic", "semantic"):
        with pytest.raises(InputError, match=f"from 0 to 2147483647, got 0 to {large}: number"):
            labels.read(output)
    assert LabelSet.from_labels(lazy[:, :1]).read("instances").tolist() == [[0], [2**31 - 1]]


def test_nothing_at_all() -> None:
    found = LabelSet.from_labels(np.zeros((4, 5), np.uint8), "YX")
    assert found.table.empty
    assert not found.read("semantic").any()


def test_what_does_not_fit_is_named() -> None:
    labels = np.zeros((4, 5), np.int32)
    table = LabelSet.from_labels(labels, "YX").table
    with pytest.raises(InputError, match="axis letter"):
        LabelSet(labels, "ZYX", table, ())
    with pytest.raises(InputError, match="semantic: expected the shape"):
        LabelSet(labels, "YX", table, (), semantic=np.zeros((5, 4), np.int32))
    with pytest.raises(InputError, match=r"without .*score"):
        LabelSet(labels, "YX", table.drop(columns="score"), ())
    with pytest.raises(InputError, match="integers"):
        LabelSet.from_labels(labels.astype(float), "YX")
