"""The demo, with the real model and with a stand-in for the viewer."""

from __future__ import annotations

import json
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pillow

from napari_instseg import demo
from napari_instseg.cli import main
from napari_instseg.io.images import read_image, read_labels
from napari_instseg.models import registry
from napari_instseg.ops.axes import Image

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
        # Twice is no error: the results are the demo's own.
        assert main(["demo", "--no-viewer", "--device", "cpu"]) == 0

    def test_without_a_screen(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(demo, "why_no_viewer", lambda: "there is no screen")
        monkeypatch.setattr(demo, "show", lambda results: pytest.fail("opened"))
        demo.run_demo(tmp_path, device="cpu")
        assert "napari stays shut: there is no screen." in capsys.readouterr().out

    def test_with_a_screen(self, tmp_path, monkeypatch):
        shown = []
        monkeypatch.setattr(demo, "why_no_viewer", lambda: "")
        monkeypatch.setattr(demo, "show", shown.append)
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


def test_layers_stand_side_by_side():
    layers = []

    class Result:
        def __init__(self, image):
            self.image = image

        def add_to(self, viewer):
            names = ("instances", "semantic", "panoptic")
            added = [types.SimpleNamespace(name=f"{self.image.name} {n}") for n in names]
            layers.extend(added)
            return added

    class Viewer:
        def __init__(self):
            self.images, self.views = [], 0

        def add_image(self, data, **options):
            self.images.append((data.shape, options))

        def reset_view(self):
            self.views += 1

    viewer = Viewer()
    grey = Image(np.zeros((10, 30), np.uint8), "YX", name="one")
    color = Image(np.zeros((8, 9, 3), np.uint8), "YXS", name="two")
    demo.fill_viewer(viewer, [Result(grey), Result(color)], gap=5)
    assert viewer.images == [
        ((10, 30), {"rgb": False, "name": "one", "translate": (0, 0)}),
        ((8, 9, 3), {"rgb": True, "name": "two", "translate": (0, 35)}),
    ]
    assert [layer.translate for layer in layers] == [(0, 0)] * 3 + [(0, 35)] * 3
    assert [layer.visible for layer in layers] == [True, False, False] * 2
    assert viewer.views == 1


def test_mapping_is_the_default_one():
    image = Image(np.linspace(0, 1000, 400).reshape(20, 20), "YX")
    rgb = demo.as_rgb(image)
    assert rgb.shape == (20, 20, 3)
    assert (rgb.min(), rgb.max()) == (0, 1)
    color = np.zeros((20, 20, 4), np.uint8)
    color[..., 0], color[:10, :, 1], color[..., 3] = 100, 200, 255
    assert demo.as_rgb(Image(color, "YXS"))[0, 0].tolist() == pytest.approx([0.5, 1, 0])
