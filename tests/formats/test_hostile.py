"""Files that are damaged, wrong or made to harm: refused with a reason, and the file's name."""

from __future__ import annotations

import json
import re
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from formats.label_sets import plain, stack, with_stuff
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from napari_instseg import InputError, LabelSet, export, read_labels
from napari_instseg.io.formats import checks, registry
from napari_instseg.io.formats.about import KEY
from napari_instseg.io.formats.coco_reading import Budget, read_mask
from napari_instseg.io.formats.stacks import Stack

FORMATS = {
    "coco": "a.json",
    "panoptic": "a.json",
    "detectron2": "a.json",
    "cityscapes": "a",
    "divisor": "a.divisor.tif",
    "result": "a",
}
Change = Callable[[Any], Any]


def written(folder: Path, format: str) -> Path:
    export(with_stuff(), folder / FORMATS[format], format)
    return folder / FORMATS[format]


def change(path: Path, edit: Change) -> None:
    values = json.loads(path.read_text("utf-8"))
    edit(values)
    path.write_text(json.dumps(values), "utf-8")


def refused(path: Path, reason: str, format: str | None = None) -> None:
    with pytest.raises(InputError, match=rf"(?s){re.escape(path.name)}.*{reason}"):
        read_labels(path, format)


def of(*keys: str | int, value: Any) -> Change:
    """An edit that puts a value somewhere deep in JSON."""

    def edit(values: Any) -> None:
        for key in keys[:-1]:
            values = values[key]
        values[keys[-1]] = value

    return edit


COCO = [
    (of("images", value=3), "images: expected"),
    (of("images", 0, value=[]), r"images\[0\]: expected"),
    (of("images", 0, "id", value=-1), r"images\[0\].id: expected a whole number"),
    (of("images", 0, "id", value=True), r"images\[0\].id"),
    (of("images", 0, "id", value=2), "each id once"),
    (of("images", 0, "height", value=0), "from 1"),
    (of("images", 0, "height", value=2**30), r"at most 2\^30 pixels"),
    (of("images", 0, "width", value=10**400), "width: expected a whole number"),
    (of("images", 0, "file_name", value="../../etc/passwd"), "within the folder"),
    (of("images", 0, "file_name", value="C:\\x\\..\\a.tif"), "within the folder"),
    (of("images", 0, "file_name", value="/root/a.tif"), "within the folder"),
    (of("images", 0, "file_name", value=7), "a file's name"),
    (of("images", 0, "napari_instseg", "plane", value=[5]), "expected a plane"),
    (of("images", 0, "napari_instseg", "plane", value=[1]), "each plane of 'stack' once"),
    (of("images", 0, "napari_instseg", "shape", value=[2**40, 4, 7]), "whole number"),
    (of("images", 0, "napari_instseg", "shape", value=[2**28, 4, 7]), "each plane"),
    (of("images", 0, "napari_instseg", "spacing_um", value={"X": -1}), "above 0"),
    (of("categories", 0, "id", value="1"), r"categories\[0\].id"),
    (of("categories", 0, "name", value=None), "expected a text"),
    (of("categories", 1, "id", value=3), "each id once"),
    (of("categories", 0, "color", value=[1, 2]), "damaged"),
    (of("annotations", 0, "image_id", value=99), "the id of an image, got 99"),
    (of("annotations", 0, "category_id", value=99), "a known category, got 99"),
    (of("annotations", 0, "iscrowd", value=2), "iscrowd"),
    (of("annotations", 0, "score", value=2), "from 0 to 1"),
    (of("annotations", 0, "score", value="NaN"), "from 0 to 1"),
    (of("annotations", 0, "instance_id", value=-3), "instance_id"),
    (of("annotations", 0, "segmentation", value=3), "expected"),
    (of("annotations", 0, "segmentation", "size", value=[7, 4]), "as of the image"),
    (of("annotations", 0, "segmentation", "counts", value="52"), "add up to 4 x 7 = 28 px"),
    (of("annotations", 0, "segmentation", "counts", value=[1, 2]), "add up"),
    (of("annotations", 0, "segmentation", "counts", value=[30, -2]), "add up"),
    (of("annotations", 0, "segmentation", "counts", value=[10**30]), "add up"),
    (of("annotations", 0, "segmentation", "counts", value="ooooooooooooo0"), "compressed"),
    (of("annotations", 0, "segmentation", "counts", value="größe"), "compressed"),
    (of("annotations", 0, "segmentation", "counts", value=None), "a text or a list"),
    (of("annotations", 0, "segmentation", value=[[1, 2, 3, 4]]), "3 corners or more"),
    (of("annotations", 0, "segmentation", value=[[1, 2, 3, 4, 5, "6"]]), "numbers"),
    (of("annotations", 0, "segmentation", value=[[0, 0, 1e9, 0, 1, 1]]), "corners in an image"),
    (of("annotations", 0, "segmentation", value=[[0, 0, 1e6, 9e5] * 50]), "far longer"),
]


