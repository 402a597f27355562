"""Read Segment Anything 2.1 from a file, and tell its size from the tensors alone."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...segmenter import ModelError
from ..downloads import checked_sha256
from ..untrusted import read_torch
from ..weights import misfit, read_safetensors, shapes_of, some, unpacked
from .architecture import SIZES, Architecture
from .network import Sam2Network

#: Our name of a part that the reference calls differently.
_RENAMED = re.compile(r"^(sam_mask_decoder\.transformer\.layers\.\d+\.mlp)\.layers\.([01])\.")
_POSITIONS = "image_encoder.trunk.pos_embed"
_BLOCK = re.compile(r"^image_encoder\.trunk\.blocks\.(\d+)\.(proj\.)?")
#: What else a file can be, by how the name of a tensor begins.
_OTHERS = (
    ("mask_decoder.", "the first Segment Anything, or of its kind"),
    ("vision_encoder.", "transformers, which names tensors differently"),
    ("detector.", "Segment Anything 3"),
)
#: The tensor that SAM 2.1 has, and SAM 2 of July 2024 has not.
_SINCE_2_1 = "no_obj_embed_spatial"
#: How many tensors a message names.
NAMED = 3
GET = "get one of the list, such as 'sam2.1-hiera-tiny'"


def read_network(path: Path, sha256: str | None = None) -> tuple[Sam2Network, str]:
    """Read a network.

    Parameters
    ----------
    path : Path
        Meta's ``.pt``, another file of ``torch.save``, or ``.safetensors``; with the names
        that Meta's files have.
    sha256 : str, optional
        What the file must hash to.

    Returns
    -------
    network : Sam2Network
        On the CPU, float32.
    sha256 : str

    Raises
    ------
    ModelError
        If the file is missing, damaged, would run code, or holds no network of these; the
        message says what it is closest to.
    """
    digest = checked_sha256(path, sha256, "damaged or another file", "get it again")
    tensors = {_RENAMED.sub(_ours, name): value for name, value in _read(path).items()}
    arch = recognise(tensors, path)
    with torch.device("meta"):
        network = Sam2Network(arch)
    problems = misfit(shapes_of(network.state_dict()), tensors, limit=NAMED)
    if problems:
        raise ModelError(
            f"{path} does not fit Segment Anything 2.1 {arch.name}, which it is closest to: "
            f"{problems}; {GET}"
        )
    whole = {name: value.to(torch.float32, copy=True) for name, value in tensors.items()}
    network.load_state_dict(whole, assign=True)
    return network.eval().requires_grad_(False), digest


def recognise(tensors: dict[str, Tensor], path: Path) -> Architecture:
    """Find the size that fits the encoder's width and stages best.

    Raises
    ------
    ModelError
        If there is no such encoder.
    """
    if _POSITIONS not in tensors or tensors[_POSITIONS].ndim != 4:
        other = next((what for start, what in _OTHERS if _begins(tensors, start)), "")
        found = f"a file of {other}" if other else f"tensors named {some(sorted(tensors), NAMED)}"
        raise ModelError(
            f"{path}: expected a checkpoint of Segment Anything 2.1 (image_encoder.trunk...), "
            f"got {found}; {GET}"
        )
    if _SINCE_2_1 not in tensors and _begins(tensors, "memory_encoder."):
        raise ModelError(
            f"{path} is Segment Anything 2 of July 2024: expected 2.1, of September 2024; {GET}"
        )
    width, stages = tensors[_POSITIONS].shape[1], _stages(tensors)
    return min(SIZES, key=lambda size: (size.width != width, _distance(size.stages, stages)))


def _stages(tensors: dict[str, Tensor]) -> list[int]:
    """Blocks in each stage: one that changes the width begins a stage."""
    found = [match for match in map(_BLOCK.match, tensors) if match]
    count = 1 + max((int(match[1]) for match in found), default=-1)
    starts = sorted({0, count, *(int(match[1]) for match in found if match[2])})
    return [b - a for a, b in pairwise(starts)]


def _distance(a: tuple[int, ...], b: list[int]) -> int:
    return abs(len(a) - len(b)) * 100 + sum(abs(x - y) for x, y in zip(a, b, strict=False))


def _read(path: Path) -> dict[str, Tensor]:
    read = read_safetensors if path.suffix.lower() == ".safetensors" else read_torch
    content = unpacked(read(path), path, ("model",), "tensors by name")
    for name, value in content.items():
        if not isinstance(name, str) or not _is_plain(value):
            raise ModelError(
                f"{path}: {name!r} is a {type(value).__name__}: expected real tensors by name"
            )
    return content


def _is_plain(value: Any) -> bool:
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.is_floating_point()
        and not value.is_meta
    )


def _ours(match: re.Match[str]) -> str:
    return f"{match[1]}.lin{int(match[2]) + 1}."


def _begins(tensors: dict[str, Tensor], start: str) -> bool:
    return any(name.startswith(start) for name in tensors)
