"""Train the thin Mask R-CNN from scratch: checkpoints, exact resume, a log.

Every random draw of iteration *i* comes from a generator seeded by (seed, *i*), so a run that
was stopped and resumed sees the same crops and the same samples as one that was not.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from ..models.thin_mask_rcnn import Architecture, build
from ..models.torchvision import save_weights
from .augment import TARGET_DIAMETER, Crop, draw_crop
from .dataset import Example, find_pairs, load_examples, sampling_weights

#: Crops with more objects than this are drawn again: their masks would take too much memory.
MAX_OBJECTS = 150
EMA_DECAY = 0.998
LOSSES = (
    "loss_objectness",
    "loss_rpn_box_reg",
    "loss_classifier",
    "loss_box_reg",
    "loss_mask",
)


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How to train.

    Parameters
    ----------
    iterations : int
        Optimiser steps.
    batch_size, crop_size : int
        Crops a step, and their edge in px.
    learning_rate, weight_decay, warmup : float, float, int
        AdamW's; the rate rises for ``warmup`` steps and falls as a cosine to 1 % at the end.
    seed : int
    precision : {"auto", "float32", "bfloat16"}
        "auto" takes bfloat16 where the device computes with it natively.
    device : str
        A torch device.
    category : str
        Name of what is labelled.
    """

    iterations: int = 5000
    batch_size: int = 4
    crop_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warmup: int = 200
    seed: int = 0
    precision: str = "auto"
    device: str = "cpu"
    category: str = "object"


@dataclass(frozen=True, slots=True)
class Step:
    """What one iteration reports: number, total loss, its parts, learning rate, seconds."""

    iteration: int
    loss: float
    parts: dict[str, float]
    learning_rate: float
    seconds: float


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
    checkpoint = output / "checkpoint.pt"
    if checkpoint.exists() != resume:
        if resume:
            raise FileNotFoundError(f"expected {checkpoint} to resume from; none is there")
        raise FileExistsError(f"{checkpoint} exists: pass --resume, or choose another folder")
    output.mkdir(parents=True, exist_ok=True)
    examples = load_examples(find_pairs(data))
    trainer = _Trainer(arch, settings, examples)
    log = _Log(output / "log.csv")
    if resume:
        trainer.load(checkpoint)
        log.cut(trainer.iteration)
    saved = time.monotonic()
    try:
        while trainer.iteration < settings.iterations:
            step = trainer.step()
            log.add(step)
            report(step)
            if time.monotonic() - saved > checkpoint_seconds:
                trainer.save(checkpoint)
                saved = time.monotonic()
    finally:
        trainer.save(checkpoint)
    weights = output / "model.safetensors"
    save_weights(
        weights,
        trainer.averaged,
        arch,
        categories=(settings.category,),
        diameter=TARGET_DIAMETER,
        training={**asdict(settings), "images": len(examples)},
    )
    return weights


