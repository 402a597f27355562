"""A folder of masks: each object a picture, all of them listed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from formats.drawings import many, masks, overlapping, same, shapes, stack
from PIL import Image as Pillow

from napari_instseg import InputError, LabelSet
from napari_instseg.io.formats.engine import read_sets, write_sets
from napari_instseg.io.formats.mask_folder import INDEX, knows, read, write
from napari_instseg.io.formats.registry import for_reading


def back(path: Path) -> LabelSet:
    (found,) = read(path)
    return found


def test_a_picture_an_object(tmp_path: Path) -> None:
    label_set = shapes()
    done = write_sets([label_set], tmp_path / "out", "masks")
    files = sorted(path.name for path in done.paths)
    assert files[:3] == ["0001_nucleus.png", "0002_größe _⌀ 核😀.png", "0003_nucleus.png"]
    assert files[7:] == ["image.json", "index.csv"]
    listed = pd.read_csv(tmp_path / "out" / INDEX)
    for row in listed.itertuples():
        picture = Pillow.open(tmp_path / "out" / row.file)
        assert (picture.mode, picture.size) == ("1", (12, 8))
        np.testing.assert_array_equal(np.asarray(picture), label_set.read("instances") == row.index)
    assert listed["area"].to_list() == label_set.table["area"].to_list()


@pytest.mark.parametrize(
    "label_set",
    [shapes(), stack("ZYX"), stack("PYX"), stack(), many(300, 300)],
    ids=lambda s: f"{s.name} {s.axes}",
)
def test_there_and_back(tmp_path: Path, label_set: LabelSet) -> None:
    table = label_set.table.assign(mean=0.25, edited=True)
    label_set = LabelSet(
        label_set.instances,
        label_set.axes,
        table,
        label_set.categories,
        label_set.name,
        label_set.spacing,
    )
    write_sets([label_set], tmp_path / "out", "masks")
    assert for_reading(tmp_path / "out").name == "masks"
    (found,) = read_sets(tmp_path / "out")
    same(label_set, found, "area", "row_min", "touches_edge", "mean", "edited")


def test_objects_that_overlap_are_whole(tmp_path: Path) -> None:
    label_set = overlapping()
    write(tmp_path, label_set)
    found = back(tmp_path)
    same(label_set, found, "hidden_area")
    for label, mask in masks(label_set).items():
        np.testing.assert_array_equal(masks(found)[label], mask)


def test_nothing_at_all(tmp_path: Path) -> None:
    empty = LabelSet.from_labels(np.zeros((2, 4, 5), np.uint8), "ZYX", name="none")
    write(tmp_path, empty)
    assert knows(tmp_path)
    same(empty, back(tmp_path))


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("file", "../../etc/passwd", "within the folder"),
        ("file", "/etc/passwd", "within the folder"),
        ("file", "C:\\x.png", "within the folder"),
        ("file", "none.png", "no such file"),
        ("file", "index.csv", "PNG"),
        ("index", 0, "whole number"),
        ("index", 2.5, "whole number"),
        ("category_id", -1, "whole number"),
        ("score", 7.0, "0 to 1"),
        ("z", 99, "0 to 2"),
    ],
)
def test_what_is_wrong_in_the_list(tmp_path: Path, column: str, value: object, said: str) -> None:
    write(tmp_path, stack("ZYX"))
    table = pd.read_csv(tmp_path / INDEX)
    table[column] = value
    table.to_csv(tmp_path / INDEX, index=False)
    with pytest.raises(InputError, match=said):
        back(tmp_path)


def test_what_is_wrong_in_the_files(tmp_path: Path) -> None:
    write(tmp_path, shapes())
    file = tmp_path / "0001_nucleus.png"
    good = file.read_bytes()
    for data in (b"", good[:40], good[:-30]):
        file.write_bytes(data)
        with pytest.raises(InputError, match="0001_nucleus"):
            back(tmp_path)
    # Of another size than the image: a bomb is not unpacked.
    Pillow.new("1", (9000, 9000)).save(file)
    with pytest.raises(InputError, match="12 x 8 px"):
        back(tmp_path)
    Pillow.new("1", (12, 8)).save(file)
    with pytest.raises(InputError, match="some pixels"):
        back(tmp_path)
    file.write_bytes(good)
    about = json.loads((tmp_path / "image.json").read_text("utf-8"))
    about["napari_instseg"]["shape"] = [2**20, 2**20]
    (tmp_path / "image.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match="pixels"):
        back(tmp_path)
    (tmp_path / INDEX).write_text("file\n")
    with pytest.raises(InputError):
        back(tmp_path)
