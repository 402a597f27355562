"""Names, things and stuff: from files, from data sets that Detectron2 knows, or numbers."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if importlib.util.find_spec("detectron2") is None:
    pytest.skip("needs Detectron2: napari-instseg install detectron2", allow_module_level=True)

from networks import panoptic_deeplab

from napari_instseg.models.detectron2 import bridges
from napari_instseg.models.detectron2.categories import Categories, categories_of, distinct_color
from napari_instseg.models.detectron2.config import zoo_config
from napari_instseg.segmenter import ModelError

bridges.load()
MASK_RCNN = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x"
PANOPTIC = "COCO-PanopticSegmentation/panoptic_fpn_R_50_1x"
SEMANTIC = "Misc/semantic_R_50_FPN_1x"


def config(name: str = MASK_RCNN, things: int = 80, stuff: int = 54, **datasets: Any) -> Any:
    cfg = zoo_config(name)
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = cfg.MODEL.RETINANET.NUM_CLASSES = things
    cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES = stuff
    for key, value in datasets.items():
        cfg.DATASETS[key] = value
    return cfg


def write(path: Path, content: Any) -> Path:
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


def names(categories: Categories) -> dict[str, bool]:
    return {c.name: c.is_thing for c in categories.categories}


def check(categories: Categories) -> None:
    """What holds of all: ids from 1, things first, each class number has an id or is void."""
    found = categories.categories
    assert [c.id for c in found] == list(range(1, len(found) + 1))
    assert [c.is_thing for c in found] == sorted((c.is_thing for c in found), reverse=True)
    assert all(len(c.color) == 3 and all(0 <= v <= 1 for v in c.color) for c in found)
    assert categories.thing_ids.dtype == categories.stuff_ids.dtype == np.int64
    things = {c.id for c in found if c.is_thing}
    assert set(categories.thing_ids.tolist()) - {0} == things
    stuff = {c.id for c in found if not c.is_thing}
    assert stuff <= set(categories.stuff_ids.tolist()) <= stuff | things | {0}


ZOO = {
    MASK_RCNN: (80, 0, 80, 0, "person", "toothbrush"),
    "COCO-Detection/retinanet_R_50_FPN_1x": (80, 0, 80, 0, "person", "toothbrush"),
    "LVISv0.5-InstanceSegmentation/mask_rcnn_R_50_FPN_1x": (1230, 0, 1230, 0, "acorn", "zucchini"),
    "LVISv1-InstanceSegmentation/mask_rcnn_R_50_FPN_1x": (
        1203, 0, 1203, 0, "aerosol_can", "zucchini",
    ),
    "Cityscapes/mask_rcnn_R_50_FPN": (8, 0, 8, 0, "person", "bicycle"),
    "PascalVOC-Detection/faster_rcnn_R_50_C4": (20, 0, 20, 0, "aeroplane", "tvmonitor"),
    PANOPTIC: (80, 53, 80, 54, "person", "rug"),
    SEMANTIC: (0, 54, 0, 54, "things", "rug"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "expected"), ZOO.items(), ids=list(ZOO))
def test_the_zoo_has_the_names_of_its_data_sets(name: str, expected: tuple[Any, ...]) -> None:
    things, stuff, thing_ids, stuff_ids, first, last = expected
    found = categories_of(zoo_config(name))
    check(found)
    kinds = [c.is_thing for c in found.categories]
    assert (kinds.count(True), kinds.count(False)) == (things, stuff)
    assert (len(found.thing_ids), len(found.stuff_ids)) == (thing_ids, stuff_ids)
    assert (found.categories[0].name, found.categories[-1].name) == (first, last)


def test_colors_are_those_of_the_data_set() -> None:
    person, *_ = categories_of(config()).categories
    assert np.allclose(np.array(person.color) * 255, (220, 20, 60))
    banner = categories_of(config(PANOPTIC)).categories[80]
    assert banner.name == "banner"
    assert np.allclose(np.array(banner.color) * 255, (255, 255, 128))


def test_panoptic_fpn_has_a_class_for_all_things() -> None:
    found = categories_of(config(PANOPTIC))
    assert found.stuff_ids.tolist() == [0, *range(81, 134)]
    assert found.thing_ids.tolist() == list(range(1, 81))


def test_panoptic_deeplab_numbers_things_and_stuff_together() -> None:
    found = categories_of(panoptic_deeplab())
    check(found)
    # Cityscapes: 11 kinds of stuff, then 8 of things.
    assert found.stuff_ids.tolist() == [*range(9, 20), *range(1, 9)]
    assert found.thing_ids.tolist() == [0] * 11 + list(range(1, 9))
    assert found.thing_classes == tuple(range(11, 19))
    assert [c.name for c in found.categories[:2]] == ["person", "rider"]
    assert found.categories[8].name == "road"


def test_names_are_numbers_where_no_data_set_is_known() -> None:
    from detectron2.data import MetadataCatalog

    unknown = {"TEST": ("mine",), "TRAIN": ()}
    found = categories_of(config(things=3, **unknown))
    check(found)
    assert names(found) == {"class 1": True, "class 2": True, "class 3": True}
    assert "mine" not in MetadataCatalog.list()
    found = categories_of(config(PANOPTIC, 2, 3, **unknown))
    assert names(found) == {"class 1": True, "class 2": True, "stuff 1": False, "stuff 2": False}
    assert found.stuff_ids.tolist() == [0, 3, 4]
    assert names(categories_of(config(SEMANTIC, stuff=2, **unknown))) == {
        "stuff 1": False,
        "stuff 2": False,
    }


def test_names_of_a_data_set_with_other_classes_are_not_taken() -> None:
    """A config that was changed for one's own classes, and not its DATASETS."""
    assert categories_of(config(things=81)).categories[0].name == "class 1"
    # Things do not fit, stuff does.
    found = categories_of(config(PANOPTIC, things=3))
    assert [c.name for c in found.categories[2:5]] == ["class 3", "banner", "blanket"]


