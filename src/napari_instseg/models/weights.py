"""Weights files: what they hold, read without running anything that is in them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..segmenter import ModelError
from .downloads import checked_sha256

METADATA_KEY = "napari_instseg"
#: What files of other programs are expected to hold.
BY_NAME = "weights by name, as 'torch.save(model.state_dict(), path)' writes them"


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
    problems = misfit(shapes_of(expected), weights.tensors)
    if problems:
        raise ModelError(f"{path} does not fit its architecture: {problems}")
    network.load_state_dict(weights.tensors, strict=False)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of any safetensors file.

    Raises
    ------
    ModelError
        If it is damaged, or of another kind.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as safetensors: {error}") from error


def unpacked(
    content: Any, path: Path, holders: Sequence[str] = (), expected: str = BY_NAME
) -> dict[Any, Any]:
    """Find the tensors in what a file holds.

    Parameters
    ----------
    content : object
    path : Path
        The file, for the message.
    holders : sequence of str
        Where they may be kept, the outermost first.
    expected : str
        What the message says.

    Raises
    ------
    ModelError
        If there is nothing by name.
    """
    for holder in holders:
        if isinstance(content, dict) and isinstance(content.get(holder), dict):
            content = content[holder]
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds a {type(content).__name__}: expected {expected}")
    return content


def plain_tensor(name: str, value: Any, path: Path) -> Tensor:
    """Return a value of a file if it is a tensor of plain real numbers.

    Raises
    ------
    ModelError
        If it is something else.
    """
    if not isinstance(value, Tensor):
        raise ModelError(f"{path}: {name} is a {type(value).__name__}: expected tensors by name")
    if value.layout != torch.strided or value.is_quantized or value.is_complex() or value.is_meta:
        raise ModelError(f"{path}: {name} is a tensor of another kind: expected plain real numbers")
    return value.detach()


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Shapes by name."""
    return {name: tuple(value.shape) for name, value in tensors.items()}


def misfit(
    expected: Mapping[str, tuple[int, ...]],
    tensors: Mapping[str, Tensor],
    *,
    extra: str = "unknown",
    colon: str = "",
    limit: int = 5,
) -> str:
    """Say which tensors are missing, left over or of other shapes; "" if none are.

    Parameters
    ----------
    expected : mapping
        Shapes by name.
    tensors : mapping
    extra : str
        What those are called that are left over.
    colon : str
        What stands between a kind of problem and the names.
    limit : int
        How many of a kind are named.
    """
    shapes = [
        f"{name}: expected {expected[name]}, got {tuple(value.shape)}"
        for name, value in tensors.items()
        if name in expected and expected[name] != tuple(value.shape)
    ]
    kinds = (
        ("missing", sorted(set(expected) - set(tensors))),
        (extra, sorted(set(tensors) - set(expected))),
        ("of another shape", shapes),
    )
    return "; ".join(f"{what}{colon} {some(names, limit)}" for what, names in kinds if names)


def some(names: Sequence[str], limit: int = 5) -> str:
    """Name the first few, and count the rest."""
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")
