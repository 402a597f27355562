"""Label images, table, recipe and overlay on disk."""

from __future__ import annotations

import colorsys
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import draw
from PIL import Image as Pillow
from skimage.segmentation import find_boundaries

import napari_instseg as nis
from napari_instseg.instances import Instances
from napari_instseg.io.formats.result import write_one
from napari_instseg.io.images import read_image, read_labels
from napari_instseg.io.overlay import object_colors, outlines, write_overlay
from napari_instseg.io.records import read_recipe
from napari_instseg.io.results import result_paths, save_segmentation
from napari_instseg.label_set import LabelSet
from napari_instseg.ops.axes import Image
from napari_instseg.segmentation import Segmentation
from napari_instseg.segmenter import Category, InputError
from napari_instseg.settings import Settings

LABELS = np.array(
    [
        [1, 1, 0, 0, 0, 0],
        [1, 1, 0, 2, 2, 2],
        [0, 0, 0, 2, 2, 2],
        [0, 0, 0, 2, 2, 2],
    ]
)


def segmentation(outputs=("instances", "semantic", "panoptic")) -> Segmentation:
    planes = (Instances.from_labels(LABELS), Instances.from_labels(LABELS[::-1].copy()))
    image = Image(np.zeros((2, 4, 6), np.uint8), "ZYX", {"X": 0.5, "Y": 0.5, "Z": 2.0}, "cells")
    return Segmentation(
        planes,
        image,
        (Category(1, "nucleus"),),
        Settings(outputs=outputs),
        {"model": {"name": "nuclei", "sha256": "0" * 64}},
        warnings=("größer",),
    )


def test_names():
    names = [p.name for p in result_paths(("instances", "semantic"), Path("out"), "a")]
    assert names == ["a_instances.tif", "a_semantic.tif", "a_segments.csv", "a_recipe.json"]
    assert [p.name for p in result_paths(("panoptic",), Path("out"))] == [
        "panoptic.tif",
        "segments.csv",
        "recipe.json",
    ]


@pytest.mark.parametrize("stem", ["", "cells"])
def test_round_trip(tmp_path, stem):
    result = segmentation()
    paths = save_segmentation(result, tmp_path / "new" / "folder", stem)
    assert paths == result_paths(result.settings.outputs, tmp_path / "new" / "folder", stem)
    assert sorted((tmp_path / "new" / "folder").iterdir()) == sorted(paths)
    for path, output in zip(paths, result.settings.outputs, strict=False):
        image = read_image(path)
        assert image.axes == "ZYX"
        assert image.spacing == pytest.approx({"X": 0.5, "Y": 0.5, "Z": 2.0})
        np.testing.assert_array_equal(read_labels(path), getattr(result, output))
    table = pd.read_csv(paths[-2])
    assert table["index"].tolist() == [1, 2, 3, 4]
    assert table["area"].tolist() == result.table["area"].tolist()
    assert table.columns.tolist() == result.table.columns.tolist()
    recipe = read_recipe(paths[-1])
    assert recipe == json.loads(json.dumps(result.recipe))
    assert Settings.from_json(recipe["settings"]) == result.settings
    assert "größer" in paths[-1].read_text(encoding="utf-8")


def test_only_the_outputs_asked_for(tmp_path):
    save_segmentation(segmentation(("semantic",)), tmp_path, "a")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a_recipe.json",
        "a_segments.csv",
        "a_semantic.tif",
    ]


def test_nothing_found(tmp_path):
    empty = (Instances.empty((4, 6)),)
    image = Image(np.zeros((4, 6)), "YX")
    result = Segmentation(empty, image, (Category(1, "nucleus"),), Settings(), {})
    paths = save_segmentation(result, tmp_path)
    assert not read_labels(paths[0]).any()
    assert len(pd.read_csv(paths[3])) == 0
    assert pd.read_csv(paths[3]).columns.tolist() == result.table.columns.tolist()


def test_a_broken_write_leaves_no_recipe_and_no_rest(tmp_path, monkeypatch):
    save_segmentation(segmentation(), tmp_path, "old")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(self, path, **options):
        Path(path).write_text("half")
        raise OSError("no space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    with pytest.raises(OSError, match="no space"):
        save_segmentation(segmentation(), tmp_path, "old")
    with pytest.raises(OSError, match="no space"):
        save_segmentation(segmentation(), tmp_path, "new")
    assert {p: p.read_bytes() for p in before} == before
    assert not (tmp_path / "new_recipe.json").exists()
    assert not [p for p in tmp_path.iterdir() if "partial" in p.name]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such file"),
        (b"\xff\xfe", "cannot be read"),
        (b"{", "cannot be read"),
        (b"[]", "expected a recipe"),
        (b'{"settings": 3}', "expected a recipe"),
    ],
)
def test_files_that_are_no_recipe(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "recipe.json").write_bytes(content)
    with pytest.raises(InputError, match=rf"recipe\.json: .*{reason}"):
        read_recipe(tmp_path / "recipe.json")


