from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from napari_instseg.models import library, prompters, registry
from napari_instseg.models.entry import DETECTRON2, SAM, SAM2
from napari_instseg.models.sam_files import family_of
from napari_instseg.segmenter import ModelError

SAM_NAMES = ("image_encoder.pos_embed", "mask_decoder.transformer.layers.0.norm1.weight")
SAM2_NAMES = ("image_encoder.trunk.pos_embed", "sam_mask_decoder.transformer.norm_final.weight")
OTHER_NAMES = ("backbone.bottom_up.stem.conv1.weight",)
SAVERS = ("zip", "legacy", "safetensors")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(library.HOME, str(tmp_path / "home"))


def write(folder: Path, names: tuple[str, ...], how: str) -> Path:
    tensors = {name: torch.zeros(2) for name in names}
    if how == "safetensors":
        save_file(tensors, folder / "model.safetensors")
        return folder / "model.safetensors"
    path = folder / ("model.pth" if how == "zip" else "model")
    torch.save({"model": tensors}, path, _use_new_zipfile_serialization=how == "zip")
    return path


@pytest.mark.parametrize("how", SAVERS)
@pytest.mark.parametrize(
    ("names", "family"), [(SAM_NAMES, "SAM"), (SAM2_NAMES, "SAM 2"), (OTHER_NAMES, None)]
)
def test_a_file_is_told_by_its_tensors(
    tmp_path: Path, names: tuple[str, ...], family: str | None, how: str
) -> None:
    assert family_of(write(tmp_path, names, how)) == family


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"\x80\x02}q\x00."])
def test_what_is_no_checkpoint_is_of_no_family(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pth").write_bytes(content)
    assert family_of(tmp_path / "model.pth") is None
    assert family_of(tmp_path / "missing.pth") is None
    assert family_of(tmp_path) is None


@pytest.mark.parametrize(("names", "loader"), [(SAM_NAMES, SAM), (SAM2_NAMES, SAM2)])
def test_a_path_finds_the_backend(tmp_path: Path, names: tuple[str, ...], loader: str) -> None:
    entry = prompters.find(str(write(tmp_path, names, "zip")))
    assert (entry.loader, entry.group, entry.promptable) == (loader, "yours", True)


def test_a_foreign_file_says_what_was_expected(tmp_path: Path) -> None:
    path = write(tmp_path, OTHER_NAMES, "zip")
    with pytest.raises(ModelError, match="expected a checkpoint of Segment Anything"):
        prompters.find(str(path))


@pytest.mark.parametrize(("names", "loader"), [(SAM_NAMES, SAM), (SAM2_NAMES, SAM2)])
@pytest.mark.parametrize("how", SAVERS)
def test_a_checkpoint_is_added_under_a_name(
    tmp_path: Path, names: tuple[str, ...], loader: str, how: str
) -> None:
    library.add("mine", write(tmp_path, names, how))
    entry = prompters.find("mine")
    assert (entry.loader, entry.outputs) == (loader, ("prompts",))
    assert entry in prompters.entries()
    assert entry not in registry.segmenters()
    with pytest.raises(ModelError, match="describes itself"):
        library.add("again", entry.path, config="x.yaml")


def test_other_checkpoints_still_need_a_config(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Detectron2 config"):
        library.add("mine", write(tmp_path, OTHER_NAMES, "zip"))


def test_segmenters_and_promptable_models_keep_apart() -> None:
    assert {e.promptable for e in registry.segmenters()} == {False}
    assert {e.promptable for e in prompters.entries()} == {True}
    assert set(registry.entries()) == {*registry.segmenters(), *prompters.entries()}
    assert DETECTRON2 in {e.loader for e in registry.segmenters()}


def test_a_promptable_model_is_not_run_like_a_segmenter() -> None:
    with pytest.raises(
        ModelError, match=r"answers prompts: use PromptSession\(image, 'sam-nuclei'"
    ):
        registry.load("sam-nuclei")


@pytest.mark.parametrize("name", ["nuclei", "sam-nuclej", "sam-vit-x"])
def test_an_unknown_name_says_what_there_is(name: str) -> None:
    with pytest.raises(ModelError, match=r"there is no promptable model .*'sam-nuclei'"):
        prompters.find(name)
