"""Segment Anything with random weights: the reference packages' networks, and ours."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: The reference packages' names of the encoders, and the packages.
PACKAGES = {"vit_b": "segment_anything", "vit_t": "mobile_sam"}
SEED = 0
FILE = "sam.pth"


def predictor(kind: str, device: str) -> Any:
    """Build the reference's predictor, its weights drawn with a fixed seed.

    They are spread more than as the reference draws them, so that no two masks are the same;
    they say nothing of accuracy. Masks are scattered over the whole picture.
    """
    import torch

    package = _package(kind)
    torch.manual_seed(SEED)
    sam = package.sam_model_registry[kind]()
    with torch.no_grad():
        for parameter in sam.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
    # TinyViT keeps a copy of its biases from the moment it is told to infer.
    return package.SamPredictor(sam.train().eval().to(device))


def _package(kind: str) -> Any:
    with warnings.catch_warnings():
        # mobile_sam uses old names of timm, and registers models that timm has by now.
        warnings.simplefilter("ignore")
        return importlib.import_module(PACKAGES[kind])


def reference(kind: str, folder: str) -> Any:
    """Load what `save` has written into the reference's network."""
    import torch

    sam = _package(kind).sam_model_registry[kind]().train()
    sam.load_state_dict(torch.load(Path(folder) / FILE, weights_only=True))
    return sam.eval()


def save(network: Any, folder: str) -> None:
    """Write the reference's weights to a file."""
    import torch

    torch.save(network.state_dict(), Path(folder) / FILE)


def load(folder: str, device: str) -> tuple[Any, str]:
    """Load what `save` has written into our network; and its SHA-256."""
    from napari_instseg.models.entry import ModelEntry
    from napari_instseg.models.sam.segmenter import load_prompter

    entry = ModelEntry("sam", "SAM", "", "", Path(folder) / FILE)
    return load_prompter(entry, device, "float32")


def ours(network: Any, folder: str, device: str) -> Any:
    """Our network with the reference's weights, by way of a file."""
    save(network, folder)
    return load(folder, device)[0]


def picture_of(side: int) -> NDArray[np.uint8]:
    """RGB, 8 bit: cells of the benchmarks' picture."""
    from ._picture import mosaic

    gray, _ = mosaic(side)
    return np.repeat(gray[..., None], 3, axis=2)