class TestOverlay:
    def test_outlines_lie_inside_the_objects(self):
        drawn = outlines(LABELS)
        assert drawn.astype(int).tolist() == [
            [0, 1, 0, 0, 0, 0],
            [1, 1, 0, 1, 1, 1],
            [0, 0, 0, 1, 0, 0],
            [0, 0, 0, 1, 0, 0],
        ]

    def test_outlines_agree_with_scikit_image(self):
        labels = np.random.default_rng(0).integers(0, 4, (50, 40)).repeat(3, 0).repeat(3, 1)
        np.testing.assert_array_equal(
            outlines(labels), find_boundaries(labels, connectivity=1, mode="inner")
        )

    def test_touching_objects_are_told_apart(self):
        labels = np.repeat([[1, 1, 1, 2, 2, 2]], 3, axis=0)
        assert outlines(labels)[1].tolist() == [False, False, True, True, False, False]
        one, two = object_colors(np.array([1, 2])).astype(int)
        assert np.abs(one - two).max() > 100

    def test_colours_are_bright_and_distinct(self):
        colors = object_colors(np.arange(1, 200))
        assert colors.dtype == np.uint8
        assert colors.max(axis=1).min() == 255
        assert len(np.unique(colors, axis=0)) > 190
        hsv = [(n * 0.618033988749895 % 1, 1 if n % 2 else 0.7, 1) for n in range(1, 200)]
        expected = np.array([colorsys.hsv_to_rgb(*color) for color in hsv]) * 255
        np.testing.assert_allclose(colors, expected, atol=0.51)

    def test_pixels_beyond_the_outlines_are_the_image(self, tmp_path):
        image = np.linspace(-0.1, 1.1, 4 * 6 * 3).reshape(4, 6, 3)
        path = write_overlay(tmp_path / "overlay.png", image, LABELS)
        drawn = np.asarray(Pillow.open(path))
        edge = outlines(LABELS)
        expected = np.round(np.clip(image, 0, 1) * 255)
        np.testing.assert_array_equal(drawn[~edge], expected[~edge])
        np.testing.assert_array_equal(drawn[edge], object_colors(LABELS[edge]))
        assert list(tmp_path.iterdir()) == [path]

    def test_shapes_that_do_not_fit(self, tmp_path):
        with pytest.raises(InputError, match="expected an RGB image"):
            write_overlay(tmp_path / "a.png", np.zeros((4, 6)), LABELS)

    def test_no_pixel_at_all(self):
        assert outlines(np.zeros((0, 5), int)).shape == (0, 5)


class TestAnotherResultOfTheSameName:
    def result(self, labels: np.ndarray, **settings: object) -> Segmentation:
        image = Image(np.zeros(labels.shape, np.uint8), "YX", {}, "a")
        found = Instances.from_labels(labels)
        stuff = np.full(labels.shape, 7, np.int32)
        categories = (Category(1, "cell"), Category(7, "glass", is_thing=False))
        about = {"model": {"name": "x"}}
        return Segmentation((found,), image, categories, Settings(**settings), about, stuff)

    @pytest.fixture
    def there(self, tmp_path):
        """A result with all that one may have; and a file that is none of ours."""
        first = replace(self.result(draw("AA.BB")), seams=pd.DataFrame({"kind": ["joined"]}))
        first.save(tmp_path, "a", "zarr", raw=True, seams=True)
        (tmp_path / "a_RES").mkdir()
        (tmp_path / "a_notes.txt").write_text("mine")
        (tmp_path / "ab_panoptic.tif").write_text("another's")
        return tmp_path

    OTHERS = ("a_RES", "a_notes.txt", "ab_panoptic.tif")

    def names(self, folder):
        return {path.name for path in folder.iterdir()} - {*self.OTHERS}

    def test_nothing_of_the_first_one_is_taken_for_the_second(self, there):
        second = self.result(draw("A.BCC"), outputs=("instances",))
        files = second.save(there, "a", "tiff")
        assert self.names(there) == {path.name for path in files}
        assert {path.name for path in there.iterdir()} >= {*self.OTHERS}
        again = nis.read_labels(there)
        np.testing.assert_array_equal(again.instances, second.instances)
        assert (again.raw, again.panoptic) == (None, None)

    def test_what_the_first_one_had_not_is_a_users_own(self, tmp_path):
        self.result(draw("AA.BB"), outputs=("instances",)).save(tmp_path, "a")
        mine = ("a_tracks.csv", "a_semantic.tif", "a_panoptic.zarr")
        for name in mine:
            (tmp_path / name).write_text("mine")
        second = self.result(draw("A.BCC"), outputs=("instances",), score_threshold=0.9)
        second.save(tmp_path, "a")
        assert {(tmp_path / name).read_text() for name in mine} == {"mine"}

    @pytest.mark.parametrize("text", ["{}", "[1]", "flour, water", '{"title": "bread"}'])
    def test_a_recipe_of_something_else(self, tmp_path, text):
        (tmp_path / "recipe.json").write_text(text)
        (tmp_path / "semantic.tif").write_text("mine")
        self.result(draw("A.BCC"), outputs=("instances",)).save(tmp_path)
        assert (tmp_path / "semantic.tif").read_text() == "mine"

    def test_the_same_result_in_two_formats(self, there):
        before = self.names(there)
        files = self.result(draw("AA.BB")).save(there, "a", "tiff")
        assert self.names(there) == before | {path.name for path in files}

    def test_what_is_exported_as_a_result(self, there):
        labels = LabelSet.from_labels(draw("A.BCC"), name="a")
        nis.export(labels, there, "result")
        again = nis.read_labels(there)
        np.testing.assert_array_equal(again.instances, labels.instances)
        assert again.raw is None
        assert self.names(there) == {
            *(f"a_{output}.tif" for output in ("instances", "semantic", "panoptic")),
            *("a_segments.csv", "a_recipe.json"),
        }


@pytest.mark.parametrize("format", ["tiff", "zarr"])
@pytest.mark.parametrize("stem", ["x" * 235, "核" * 78], ids=["narrow", "wide"])
def test_names_as_long_as_systems_take(tmp_path: Path, stem: str, format: str) -> None:
    labels = LabelSet.from_labels(np.eye(3, dtype=np.int32), "YX")
    for _ in range(2):
        paths = write_one(labels, tmp_path, stem, format)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
