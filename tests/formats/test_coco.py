"""COCO instances, there and back, and as pycocotools reads them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers import draw
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
