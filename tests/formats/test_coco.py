"""COCO instances, there and back, and as pycocotools reads them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers import draw
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from napari_instseg import Category, InputError, LabelSet, export, read_labels

# pycocotools 2.0 says so of NumPy 2 whenever it decodes.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

LABELS = draw(
    """
    AAA..B
    A.A..B
    AAACC.
    ...CC.
    """
)


def nuclei(labels: np.ndarray, axes: str, name: str = "größe 核") -> LabelSet:
    category = Category(3, "Zellkern 核")
    return LabelSet.from_labels(labels, axes, category=category, name=name, spacing={"X": 0.5})


@pytest.mark.parametrize("masks", ["rle", "polygons"])
def test_pycocotools_sees_the_same_pixels(tmp_path: Path, masks: str) -> None:
    done = export(nuclei(LABELS, "YX"), tmp_path / "a.json", masks=masks)
    assert done.paths == (tmp_path / "a.json",)
    assert len(done.notes) == (masks == "polygons")
    coco = COCO(str(done.paths[0]))
    assert [c["name"] for c in coco.cats.values()] == ["Zellkern 核"]
    assert coco.imgs[1]["file_name"] == "größe 核.tif"
    for annotation in coco.anns.values():
        mask = np.equal(LABELS, annotation["instance_id"])
        np.testing.assert_array_equal(coco.annToMask(annotation), mask)
        assert annotation["area"] == mask.sum()
        assert isinstance(annotation["segmentation"], list) == (
            masks == "polygons" and annotation["instance_id"] != 1
        )
    assert not [p for p in tmp_path.iterdir() if p.suffix != ".json"]


def test_planes_become_one_stack_again(tmp_path: Path) -> None:
    labels = np.stack([LABELS, np.zeros_like(LABELS), LABELS[::-1] * 1000])
    labels[2][labels[2] == 1000] = 1
    export([nuclei(labels, "ZYX", "a"), nuclei(LABELS, "YX", "a")], tmp_path / "a.json")
    names = [one["file_name"] for one in json.loads((tmp_path / "a.json").read_text())["images"]]
    assert names == ["a_z0000.tif", "a_z0001.tif", "a_z0002.tif", "a_2.tif"]
    stack, plane = read_labels(tmp_path / "a.json")
    np.testing.assert_array_equal(stack.instances, labels)
    np.testing.assert_array_equal(plane.instances, LABELS)
    assert (stack.axes, stack.spacing, stack.name, plane.name) == ("ZYX", {"X": 0.5}, "a", "a")
    assert stack.table["index"].tolist() == [1, 2, 3, 2000, 3000]
    assert stack.table.loc[0, ["area", "z_first", "z_last"]].tolist() == [16, 0, 2]


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    export(nuclei(LABELS, "YX"), tmp_path / "a.json")
    whole = (tmp_path / "a.json").read_bytes()
    (tmp_path / "a.json").write_bytes(whole[:-20])
    with pytest.raises(InputError, match=r"a\.json: expected JSON"):
        read_labels(tmp_path / "a.json")


def test_files_of_others(tmp_path: Path) -> None:
    """No scores, ids from 0, crowds, no word of ours; both ways to write a mask."""
    ring = coco_mask.encode(np.asfortranarray((LABELS == 1).astype(np.uint8)))
    values = {
        "images": [{"id": 12, "file_name": "train/a.b.jpg", "height": 4, "width": 6}],
        "categories": [{"id": 0, "name": "cell"}, {"id": 5, "name": "dust"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 12,
                "category_id": 5,
                "iscrowd": 1,
                "segmentation": {"size": [4, 6], "counts": [0, 24]},
            },
            {
                "id": 2,
                "image_id": 12,
                "category_id": 0,
                "segmentation": {"size": [4, 6], "counts": ring["counts"].decode()},
            },
            {"id": 3, "image_id": 12, "category_id": 0, "segmentation": [[2, 0, 4, 0, 4, 1, 2, 1]]},
            {"id": 4, "image_id": 12, "category_id": 0, "segmentation": []},
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(values))
    found = read_labels(tmp_path / "a.json")
    # The crowd lies under all others, the first of two with the same score above the second.
    np.testing.assert_array_equal(found.instances, draw("BBBCAA\nBABAAA\nBBBAAA\nAAAAAA"))
    assert found.name == "a.b"
    rows = found.table[["category_id", "category", "area", "hidden_area", "iscrowd"]]
    assert rows.to_numpy().tolist() == [
        [5, "dust", 15, 9, True],
        [6, "cell", 8, 0, False],
        [6, "cell", 1, 1, False],
    ]
    done = export(found, tmp_path / "b.json")
    assert done.notes == ("a.b: category 0 (cell) is 6 here, since 0 is nothing",)
    image = json.loads((tmp_path / "b.json").read_text())["images"][0]
    assert image["file_name"] == "train/a.b.jpg"
    again = read_labels(tmp_path / "b.json")
    np.testing.assert_array_equal(again.instances, found.instances)
    assert again.table["hidden_area"].tolist() == [9, 0, 1]
