"""``napari-instseg prompt`` and ``cache``, with a model whose answers can be foreseen."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from prompters import BrightnessPrompter, pretend

from napari_instseg.cli import main
from napari_instseg.cli.prompt_tables import read_boxes, read_points
from napari_instseg.io.images import read_labels
from napari_instseg.prompting.requests import requests_from_json
from napari_instseg.segmenter import InputError


@pytest.fixture
def model(monkeypatch, tmp_path):
    prompter = BrightnessPrompter()
    pretend(monkeypatch, prompter)
    monkeypatch.setenv("NAPARI_INSTSEG_CACHE", str(tmp_path / "cache"))
    return prompter


@pytest.fixture
def image(tmp_path):
    pixels = np.zeros((100, 120), np.uint8)
    pixels[10:20, 10:30] = pixels[50:60, 70:90] = 200
    path = tmp_path / "a.npy"
    np.save(path, pixels)
    return path


def write(path, text):
    path.write_text(text, "utf-8")
    return str(path)


def test_boxes_become_a_label_image_a_table_and_a_recipe(model, image, tmp_path, capsys):
    boxes = write(
        tmp_path / "boxes.csv",
        "row_min,col_min,row_max,col_max,category\n8,8,22,32,cell\n48,68,62,92,debris\n",
    )
    out = tmp_path / "out"
    assert main(["prompt", str(image), "--boxes", boxes, "-o", str(out), "--limits", "0,255"]) == 0
    assert "2 objects of 2 prompts" in capsys.readouterr().out
    labels = read_labels(out / "a_instances.tif")
    assert np.count_nonzero(labels) == 400
    table = pd.read_csv(out / "a_segments.csv")
    assert set(table.category) == {"cell", "debris"}
    recipe = json.loads((out / "a_recipe.json").read_text("utf-8"))
    assert recipe["prompts"][0]["box"] == [8, 8, 22, 32]

    again = tmp_path / "again"
    arguments = ["prompt", str(image), "--recipe", str(out / "a_recipe.json"), "-o", str(again)]
    assert main(arguments) == 0
    np.testing.assert_array_equal(read_labels(again / "a_instances.tif"), labels)
    assert main([*arguments, "--format", "zarr", "--overwrite"]) == 0
    np.testing.assert_array_equal(read_labels(again / "a_instances.zarr"), labels)
    # Its own table does for boxes, too.
    arguments[2:4] = ["--boxes", str(out / "a_segments.csv"), "--limits", "0,255"]
    assert main([*arguments, "--overwrite", "--json", "--quiet"]) == 0
    np.testing.assert_array_equal(read_labels(again / "a_instances.tif"), labels)


def test_prompts_as_recipes_have_them(model, image, tmp_path, capsys):
    text = '[{"index": 5, "points": [[15, 15]]}, {"index": 2, "box": [48, 68, 62, 92]}]'
    out, again = tmp_path / "out", tmp_path / "again"
    arguments = [str(image), "--limits", "0,255", "-o"]
    assert main(["prompt", *arguments, str(out), "--prompts", text, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["count"] == 2
    labels = read_labels(out / "a_instances.tif")
    assert (labels[15, 15], labels[55, 80], labels.max()) == (5, 2, 5)
    recipe = str(out / "a_recipe.json")
    assert main(["replay", recipe, "-i", str(image), "-o", str(again)]) == 0
    np.testing.assert_array_equal(read_labels(again / "a_instances.tif"), labels)
    assert main(["prompt", *arguments, str(again), "--recipe", recipe, "--overwrite"]) == 0
    np.testing.assert_array_equal(read_labels(again / "a_instances.tif"), labels)
    for wrong in ("[", ""):
        with pytest.raises(SystemExit):
            main(["prompt", *arguments, str(again), "--prompts", wrong, "--overwrite"])
        assert "--prompts: expected JSON" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"index": -1}, "expected index from 0"),
        ({"index": 2**31}, "expected index from 0"),
        ({"category_id": 0}, "expected category_id from 1"),
        ({"reach": "far"}, "expected them as a recipe has them"),
        ({"overwrite": "no"}, "expected true or false as overwrite"),
        ({"category": "b", "category_id": 1}, "got 'a' and 'b' of 1"),
    ],
)
def test_values_that_no_prompt_has_are_refused(more, message):
    first = {"points": [[1, 1]], "category": "a"}
    with pytest.raises(InputError, match=message):
        requests_from_json([first, {**first, **more}])
    assert len(requests_from_json([first, {**first, "reach": None, "multimask": None}])[0]) == 2


def test_points_of_one_object_go_together(model, image, tmp_path, capsys):
    points = write(
        tmp_path / "points.csv",
        "object;row;col;label\n1;15;15;1\n1;55;75;1\n2;55;75;1\n2;15;15;0\n",
    )
    arguments = ["prompt", str(image), "--points", points, "-o", str(tmp_path / "out")]
    assert main([*arguments, "--limits", "0,255", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["prompts"], document["count"]) == (2, 1)


def test_results_are_not_replaced_unasked(model, image, tmp_path, capsys):
    points = write(tmp_path / "points.csv", "row,col\n15,15\n")
    arguments = ["prompt", str(image), "--points", points, "-o", str(tmp_path / "out")]
    assert main(arguments) == 0
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "--overwrite" in capsys.readouterr().err


def test_a_prompt_outside_the_image_is_an_error(model, image, tmp_path, capsys):
    points = write(tmp_path / "points.csv", "row,col\n15,500\n")
    assert main(["prompt", str(image), "--points", points, "-o", str(tmp_path / "out")]) == 1
    assert "inside the plane of 100 x 120" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row,col\n", "a row for each"),
        ("row\n3\n", "col are not there"),
        ("row,col\n3,x\n", "line 2: expected a number in col, got 'x'"),
        ("row,col\n3\n", "line 2: expected a number in col, got ''"),
        ("row,col,label\n3,4,7\n", "line 2: labels"),
        ("row,col,object,category\n3,4,1,a\n3,4,1,b\n", "one category"),
        ("", "nothing"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, text, message):
    path = tmp_path / "points.csv"
    write(path, text)
    with pytest.raises(InputError, match=message):
        read_points(path, "")


def test_planes_are_read_from_their_columns(tmp_path):
    path = tmp_path / "boxes.csv"
    write(path, "\ufeffZ, row_min, col_min, row_max, col_max\n2, 1, 2, 3, 4\n")
    ((request,), (category,)) = read_boxes(path, "Z")
    assert request.plane == (2,)
    assert request.prompt.box == (1, 2, 3, 4)
    assert category.name == "object"
    with pytest.raises(InputError, match="columns"):
        read_boxes(path, "TZ")
    with pytest.raises(InputError, match="no such file"):
        read_boxes(tmp_path / "none.csv", "")


def test_the_cache_is_filled_shown_and_emptied(model, image, capsys):
    def document(*arguments):
        assert main([*arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert document("cache", "info")["count"] == 0
    done = document("cache", "precompute", str(image))
    assert done["done"] == done["tiles"] == len(model.encoded)
    assert document("cache", "info")["count"] > 0
    encoded = len(model.encoded)
    document("cache", "precompute", str(image))
    assert len(model.encoded) == encoded
    assert document("cache", "clear")["left"] == 0
    assert document("cache", "info")["count"] == 0


def test_ctrl_c_keeps_what_is_done(model, image, capsys, monkeypatch):
    encode = model.encode

    def interrupted(pictures):
        if model.encoded:
            raise KeyboardInterrupt
        return encode(pictures)

    monkeypatch.setattr(model, "encode", interrupted)
    assert main(["cache", "precompute", str(image)]) == 130
    assert "1 of" in capsys.readouterr().err
    assert main(["cache", "info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["count"] == 1
