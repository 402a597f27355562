"""Detectron2's zoo: names, and that the list is that of the installed package."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from napari_instseg.models import downloads, zoo
from napari_instseg.segmenter import ModelError

FULL = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x"
SCRIPT = Path(__file__).parents[2] / "scripts" / "zoo_list.py"


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(downloads.CACHE, str(tmp_path))
    return tmp_path


class TestEntries:
    def test_one_of_them(self, cache):
        entry = zoo.find(FULL)
        url = f"https://dl.fbaipublicfiles.com/detectron2/{FULL}/137849600/model_final_f10217.pkl"
        assert entry.url == url
        assert entry.path == cache / "detectron2" / FULL / "model_final_f10217.pkl"
        assert entry.config == f"{FULL}.yaml"
        assert entry.size == pytest.approx(178e6, rel=0.01)
        assert (entry.group, entry.dataset, entry.outputs) == ("zoo", "COCO", ("instances",))
        assert entry.license == "CC BY-SA 3.0"
        assert "80 categories" in entry.description
        assert not entry.present

    def test_all_of_them(self, cache):
        entries = zoo.entries()
        assert len(entries) == len({e.name for e in entries}) == len({e.path for e in entries})
        assert len(entries) >= 40
        for entry in entries:
            assert entry.url.startswith("https://dl.fbaipublicfiles.com/detectron2/")
            assert entry.url.endswith(".pkl")
            assert entry.requires == ("torch", "torchvision", "detectron2")
            assert 50e6 < entry.size < 1e9
        gives = {e.outputs for e in entries}
        assert gives == {("boxes",), ("instances",), ("instances", "semantic", "panoptic")}
        assert {e.dataset for e in entries} == {"COCO", "Cityscapes", "LVIS v0.5", "Pascal VOC"}

    def test_the_folder_may_change(self, cache, monkeypatch):
        before = zoo.entries()
        assert zoo.entries() is before
        monkeypatch.setenv(downloads.CACHE, str(cache / "other"))
        assert zoo.find(FULL).path.is_relative_to(cache / "other")

    def test_listing_loads_no_torch(self):
        code = (
            "import sys; from napari_instseg.models import zoo; "
            "zoo.entries(); print('torch' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert done.stdout.decode().strip() == "False"


class TestNames:
    @pytest.mark.parametrize(
        "name", [FULL, f"{FULL}.yaml", "mask_rcnn_R_50_FPN_3x", "mask_rcnn_R_50_FPN_3x.yaml"]
    )
    def test_full_or_short_with_or_without_yaml(self, name):
        assert zoo.knows(name)
        assert zoo.find(name).name == FULL

    def test_a_short_name_of_several_is_answered_with_the_full_ones(self):
        assert zoo.knows("mask_rcnn_R_50_FPN_1x")
        with pytest.raises(ModelError) as caught:
            zoo.find("mask_rcnn_R_50_FPN_1x")
        assert "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x" in str(caught.value)
        assert "LVISv0.5-InstanceSegmentation/mask_rcnn_R_50_FPN_1x" in str(caught.value)

    def test_near_misses_are_suggested(self):
        assert zoo.suggest("mask_rcnn_R50_FPN_3x")[0] == FULL
        assert zoo.suggest(FULL.replace("_50", "50"))[0] == FULL
        assert all("retinanet" in name for name in zoo.suggest("RetinaNet"))
        assert zoo.suggest("RetinaNet")
        with pytest.raises(ModelError, match="did you mean COCO-InstanceSegmentation/mask_rcnn_R"):
            zoo.find("mask_rcnn_R50_FPN_3x")

    @pytest.mark.parametrize(
        "name", ["", "nuclei", "/", ".yaml", "COCO-InstanceSegmentation/", "x"]
    )
    def test_others_are_unknown(self, name):
        assert not zoo.knows(name)
        assert zoo.suggest(name) == [] or "/" in name
        with pytest.raises(ModelError, match="in Detectron2's zoo: "):
            zoo.find(name)

    def test_why_one_is_left_out_is_said(self):
        name = "COCO-Keypoints/keypoint_rcnn_R_50_FPN_3x"
        with pytest.raises(ModelError, match="cannot be used: finds key points of people"):
            zoo.find(name)

    def test_configs_have_those_without_weights_as_well(self):
        assert "Misc/semantic_R_50_FPN_1x.yaml" in zoo.configs()
        assert f"{FULL}.yaml" in zoo.configs()
        assert "COCO-Keypoints/keypoint_rcnn_R_50_FPN_3x.yaml" not in zoo.configs()


def test_weights_come_with_the_md5_that_their_name_begins_with(cache, monkeypatch):
    asked = {}

    def fetch(url, target, **options):
        asked.update(url=url, target=target, **options)
        return "digest"

    monkeypatch.setattr(downloads, "fetch", fetch)
    entry = zoo.find(FULL)
    assert downloads.fetch_weights(entry) == "digest"
    assert asked["md5"] == "f10217"
    assert (asked["url"], asked["target"]) == (entry.url, entry.path)


@pytest.mark.slow
def test_the_list_is_that_of_the_installed_detectron2():
    """Run in a process of its own: it imports Detectron2."""
    if importlib.util.find_spec("detectron2") is None:
        pytest.skip("Detectron2 is not installed")
    code = f"""
import importlib.util, json, logging
spec = importlib.util.spec_from_file_location("zoo_list", {str(SCRIPT)!r})
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)
script.load()
reasons = script.reasons()
some = [{FULL!r}, "COCO-PanopticSegmentation/panoptic_fpn_R_101_3x"]
print(json.dumps({{
    "models": [script.describe(name) for name, reason in reasons.items() if not reason],
    "left_out": {{name: reason for name, reason in reasons.items() if reason}},
    "bytes": {{f"{{name}}.yaml": script.weights_bytes(name) for name in some}},
}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    now = json.loads(done.stdout)
    kept = json.loads(zoo.LIST.read_text("utf-8"))
    sizes = {model["config"]: model.pop("bytes") for model in kept["models"]}
    assert kept["models"] == now["models"]
    assert kept["left_out"] == now["left_out"]
    assert {name: sizes[name] for name in now["bytes"]} == now["bytes"]