@pytest.mark.parametrize(("edit", "reason"), COCO)
def test_coco(tmp_path: Path, edit: Change, reason: str) -> None:
    path = written(tmp_path, "coco")
    change(path, edit)
    refused(path, reason)


@pytest.mark.parametrize("format", ["coco", "panoptic", "detectron2"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected JSON"),
        ("[" * 200_000, "expected JSON|too deeply"),
        ('{"images": [' + "[" * 200_000, "too deeply|expected JSON"),
        ('{"images": [], "annotations": [NaN]}', "NaN is no number"),
        ('{"images": [], "annotations": [1e999], "categories": []}', "expected"),
        ('{"images": 1' + "0" * 5000 + "}", "expected"),
        ("\udcff", "expected JSON"),
        ("3", "expected"),
        ("null", "expected"),
    ],
)
def test_json_of_any_kind(tmp_path: Path, format: str, text: str, reason: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    refused(path, reason, format)


def test_masks_that_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "coco")
    monkeypatch.setattr(checks, "LARGEST_MASKS", 28)
    change(path, of("annotations", 0, "segmentation", value=[[0, 0, 7, 0, 7, 4, 0, 4]] * 2))
    refused(path, r"at most 2\^32 pixels together")


class TestPanoptic:
    PNG = "stack_z0000.png"

    @pytest.mark.parametrize(
        ("edit", "reason"),
        [
            (of("annotations", 0, "file_name", value="../a.png"), "within the folder"),
            (of("annotations", 0, "file_name", value="b.png"), "no such file"),
            (of("annotations", 0, "image_id", value=2), "once, got 2"),
            (of("annotations", 0, "segments_info", 0, "id", value=99), "are listed for it"),
            (of("annotations", 0, "segments_info", 0, "id", value=2**24), "to 16777215"),
            (of("annotations", 0, "segments_info", 0, "id", value=2), "each id once"),
            (of("annotations", 0, "segments_info", value=[]), "are listed for it"),
            (of("annotations", 0, "segments_info", 0, "category_id", value=4), "in all planes"),
            (of("annotations", 0, "segments_info", 0, "category_id", value=9), "a known category"),
            (of("images", 0, "height", value=5), "expected a plane"),
        ],
    )
    def test_json(self, tmp_path: Path, edit: Change, reason: str) -> None:
        path = written(tmp_path, "panoptic")
        change(path, edit)
        refused(path, reason)

    def test_pictures(self, tmp_path: Path) -> None:
        path = written(tmp_path, "panoptic")
        png = tmp_path / "a" / self.PNG
        whole = png.read_bytes()
        for content, reason in (
            (b"", "expected a PNG"),
            (whole[:20], "expected a PNG"),
            (whole[:-30], "damaged"),
            (b"GIF89a" + whole, "expected a PNG"),
            (claiming(whole, 2**31 - 1, 2**31 - 1), "expected 4 x 7 px, got 2147483647"),
            (claiming(whole, 7, 5), "expected 4 x 7 px, got 5 x 7"),
        ):
            png.write_bytes(content)
            refused(path, rf"{self.PNG}: .*{reason}")
        Pillow.fromarray(np.zeros((4, 7), np.uint8)).save(png)
        refused(path, "expected an RGB picture")


def claiming(png: bytes, width: int, height: int) -> bytes:
    """The same PNG with another size in its header."""
    header = png[12:16] + struct.pack(">II", width, height) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (of(KEY, value=3), "expected {"),
        (lambda key: key.pop(KEY), "expected an entry"),
        (of(KEY, "axes", value="YX"), "expected axes of"),
        (of(KEY, "shape", value=[3, 4, 8]), "expected 4 x 8 px, got 4 x 7"),
        (of(KEY, "shape", value=[2**20, 2**20, 2**20]), r"at most 2\^30"),
        (of(KEY, "categories", value=[]), "expected known categories"),
        (of("files", 0, "file", value="../x.png"), "within the folder"),
        (of("files", 0, "plane", value=[3]), "an index into"),
        (of("files", 0, "plane", value=["0"]), "an index into"),
        (of("files", 0, "plane", value=[1]), "each plane once"),
        (of("files", 0, "segments", 0, "value", value=1), "are listed for it"),
        (of("files", 0, "segments", 0, "label", value=0), "label"),
        (of("files", 0, "segments", 0, "score", value=-1), "from 0 to 1"),
    ],
)
def test_cityscapes(tmp_path: Path, edit: Change, reason: str) -> None:
    folder = written(tmp_path, "cityscapes")
    change(folder / "stack_gtFine_segments.json", edit)
    refused(folder, reason)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (of(KEY, "shape", value=[3, 4, 8]), "label image of shape"),
        (of("files", value=[]), "one file, got 0"),
        (of("files", 0, "segments", 0, "value", value=1), "are listed for it"),
    ],
)
def test_divisor(tmp_path: Path, edit: Change, reason: str) -> None:
    path = written(tmp_path, "divisor")
    change(tmp_path / "a.divisor.json", edit)
    refused(path, reason)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (of(0, "score", value=None), "from 0 to 1"),
        (of(0, "image_id", value=9), "one of a_images.json, got 9"),
        (of(0, "category_id", value=9), "a known category"),
        (of(0, "segmentation", "size", value=[2**20, 2**20]), "as of the image"),
    ],
)
def test_detectron2(tmp_path: Path, edit: Change, reason: str) -> None:
    path = written(tmp_path, "detectron2")
    change(path, edit)
    refused(path, reason)
    (tmp_path / "a_images.json").unlink()
    if "size" in reason:
        refused(path, r"at most 2\^30")


