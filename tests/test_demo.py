"""The demo, with the real model and with a stand-in for the viewer."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image as Pillow

from napari_instseg import api, demo
from napari_instseg.cli import main
from napari_instseg.gui import show
from napari_instseg.instances import Instances
from napari_instseg.io.images import read_image, read_labels
from napari_instseg.models import registry
from napari_instseg.models.entry import LoadedModel
from napari_instseg.segmenter import Category, Prediction, Rules

WEIGHTS = Path(registry.__file__).parent / "data" / "nuclei.safetensors"
needs_weights = pytest.mark.skipif(
    not WEIGHTS.is_file(), reason=f"the built-in weights are not there: {WEIGHTS}"
)
FILES = {
    "instances.tif",
    "semantic.tif",
    "panoptic.tif",
    "segments.csv",
    "recipe.json",
    "overlay.png",
}


def test_samples_ship_with_the_package():
    sizes = [(demo.DATA / file).stat().st_size for file, _ in demo.SAMPLES]
    assert sum(sizes) <= 400_000
    one, two = (read_image(demo.DATA / file) for file, _ in demo.SAMPLES)
    assert (one.axes, two.axes) == ("YX", "YXS")
    text = (demo.DATA / "README.md").read_text("utf-8")
    assert "BBBC038" in text
    assert "CC0" in text


class Nothing:
    """A model that finds nothing, at once."""

    categories = (Category(1, "nucleus"),)
    diameter = None
    device = "a stand-in"
    batch_size = 1
    rules = Rules()

    def segment(self, tiles):
        return [Prediction(Instances.empty(tile.shape[:2])) for tile in tiles]


@needs_weights
class TestRun:
    def test_files_and_words(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        assert main(["demo", "--no-viewer", "--device", "cpu"]) == 0
        output = tmp_path / "instseg-demo"
        assert {p.name for p in output.iterdir()} == FILES | {"histology"}
        assert {p.name for p in (output / "histology").iterdir()} == FILES
        said = capsys.readouterr().out
        for folder, name in ((output, "fluorescence"), (output / "histology", "histology")):
            count = int(read_labels(folder / "instances.tif").max())
            assert count == len(pd.read_csv(folder / "segments.csv")) > 10
            assert f"{name}: {count} nuclei in " in said
            assert json.loads((folder / "recipe.json").read_text("utf-8"))["complete"]
            with Pillow.open(folder / "overlay.png") as picture:
                assert picture.size == read_labels(folder / "instances.tif").shape[::-1]
        assert said.count(" s on CPU") == 2
        assert str(output) in said


class TestViewer:
    @pytest.fixture(autouse=True)
    def _model(self, monkeypatch):
        """A stand-in: what is found does not matter here."""
        loaded = LoadedModel(Nothing(), "nuclei", "n.safetensors", "0" * 64)
        monkeypatch.setattr(api, "load", lambda name, device, **options: loaded)

    def test_without_a_screen(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(demo, "why_no_viewer", lambda: "there is no screen")
        monkeypatch.setattr(show, "show", lambda results: pytest.fail("opened"))
        demo.run_demo(tmp_path, device="cpu")
        assert "napari stays shut: there is no screen." in capsys.readouterr().out
        # Twice is no error: the results are the demo's own.
        demo.run_demo(tmp_path, device="cpu")

    def test_with_a_screen(self, tmp_path, monkeypatch):
        shown = []
        monkeypatch.setattr(demo, "why_no_viewer", lambda: "")
        monkeypatch.setattr(show, "show", shown.append)
        results = demo.run_demo(tmp_path, device="cpu")
        assert shown == [results]
        assert [result.image.name for result in results] == ["fluorescence", "histology"]


def test_why_no_viewer(monkeypatch):
    monkeypatch.setattr(demo.sys, "platform", "linux")
    monkeypatch.setattr(demo, "find_spec", lambda name: object())
    monkeypatch.setenv("DISPLAY", ":0")
    assert demo.why_no_viewer() == ""
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "no screen" in demo.why_no_viewer()
    monkeypatch.setattr(demo.sys, "platform", "darwin")
    assert demo.why_no_viewer() == ""
    monkeypatch.setattr(demo, "find_spec", lambda name: object() if name == "napari" else None)
    assert "Qt" in demo.why_no_viewer()
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    assert "napari-instseg[all]" in demo.why_no_viewer()
