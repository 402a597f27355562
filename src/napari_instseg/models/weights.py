"""Weights files: what they hold, read without running anything that is in them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..segmenter import ModelError
from .downloads import checked_sha256

METADATA_KEY = "napari_instseg"


@dataclass(frozen=True, slots=True, eq=False)
class WeightsFile:
    """Tensors by name, what the file says about them, and its SHA-256."""

    tensors: dict[str, Tensor]
    about: dict[str, Any]
    sha256: str


def read_weights(path: Path, sha256: str | None = None) -> WeightsFile:
    """Read a safetensors file that `write_weights` wrote.

    Parameters
    ----------
    path : Path
    sha256 : str, optional
        What the file must hash to.

    Raises
    ------
    ModelError
        If the file is missing, damaged, not safetensors, from another program, or differs
        from ``sha256``; the message names the file and what to do.
    """
    digest = checked_sha256(path, sha256, "damaged", "install the package again")
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get(METADATA_KEY, "null"))
            # safe_open's object offers keys() but is no mapping.
            names = list(file.keys())
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read as a safetensors weights file ({error}); it may be "
            "truncated, or of another kind: get it again, or train one with "
            "'napari-instseg train'"
        ) from error
    if not isinstance(about, dict):
        raise ModelError(
            f"{path} is a safetensors file of another program: expected the metadata "
            f"{METADATA_KEY!r} that 'napari-instseg train' writes"
        )
    return WeightsFile(tensors, about, digest)


def write_weights(path: Path, network: nn.Module, about: dict[str, Any]) -> None:
    """Write a network's floating-point tensors as float16, with a description.

    Raises
    ------
    ValueError
        If a value does not fit float16.
    """
    tensors: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        if not value.is_floating_point():
            continue
        half = value.detach().to("cpu", torch.float16).contiguous()
        if not bool(torch.isfinite(half).all()):
            raise ValueError(f"the tensor {name} does not fit float16")
        tensors[name] = half
    save_file(tensors, path, metadata={METADATA_KEY: json.dumps(about)})


def fill(network: nn.Module, weights: WeightsFile, path: Path) -> None:
    """Copy weights into a network of the same architecture.

    Raises
    ------
    ModelError
        If a tensor is missing, left over, or of another shape; they are named.
    """
    expected = {k: v for k, v in network.state_dict().items() if v.is_floating_point()}
    missing = sorted(set(expected) - set(weights.tensors))
    extra = sorted(set(weights.tensors) - set(expected))
    shapes = [
        f"{name}: expected {tuple(expected[name].shape)}, got {tuple(value.shape)}"
        for name, value in weights.tensors.items()
        if name in expected and expected[name].shape != value.shape
    ]
    problems = [
        f"{what} {_some(names)}"
        for what, names in (("missing", missing), ("unknown", extra), ("of another shape", shapes))
        if names
    ]
    if problems:
        raise ModelError(f"{path} does not fit its architecture: {'; '.join(problems)}")
    network.load_state_dict(weights.tensors, strict=False)


def _some(names: list[str], limit: int = 5) -> str:
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")
