"""Meta's own SAM 2 with random weights of a fixed seed, and ours with the same."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from napari_instseg.models.sam2.checkpoint import read_network
from napari_instseg.models.sam2.network import Sam2Network
from napari_instseg.models.sam2.segmenter import Sam2Prompter

CONFIGS = {"tiny": "t", "small": "s", "base+": "b+", "large": "l"}
#: Side of the pictures of most tests, px: weights are the same, work is 16 times less.
SMALL = 256


def build(side: int = SMALL, *, video: bool = False) -> Any:
    """Build the smallest of the reference, with what its own builders set."""
    pytest.importorskip("sam2", reason="the reference is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sam2.build_sam import build_sam2, build_sam2_video_predictor

        options = {
            "config_file": _config("tiny"),
            "device": "cpu",
            "hydra_overrides_extra": [f"++model.image_size={side}"],
        }
        model = build_sam2_video_predictor(**options) if video else build_sam2(**options)
    if video:
        # Needs a compiled extension.
        model.fill_hole_area = 0
    scramble(model)
    return model


def part(size: str, name: str = "") -> Any:
    """Build a part of the reference, or all of it, as it comes; quick on the device "meta"."""
    pytest.importorskip("sam2", reason="the reference is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import sam2  # noqa: F401 (sets up where Hydra finds its files)
        from hydra import compose
        from hydra.utils import instantiate

        config = compose(config_name=_config(size)).model
        return instantiate(config[name] if name else config)


def _config(size: str) -> str:
    return f"configs/sam2.1/sam2.1_hiera_{CONFIGS[size]}.yaml"


def scramble(model: torch.nn.Module, seed: int = 0) -> None:
    """Give all weights values that keep numbers of a size, and none that hides a mistake."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            if value.ndim > 1:
                value.copy_(noise / value[0].numel() ** 0.5)
            elif "norm" in name and name.endswith("weight"):
                value.copy_(1 + 0.1 * noise)
            else:
                value.copy_(0.1 * noise)


def ours(model: Any, folder: Path, side: int = SMALL) -> SimpleNamespace:
    """Load the reference's weights by way of a file; for pictures of another size than usual."""
    path = folder / "weights.pt"
    torch.save({"model": model.state_dict()}, path)
    network, sha256 = read_network(path)
    resized = network
    if side != network.input_size:
        resized = Sam2Network(network.arch, side)
        resized.load_state_dict(network.state_dict())
    prompter = Sam2Prompter(resized, sha256, torch.device("cpu"))
    return SimpleNamespace(path=path, sha256=sha256, network=resized, prompter=prompter)
