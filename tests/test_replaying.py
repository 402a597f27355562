"""A recipe gives the same labels again, or says why not."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from helpers import ComponentSegmenter
from numpy.typing import NDArray
from prompters import BrightnessPrompter, pretend

import napari_instseg as nis
from napari_instseg import Editor, InputError, ModelError, Settings
from napari_instseg.cli import main
from napari_instseg.models import registry
from napari_instseg.models.entry import LoadedModel
from napari_instseg.ops.axes import Image
from napari_instseg.parts import cut_to
from napari_instseg.pipeline import Run, run_to_end
from napari_instseg.prompting import PromptSession
from napari_instseg.prompting.everything import EverythingRun
from napari_instseg.prompting.everything_settings import EverythingSettings
from napari_instseg.prompting.refine import within_areas

WHOLE = {"limits": ((0, 200),)}


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    """Discs, each of its own brightness."""
    y, x = np.indices((130, 120))
    field = np.zeros((130, 120), np.uint8)
    for i, (row, col, radius) in enumerate([(20, 20, 7), (45, 64, 9), (100, 90, 10), (100, 30, 5)]):
        field[(y - row) ** 2 + (x - col) ** 2 <= radius**2] = 200 - 12 * i
    return field


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that answer by rules, with digests of their own."""

    def load(name: str, device: str = "auto", **options: Any) -> LoadedModel:
        model = ComponentSegmenter()
        model.precision = "float32"
        return LoadedModel(model, name, f"{name}.safetensors", "a" * 64)

    monkeypatch.setattr(registry, "load", load)
    pretend(monkeypatch, BrightnessPrompter())


@contextmanager
def silently() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def through_json(recipe: Any) -> Any:
    return json.loads(json.dumps(recipe))


