"""Weights files that are damaged, foreign or malicious: named, never run."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny import TINY

from napari_instseg.models.downloads import file_sha256
from napari_instseg.models.thin_mask_rcnn import build
from napari_instseg.models.torchvision import FORMAT, read_segmenter, save_weights
from napari_instseg.models.weights import METADATA_KEY, read_weights, write_weights
from napari_instseg.segmenter import ModelError


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return build(TINY)


@pytest.fixture
def path(tmp_path: Path, network: torch.nn.Module) -> Path:
    path = tmp_path / "mine.safetensors"
    save_weights(path, network, TINY, categories=["cell"], diameter=20.0, training={"seed": 3})
    return path


def rewrite(path: Path, about: Any = None, **tensors: torch.Tensor | None) -> None:
    """Change a weights file: its description, or tensors (None takes one out)."""
    weights = read_weights(path)
    changed = {**weights.tensors, **tensors}
    kept = {name: value for name, value in changed.items() if value is not None}
    text = json.dumps(weights.about if about is None else about)
    save_file(kept, path, metadata={METADATA_KEY: text})


def about(path: Path, **changes: Any) -> dict[str, Any]:
    return {**read_weights(path).about, **changes}


def test_weights_come_back_with_their_description(path: Path, network: torch.nn.Module) -> None:
    weights = read_weights(path)
    assert weights.about["training"] == {"seed": 3}
    assert weights.sha256 == file_sha256(path)
    state = network.state_dict()
    assert {t.dtype for t in weights.tensors.values()} == {torch.float16}
    for name, value in weights.tensors.items():
        assert torch.equal(value, state[name].half())
    segmenter, digest = read_segmenter(path, "cpu", weights.sha256)
    assert digest == weights.sha256
    assert [(c.id, c.name) for c in segmenter.categories] == [(1, "cell")]
    assert (segmenter.diameter, segmenter.device) == (20, "CPU")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected a weights file at .*none\.safetensors"):
        read_weights(tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match="expected a weights file"):
        read_weights(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.999])
def test_a_truncated_file_is_named(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match=r"mine\.safetensors cannot be read.*get it again"):
        read_weights(path)


@pytest.mark.parametrize("where", [3, 20])
def test_a_damaged_header_is_named(path: Path, where: int) -> None:
    content = bytearray(path.read_bytes())
    content[where : where + 4] = b"\xff\x00\xff{"
    path.write_bytes(bytes(content))
    with pytest.raises(ModelError, match=r"mine\.safetensors"):
        read_segmenter(path, "cpu")


def test_a_flipped_bit_is_found_by_its_sum(path: Path) -> None:
    good = file_sha256(path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    message = rf"mine\.safetensors is damaged: expected SHA-256 {good}, got .*install the package"
    with pytest.raises(ModelError, match=message):
        read_segmenter(path, "cpu", good)


def test_safetensors_of_another_program_are_named(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    for metadata in (None, {"format": "pt"}, {METADATA_KEY: "[1, 2]"}, {METADATA_KEY: "null"}):
        save_file({"weight": torch.zeros(2)}, path, metadata=metadata)
        with pytest.raises(
            ModelError, match=r"other\.safetensors is a safetensors file of another"
        ):
            read_weights(path)
    save_file({"weight": torch.zeros(2)}, path, metadata={METADATA_KEY: "{broken"})
    with pytest.raises(ModelError, match=r"other\.safetensors cannot be read"):
        read_weights(path)


class Bomb:
    """A pickle that leaves a trace when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_code_in_a_pickle_does_not_run(tmp_path: Path, protocol: int) -> None:
    trace, path = tmp_path / "trace", tmp_path / "evil.safetensors"
    for content in (pickle.dumps(Bomb(trace), protocol), None):
        if content is None:
            torch.save({"state": Bomb(trace)}, path)
        else:
            path.write_bytes(content)
        with pytest.raises(ModelError, match=r"evil\.safetensors cannot be read"):
            read_segmenter(path, "cpu")
        assert not trace.exists()
    pickle.loads(pickle.dumps(Bomb(trace), protocol))
    assert trace.exists()  # It would have worked.


def test_missing_unknown_and_misshapen_tensors_are_named(path: Path) -> None:
    names = sorted(read_weights(path).tensors)
    rewrite(
        path,
        **{names[0]: None, "extra.weight": torch.zeros(1), names[1]: torch.zeros(7, 7)},
    )
    shape = r"expected \(.*\), got \(7, 7\)"
    message = (
        rf"mine\.safetensors does not fit its architecture: missing {names[0]}; "
        rf"unknown extra\.weight; of another shape {names[1]}: {shape}"
    )
    with pytest.raises(ModelError, match=message):
        read_segmenter(path, "cpu")


def test_of_many_missing_tensors_five_are_named(path: Path) -> None:
    names = sorted(read_weights(path).tensors)
    rewrite(path, **dict.fromkeys(names[:20]))
    with pytest.raises(ModelError, match=rf"missing {names[0]}, .* and 15 more$"):
        read_segmenter(path, "cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other/1"}, f"expected the format '{FORMAT}', got 'other/1'"),
        ({"format": None}, "got None"),
        ({"architecture": None}, "its description is damaged"),
        ({"architecture": [1, 2]}, "its description is damaged"),
        ({"architecture": {"colour": 3}}, "its description is damaged"),
        ({"architecture": {"widths": [4]}}, "its description is damaged"),
        ({"architecture": {"widths": "wide"}}, "its description is damaged"),
        ({"categories": None}, "its description is damaged"),
        ({"categories": ["cell", "dirt"]}, "expected 1 category names, got 2"),
        ({"diameter": "large"}, "its description is damaged"),
        ({"diameter": -3}, "its description is damaged"),
    ],
)
def test_a_description_that_does_not_fit_is_named(
    path: Path, changes: dict[str, Any], message: str
) -> None:
    rewrite(path, about(path, **changes))
    with pytest.raises(ModelError, match=message) as error:
        read_segmenter(path, "cpu")
    assert str(path) in str(error.value)


def test_a_description_without_a_part_is_named(path: Path) -> None:
    for name in ("architecture", "categories"):
        described = about(path)
        del described[name]
        changed = path.with_name(f"{name}.safetensors")
        changed.write_bytes(path.read_bytes())
        rewrite(changed, described)
        with pytest.raises(ModelError, match=rf"damaged \(KeyError\('{name}'\)\)"):
            read_segmenter(changed, "cpu")


def test_a_model_may_have_no_diameter(path: Path) -> None:
    rewrite(path, about(path, diameter=None))
    assert read_segmenter(path, "cpu")[0].diameter is None


@pytest.mark.parametrize("bad", [1e6, np.inf, np.nan])
def test_values_that_do_not_fit_float16_are_named(tmp_path: Path, bad: float) -> None:
    layer = torch.nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight[0, 0] = bad
    with pytest.raises(ValueError, match="the tensor weight does not fit float16"):
        write_weights(tmp_path / "x.safetensors", layer, {})
    assert not (tmp_path / "x.safetensors").exists()