class TestResults:
    def test_tables(self, tmp_path: Path) -> None:
        folder = written(tmp_path, "result")
        table = folder / "stack_segments.csv"
        text = table.read_text()
        for broken, reason in (
            ("", "cannot be read as a table"),
            (text.replace("index", "number"), "without index"),
            (text.replace("score", "sure"), "without .*score"),
            (text.replace("\n2,", "\n1,"), "each index once"),
            (text.replace("\n2,", "\n-2,"), "from 1"),
            (text.replace("\n2,", "\nx,"), "expected numbers"),
            (text.replace("True", "WAHR"), "is_thing: expected True or False"),
        ):
            assert broken != text
            table.write_text(broken)
            with pytest.raises(InputError, match=rf"segments\.csv: .*{reason}"):
                read_labels(folder)

    def test_label_images(self, tmp_path: Path) -> None:
        folder = written(tmp_path, "result")
        shutil.copy(folder / "stack_instances.tif", tmp_path / "whole.tif")
        image = folder / "stack_instances.tif"
        image.write_bytes(image.read_bytes()[:-10])
        with pytest.raises(InputError, match=r"instances\.tif: the file is truncated"):
            read_labels(folder)
        export(plain(), tmp_path / "other", "result")
        shutil.copy(tmp_path / "other" / "größe 核_instances.tif", image)
        refused(folder, "expected a label image of shape")
        image.unlink()
        refused(folder, "got something else")
        refused(folder / "stack", "expected stack_instances")

    def test_recipes(self, tmp_path: Path) -> None:
        folder = written(tmp_path, "result")
        recipe = folder / "stack_recipe.json"
        for broken, reason in (("{", "expected JSON"), ("[]", "expected {")):
            recipe.write_text(broken)
            refused(folder, reason)
        recipe.write_text('{"input": {"axes": "ZYX", "shape": [1e9, 1e9, 1e9]}}')
        refused(folder, "expected a label image of shape")


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_is_half_written(tmp_path: Path, format: str) -> None:
    """What was there stays as it was, whenever it fails."""
    target = written(tmp_path, format)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def sets() -> Iterator[LabelSet]:
        yield stack()
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        export(sets(), target, format)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    assert not list(tmp_path.rglob("*.partial"))


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    for format in FORMATS:
        folder = tmp_path_factory.mktemp(format)
        written(folder, format)
        found[format] = folder
    return found


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_an_input_error(
    samples: dict[str, Path], tmp_path: Path, format: str, data: st.DataObject
) -> None:
    folder = tmp_path / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(samples[format], folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    file = data.draw(st.sampled_from(files))
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[place:]
    else:
        content[place] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)
    try:
        assert isinstance(read_labels(folder / FORMATS[format], format), LabelSet | list)
    except InputError as error:
        named = str(folder) in str(error)
        assert named, error  # noqa: PT017


def test_parts_far_apart_are_counted_as_one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    squares = [[x, x, x + 1, x, x + 1, x + 1, x, x + 1] for x in (0, 99)]
    monkeypatch.setattr(checks, "LARGEST_MASKS", 9_999)
    with pytest.raises(InputError, match="masks of at most"):
        read_mask({"segmentation": squares}, (100, 100), "one", Budget())
    monkeypatch.setattr(checks, "LARGEST_MASKS", 10_002)
    mask = read_mask({"segmentation": squares}, (100, 100), "one", Budget())
    assert mask is not None
    assert mask.area == 2


def test_a_stack_has_no_more_planes_than_can_be_looked_at() -> None:
    with pytest.raises(InputError, match="at most 100000 planes, got 100001 x 1 x 1"):
        Stack("a", "ZYX", (100_001, 1, 1), "test")


@pytest.mark.parametrize("format", [f.name for f in registry.FORMATS if f.write])
def test_labels_without_pixels_are_written_or_refused(tmp_path: Path, format: str) -> None:
    empty = LabelSet.from_labels(np.zeros((0, 5), np.int32))
    path = tmp_path / "out"
    if format in ("ome-zarr", "csv", "parquet", "excel"):
        assert export(empty, path, format).paths
    else:
        with pytest.raises(InputError, match="pixels, got shape"):
            export(empty, path, format)
        assert not [*tmp_path.rglob("*.*")]