def test_the_built_in_model_finds_the_same_again(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    blurred = pixels.astype(np.float32) + np.random.default_rng(0).normal(10, 3, pixels.shape)
    tifffile.imwrite(tmp_path / "field.tif", blurred.astype(np.float32))
    result = nis.segment(tmp_path / "field.tif", device="cpu", score_threshold=0.3, diameter=16)
    assert result.count >= 3
    result.save(tmp_path / "out", "field")
    with silently():
        labels = nis.replay(tmp_path / "out" / "field_recipe.json", tmp_path / "field.tif")
    np.testing.assert_array_equal(labels.instances, result.instances)
    np.testing.assert_array_equal(labels.read("panoptic"), result.panoptic)
    pd.testing.assert_frame_equal(labels.table, result.table)


def test_a_recipe_knows_its_image_and_no_folder(tmp_path: Path, found: None, pixels: Any) -> None:
    tifffile.imwrite(tmp_path / "secret name.tif", pixels)
    recipe = nis.segment(tmp_path / "secret name.tif", **WHOLE).recipe
    assert recipe["schema"] == 2
    assert recipe["input"].keys() == {
        *("name", "shape", "dtype", "axes", "spacing_um", "sample_sha256")
    }
    assert recipe["input"]["name"] == "secret name"
    assert str(tmp_path) not in json.dumps(recipe)
    assert recipe["model"]["sha256"] == "a" * 64


def test_another_image_is_refused_unless_it_is_wanted(found: None, pixels: Any) -> None:
    recipe = through_json(nis.segment(pixels, **WHOLE).recipe)
    changed = pixels.copy()
    changed[60, 60] = 1
    with pytest.raises(
        InputError, match=r"its pixels: expected a sample with SHA-256 \w{12}\.\.\."
    ):
        nis.replay(recipe, changed)
    with pytest.raises(InputError, match=r"dtype: expected uint8, got uint16"):
        nis.replay(recipe, pixels.astype(np.uint16))
    with pytest.raises(InputError, match=r"shape: expected \[130, 120\], got \[129, 120\]"):
        nis.replay(recipe, pixels[1:])
    with pytest.warns(UserWarning, match="another image: shape"):
        labels = nis.replay(recipe, pixels[1:], other_image=True)
    np.testing.assert_array_equal(labels.instances, nis.segment(pixels[1:], **WHOLE).instances)


def test_other_weights_are_refused_with_both_named(found: None, pixels: Any) -> None:
    recipe = through_json(nis.segment(pixels, **WHOLE).recipe)
    recipe["model"]["sha256"] = "b" * 64
    with pytest.raises(
        ModelError, match=r"weights of the recipe .*b{12}\.\.\..*others .*a{12}\.\.\."
    ):
        nis.replay(recipe, pixels)


def test_other_versions_and_older_recipes_are_told(found: None, pixels: Any) -> None:
    result = nis.segment(pixels, **WHOLE)
    recipe = through_json(result.recipe)
    recipe["versions"]["numpy"] = "1.0"
    with pytest.warns(UserWarning, match=r"other versions.*: numpy 1\.0 \(now "):
        nis.replay(recipe, pixels)
    older = through_json(result.recipe)
    older["schema"] = 1
    del older["input"]["sample_sha256"]
    with pytest.warns(UserWarning, match="older recipe"):
        labels = nis.replay(older, pixels)
    np.testing.assert_array_equal(labels.instances, result.instances)


def test_axes_and_pixel_sizes_are_those_of_the_recipe(found: None, pixels: Any) -> None:
    movie = np.stack([pixels, np.roll(pixels, 3, axis=1)])
    spacing = {"Y": 0.5, "X": 0.5}
    options = {**WHOLE, "track": True, "track_distance": 4.0, "track_distance_unit": "um"}
    result = nis.segment(movie, axes="TYX", spacing=spacing, **options)
    with silently():
        labels = nis.replay(through_json(result.recipe), movie)
    assert (labels.axes, labels.spacing) == ("TYX", spacing)
    np.testing.assert_array_equal(labels.instances, result.instances)
    assert result.instances.max() == 4


def test_edits_are_made_again_but_not_on_another_image(found: None, pixels: Any) -> None:
    editor = Editor(nis.segment(pixels, **WHOLE).label_set)
    editor.apply("delete", ids=[2])
    editor.apply("merge", ids=[1, 3])
    recipe = through_json(editor.labels.recipe)
    assert len(recipe["edits"]) == 2
    with silently():
        labels = nis.replay(recipe, pixels)
    np.testing.assert_array_equal(labels.instances, editor.labels.instances)
    pd.testing.assert_frame_equal(labels.table, editor.labels.table)
    assert through_json(labels.recipe)["edits"] == recipe["edits"]
    with (
        pytest.warns(UserWarning, match="another image"),
        pytest.warns(UserWarning, match="2 edits left out"),
    ):
        nis.replay(recipe, pixels[1:], other_image=True)


def test_a_plane_and_a_region_of_a_stack(found: None, pixels: Any) -> None:
    image = Image(np.stack([pixels, pixels[::-1], pixels[:, ::-1]]), "ZYX")
    region = slice(0, 80), slice(10, 120)
    loaded = registry.load("nuclei")
    run = Run(
        image, loaded.segmenter, Settings(), model=loaded.identity, planes=[(1,)], region=region
    )
    result = cut_to(run_to_end(run), (1,), region)
    with silently():
        labels = nis.replay(through_json(result.recipe), image.data, axes="ZYX")
    assert labels.shape == (130, 120)
    np.testing.assert_array_equal(labels.instances, result.instances)
    assert 0 < result.count < 4


@pytest.mark.parametrize("mode", ["fast", "exact"])
def test_everything_as_it_was_asked_and_shown(found: None, pixels: Any, mode: str) -> None:
    session = PromptSession(pixels, cache=False, **WHOLE)
    chosen = EverythingSettings(points_per_side=16, mode=mode, min_stability=0.5)
    run = EverythingRun(session, chosen)
    for _ in run:
        pass
    result = run.raw().filter(min_area=150, min_predicted_iou=0.65)
    assert 0 < result.count < 5
    with silently():
        labels = nis.replay(through_json(result.recipe), pixels)
    np.testing.assert_array_equal(labels.instances, result.instances)


def test_everything_in_a_part_of_an_image(found: None, pixels: Any) -> None:
    stack = np.stack([pixels, pixels[::-1]])
    session = PromptSession(Image(stack, "ZYX"), cache=False, **WHOLE)
    assert "place" not in session.everything(points_per_side=16).recipe
    parts = {"region": (slice(0, 80), slice(10, None)), "planes": [(1,)]}
    result = session.everything(points_per_side=16, **parts)
    recipe = through_json(result.recipe)
    assert recipe["place"] == {"region": [0, 10, 80, 120], "planes": [[1]]}
    with silently():
        labels = nis.replay(recipe, stack, axes="ZYX")
    np.testing.assert_array_equal(labels.instances, result.instances)
    assert 0 < result.count < session.everything(points_per_side=16).count
    recipe["place"]["region"] = [0, 1]
    with pytest.raises(InputError, match="a region and planes as 'place'"):
        nis.replay(recipe, stack, axes="ZYX")


def test_pixel_sizes_are_exactly_those_of_the_recipe(
    tmp_path: Path, found: None, pixels: Any
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, imagej=True, resolution=(2, 2), metadata={"unit": "um"})
    assert nis.segment(path, **WHOLE).label_set.spacing == {"Y": 0.5, "X": 0.5}
    recipe = through_json(nis.segment(path, spacing={}, **WHOLE).recipe)
    with silently():
        assert nis.replay(recipe, path).spacing == {}
    image = Image(pixels, "YX", {"Y": 0.5, "X": 0.5})
    with pytest.raises(
        InputError, match=r"spacing_um: expected \{\}, got \{'Y': 0\.5, 'X': 0\.5\}"
    ):
        nis.replay(recipe, image)
    del recipe["input"]["spacing_um"]
    with silently():
        assert nis.replay(recipe, image).spacing == image.spacing


def test_what_a_run_chose_otherwise_is_told(found: None, pixels: Any) -> None:
    recipe = through_json(nis.segment(pixels, **WHOLE).recipe)
    now = recipe["resolved"]["device"]
    assert recipe["resolved"]["precision"] == "float32"
    recipe["resolved"] |= {"device": "cuda", "precision": "float16", "tile_size": 128}
    with (
        pytest.warns(UserWarning, match="precision: then float16, now float32, so labels may"),
        pytest.warns(UserWarning, match=f"device: then cuda, now {now}, so labels may differ"),
        pytest.warns(UserWarning, match="tile_size: then 128, now 1024, so labels may differ"),
    ):
        nis.replay(recipe, pixels)
    with pytest.warns(UserWarning, match="another image") as told:
        nis.replay(recipe, pixels[1:], other_image=True)
    assert len(told) == 1
    # An older recipe does not know it.
    recipe["resolved"] = {"device": now}
    with silently():
        nis.replay(recipe, pixels)
    del recipe["resolved"]
    with silently():
        nis.replay(recipe, pixels)


def test_the_precision_of_a_real_model_is_in_the_recipe(pixels: Any) -> None:
    asked: dict[str, Any] = {"device": "cpu", **WHOLE}
    recipe = through_json(nis.segment(pixels, precision="half", **asked).recipe)
    # On a CPU that is bfloat16.
    assert recipe["resolved"]["precision"] == "bfloat16"
    with silently():
        nis.replay(recipe, pixels)
    assert nis.segment(pixels, **asked).recipe["resolved"]["precision"] == "float32"


def test_a_detectors_objects_drawn_anew(found: None, pixels: Any) -> None:
    session = PromptSession(pixels, cache=False, **WHOLE)
    detected = nis.segment(pixels, score_threshold=0.2, **WHOLE)
    result = within_areas(session.refine(detected, prompt="mask"), 150, np.inf)
    result = replace(result, settings=result.settings.replace(score_threshold=0.3))
    assert 0 < result.count < detected.count
    with silently():
        labels = nis.replay(through_json(result.recipe), pixels)
    np.testing.assert_array_equal(labels.instances, result.instances)
    other = through_json(result.recipe)
    other["detector"]["model"]["sha256"] = "c" * 64
    with pytest.raises(ModelError, match=r"c{12}"):
        nis.replay(other, pixels)


def test_objects_of_a_layer_cannot_be_had_again(found: None, pixels: Any) -> None:
    session = PromptSession(pixels, cache=False, **WHOLE)
    result = session.refine((pixels > 100).astype(np.int32), kind="labels")
    with pytest.raises(InputError, match="came from a layer or a file"):
        nis.replay(through_json(result.recipe), pixels)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({}, "expected 'schema' and 'settings'"),
        ({"schema": 9, "settings": {}}, "newer"),
        ({"schema": 2, "settings": {}, "view": {"Y": 3}}, "a part of the image"),
        ({"schema": 2, "settings": {}, "view": {"Y": [0, 999], "X": [0, 9]}}, "with the part"),
        ({"schema": 2, "settings": {}, "everything": 3}, "settings as 'everything'"),
        ({"schema": 2, "settings": {}, "refine": {}, "detector": {}}, "'schema' and 'settings'"),
    ],
)
def test_what_is_no_such_recipe(found: None, pixels: Any, recipe: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        nis.replay(recipe, pixels)


def test_the_command(tmp_path: Path, found: None, pixels: Any, capsys: Any) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    np.save(tmp_path / "b.npy", pixels[1:])
    editor = Editor(nis.segment(tmp_path / "a.tif", **WHOLE).label_set)
    editor.apply("delete", ids=[2])
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(editor.labels.recipe))
    call = ["replay", str(recipe), "--input"]
    out = ["-o", str(tmp_path / "out")]
    assert main([*call, str(tmp_path / "a.tif"), *out, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["count"], told["edits"], told["notes"]) == (3, 1, [])
    labels = nis.read_labels(tmp_path / "out" / "a_instances.tif")
    np.testing.assert_array_equal(labels.instances, editor.labels.instances)
    assert len(labels.recipe["edits"]) == 1
    with pytest.raises(SystemExit, match="2"):
        main([*call, str(tmp_path / "a.tif"), *out])
    assert "pass --overwrite" in capsys.readouterr().err
    assert main([*call, str(tmp_path / "a.tif")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'a.tif'}: 3 objects\n"
    assert main([*call, str(tmp_path / "b.npy"), *out]) == 1
    assert "--other-image" in capsys.readouterr().err
    assert main([*call, str(tmp_path / "b.npy"), *out, "--other-image"]) == 0
    said = capsys.readouterr()
    assert "4 objects" in said.out
    assert "1 edits left out" in said.err
