"""Every format, there and back: what comes back is what went out, as far as the format goes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from formats.label_sets import (
    CELL,
    LABELS,
    crowd,
    nested,
    overlapping,
    plain,
    random_result,
    same,
    stack,
    with_stuff,
)
from helpers import draw
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image as Pillow

from napari_instseg import Category, Editor, InputError, LabelSet, export, read_labels
from napari_instseg.io.formats.names import Names, file_stem
from napari_instseg.io.formats.registry import FORMATS

#: Formats that keep labels, by the name to write to.
PATHS = {
    "coco": "a.json",
    "panoptic": "b.json",
    "detectron2": "c.json",
    "cityscapes": "cities",
    "divisor": "d.divisor.tif",
    "result": "results",
}
WITH_STUFF = [one.name for one in FORMATS if one.name in PATHS and one.stuff]


@pytest.mark.parametrize("format", PATHS)
@pytest.mark.parametrize("make", [plain, stack, with_stuff])
def test_there_and_back(tmp_path: Path, format: str, make) -> None:
    before = make()
    done = export(before, tmp_path / PATHS[format], format)
    assert all(path.exists() for path in done.paths)
    assert not [path for path in tmp_path.rglob("*") if "partial" in path.name]
    after = read_labels(tmp_path / PATHS[format])
    keeps = format in WITH_STUFF
    same(before, after, stuff=keeps)
    assert any("größeres Gewebe" in note for note in done.notes) == (
        not keeps and make is with_stuff
    )
    if keeps and make is with_stuff and format != "result":
        np.testing.assert_array_equal(after.ground, np.where(before.panoptic == 5000, 7, 0))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arrays(np.int32, array_shapes(min_dims=2, max_dims=3, max_side=6), elements=st.integers(0, 4)),
    st.sampled_from([*PATHS]),
)
def test_any_labels(tmp_path: Path, labels: np.ndarray, format: str) -> None:
    shutil.rmtree(tmp_path / "a", ignore_errors=True)
    before = plain(labels * 7, "TYX"[-labels.ndim :])
    export(before, tmp_path / "a" / PATHS[format], format)
    same(before, read_labels(tmp_path / "a" / PATHS[format]))


@pytest.mark.parametrize("format", PATHS)
@pytest.mark.parametrize("shape", [(3, 4), (1, 1), (2, 3, 4)])
def test_nothing_at_all(tmp_path: Path, format: str, shape: tuple[int, ...]) -> None:
    before = plain(np.zeros(shape, np.int32), "ZYX"[-len(shape) :])
    export(before, tmp_path / PATHS[format], format)
    same(before, read_labels(tmp_path / PATHS[format]))


@pytest.mark.parametrize("format", PATHS)
def test_one_pixel_that_is_all(tmp_path: Path, format: str) -> None:
    before = plain(np.full((1, 1), 7))
    export(before, tmp_path / PATHS[format], format)
    same(before, read_labels(tmp_path / PATHS[format]))


@pytest.mark.parametrize("format", ["coco", "panoptic"])
def test_70000_objects(tmp_path: Path, format: str) -> None:
    labels = np.zeros((700, 400), np.int32)
    labels[::2, ::2] = np.arange(1, 70_001).reshape(350, 200)
    before = plain(labels)
    export(before, tmp_path / PATHS[format], format)
    same(before, read_labels(tmp_path / PATHS[format]))


@pytest.mark.parametrize("format", ["coco", "panoptic", "detectron2", "cityscapes", "result"])
def test_several_images_of_one_name(tmp_path: Path, format: str) -> None:
    several = [stack(), plain(name="a"), plain(LABELS[::-1], name="a"), plain(name="../a")]
    export(several, tmp_path / PATHS[format], format)
    found = read_labels(tmp_path / PATHS[format])
    assert isinstance(found, list)
    for before in several:
        for after in found:
            if np.array_equal(before.instances, after.instances) and before.name == after.name:
                same(before, after)
                break
        else:
            raise AssertionError(before.name)
    assert {path.parent for path in tmp_path.iterdir()} == {tmp_path}


def test_formats_that_hold_one_image_fill_a_folder(tmp_path: Path) -> None:
    done = export([plain(name="a"), plain(name="a")], tmp_path / "maps", "divisor")
    names = [path.name for path in done.paths]
    assert names == ["a.divisor.json", "a.divisor.tif", "a_2.divisor.json", "a_2.divisor.tif"]
    same(plain(name="a"), read_labels(tmp_path / "maps" / "a_2.divisor.tif"))
    with pytest.raises(InputError, match="expected a folder"):
        export([plain(), plain()], tmp_path / "a.divisor.tif")


class TestOverlaps:
    @pytest.mark.parametrize("format", ["coco", "detectron2"])
    def test_whole_masks_are_kept_where_there_is_room(self, tmp_path: Path, format: str) -> None:
        result = overlapping()
        export(result, tmp_path / "a.json", format)
        after = read_labels(tmp_path / "a.json")
        same(result.label_set, after)
        assert after.table["hidden_area"].tolist() == result.table["hidden_area"].tolist() != [0, 0]
        for one, other in zip(result.raw[0].masks[:2], after.raw[0].masks, strict=True):
            assert one.origin == other.origin
            np.testing.assert_array_equal(one.pixels, other.pixels)

    @pytest.mark.parametrize("format", ["panoptic", "cityscapes", "divisor"])
    def test_where_there_is_none_it_is_said(self, tmp_path: Path, format: str) -> None:
        result = overlapping()
        done = export(result, tmp_path / PATHS[format], format)
        assert done.notes == (
            "cells: objects overlap: of each only what is not hidden by better ones is kept",
        )
        same(result.label_set, read_labels(tmp_path / PATHS[format]))

    @pytest.mark.parametrize("link", [False, True])
    def test_what_is_seen_stays_whoever_hides_whom(self, tmp_path: Path, link: bool) -> None:
        for seed in (0, 9):
            result = random_result(seed, link=link)
            export(result, tmp_path / "a.json")
            found = read_labels(tmp_path / "a.json")
            np.testing.assert_array_equal(found.instances, result.instances)
            hidden = [t.table["hidden_area"].sum() for t in (found, result)]
            assert 0 < hidden[0] <= hidden[1]
            assert hidden[0] == hidden[1] or link

    def test_hidden_objects_on_request(self, tmp_path: Path) -> None:
        export(overlapping(), tmp_path / "a.json", hidden=True)
        found = read_labels(tmp_path / "a.json")
        # The one below the threshold is not among them.
        assert [round(float(s), 3) for s in found.raw[0].scores] == [0.9, 0.8, 0.7]
        assert found.table["area"].tolist() == [12, 10, 0]
        assert found.table["hidden_area"].tolist() == [0, 2, 4]

    @pytest.mark.parametrize(
        ("edit", "hidden"),
        [(("delete", [1]), [0]), (("grow", [2]), [0, 0]), (("renumber",), [0, 0])],
        ids=["delete", "grow", "renumber"],
    )
    def test_edits_count(self, tmp_path: Path, edit, hidden: list[int]) -> None:
        before = replace(overlapping().label_set, recipe={})
        if edit[0] == "renumber":
            before = replace(before, instances=before.instances * np.int32(2))
            before = replace(before, table=before.table.assign(index=[2, 4]))
        editor = Editor(before)
        editor.apply(edit[0], **({"ids": edit[1]} if len(edit) > 1 else {}))
        export(editor.labels, tmp_path / "a.json")
        found = read_labels(tmp_path / "a.json")
        np.testing.assert_array_equal(found.instances, editor.labels.instances)
        assert found.table["hidden_area"].tolist() == hidden

    def test_what_was_painted_by_hand_counts(self, tmp_path: Path) -> None:
        before = overlapping().label_set
        edited = np.array(before.instances)
        edited[edited == 1] = 0
        edited[7, 0] = 9
        export(replace(before, instances=edited), tmp_path / "a.json")
        found = read_labels(tmp_path / "a.json")
        np.testing.assert_array_equal(found.instances, edited)
        assert found.table["category"].tolist() == [before.table["category"][1], CELL.name]


class TestLimits:
    def test_panoptic_ids_have_24_bits(self, tmp_path: Path) -> None:
        labels = LABELS.copy()
        labels[0, 0] = 2**24 - 1
        export(plain(labels), tmp_path / "a.json", "panoptic")
        same(plain(labels), read_labels(tmp_path / "a.json"))
        labels[0, 0] = 2**24
        with pytest.raises(InputError, match=r"b\.json: expected labels up to 16777215, got 1677"):
            export(plain(labels), tmp_path / "b.json", "panoptic")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "a.json"]

    def test_cityscapes_has_16_bits(self, tmp_path: Path) -> None:
        for number in (65, 66):
            one = LabelSet.from_labels(LABELS, "YX", category=Category(number, "a"))
            if number == 65:
                export(one, tmp_path / "a", "cityscapes")
                same(one, read_labels(tmp_path / "a"))
            else:
                with pytest.raises(InputError, match=r"up to 65535 .* got 66003"):
                    export(one, tmp_path / "b", "cityscapes")
        assert [p.name for p in tmp_path.iterdir()] == ["a"]

    def test_more_than_1000_objects_of_a_class(self, tmp_path: Path) -> None:
        several = np.arange(1, 1201).reshape(2, 20, 30)
        done = export(plain(several, "ZYX"), tmp_path / "a", "cityscapes")
        assert "numbered in each plane anew" in done.notes[-1]
        same(plain(several, "ZYX"), read_labels(tmp_path / "a"))
        with pytest.raises(InputError, match="at most 1000 objects"):
            export(plain(several.reshape(40, 30)), tmp_path / "b", "cityscapes")

    def test_divisors(self, tmp_path: Path) -> None:
        labels = np.arange(1, 1201).reshape(40, 30)
        path = tmp_path / "a.divisor.tif"
        export(plain(labels), path)
        assert tifffile.imread(path).max() == 3 * 10_000 + 1200
        same(plain(labels), read_labels(path))
        export(plain(labels), path, divisor=2000)
        assert tifffile.imread(path).max() == 3 * 2000 + 1200
        with pytest.raises(InputError, match="larger divisor"):
            export(plain(labels), path, divisor=1000)
        with pytest.raises(InputError, match=r"up to 2\^32"):
            export(plain(labels), path, divisor=2**31)
        assert tifffile.imread(path).max() == 3 * 2000 + 1200


class TestWithoutOurJson:
    def test_cityscapes(self, tmp_path: Path) -> None:
        folder = tmp_path / "val" / "bonn"
        folder.mkdir(parents=True)
        pixels = np.array([[0, 7, 26000, 26001, 26], [23, 7, 26000, 26001, 26]], np.uint16)
        Pillow.fromarray(pixels).save(folder / "bonn_1_2_gtFine_instanceIds.png")
        found = read_labels(tmp_path / "val")
        assert found.name == "bonn_1_2"
        rows = found.table[["category_id", "is_thing", "area"]].to_numpy().tolist()
        assert rows == [[26, True, 2], [26, True, 2], [26, True, 2], [7, False, 2], [23, False, 1]]
        assert found.table["iscrowd"].tolist() == [False, False, True, False, False]
        np.testing.assert_array_equal(found.instances, [[0, 0, 1, 2, 3]] * 2)
        np.testing.assert_array_equal(found.semantic, np.where(pixels < 1000, pixels, 26))

    def test_divisor(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 201, 202], [300, 201, 0]], np.uint32))
        found = read_labels(tmp_path / "a.tif", "divisor", divisor=100)
        np.testing.assert_array_equal(found.instances, [[0, 1, 2], [0, 1, 0]])
        np.testing.assert_array_equal(found.semantic, [[0, 2, 2], [3, 2, 0]])
        with pytest.raises(InputError, match="or the option divisor"):
            read_labels(tmp_path / "a.tif", "divisor")

    def test_detectron2(self, tmp_path: Path) -> None:
        export(with_stuff(), tmp_path / "a.json", "detectron2")
        (tmp_path / "a_images.json").unlink()
        found = read_labels(tmp_path / "a.json")
        # The plane without objects is not known.
        assert [one.name for one in found] == ["image 1", "image 3"]
        np.testing.assert_array_equal(found[0].instances, LABELS)


@pytest.mark.parametrize(
    "format", ["result", "ome-zarr", "tiff", "divisor", "panoptic", "cityscapes"]
)
def test_negative_labels_are_told(tmp_path: Path, format: str) -> None:
    path = tmp_path / {"tiff": "a.tif", "ome-zarr": "a.zarr", **PATHS}[format]
    with pytest.raises(InputError, match="expected labels from 0 on, got -1"):
        export(plain(LABELS - 1), path, format)
    assert not path.exists()


def test_options_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="coco: expected options masks, hidden, got colour"):
        export(plain(), tmp_path / "a.json", colour=3)
    with pytest.raises(InputError, match="format: expected one of"):
        export(plain(), tmp_path / "a.json", "cocoa")
    with pytest.raises(InputError, match="or a format: one of"):
        export(plain(), tmp_path / "a.xyz")
    with pytest.raises(InputError, match="expected a result"):
        export(3, tmp_path / "a.json")
    with pytest.raises(InputError, match=r"b\.json: no such file"):
        read_labels(tmp_path / "b.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.zip", "imagej-roi"), ("a.geojson", "geojson"), ("a", "masks"), ("a.json", "detectron2")],
)
def test_a_crowd_stays_below_its_objects(tmp_path: Path, name: str, format: str) -> None:
    export(crowd(), tmp_path / name, format)
    after = read_labels(tmp_path / name, format)
    labels, counts = np.unique(after.read("instances"), return_counts=True)
    assert dict(zip(labels.tolist(), counts.tolist(), strict=True)) == {1: 391, 2: 9}
    assert after.table["iscrowd"].tolist() == [True, False]
    # Where there is none, no column says so.
    export(plain(), tmp_path / f"b{name}", format)
    assert "iscrowd" not in read_labels(tmp_path / f"b{name}", format).table


@pytest.mark.parametrize("name", ["a.zip", "a.geojson"])
def test_an_object_that_is_hidden_altogether(tmp_path: Path, name: str) -> None:
    export(nested(), tmp_path / name)
    after = read_labels(tmp_path / name)
    assert after.table[["index", "area", "hidden_area"]].to_numpy().tolist() == [
        [1, 25, 0],
        [2, 0, 4],
    ]


def test_an_object_without_a_score_as_a_roi(tmp_path: Path) -> None:
    before = plain()
    unknown = before.table.assign(score=np.float32("nan"))
    export(replace(before, table=unknown), tmp_path / "a.zip")
    same(before, read_labels(tmp_path / "a.zip"))


@pytest.mark.parametrize(("label", "labels"), [(2**31 - 1, [1, 2]), (2**31 - 2, None)])
def test_the_largest_labels_of_coco(tmp_path: Path, label: int, labels: list[int] | None) -> None:
    export(plain(draw("A.B")), tmp_path / "a.json")
    values = json.loads((tmp_path / "a.json").read_text("utf-8"))
    values["annotations"][0]["instance_id"] = label
    (tmp_path / "a.json").write_text(json.dumps(values), "utf-8")
    assert read_labels(tmp_path / "a.json").instances.tolist() == [[label, 0, 2]]
    del values["annotations"][1]["instance_id"]
    (tmp_path / "a.json").write_text(json.dumps(values), "utf-8")
    first, second = labels or (label, label + 1)
    assert read_labels(tmp_path / "a.json").instances.tolist() == [[first, 0, second]]


def test_results_with_an_export_among_them(tmp_path: Path) -> None:
    export(plain(name="a"), tmp_path, "result")
    export(plain(draw("AB"), name="b"), tmp_path / "cities", "cityscapes")
    assert read_labels(tmp_path).name == "a"
    assert read_labels(tmp_path / "cities").name == "b"


def test_another_format_in_a_recipes_place_takes_nothing_else(tmp_path: Path) -> None:
    export(plain(name="a"), tmp_path, "result")
    before = {path.name for path in tmp_path.iterdir()}
    export(plain(), tmp_path / "a_recipe.json", "coco")
    assert {path.name for path in tmp_path.iterdir()} == before
    same(plain(), read_labels(tmp_path / "a_recipe.json", "coco"))


@pytest.mark.parametrize("path", [".", "", "..", "sub/.."])
def test_folders_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    here = tmp_path / "here"
    (here / "sub").mkdir(parents=True)
    monkeypatch.chdir(here)
    done = export(plain(name="a"), path, "masks")
    folder = tmp_path if path == ".." else here
    assert {file.parent for file in done.paths} == {folder}
    assert (folder / "index.csv").is_file()
    assert not [one for one in tmp_path.rglob("*") if "partial" in one.name]


def test_a_part_that_was_cut_out_of_a_result_as_a_result(tmp_path: Path) -> None:
    whole = overlapping().label_set
    part = replace(whole, instances=whole.instances[1:], raw=None, numbers=None)
    export(part, tmp_path, "result")
    after = read_labels(tmp_path)
    np.testing.assert_array_equal(after.instances, part.instances)
    assert after.recipe["settings"]["model"] == whole.recipe["settings"]["model"]


@pytest.mark.parametrize("labels", ["tiff", "zarr"])
def test_labels_with_channels_in_results(tmp_path: Path, labels: str) -> None:
    before = plain(np.stack([LABELS, LABELS[::-1] * 9]), "CYX")
    export(before, tmp_path / "r", "result", labels=labels)
    same(before, read_labels(tmp_path / "r"))


@pytest.mark.parametrize("name", ["NA", "null", "None", "007", "nan"])
def test_categories_with_odd_names_in_results(tmp_path: Path, name: str) -> None:
    before = LabelSet.from_labels(LABELS, "YX", category=Category(2, name), name="a")
    export(before, tmp_path / "r", "result")
    after = read_labels(tmp_path / "r")
    same(before, after)
    assert after.categories[0].name == name


def test_a_category_without_a_name_in_results(tmp_path: Path) -> None:
    before = LabelSet.from_labels(LABELS, "YX", category=Category(2, ""), name="a")
    export(before, tmp_path / "r", "result")
    after = read_labels(tmp_path / "r")
    assert set(after.table["category"]) == {""}
    assert after.table["area"].dtype == np.int64


def test_a_plane_and_an_image_of_its_name_lie_apart(tmp_path: Path) -> None:
    image = plain(name="stack_z0000")
    for i, sets in enumerate([(stack(), image), (image, stack())]):
        done = export(sets, tmp_path / f"{i}", "cityscapes")
        assert len(done.paths) == len(set(done.paths))
        found = read_labels(tmp_path / f"{i}")
        assert sorted((one.name, one.axes) for one in found) == [
            ("stack", "ZYX"),
            ("stack_z0000", "YX"),
        ]


def test_names_are_cut_by_bytes() -> None:
    assert file_stem("核" * 200) == "核" * 60
    assert file_stem("a" * 200) == "a" * 180
    assert file_stem("b\udce4d") == "b_d"
    names = Names()
    # Frames keep their names.
    assert [names.of(name) for name in ("a_t0001", "a_t0002", "a")] == ["a_t0001", "a_t0002", "a_2"]


def test_a_mere_array_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="from_labels"):
        export(LABELS, tmp_path / "a.json")