def test_the_training_set_is_asked_second() -> None:
    found = categories_of(config(TEST=("mine",), TRAIN=("coco_2017_train",)))
    assert found.categories[0].name == "person"
    found = categories_of(config(things=8, TRAIN=("cityscapes_fine_instance_seg_train",)))
    assert found.categories[0].name == "person"


COCO = {
    "info": {},
    "annotations": [],
    "categories": [
        {"id": 7, "name": "wall", "isthing": 0, "color": [1, 2, 3]},
        {"id": 2, "name": "cell", "isthing": 1, "color": [255, 0, 51]},
        {"id": 9, "name": "vessel", "isthing": 1},
    ],
}


def test_names_from_files(tmp_path: Path) -> None:
    two = {"cell": True, "nerve fibre": True}
    text = write(tmp_path / "n.txt", "\ufeff cell \n\nnerve fibre\n")
    assert names(categories_of(config(things=2), text)) == two
    path = tmp_path / "n.json"
    instances = [{"id": 5, "name": "nerve fibre"}, {"id": 1, "name": "cell"}]
    contents = (list(two), {"things": list(two)}, {"categories": instances}, instances)
    for content in contents:
        found = categories_of(config(things=2), write(path, content))
        check(found)
        assert names(found) == two


def test_names_of_coco_count_by_their_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "n.json", COCO)
    found = categories_of(config(PANOPTIC, 2, 2), path)
    check(found)
    assert names(found) == {"cell": True, "vessel": True, "wall": False}
    assert found.categories[0].color == pytest.approx((1, 0, 0.2))
    assert found.categories[1].color == distinct_color(1)
    # Things only, from the same file; and stuff only.
    assert names(categories_of(config(things=2), path)) == {"cell": True, "vessel": True}
    assert names(categories_of(config(SEMANTIC, stuff=1), path)) == {"wall": False}
    found = categories_of(config(SEMANTIC, stuff=3), path)
    assert names(found) == {"cell": False, "wall": False, "vessel": False}


def test_names_of_things_and_stuff(tmp_path: Path) -> None:
    want = {"cell": True, "gland": True, "wall": False}
    flat = write(tmp_path / "n.txt", "cell\ngland\nwall\n")
    named = write(tmp_path / "n.json", {"things": ["cell", "gland"], "stuff": ["wall"]})
    with_void = write(
        tmp_path / "v.json", {"stuff": ["things", "wall"], "things": ["cell", "gland"]}
    )
    for path in (flat, named, with_void):
        found = categories_of(config(PANOPTIC, 2, 2), path)
        check(found)
        assert names(found) == want
        assert found.stuff_ids.tolist() == [0, 3]


def test_names_of_panoptic_deeplab(tmp_path: Path) -> None:
    cfg = panoptic_deeplab()
    cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES = 3
    cfg.DATASETS.TRAIN = cfg.DATASETS.TEST = ("mine",)
    with pytest.raises(ModelError, match=r"which classes .* are things: give a file with 3"):
        categories_of(cfg)
    with pytest.raises(ModelError, match="does not say which classes are things"):
        categories_of(cfg, write(tmp_path / "n.txt", "a\nb\nc\n"))
    found = categories_of(cfg, write(tmp_path / "n.json", COCO))
    check(found)
    # In the order of their ids: cell, wall, vessel.
    assert found.thing_ids.tolist() == [1, 0, 2]
    assert found.stuff_ids.tolist() == [1, 3, 2]
    ordered = write(tmp_path / "n.json", {"stuff": ["wall"], "things": ["cell", "vessel"]})
    assert categories_of(cfg, ordered).stuff_ids.tolist() == [3, 1, 2]


def test_another_number_of_names_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "n.txt", "a\nb\n")
    with pytest.raises(ModelError, match="expected 3 names of things, got 2 names of things"):
        categories_of(config(things=3), path)
    with pytest.raises(ModelError, match="expected 1 names of things and 2 names of stuff, got 1"):
        categories_of(config(PANOPTIC, 1, 3), path)
    with pytest.raises(ModelError, match="expected 5 names of stuff, got 2 names of stuff"):
        categories_of(config(SEMANTIC, stuff=5), path)


BAD = {
    "[]": "has no names",
    "{}": "has no names",
    "3": "has no names",
    '["a", 3]': "has no names",
    '["a", " "]': "has no names",
    '{"things": "cell"}': "has no names",
    '{"things": 3}': "has no names",
    '[{"id": 1}]': "has no names",
    '{"categories": [3]}': "has no names",
    '["a", "b"': "cannot be read",
    "[" * 100_000: "cannot be read",
}


@pytest.mark.parametrize(("text", "reason"), BAD.items(), ids=range(len(BAD)))
def test_a_file_without_names_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = write(tmp_path / "n.json", text)
    with pytest.raises(ModelError, match=rf"n\.json.*{reason}"):
        categories_of(config(things=2), path)


def test_a_file_that_is_missing_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        categories_of(config(), tmp_path / "none.txt")
    (tmp_path / "n.txt").write_bytes(bytes(range(128, 256)))
    with pytest.raises(ModelError, match="cannot be read"):
        categories_of(config(), tmp_path / "n.txt")


def test_colors_differ() -> None:
    colors = np.array([distinct_color(i) for i in range(40)])
    apart = np.abs(colors[:, None] - colors[None]).sum(axis=2) + 9 * np.eye(40)
    assert apart.min() > 0.04
    assert np.abs(np.diff(colors, axis=0)).sum(axis=1).min() > 0.5
