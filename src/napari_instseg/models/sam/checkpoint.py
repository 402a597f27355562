"""Build a network from a checkpoint: which one it is, its tensors say themselves."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...promptable import COMPACT_HABITS, USUAL_HABITS, Habits
from ...segmenter import ModelError
from ..downloads import checked_sha256
from ..untrusted import read_torch
from ..weights import (
    METADATA_KEY,
    fill,
    misfit,
    plain_tensor,
    read_safetensors,
    read_weights,
    shapes_of,
    some,
    unpacked,
)
from . import compact_encoder
from .network import ARCHITECTURES, PromptNetwork, SamNetwork
from .tiny_vit import TinyViT

#: Where training programs keep the network's tensors in a file; torch_em's is the first.
HOLDERS = ("model_state", "model_state_dict", "state_dict", "model")
_PART = re.compile(r"((?:.*?\.)?)(?:image_encoder|prompt_encoder|mask_decoder)\.")
#: What nothing here uses: a classifier, constants that older programs wrote, counters.
_NOT_USED = re.compile(
    r"image_encoder\.(norm_head|head)\.|attention_bias_idxs$|\.attn\.ab$|num_batches_tracked$"
)
#: What tells other networks whose names are like these, and what to do with their files.
_OTHERS = (
    (
        r"image_encoder\.trunk\.|sam_mask_decoder\.",
        "It is of SAM 2, which is read by another part of this program",
    ),
    (
        r"mask_decoder\.(hf_token|hf_mlp|compress_vit_feat|embedding_encoder)",
        "It is HQ-SAM, whose decoder is another one: take the SAM that it was made from",
    ),
    (
        r"\.qkv\.qkv\.|w_[ab]_linear|lora_",
        "It holds additions of a parameter-efficient fine-tuning (LoRA): merge them into the "
        "model and save that; micro-sam's export_custom_qlora_model does it",
    ),
)
EXPECTED = (
    f"{', '.join(ARCHITECTURES)} (micro-sam's models are among these), or a model that this "
    "program trained"
)


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a file that was read.

    Parameters
    ----------
    title : str
        Its architecture, for people.
    sha256 : str
    diameter : float, optional
        Median object diameter in training, px.
    habits : Habits
        How it takes prompts.
    """

    title: str
    sha256: str
    diameter: float | None = None
    habits: Habits = USUAL_HABITS


def read_network(path: Path, sha256: str | None = None) -> tuple[PromptNetwork, About]:
    """Build the network whose weights a file holds.

    Parameters
    ----------
    path : Path
        A file of ``torch.save``, with any suffix or none, or ``.safetensors``.
    sha256 : str, optional
        What the file must hash to.

    Returns
    -------
    network : PromptNetwork
        For inference, on the CPU, in float32.
    about : About

    Raises
    ------
    ModelError
        If the file is missing, damaged, differs from ``sha256``, would run code, or fits no
        architecture; then it says which was the closest, and names the tensors that differ.
    """
    digest = checked_sha256(path, sha256, "damaged or another file", "get it again")
    if path.suffix.lower() != ".safetensors":
        named = unpacked(read_torch(path), path, HOLDERS)
    elif _is_ours(path):
        return _read_ours(path, digest)
    else:
        named = read_safetensors(path)
    tensors = _network_tensors(named, path)
    title = _closest(tensors)
    if title is None:
        raise ModelError(
            f"{path} is no model of Segment Anything: it holds {len(named)} tensors, such as "
            f"{some([str(name) for name in named], 3)}; expected {EXPECTED}"
        )
    return _filled(title, tensors, path), About(title, digest)


def _is_ours(path: Path) -> bool:
    try:
        with safe_open(path, framework="pt") as file:
            return METADATA_KEY in (file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as safetensors: {error}") from error


def _read_ours(path: Path, sha256: str) -> tuple[compact_encoder.PromptNetwork, About]:
    weights = read_weights(path, sha256)
    about = weights.about
    if about.get("format") != compact_encoder.FORMAT:
        raise ModelError(
            f"{path}: expected the format {compact_encoder.FORMAT!r} of a promptable model, got "
            f"{about.get('format')!r}"
        )
    try:
        network = compact_encoder.build(
            compact_encoder.Architecture.from_dict(about["architecture"])
        )
        diameter = float(about["diameter"]) if about.get("diameter") else None
        if diameter is not None and not 0 < diameter < 1e6:
            raise ValueError(f"diameter {diameter}")
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: its description is damaged ({error!r})") from error
    fill(network, weights, path)
    return network.eval(), About("built-in", sha256, diameter, COMPACT_HABITS)


def _network_tensors(named: dict[Any, Any], path: Path) -> dict[str, Tensor]:
    """Take the tensors of the three parts, without what training programs put before names.

    Whatever else the file holds, such as a second decoder, is left out.
    """
    found = [match for name in named if (match := _PART.match(str(name)))]
    prefixes = Counter(match[1] for match in found).most_common(1)
    prefix = prefixes[0][0] if prefixes else ""
    tensors = {}
    for match in found:
        name = match.string.removeprefix(prefix)
        if match[1] == prefix and not _NOT_USED.search(name):
            tensors[name] = plain_tensor(match.string, named[match.string], path)
    return tensors


def _closest(tensors: dict[str, Tensor]) -> str | None:
    """Title of the architecture that has the most tensors in common; None if none has one."""
    shapes = set(shapes_of(tensors).items())
    common = {title: len(shapes & set(_shapes(title).items())) for title in ARCHITECTURES}
    best = max(common, key=lambda title: common[title])
    return best if common[best] else None


@cache
def _shapes(title: str) -> dict[str, tuple[int, ...]]:
    shapes = shapes_of(_skeleton(title).state_dict())
    return {name: shape for name, shape in shapes.items() if not _NOT_USED.search(name)}


def _skeleton(title: str) -> SamNetwork:
    """Build a network whose tensors have no memory yet."""
    with torch.device("meta"):
        return ARCHITECTURES[title]()


def _filled(title: str, tensors: dict[str, Tensor], path: Path) -> SamNetwork:
    expected = _shapes(title)
    problems = misfit(expected, tensors, extra="left over", colon=":")
    if problems:
        hints = ". ".join([f"{path} fits no architecture", *_hints(tensors, expected)])
        raise ModelError(f"{hints}. It is closest to {title}: {problems}. Expected {EXPECTED}")
    network = _skeleton(title)
    # Copies: the file, to which its tensors are mapped, may go or change.
    state = {name: value.to(torch.float32, copy=True) for name, value in tensors.items()}
    network.load_state_dict(state, strict=False, assign=True)
    encoder = network.eval().image_encoder
    if isinstance(encoder, TinyViT):
        encoder.fold()
    return network


def _hints(tensors: dict[str, Tensor], expected: dict[str, tuple[int, ...]]) -> Iterator[str]:
    for pattern, text in _OTHERS:
        if any(re.search(pattern, name) for name in tensors):
            yield text
    absent = {name.partition(".")[0] for name in expected} - {
        name.partition(".")[0] for name in tensors
    }
    if absent:
        yield f"It has no {' and no '.join(sorted(absent))}: expected a whole model"
