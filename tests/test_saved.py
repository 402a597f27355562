"""Saved results, shown at other thresholds as if the model had just run."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from formats.label_sets import CELL, overlapping, random_result, same
from helpers import draw
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_instseg import (
    Image,
    InputError,
    Instances,
    LabelSet,
    Segmentation,
    Settings,
    export,
    read_labels,
    read_result,
    segment_to,
)
from napari_instseg.io import npy
from napari_instseg.io.formats.result import write_one
from napari_instseg.parts import cut_to

THRESHOLDS = (0.0, 0.3, 0.5, 0.75, 0.85, 1.0)


def check(saved: Segmentation, result: Segmentation) -> None:
    for output in ("instances", "semantic", "panoptic"):
        np.testing.assert_array_equal(getattr(saved, output), getattr(result, output))
    pd.testing.assert_frame_equal(saved.table, result.table)
    assert json.dumps(saved.recipe) == json.dumps(result.recipe)


@pytest.mark.parametrize(
    "settings",
    [{}, {"link": True}, {"model": "a", "score_threshold": 0.3}],
    ids=["planes", "linked", "lower"],
)
def test_it_is_the_same_at_every_threshold(tmp_path: Path, settings: dict[str, object]) -> None:
    result = random_result(**settings)
    files = result.save(tmp_path, "a", raw=True)
    assert [path.name for path in files[-3:]] == [
        "a_objects.npz",
        "a_segments.csv",
        "a_recipe.json",
    ]
    saved = read_result(tmp_path)
    check(saved, result)
    for threshold in THRESHOLDS:
        check(saved.with_score_threshold(threshold), result.with_score_threshold(threshold))
    assert saved.categories == result.categories
    assert saved.rules == result.rules
    with pytest.raises(InputError, match="open the image's own file"):
        saved.image.read((0,), slice(0, 1), slice(0, 1))


def test_every_way_to_name_it(tmp_path: Path) -> None:
    result = overlapping()
    result.save(tmp_path / "one", raw=True)
    result.save(tmp_path / "two", "a.b", raw=True)
    result.save(tmp_path / "two", "b", raw=True)
    for path in ("one", "one/recipe.json", "one/objects.npz", "two/a.b", "two/a.b_objects.npz"):
        check(read_result(tmp_path / path), result)
    with pytest.raises(InputError, match=r"one result, got a\.b_recipe\.json, b_recipe\.json"):
        read_result(tmp_path / "two")
    with pytest.raises(InputError, match="got none"):
        read_result(tmp_path)


def test_saved_again(tmp_path: Path) -> None:
    random_result().save(tmp_path, "a", raw=True)
    read_result(tmp_path).with_score_threshold(0.7).save(tmp_path, "b", raw=True)
    check(read_result(tmp_path / "b"), random_result(score_threshold=0.7))


def test_label_sets_know_what_was_found(tmp_path: Path) -> None:
    result = random_result()
    result.save(tmp_path, "a", raw=True)
    before, after = result.label_set, read_labels(tmp_path)
    same(replace(before, spacing=after.spacing), after)
    np.testing.assert_array_equal(before.numbers, after.numbers)
    np.testing.assert_array_equal(before.ground, after.ground)
    assert after.categories == before.categories
    for one, other in zip(before.raw, after.raw, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)


def test_edits_are_in_the_recipe(tmp_path: Path) -> None:
    before = overlapping().label_set
    edited = np.array(before.instances)
    edited[edited == 2] = 5
    table = before.table.assign(index=[1, 5], edited=[False, True])
    edits = [{"edit": "relabel", "ids": [2]}]
    changed = replace(
        before, instances=edited, table=table, recipe={**before.recipe, "edits": edits}
    )
    paths = write_one(changed, tmp_path, "a")
    assert [path.name for path in paths] == [
        *("a_instances.tif", "a_semantic.tif", "a_panoptic.tif"),
        *("a_objects.npz", "a_segments.csv", "a_recipe.json"),
    ]
    after = read_labels(tmp_path / "a")
    same(changed, after)
    assert after.recipe["edits"] == edits
    assert after.table["edited"].tolist() == [False, True]


@pytest.mark.parametrize("format", ["tiff", "zarr"])
def test_labels_of_any_axes(tmp_path: Path, format: str) -> None:
    labels = np.zeros((2, 1, 3, 4, 5), np.int32)
    labels[1, 0, 2, 1:3, 2:4] = 70_000
    before = LabelSet.from_labels(labels, "TPZYX", spacing={"Z": 2.0}, name="a")
    write_one(before, tmp_path, "", format)
    same(before, read_labels(tmp_path))


def test_a_plane_of_an_image(tmp_path: Path) -> None:
    result = cut_to(random_result(), (2,), None)
    result.save(tmp_path, "a", raw=True)
    check(read_result(tmp_path), result)
    after = read_labels(tmp_path / "a")
    assert after.axes == "YX"
    np.testing.assert_array_equal(after.instances, result.instances)


def test_overlaps_stay_on_the_way_through_a_folder(tmp_path: Path) -> None:
    export(overlapping(), tmp_path / "a.json")
    done = export(tmp_path / "a.json", tmp_path / "folder", "result")
    assert not done.notes
    one, other = read_labels(tmp_path / "a.json"), read_labels(tmp_path / "folder")
    same(one, other)
    export(other, tmp_path / "b.json")
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads(
        (tmp_path / "b.json").read_text()
    )
    # It is not a run's: there is nothing to choose anew from.
    export(overlapping(), tmp_path / "edited", "result")
    with pytest.raises(InputError, match="expected objects of a run"):
        read_result(tmp_path / "edited")


@pytest.mark.parametrize("format", ["tiff", "zarr"])
def test_runs_into_files(tmp_path: Path, format: str) -> None:
    rows, cols = np.indices((96, 96))
    image = np.exp(-((rows - 40) ** 2 + (cols - 50) ** 2) / 200)
    segment_to(tmp_path, image, stem="a", format=format, raw=True, device="cpu")
    saved = read_result(tmp_path / "a")
    assert len(saved.raw[0]) >= saved.count == 1
    np.testing.assert_array_equal(saved.instances, read_labels(tmp_path / "a").read("instances"))


def test_without_objects(tmp_path: Path) -> None:
    overlapping().save(tmp_path)
    with pytest.raises(InputError, match=r"objects\.npz: no such file; save with raw=True"):
        read_result(tmp_path)
    with pytest.raises(InputError, match=r"recipe\.json: no such file"):
        read_result(tmp_path / "a")


class TestHostileObjects:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        overlapping().save(tmp_path, raw=True)
        return tmp_path / "objects.npz"

    def change(self, path: Path, **arrays: object) -> None:
        with np.load(path) as file:
            kept = dict(file)
        np.savez(path, **{k: v for k, v in {**kept, **arrays}.items() if v is not None})

    def refused(self, path: Path, reason: str) -> None:
        with pytest.raises(InputError, match=rf"objects\.npz: .*{reason}"):
            read_result(path.parent)

    @pytest.mark.parametrize("length", [0, 10, 300, -1])
    def test_truncated(self, path: Path, length: int) -> None:
        path.write_bytes(path.read_bytes()[:length])
        self.refused(path, "not the whole objects")

    @pytest.mark.parametrize("name", ["about", "bits", "counts", "scores", "numbers"])
    def test_missing(self, path: Path, name: str) -> None:
        self.change(path, **{name: None})
        self.refused(path, name)

    @pytest.mark.parametrize(
        ("name", "value", "reason"),
        [
            ("sizes", [[2**31, 2**31]] * 4, "pixels of masks"),
            ("sizes", [[-1, 5]] * 4, "pixels of masks"),
            ("origins", [[7, 9]] * 4, "inside the plane"),
            ("scores", [np.nan] * 4, "scores"),
            ("scores", [0.5] * 3, "scores"),
            ("category_ids", [0] * 4, "category_ids"),
            ("counts", [3], "in all planes"),
            ("counts", [5, -1], "in all planes"),
            ("numbers", [1, 2], "in all planes"),
            ("stuff", [[0.5]], "whole numbers"),
            ("about", np.frombuffer(b"[" * 100_000, np.uint8), "not the whole"),
            ("about", np.frombuffer(b'{"schema": 99}', np.uint8), "schema 1, got 99"),
        ],
    )
    def test_values(self, path: Path, name: str, value: object, reason: str) -> None:
        self.change(path, **{name: np.array(value)})
        self.refused(path, reason)

    def test_an_image_of_another_size(self, path: Path) -> None:
        self.change(path, shape=np.array([9, 11]))
        with pytest.raises(InputError, match=r"recipe\.json: .*planes of \(8, 10\) px"):
            read_result(path.parent)
        with pytest.raises(InputError, match="of an image of shape"):
            read_labels(path.parent)

    def test_pickles_are_not_loaded(self, path: Path) -> None:
        stream = io.BytesIO()
        np.save(stream, np.array([{"a": 1}], object), allow_pickle=True)
        self.replace(path, stream.getvalue())
        self.refused(path, "array of numbers")

    def test_a_header_that_claims_what_is_not_there(self, path: Path) -> None:
        stream = io.BytesIO()
        header = {"descr": "|u1", "fortran_order": False, "shape": (2**40,)}
        np.lib.format.write_array_header_1_0(stream, header)
        self.replace(path, stream.getvalue())
        self.refused(path, "not whole")

    def test_a_bomb(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(npy, "LARGEST", 10**6)
        self.change(path, bits=np.zeros(990_000, np.uint8))
        self.refused(path, "pixels of masks")
        self.change(path, bits=np.zeros(10**6, np.uint8))
        self.refused(path, "at most 1000000 bytes")

    @staticmethod
    def replace(path: Path, bits: bytes) -> None:
        with zipfile.ZipFile(path) as archive:
            kept = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in {**kept, "bits.npy": bits}.items():
                archive.writestr(name, content)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    overlapping().save(folder, raw=True)
    return {name: (folder / name).read_bytes() for name in ("recipe.json", "objects.npz")}


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_an_input_error(
    whole: dict[str, bytes], tmp_path: Path, data: st.DataObject
) -> None:
    files = {name: bytearray(content) for name, content in whole.items()}
    content = files[data.draw(st.sampled_from(sorted(files)))]
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[place:]
    else:
        content[place] ^= data.draw(st.integers(1, 255))
    for name, damaged in files.items():
        (tmp_path / name).write_bytes(damaged)
    try:
        assert read_result(tmp_path).count >= 0
    except InputError as error:
        named = str(tmp_path) in str(error)
        assert named, error  # noqa: PT017


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shape", [1e400, 3]),
        ("shape", [8, 10, 3]),
        ("shape", 3),
        ("dtype", "O"),
        ("dtype", "no such"),
        ("axes", "YXYX"),
        ("spacing_um", [1]),
        ("spacing_um", {"X": -1}),
    ],
)
def test_recipes_that_do_not_fit(tmp_path: Path, key: str, value: object) -> None:
    overlapping().save(tmp_path, raw=True)
    recipe = json.loads((tmp_path / "recipe.json").read_text())
    recipe["input"][key] = value
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    with pytest.raises(InputError, match=r"recipe\.json: expected a recipe as a run writes it"):
        read_result(tmp_path)
    (tmp_path / "recipe.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"recipe\.json: cannot be read"):
        read_result(tmp_path)


def test_nothing_found(tmp_path: Path) -> None:
    image = Image(np.zeros((4, 6)), "YX")
    result = Segmentation((Instances.empty((4, 6)),), image, (CELL,), Settings(), {})
    result.save(tmp_path, raw=True)
    check(read_result(tmp_path), result)
    assert draw("..").any() == read_labels(tmp_path).read("instances").any()
