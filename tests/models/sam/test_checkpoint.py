"""Files are recognised by their tensors, and wrong ones say what they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import malicious
import numpy as np
import pytest
import torch
from planted import tiny_sam
from safetensors.torch import save_file
from torch import Tensor
from twins import empty_network_of

from napari_instseg.models import downloads
from napari_instseg.models.entry import ModelEntry
from napari_instseg.models.sam import checkpoint, compact_encoder
from napari_instseg.models.sam.checkpoint import read_network
from napari_instseg.models.sam.network import ARCHITECTURES
from napari_instseg.models.sam.segmenter import load_prompter, resized
from napari_instseg.models.weights import misfit, write_weights
from napari_instseg.promptable import Prompts, PromptSegmenter
from napari_instseg.segmenter import InputError, ModelError

TINY = "tiny SAM"


@pytest.fixture(scope="module")
def reference() -> Any:
    torch.manual_seed(0)
    return tiny_sam(64)


@pytest.fixture(autouse=True)
def tiny_architecture(reference: Any) -> Iterator[None]:
    """Know one that is small enough to be written in no time, beside the published ones."""
    ARCHITECTURES[TINY] = lambda: empty_network_of(reference)
    yield
    del ARCHITECTURES[TINY]


@pytest.fixture
def state(reference: Any) -> dict[str, Tensor]:
    return dict(reference.state_dict())


def same(network: Any, state: dict[str, Tensor]) -> bool:
    found = network.state_dict()
    return set(found) == set(state) and all(torch.equal(found[k], state[k]) for k in state)


@pytest.mark.parametrize("title", [name for name in ARCHITECTURES if name != TINY])
def test_published_architectures_are_told_apart(title: str) -> None:
    with torch.device("meta"):
        tensors = ARCHITECTURES[title]().state_dict()
    used = {k: v for k, v in tensors.items() if not checkpoint._NOT_USED.search(k)}
    assert checkpoint._closest(used) == title
    assert not misfit(checkpoint._shapes(title), used)


def test_names_are_the_references() -> None:
    from segment_anything import sam_model_registry

    for kind in ("vit_b", "vit_l", "vit_h"):
        with torch.device("meta"):
            state = sam_model_registry[kind]().state_dict()
        title = f"SAM ViT-{kind[-1].upper()}"
        assert {k: tuple(v.shape) for k, v in state.items()} == checkpoint._shapes(title)


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("sam.pth", lambda s: s),
        ("sam.pt", lambda s: {"state_dict": s}),
        ("vit_b_lm", lambda s: {"model_state": s, "decoder_state": {"x.weight": torch.ones(2)}}),
        ("torch_em", lambda s: {"model_state": {f"sam.{k}": v for k, v in s.items()}, "epoch": 3}),
        ("gpus.pth", lambda s: {"model": {f"module.model.{k}": v for k, v in s.items()}}),
        ("heads.pth", lambda s: {**s, "decoder.out.bias": torch.ones(3), "note": "text"}),
        ("half.pth", lambda s: {k: v.half() for k, v in s.items()}),
    ],
)
def test_files_of_torch(name: str, pack: Any, state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / name
    torch.save(pack(state), path)
    network, about = read_network(path)
    assert about.title == TINY
    assert about.sha256 == downloads.file_sha256(path)
    assert not network.training
    assert all(value.dtype == torch.float32 for value in network.state_dict().values())
    if not name.startswith("half"):
        assert same(network, state)


def test_safetensors(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "sam.safetensors"
    save_file({k: v.contiguous() for k, v in state.items()}, path)
    network, about = read_network(path)
    assert about.title == TINY
    assert same(network, state)


def test_the_file_may_go(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "sam.pth"
    torch.save(state, path)
    network, _ = read_network(path)
    path.write_bytes(bytes(path.stat().st_size))
    assert same(network, state)


def small_built_in(tmp_path: Path, **about: Any) -> Path:
    torch.manual_seed(0)
    arch = compact_encoder.Architecture(
        input_size=64, embed_dim=32, stem_width=4, widths=(4, 4, 4, 4), depths=(1, 1, 1, 1),
        fpn_width=4, decoder_hidden=16, iou_hidden=8,
    )  # fmt: skip
    path = tmp_path / "own.safetensors"
    described = {
        "format": compact_encoder.FORMAT,
        "architecture": arch.to_dict(),
        "diameter": 17.5,
        **about,
    }
    write_weights(path, compact_encoder.build(arch), described)
    return path


def test_what_this_program_trained(tmp_path: Path) -> None:
    path = small_built_in(tmp_path)
    entry = ModelEntry("own", "Own", "", "", path)
    prompter, sha256 = load_prompter(entry, "cpu")
    assert isinstance(prompter, PromptSegmenter)
    assert sha256 == downloads.file_sha256(path)
    assert (prompter.input_size, prompter.mask_size, prompter.diameter) == (64, 32, 17.5)
    (embedding,) = prompter.encode([np.full((40, 64, 3), 0.5, np.float32)])
    assert embedding.arrays[0].shape == (32, 8, 8)
    assert embedding.model == sha256
    found = prompter.decode(embedding, Prompts.create([[[20, 30]]]), keep_logits=True)
    assert len(found) == 3
    assert prompter.decode(embedding, Prompts.create(logits=found.logits)).prompts.tolist() == [
        *(0, 0, 0), *(1, 1, 1), *(2, 2, 2)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"format": "napari-instseg/thin-mask-rcnn/1"}, "expected the format 'napari-instseg/sam/"),
        ({"architecture": {"width": 3}}, "its description is damaged"),
        ({"diameter": -3}, "its description is damaged"),
    ],
)
def test_damaged_descriptions(about: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        read_network(small_built_in(tmp_path, **about))


def test_a_file_that_is_not_what_it_should_be(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "sam.pth"
    torch.save(state, path)
    with pytest.raises(ModelError, match="get it again"):
        read_network(path, "a" * 64)
    with pytest.raises(ModelError, match="none"):
        read_network(tmp_path / "absent.pth")


def broken(state: dict[str, Tensor], how: str) -> Any:
    iou = "mask_decoder.iou_token.weight"
    if how == "missing":
        return {k: v for k, v in state.items() if k != iou}
    if how == "left over":
        return {**state, "mask_decoder.more.weight": torch.ones(1)}
    if how == "shape":
        return {**state, iou: torch.ones(1, 7)}
    if how == "encoder":
        return {k: v for k, v in state.items() if k.startswith("image_encoder.")}
    if how == "HQ":
        return {**state, "mask_decoder.hf_token.weight": torch.ones(1)}
    if how == "LoRA":
        return {**state, "image_encoder.blocks.0.attn.qkv.w_a_linear_q.weight": torch.ones(1)}
    if how == "SAM 2":
        return {**state, "image_encoder.trunk.pos_embed": torch.ones(1)}
    if how == "resnet":
        return {"conv1.weight": torch.ones(1), "fc.bias": torch.ones(2)}
    if how == "text":
        return {**state, iou: "text"}
    return [state] if how == "list" else {**state, iou: torch.ones(1, 32, dtype=torch.complex64)}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", r"closest to tiny SAM: missing: mask_decoder.iou_token.weight\. Expected SAM"),
        ("left over", r"closest to tiny SAM: left over: mask_decoder.more.weight\."),
        ("shape", r"of another shape: mask_decoder.iou_token.weight: expected \(1, 32\), got \(1,"),
        ("encoder", r"It has no mask_decoder and no prompt_encoder: expected a whole model\. It"),
        ("HQ", "It is HQ-SAM, whose decoder is another one"),
        ("LoRA", "merge them"),
        ("SAM 2", "It is of SAM 2"),
        ("resnet", "is no model of Segment Anything: it holds 2 tensors, such as conv1.weight, fc"),
        ("text", "mask_decoder.iou_token.weight is a str: expected tensors by name"),
        ("list", "holds a list: expected weights by name"),
        ("complex", "is a tensor of another kind"),
    ],
)
def test_wrong_files(how: str, message: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "wrong.pth"
    torch.save(broken(state, how), path)
    with pytest.raises(ModelError, match=message) as caught:
        read_network(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", malicious.TORCH)
def test_strangers_files_run_nothing(name: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    file = malicious.TORCH[name]
    path = tmp_path / f"sam{file.suffix}"
    path.write_bytes(file.content(canary))
    with pytest.raises(ModelError):
        read_network(path)
    assert not canary.exists()


def test_damaged_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "sam.safetensors"
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(ModelError, match="cannot be read as safetensors"):
        read_network(path)


def test_downloads_first(
    state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder" / "sam.pth"
    asked = []

    def fetch(url: str, target: Path, **options: Any) -> str:
        asked.append((url, options["sha256"]))
        target.parent.mkdir()
        torch.save(state, target)
        return downloads.file_sha256(target)

    monkeypatch.setattr(downloads, "fetch", fetch)
    entry = ModelEntry("x", "X", "", "", path, url="https://example.org/sam.pth", diameter=12)
    prompter, sha256 = load_prompter(entry, "cpu", "float32")
    assert asked == [("https://example.org/sam.pth", None)]
    assert sha256 == downloads.file_sha256(path)
    assert prompter.diameter == 12
    assert prompter.device == "CPU"
    assert prompter.batch_size > 1


def test_unknown_devices(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="device"):
        load_prompter(ModelEntry("x", "X", "", "", tmp_path / "x"), "abacus")


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 4), (0, 4, 3)])
def test_what_is_no_picture(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected a picture"):
        resized(np.zeros(shape, np.float32), 64)
