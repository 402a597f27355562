"""What holds of every format that keeps objects as outlines: ImageJ's ROIs and GeoJSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import roifile
from formats.drawings import masks, overlapping, same, with_classes
from formats.label_sets import with_stuff

from napari_instseg import LabelSet
from napari_instseg.io.formats.engine import read_sets, write_sets

#: More labels than 16 bits hold.
MANY = 70_000


def count(path: Path) -> int:
    """Number of outlines in a file, by other means than ours."""
    if path.suffix == ".zip":
        return len(roifile.roiread(path))
    return len(json.loads(path.read_text("utf-8"))["features"])


@pytest.fixture(params=["a.zip", "a.geojson"])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return tmp_path / str(request.param)


def there_and_back(label_set: LabelSet, path: Path) -> LabelSet:
    assert write_sets([label_set], path).paths == (path,)
    (found,) = read_sets(path)
    return found


def test_objects_that_overlap_are_whole(path: Path) -> None:
    label_set = overlapping()
    found = there_and_back(label_set, path)
    same(label_set, found, "hidden_area")
    for label, mask in masks(label_set).items():
        np.testing.assert_array_equal(masks(found)[label], mask)


def test_stuff(path: Path) -> None:
    label_set = with_stuff()
    found = there_and_back(label_set, path)
    for output in ("instances", "semantic", "panoptic"):
        np.testing.assert_array_equal(found.read(output), label_set.read(output), err_msg=output)
    assert found.ground is not None
    same(label_set, found, "area")


def test_nothing_at_all(path: Path) -> None:
    empty = LabelSet.from_labels(np.zeros((2, 4, 5), np.uint8), "ZYX", name="none")
    same(empty, there_and_back(empty, path))
    assert count(path) == 0


def test_seventy_thousand_objects_that_touch(path: Path) -> None:
    side = int(np.ceil(np.sqrt(MANY)))
    grid = np.arange(1, side * side + 1, dtype=np.int32).reshape(side, side)
    grid[grid > MANY] = 0
    label_set = with_classes(
        LabelSet.from_labels(grid.repeat(2, 0).repeat(2, 1), "YX", name="many")
    )
    found = there_and_back(label_set, path)
    assert len(found.table) == MANY
    same(label_set, found, "area", "row_min", "col_max", "touches_edge")
    assert path.suffix == ".zip" or count(path) == MANY
