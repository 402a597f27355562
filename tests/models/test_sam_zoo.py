"""The promptable models that can be downloaded: names, files, and what is known of each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from napari_instseg.models import downloads, sam_zoo
from napari_instseg.models.entry import SAM, SAM2
from napari_instseg.segmenter import ModelError


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(downloads.CACHE, str(tmp_path))
    return tmp_path


class TestEntries:
    def test_one_of_them(self, cache):
        entry = sam_zoo.find("sam-vit-b")
        url = "https://dl.fbaipublicfiles.com/segment_anything/sam_vit_b_01ec64.pth"
        assert entry.url == url
        assert entry.path == cache / "sam" / "sam-vit-b" / "sam_vit_b_01ec64.pth"
        assert entry.sha256.startswith("ec2df627")
        assert entry.size == 375_042_383
        assert (entry.group, entry.dataset, entry.license) == (
            "segment-anything",
            "SA-1B",
            "Apache-2.0",
        )
        assert (entry.loader, entry.outputs) == (SAM, ("prompts",))
        assert not entry.present
        assert entry.missing() == ""

    def test_all_of_them(self, cache):
        entries = sam_zoo.entries()
        assert len(entries) == 18
        for unique in ("name", "path", "url", "title"):
            assert len({getattr(entry, unique) for entry in entries}) == len(entries), unique
        for entry in entries:
            assert entry.url.startswith("https://")
            assert entry.name == entry.name.lower()
            assert entry.path.suffix in (".pt", ".pth")
            assert entry.path.is_relative_to(cache)
            assert entry.license
            assert entry.loader == (SAM2 if entry.name.startswith("sam2.1-") else SAM)
            assert 40e6 < entry.size < 2.6e9

    def test_a_hash_is_known_or_the_file_says_how_else_it_can_be_checked(self):
        models = json.loads(sam_zoo.LIST.read_text("utf-8"))["models"]
        for model in models:
            assert model["exact"] == (model["sha256"] is not None), model["name"]
            digest, digits = (model["sha256"], 64) if model["sha256"] else (model["xxh128"], 32)
            assert len(digest) == digits
            assert int(digest, 16)
        known = {model["name"] for model in models if model["sha256"]}
        assert known == {e.name for e in sam_zoo.entries() if not e.name.startswith("micro-sam-")}

    def test_the_same_architecture_has_the_same_size(self):
        for letter in "bl":
            sizes = {e.size for e in sam_zoo.entries() if f"-vit-{letter}" in e.name}
            assert len(sizes) == 1

    def test_the_folder_may_change(self, cache, monkeypatch):
        before = sam_zoo.entries()
        assert sam_zoo.entries() is before
        monkeypatch.setenv(downloads.CACHE, str(cache / "other"))
        assert sam_zoo.find("mobile-sam").path.is_relative_to(cache / "other")

    def test_listing_is_without_torch(self):
        code = (
            "import sys; from napari_instseg.models import sam_zoo; sam_zoo.entries(); "
            "print('torch' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert done.stdout.decode().split() == ["False"]


class TestNames:
    @pytest.mark.parametrize("name", ["sam2.1-hiera-tiny", "SAM2.1_hiera_tiny"])
    def test_case_and_underscores_do_not_matter(self, name):
        assert sam_zoo.knows(name)
        assert sam_zoo.find(name).name == "sam2.1-hiera-tiny"

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("vit_b_lm", "micro-sam-vit-b-lm"),
            ("vit_l_em_organelles", "micro-sam-vit-l-em-organelles"),
            ("sam-vitb", "sam-vit-b"),
            ("mobilesam", "mobile-sam"),
            ("sam2-hiera-tiny", "sam2.1-hiera-tiny"),
        ],
    )
    def test_near_misses_are_suggested(self, name, meant):
        assert not sam_zoo.knows(name)
        assert sam_zoo.suggest(name)[0] == meant
        with pytest.raises(ModelError, match=f"did you mean {meant}"):
            sam_zoo.find(name)

    @pytest.mark.parametrize("name", ["", "nuclei", "/", "x"])
    def test_others_are_unknown(self, name):
        assert not sam_zoo.knows(name)
        assert sam_zoo.suggest(name) == []
        with pytest.raises(ModelError, match="'napari-instseg models' lists them"):
            sam_zoo.find(name)
