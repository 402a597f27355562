"""Which file is which: read from its tensors, and wrong ones are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sam2_reference
import torch
from safetensors.torch import save_file
from torch import Tensor

from napari_instseg.models.entry import SAM2, ModelEntry
from napari_instseg.models.sam2 import checkpoint
from napari_instseg.models.sam2.architecture import SIZES
from napari_instseg.models.sam2.network import Sam2Network
from napari_instseg.segmenter import ModelError


def tensors(size: int = 0) -> dict[str, Tensor]:
    """Tensors without memory, with the names that Meta's files have."""
    with torch.device("meta"):
        network = Sam2Network(SIZES[size])
    inner = "sam_mask_decoder.transformer.layers."
    return {
        (
            name.replace(".lin1.", ".layers.0.").replace(".lin2.", ".layers.1.")
            if name.startswith(inner)
            else name
        ): value
        for name, value in network.state_dict().items()
    }


@pytest.fixture(scope="module")
def whole() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {k: torch.randn(v.shape, generator=generator) for k, v in tensors().items()}


class TestRead:
    @pytest.mark.parametrize("kind", ["pt", "bare", "safetensors", "half"])
    def test_files_of_all_kinds(self, whole, tmp_path, kind):
        path = tmp_path / f"weights.{'safetensors' if kind == 'safetensors' else 'pt'}"
        kept = {k: v.half() for k, v in whole.items()} if kind == "half" else whole
        if kind == "safetensors":
            save_file(kept, path)
        else:
            torch.save(kept if kind == "bare" else {"model": kept}, path)
        network, digest = checkpoint.read_network(path)
        assert network.arch.name == "tiny"
        assert len(digest) == 64
        read = network.state_dict()
        assert len(read) == len(whole)
        assert {value.dtype for value in read.values()} == {torch.float32}
        name = "sam_mask_decoder.transformer.layers.1.mlp"
        torch.testing.assert_close(
            read[f"{name}.lin2.weight"], kept[f"{name}.layers.1.weight"].float()
        )
        assert not network.training

    def test_a_hash_is_checked(self, tmp_path):
        path = tmp_path / "weights.pt"
        torch.save({}, path)
        with pytest.raises(ModelError, match="expected SHA-256 00"):
            checkpoint.read_network(path, "00")

    def test_loaded_by_the_list(self, whole, tmp_path):
        from napari_instseg.models.sam2.segmenter import load_prompter

        path = tmp_path / "weights.pt"
        torch.save({"model": whole}, path)
        entry = ModelEntry("mine", "Mine", "", SAM2, path)
        prompter, digest = load_prompter(entry, "cpu", "auto")
        assert (prompter.input_size, prompter.mask_size) == (1024, 256)
        assert digest == checkpoint.checked_sha256(path, None, "", "")


class TestRecognise:
    @pytest.mark.parametrize("size", range(len(SIZES)))
    def test_each_size(self, size):
        assert checkpoint.recognise(tensors(size), Path("x")) is SIZES[size]

    @pytest.mark.parametrize("size", range(len(SIZES)))
    def test_names_and_shapes_are_those_of_the_reference(self, size):
        theirs = sam2_reference.part(SIZES[size].name).state_dict()
        mine = tensors(size)
        assert {k: v.shape for k, v in theirs.items()} == {k: v.shape for k, v in mine.items()}


def drop(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in values.items() if not k.startswith("memory_attention.layers.3")}


def reshape(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**values, "obj_ptr_tpos_proj.weight": torch.zeros(64, 64)}


def add(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**values, "extra": torch.zeros(1)}


def older(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in values.items() if k != "no_obj_embed_spatial"}


class TestWrongFiles:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (drop, r"2\.1 tiny, which it is closest to: missing memory_attention\.layers\.3.*more"),
            (reshape, r"obj_ptr_tpos_proj\.weight: expected \(64, 256\), got \(64, 64\)"),
            (add, "unknown extra; get one of the list"),
            (older, "Segment Anything 2 of July 2024: expected 2.1"),
        ],
    )
    def test_what_does_not_fit_is_named(
        self, monkeypatch, tmp_path, change: Callable[..., dict[str, Tensor]], message
    ):
        path = tmp_path / "weights.pt"
        torch.save({}, path)
        changed = change(tensors())
        monkeypatch.setattr(checkpoint, "_read", lambda path: changed)
        with pytest.raises(ModelError, match=message):
            checkpoint.read_network(path)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("mask_decoder.iou_token.weight", "the first Segment Anything"),
            ("vision_encoder.backbone.pos_embed", "transformers"),
            ("detector.backbone.x", "Segment Anything 3"),
            ("layer.weight", r"tensors named layer\.weight"),
        ],
    )
    def test_other_models_are_named(self, tmp_path, name, message):
        path = tmp_path / "weights.pt"
        torch.save({name: torch.zeros(1)}, path)
        with pytest.raises(ModelError, match=f"expected a checkpoint of .* got .*{message}"):
            checkpoint.read_network(path)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ([1, 2], "holds a list: expected tensors by name"),
            ({"a": 1}, "'a' is a int: expected real tensors"),
            ({"a": torch.zeros(1, dtype=torch.int64)}, "expected real tensors"),
        ],
    )
    def test_what_holds_no_tensors(self, tmp_path, content, message):
        path = tmp_path / "weights.pt"
        torch.save(content, path)
        with pytest.raises(ModelError, match=message):
            checkpoint.read_network(path)

    def test_damaged_safetensors(self, tmp_path):
        path = tmp_path / "weights.safetensors"
        path.write_bytes(b"nothing")
        with pytest.raises(ModelError, match="cannot be read as safetensors"):
            checkpoint.read_network(path)
