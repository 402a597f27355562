from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers import ComponentSegmenter
from prompters import BrightnessPrompter, pretend

from napari_instseg.cli import main
from napari_instseg.cli import reading as opening
from napari_instseg.io.images import read_labels
from napari_instseg.models import registry
from napari_instseg.models.entry import LoadedModel

DISCS = [(20, 20, 7), (45, 64, 9), (100, 90, 10)]


@pytest.fixture
def prompter(monkeypatch: pytest.MonkeyPatch) -> BrightnessPrompter:
    made = BrightnessPrompter()
    pretend(monkeypatch, made)
    return made


@pytest.fixture
def image(tmp_path: Path) -> Path:
    rows, cols = np.mgrid[:130, :120]
    pixels = np.zeros((130, 120), np.uint8)
    for row, col, radius in DISCS:
        pixels[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = 200
    path = tmp_path / "in" / "discs.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, pixels)
    return path


def call(*arguments: object) -> int:
    usual = ["--no-cache", "--limits", "0,200", "--points-per-side", 16]
    return main(["everything", *map(str, (*arguments, *usual))])


def test_files_are_written_and_told(image, prompter, tmp_path, capsys):
    assert call(image, "-o", tmp_path / "out", "--json", "--quiet") == 0
    told = json.loads(capsys.readouterr().out)
    (job,) = told["inputs"]
    assert (told["model"], job["status"], job["count"]) == ("sam-nuclei", "done", len(DISCS))
    labels = tifffile.imread(tmp_path / "out" / "discs_instances.tif")
    assert np.array_equal(labels > 0, tifffile.imread(image) > 0)
    assert [Path(name).name for name in job["files"]] == [
        *("discs_instances.tif", "discs_segments.csv", "discs_recipe.json")
    ]


def test_a_label_image_in_zarr(image, prompter, tmp_path):
    out = tmp_path / "out"
    assert call(image, "-o", out, "--format", "zarr") == 0
    labels = read_labels(out / "discs_instances.zarr")
    assert np.array_equal(labels > 0, tifffile.imread(image) > 0)


def test_what_is_there_is_not_replaced_unasked(image, prompter, tmp_path, capsys):
    out = tmp_path / "out"
    assert call(image, "-o", out) == 0
    assert call(image, "-o", out) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert call(image, "-o", out, "--skip-existing") == 0
    assert call(image, "-o", out, "--overwrite") == 0


def test_a_recipe_runs_again(image, prompter, tmp_path):
    first, again = tmp_path / "first", tmp_path / "again"
    assert call(image, "-o", first, "--mode", "exact", "--max-area", 290) == 0
    recipe = first / "discs_recipe.json"
    assert call(image, "-o", again, "--recipe", recipe) == 0
    settings = [json.loads(p.read_text()) for p in (recipe, again / "discs_recipe.json")]
    assert settings[0]["everything"] == settings[1]["everything"]
    assert settings[1]["everything"]["mode"] == "exact"
    labels = [tifffile.imread(folder / "discs_instances.tif") for folder in (first, again)]
    assert np.array_equal(*labels)
    assert labels[0].max() == 2


def test_a_detector_gives_the_prompts(image, prompter, tmp_path, monkeypatch):
    segmenter = ComponentSegmenter()
    monkeypatch.setattr(
        registry,
        "load_for",
        lambda settings, report=None: LoadedModel(segmenter, settings.model, "file", "1" * 64),
    )
    out, again = tmp_path / "out", tmp_path / "again"
    assert call(image, "-o", out, "--prompts", "detector") == 0
    recipe = json.loads((out / "discs_recipe.json").read_text())
    assert recipe["model"]["name"] == "sam-nuclei"
    assert recipe["detector"]["model"]["name"] == "nuclei"
    assert recipe["refine"]["objects"] == len(DISCS)
    assert tifffile.imread(out / "discs_instances.tif").max() == len(DISCS)
    assert call(image, "-o", again, "--recipe", out / "discs_recipe.json") == 0
    assert "detector" in json.loads((again / "discs_recipe.json").read_text())


def test_ctrl_c_keeps_what_is_done(image, prompter, tmp_path, monkeypatch, capsys):
    decode = prompter.decode

    def impatient(*args, **options):
        if len(prompter.decoded) >= 30:
            raise KeyboardInterrupt
        return decode(*args, **options)

    monkeypatch.setattr(prompter, "decode", impatient)
    assert call(image, "-o", tmp_path / "out", "--mode", "exact") == 130
    said = capsys.readouterr().err
    assert "objects so far" in said
    recipe = json.loads((tmp_path / "out" / "discs_recipe.json").read_text())
    assert not recipe["complete"]
    labels = tifffile.imread(tmp_path / "out" / "discs_instances.tif")
    assert 0 < labels.max() < len(DISCS)


def test_one_bad_file_does_not_stop_the_others(image, prompter, tmp_path, capsys):
    bad = image.with_name("bad.tif")
    bad.write_bytes(b"no picture")
    assert call(bad, image, "-o", tmp_path / "out") == 1
    assert "bad.tif" in capsys.readouterr().err
    assert (tmp_path / "out" / "discs_instances.tif").is_file()


@pytest.mark.parametrize("option", [("--nms", "3"), ("--min-predicted-iou", "-1")])
def test_a_wrong_value_ends_with_status_2(image, prompter, tmp_path, option):
    with pytest.raises(SystemExit) as stopped:
        call(image, "-o", tmp_path / "out", *option)
    assert stopped.value.code == 2


@pytest.mark.parametrize("prompts", ["grid", "detector"])
def test_two_inputs_at_a_time(prompts, image, prompter, tmp_path, monkeypatch, capsys):
    """One is read and written while the model works on the other, with the same results."""
    loaded = LoadedModel(ComponentSegmenter(), "nuclei", "file", "1" * 64)
    monkeypatch.setattr(registry, "load_for", lambda settings, report=None: loaded)
    tifffile.imwrite(image.with_name("turned.tif"), tifffile.imread(image)[::-1, :100])
    alone, two = tmp_path / "alone", tmp_path / "two"
    assert call(image.parent, "-o", alone, "--prompts", prompts) == 0
    reading = set()
    read = opening.open_image

    def noting(*arguments, **options):
        reading.add(threading.current_thread())
        return read(*arguments, **options)

    monkeypatch.setattr(opening, "open_image", noting)
    assert call(image.parent, "-o", two, "--prompts", prompts, "--jobs", 2) == 0
    assert threading.main_thread() not in reading
    assert reading
    names = [sorted(path.name for path in folder.iterdir()) for folder in (alone, two)]
    assert names[0] == names[1]
    for name in names[0]:
        if not name.endswith("_status.json"):
            assert (alone / name).read_bytes() == (two / name).read_bytes()
    labels = tifffile.imread(two / "turned_instances.tif")
    assert np.array_equal(labels > 0, tifffile.imread(image)[::-1, :100] > 0)
    with pytest.raises(SystemExit):
        call(image, "-o", two, "--jobs", 0)
    assert "--jobs" in capsys.readouterr().err
