"""The console's functions: whatever a user has goes in, and the recipe gives it again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image as Pillow

import napari_instseg as nis
from napari_instseg.api import recipe_settings
from napari_instseg.inputs import as_image
from napari_instseg.models.entry import LoadedModel


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return nis.load_model(device="cpu")


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    """A dark field with bright nuclei, which the built-in model finds."""
    rng = np.random.default_rng(0)
    field = rng.normal(12, 2, (128, 160)).clip(0, 255)
    y, x = np.indices(field.shape)
    for row in range(25, 128, 40):
        for col in range(25, 160, 40):
            field[np.hypot((y - row) / 1.1, x - col) <= 9] = 150
    return field.astype(np.uint8)


def test_an_array_gives_labels_and_a_table(picture: NDArray[np.uint8]) -> None:
    result = nis.segment(picture, device="cpu")
    assert result.count == 12
    assert result.instances.shape == result.semantic.shape == result.panoptic.shape == picture.shape
    assert result.instances.max() == len(result.table) == 12
    assert set(result.table["category"]) == {"nucleus"}
    assert np.mean((result.instances > 0) == (picture > 80)) > 0.97
    assert result.recipe["model"]["name"] == "nuclei"
    assert len(result.recipe["model"]["sha256"]) == 64


@pytest.mark.parametrize("suffix", [".tif", ".png", ".npy"])
def test_a_path_is_its_array(
    picture: NDArray[np.uint8], model: LoadedModel, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"field 1{suffix}"
    {
        ".tif": lambda: tifffile.imwrite(path, picture),
        ".png": lambda: Pillow.fromarray(picture).save(path),
        ".npy": lambda: np.save(path, picture),
    }[suffix]()
    expected = nis.segment(picture, model).instances
    for given in (path, str(path)):
        result = nis.segment(given, model)
        np.testing.assert_array_equal(result.instances, expected)
        assert result.image.name == "field 1"


def test_what_an_array_is_taken_for(picture: NDArray[np.uint8], tmp_path: Path) -> None:
    shapes = {
        (64, 64): "YX",
        (64, 64, 3): "YXS",
        (64, 64, 4): "YXS",
        (9, 64, 64): "ZYX",
        (64, 64, 2): "ZYX",
        (2, 64, 64, 3): "ZYXS",
        (2, 9, 64, 64): "TZYX",
    }
    for shape, axes in shapes.items():
        assert as_image(np.zeros(shape, np.uint8)).axes == axes
        np.save(tmp_path / "x.npy", np.zeros(shape, np.uint8))
        assert as_image(tmp_path / "x.npy").axes == axes


def test_axes_and_spacing_may_be_given(tmp_path: Path) -> None:
    data = np.zeros((2, 9, 8))
    image = as_image(data, "cyx", {"Y": 0.5, "X": 0.25})
    assert (image.axes, image.channel_count, image.spacing["X"]) == ("CYX", 2, 0.25)
    np.save(tmp_path / "x.npy", data)
    image = as_image(tmp_path / "x.npy", "cyx", {"Y": 0.5, "X": 0.25})
    assert (image.axes, image.name, image.spacing["X"]) == ("CYX", "x", 0.25)
    assert as_image(image, "ZYX") is image


def test_a_recipe_brings_the_axes_that_were_given(model: LoadedModel) -> None:
    data = np.zeros((3, 64, 64), np.uint8)
    guessed = nis.segment(data, model)
    assert "Z (z-stack, 3) was guessed" in guessed.warnings[0]
    assert nis.segment(data, model, recipe=guessed.recipe).warnings == guessed.warnings
    given = nis.segment(data, model, axes="tyx")
    assert given.warnings == ()
    again = nis.segment(data, model, recipe=given.recipe)
    assert (again.image.axes, again.warnings) == ("TYX", ())
    # Of another image, and where the user says otherwise, it says nothing.
    assert nis.segment(data[:2], model, recipe=given.recipe).image.axes == "ZYX"
    assert nis.segment(data, model, axes="cyx", recipe=given.recipe).image.axes == "CYX"


@pytest.mark.parametrize("thing", [None, 3, [[1, 2]], {"image": 1}])
def test_what_is_no_image_is_named(thing: Any, model: LoadedModel) -> None:
    with pytest.raises(nis.InputError, match=f"expected an array, .* got {type(thing).__name__}$"):
        nis.segment(thing, model)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"treshold": 0.5}, r"segment\(\): settings: unknown fields \['treshold'\]; expected some"),
        ({"score_threshold": 3}, r"segment\(\): score_threshold: expected a number in \[0, 1\]"),
        ({"limits": (0, 255)}, r"limits: expected low < high for each channel.*got \(0, 255\)"),
        ({"channels": [4]}, "channels: expected numbers from 0 to 0"),
        ({"axes": "ZYX"}, "expected one axis letter for each of 2 dimensions"),
    ],
)
def test_bad_settings_are_named(
    picture: NDArray[np.uint8], model: LoadedModel, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(nis.InputError, match=message):
        nis.segment(picture, model, **settings)


def test_unknown_models_and_devices_are_named(picture: NDArray[np.uint8]) -> None:
    with pytest.raises(nis.ModelError, match=r"there is no model 'nucleii': expected one of"):
        nis.segment(picture, "nucleii")
    with pytest.raises(nis.InputError, match="device: expected auto or one of"):
        nis.segment(picture, device="warp drive")
    with pytest.raises(nis.InputError, match="no such file"):
        nis.segment("no such image.tif")


def test_the_recipe_gives_the_same_again(picture: NDArray[np.uint8], model: LoadedModel) -> None:
    first = nis.segment(
        picture,
        model,
        tile_size=64,
        overlap=32,
        diameter=25,
        score_threshold=0.3,
        percentiles=(1, 99),
    )
    recipe = json.loads(json.dumps(first.recipe))
    again = nis.segment(picture, recipe=recipe)
    assert first.count > 0
    np.testing.assert_array_equal(again.instances, first.instances)
    pd.testing.assert_frame_equal(again.table, first.table)
    assert again.recipe == first.recipe
    other = nis.segment(picture, recipe=recipe, score_threshold=0.99, device="cpu")
    assert other.settings == first.settings.replace(score_threshold=0.99, device="cpu")


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({}, "recipe: expected 'schema' and 'settings'"),
        ({"schema": 1}, "expected 'schema' and 'settings'"),
        ({"schema": "1", "settings": {}}, "expected 'schema' and 'settings'"),
        ({"schema": 3, "settings": {}}, "schema 3 is newer than this version knows"),
    ],
)
def test_a_recipe_that_cannot_be_read_is_named(recipe: dict[str, Any], message: str) -> None:
    with pytest.raises(nis.InputError, match=message):
        recipe_settings(recipe)


def test_a_progress_bar_is_shown_when_asked_for(
    picture: NDArray[np.uint8], model: LoadedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    nis.segment(picture, model)
    assert capsys.readouterr().err == ""
    nis.segment(picture, model, progress=True, tile_size=64, overlap=0)
    assert "6/6" in capsys.readouterr().err


def test_models_are_listed() -> None:
    table = nis.models()
    first = table.iloc[0].to_dict()
    assert (first["name"], first["needs"], first["here"], first["group"]) == (
        *("nuclei", "", True, "built-in"),
    )
    panoptic = table[table["outputs"].str.contains("panoptic") & (table["group"] == "zoo")]
    assert {"COCO"} <= set(panoptic["trained_on"])
    assert (panoptic["size_mb"] > 50).all()


def test_segmenting_to_files_gives_what_segmenting_gives(
    picture: NDArray[np.uint8], model: LoadedModel, tmp_path: Path
) -> None:
    import zarr

    tiled = {"tile_size": 64, "overlap": 32}
    stack = np.stack([picture, picture[::-1]])
    expected = nis.segment(stack, model, axes="ZYX", **tiled)
    labels, *_, table, recipe = nis.segment_to(
        tmp_path, stack, model, stem="a", format="zarr", axes="ZYX", **tiled
    )
    assert labels.name == "a_instances.zarr"
    np.testing.assert_array_equal(zarr.open_group(labels)["0"][:], expected.instances)
    pd.testing.assert_frame_equal(pd.read_csv(table), expected.table, check_dtype=False, rtol=1e-6)
    written = json.loads(recipe.read_text("utf-8"))
    assert written == json.loads(json.dumps(expected.recipe))
    again = nis.segment_to(tmp_path / "again", stack, recipe=written, axes="ZYX", format="tiff")
    np.testing.assert_array_equal(tifffile.imread(again[0]), expected.instances)