class _Trainer:
    """Network, average, optimiser and the number of steps done."""

    def __init__(
        self, arch: Architecture, settings: TrainSettings, examples: list[Example]
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.device = torch.device(settings.device)
        layout = torch.channels_last
        self.network: nn.Module = build(arch).to(self.device, memory_format=layout)  # type: ignore[call-overload]
        self.averaged: nn.Module = build(arch).to(self.device)
        self.averaged.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.AdamW(
            _parameter_groups(self.network, settings.weight_decay), lr=settings.learning_rate
        )
        self.examples = examples
        self.weights = sampling_weights(examples)
        self.bfloat16 = _use_bfloat16(settings.precision, self.device)
        self.iteration = 0

    def step(self) -> Step:
        """Do one optimiser step."""
        begin = time.monotonic()
        settings = self.settings
        torch.manual_seed((settings.seed << 32) + self.iteration)
        rng = np.random.default_rng((settings.seed, self.iteration))
        crops = [self._draw(rng) for _ in range(settings.batch_size)]
        images = [torch.from_numpy(crop.image).to(self.device) for crop in crops]
        targets = [_targets(crop.labels, self.device) for crop in crops]
        rate = learning_rate(settings, self.iteration)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            losses: dict[str, Tensor] = self.network(images, targets)
        total = torch.stack([losses[name].float() for name in LOSSES]).sum()
        if not torch.isfinite(total):
            raise FloatingPointError(
                f"the loss became {float(total.detach())} at iteration {self.iteration}: "
                "lower --learning-rate"
            )
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.iteration += 1
        self._average()
        parts = {name: float(losses[name].detach()) for name in LOSSES}
        seconds = time.monotonic() - begin
        return Step(self.iteration, float(total.detach()), parts, rate, seconds)

    def _draw(self, rng: np.random.Generator) -> Crop:
        for _ in range(20):
            example = self.examples[rng.choice(len(self.examples), p=self.weights)]
            crop = draw_crop(
                example.image, example.labels, example.diameter, self.settings.crop_size, rng
            )
            if crop.labels.max() <= MAX_OBJECTS:
                break
        return crop

    @torch.no_grad()
    def _average(self) -> None:
        # A shorter memory at first, so that the random start is soon forgotten.
        decay = min(EMA_DECAY, self.iteration / (self.iteration + 10))
        current = self.network.state_dict()
        for name, value in self.averaged.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[name], 1 - decay)
            else:
                value.copy_(current[name])

    def save(self, path: Path) -> None:
        """Write a checkpoint; an interrupted write leaves the one before."""
        state = {
            "settings": asdict(self.settings),
            "iteration": self.iteration,
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint; nothing that is in the file is run."""
        try:
            state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
        except (EOFError, RuntimeError, UnpicklingError) as error:
            raise ValueError(
                f"{path} cannot be read as a checkpoint; it may be truncated, or of another kind: "
                "delete it and begin again"
            ) from error
        mine = asdict(self.settings)
        different = [
            f"{f.name}: {state['settings'].get(f.name)} then, {mine[f.name]} now"
            for f in fields(TrainSettings)
            if f.name != "device" and state["settings"].get(f.name) != mine[f.name]
        ]
        if different:
            raise ValueError(f"{path} was made with other settings ({'; '.join(different)})")
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.iteration = int(state["iteration"])


def learning_rate(settings: TrainSettings, iteration: int) -> float:
    """Linear warm-up, then a cosine down to 1 % (Loshchilov & Hutter, 2017)."""
    if iteration < settings.warmup:
        return settings.learning_rate * (iteration + 1) / settings.warmup
    done = (iteration - settings.warmup) / max(1, settings.iterations - settings.warmup)
    return settings.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def _parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """No weight decay on biases and normalisation."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def _use_bfloat16(precision: str, device: torch.device) -> bool:
    if precision not in ("auto", "float32", "bfloat16"):
        raise ValueError(f"expected precision auto, float32 or bfloat16, got {precision!r}")
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def _targets(labels: NDArray[np.int64], device: torch.device) -> dict[str, Tensor]:
    """Boxes, classes and masks of a label image numbered 1..N without gaps."""
    boxes = [(c.start, r.start, c.stop, r.stop) for r, c in ndimage.find_objects(labels)]
    masks = labels[np.newaxis] == np.arange(1, len(boxes) + 1)[:, np.newaxis, np.newaxis]
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32, device=device).reshape(-1, 4),
        "labels": torch.ones(len(boxes), dtype=torch.int64, device=device),
        "masks": torch.from_numpy(masks.astype(np.uint8)).to(device),
    }


class _Log:
    """One row an iteration, as CSV."""

    columns: Sequence[str] = ("iteration", "loss", *LOSSES, "learning_rate", "seconds")

    def __init__(self, path: Path) -> None:
        self.path = path

    def cut(self, iteration: int) -> None:
        """Drop rows after ``iteration``, which are about to be done again, and broken ones."""
        rows: list[list[str]] = []
        if self.path.is_file():
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.reader(file) if len(row) == len(self.columns)][1:]
        self._write("w", [self.columns, *(row for row in rows if int(row[0]) <= iteration)])

    def add(self, step: Step) -> None:
        """Append one row."""
        row = [step.iteration, step.loss, *step.parts.values(), step.learning_rate, step.seconds]
        if step.iteration == 1:
            self._write("w", [self.columns])
        self._write("a", [[row[0], *(f"{value:.5g}" for value in row[1:])]])

    def _write(self, mode: str, rows: Sequence[Sequence[Any]]) -> None:
        with self.path.open(mode, newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
