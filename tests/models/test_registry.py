"""Models by name: what there is, what is missing, and what to do about it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from napari_instseg.models import registry
from napari_instseg.models.downloads import file_sha256
from napari_instseg.segmenter import ModelError, Segmenter


def test_the_built_in_model_comes_first_and_is_whole() -> None:
    entry = registry.entries()[0]
    assert entry.name == "nuclei"
    assert entry.missing() == ""
    assert file_sha256(entry.path) == entry.sha256
    assert entry.path.stat().st_size < 20 * 1024 * 1024
    assert len({e.name for e in registry.entries()}) == len(registry.entries())


def test_what_is_missing_is_said_with_what_to_do(tmp_path: Path) -> None:
    entry = registry.entries()[0]
    absent = dataclasses.replace(entry, requires=("torch", "no_such_module", "nor_this"))
    expected = 'needs no_such_module, nor_this: pip install "napari-instseg[all]"'
    assert absent.missing() == expected
    gone = dataclasses.replace(entry, path=tmp_path / "gone.safetensors")
    assert gone.missing() == f"needs the file {tmp_path / 'gone.safetensors'}"


def test_a_model_is_found_by_name_or_by_its_file(tmp_path: Path) -> None:
    assert registry.find("nuclei") == registry.entries()[0]
    path = tmp_path / "mine.safetensors"
    entry = registry.find(str(path))
    assert (entry.path, entry.title, entry.sha256) == (path, "mine", None)
    other = tmp_path / "weights.bin"
    other.write_bytes(b"x")
    assert registry.find(str(other)).path == other


@pytest.mark.parametrize("name", ["nucleus", "", "nuclei ", ".", "\0"])
def test_unknown_names_are_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(ModelError, match=r"expected one of \['nuclei'.*the path of a .safetens"):
        registry.find(name)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"needs the file .*gone\.safetensors"):
        registry.load(str(tmp_path / "gone.safetensors"))


def test_loading_names_the_model_for_the_recipe() -> None:
    loaded = registry.load("nuclei", "cpu")
    entry = registry.entries()[0]
    assert loaded.identity == {
        "name": "nuclei",
        "file": "nuclei.safetensors",
        "sha256": entry.sha256,
    }
    assert isinstance(loaded.segmenter, Segmenter)
    assert loaded.segmenter.diameter == pytest.approx(22)


def test_listing_models_does_not_import_torch() -> None:
    code = (
        "import sys; from napari_instseg.models import registry; "
        "assert registry.entries()[0].missing() == ''; registry.find('nuclei'); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
