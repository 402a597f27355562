"""Train the thin Mask R-CNN from scratch: checkpoints, exact resume, a log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ..models.thin_mask_rcnn import Architecture, build
from ..models.torchvision import save_weights
from .augment import TARGET_DIAMETER
from .dataset import Example
from .loop import Step, Trainer, TrainSettings, run

LOSSES = (
    "loss_objectness",
    "loss_rpn_box_reg",
    "loss_classifier",
    "loss_box_reg",
    "loss_mask",
)


def train(
    data: Path,
    output: Path,
    settings: TrainSettings,
    *,
    resume: bool = False,
    checkpoint_seconds: float = 240.0,
    report: Callable[[Step], None] = lambda step: None,
    architecture: Architecture | None = None,
) -> Path:
    """Train on ``data/images`` and ``data/labels`` and write ``model.safetensors``.

    Parameters
    ----------
    data, output : Path
        ``output`` gets ``checkpoint.pt``, ``log.csv`` and ``model.safetensors``.
    settings : TrainSettings
    resume : bool
        Go on from ``output/checkpoint.pt``; its settings must equal ``settings``, but for
        the device.
    checkpoint_seconds : float
        Time between checkpoints; one is written at the end, and on Ctrl-C, too.
    report : callable
        Called after each iteration.
    architecture : Architecture, optional

    Returns
    -------
    Path
        The weights file: the average of the weights over the last steps, as float16.

    Raises
    ------
    FileExistsError
        If there is a checkpoint and ``resume`` is false.
    FileNotFoundError
        If data are missing, or ``resume`` is true and there is no checkpoint.
    ValueError
        If the checkpoint was made with other settings.
    FloatingPointError
        If the loss is not finite.
    """
    arch = architecture or Architecture()
    trainer = run(
        data,
        output,
        lambda examples: _Trainer(arch, settings, examples),
        resume=resume,
        seconds=checkpoint_seconds,
        report=report,
    )
    weights = output / "model.safetensors"
    save_weights(
        weights,
        trainer.averaged,
        arch,
        categories=(settings.category,),
        diameter=TARGET_DIAMETER,
        training=trainer.about,
    )
    return weights


class _Trainer(Trainer):
    """Of a Mask R-CNN, whose losses are torchvision's."""

    losses = LOSSES

    def __init__(
        self, arch: Architecture, settings: TrainSettings, examples: list[Example]
    ) -> None:
        torch.manual_seed(settings.seed)
        device, layout = torch.device(settings.device), torch.channels_last
        network = build(arch).to(device, memory_format=layout)  # type: ignore[call-overload]
        super().__init__(network, build(arch).to(device), settings, examples)

    def compute(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Draw crops; return torchvision's losses by name."""
        crops = [self.draw(rng) for _ in range(self.settings.batch_size)]
        images = [torch.from_numpy(crop.image).to(self.device) for crop in crops]
        targets = [_targets(crop.labels, self.device) for crop in crops]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            losses: dict[str, Tensor] = self.network(images, targets)
        return losses


def _targets(labels: NDArray[np.int64], device: torch.device) -> dict[str, Tensor]:
    """Boxes, classes and masks of a label image numbered 1..N without gaps."""
    boxes = [(c.start, r.start, c.stop, r.stop) for r, c in ndimage.find_objects(labels)]
    masks = labels[np.newaxis] == np.arange(1, len(boxes) + 1)[:, np.newaxis, np.newaxis]
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32, device=device).reshape(-1, 4),
        "labels": torch.ones(len(boxes), dtype=torch.int64, device=device),
        "masks": torch.from_numpy(masks.astype(np.uint8)).to(device),
    }
