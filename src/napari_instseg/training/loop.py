"""What every training has: settings, steps, the average of the weights, checkpoints, a log.

Every random draw of iteration *i* comes from a generator seeded by (seed, *i*), so a run that
was stopped and resumed sees the same crops and the same samples as one that was not.
"""

from __future__ import annotations

import csv
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from .augment import Crop, draw_crop
from .dataset import Example, find_pairs, load_examples, sampling_weights

#: Crops with more objects than this are drawn again: their masks would take too much memory.
MAX_OBJECTS = 150
EMA_DECAY = 0.998


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


class Trainer(ABC):
    """Network, average, optimiser and the number of steps done.

    Parameters
    ----------
    network : nn.Module
        On the device already.
    averaged : nn.Module
        Another one like it; it takes over the network's weights, and then follows them.
    settings : TrainSettings
    examples : list of Example
    begun : list of parameters, optional
        Those that begin trained, which change at ``begun_rate`` of the learning rate.
    begun_rate : float
    """

    #: Parts of the loss that are summed, and figures that are only logged.
    losses: tuple[str, ...]
    figures: tuple[str, ...] = ()
    #: Longest gradient.
    clip = 5.0

    def __init__(
        self,
        network: nn.Module,
        averaged: nn.Module,
        settings: TrainSettings,
        examples: list[Example],
        *,
        begun: Sequence[nn.Parameter] = (),
        begun_rate: float = 1.0,
    ) -> None:
        self.settings = settings
        self.device = torch.device(settings.device)
        self.network, self.averaged = network, averaged
        self.averaged.load_state_dict(self.network.state_dict())
        groups = _parameter_groups(network, settings.weight_decay, begun, begun_rate)
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)
        self.examples = examples
        self.weights = sampling_weights(examples)
        self.bfloat16 = _use_bfloat16(settings.precision, self.device)
        self.iteration = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """What each row of the log says."""
        return ("iteration", "loss", *self.losses, *self.figures, "learning_rate", "seconds")

    @property
    def about(self) -> dict[str, Any]:
        """What the weights file says of the training."""
        return {**asdict(self.settings), "images": len(self.examples)}

    @abstractmethod
    def compute(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Draw a batch and return `losses` and `figures` by name."""

    def step(self) -> Step:
        """Do one optimiser step."""
        begin = time.monotonic()
        settings = self.settings
        torch.manual_seed((settings.seed << 32) + self.iteration)
        rng = np.random.default_rng((settings.seed, self.iteration))
        rate = learning_rate(settings, self.iteration)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        self.network.train()
        parts = self.compute(rng)
        total = torch.stack([parts[name].float() for name in self.losses]).sum()
        if not torch.isfinite(total):
            raise FloatingPointError(
                f"the loss became {float(total.detach())} at iteration {self.iteration}: "
                "lower --learning-rate"
            )
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
        self.optimizer.step()
        self.iteration += 1
        self._average()
        values = {name: float(parts[name].detach()) for name in (*self.losses, *self.figures)}
        seconds = time.monotonic() - begin
        return Step(self.iteration, float(total.detach()), values, rate, seconds)

    def draw_zoom(self, rng: np.random.Generator) -> float:
        """Say how many times larger than usual the next crop's objects shall be."""
        return 1.0

    def draw(self, rng: np.random.Generator) -> Crop:
        """Draw a crop of a random image, if possible one of at most `MAX_OBJECTS`."""
        for _ in range(20):
            example = self.examples[rng.choice(len(self.examples), p=self.weights)]
            # The zoom goes with the root of the diameter.
            diameter = example.diameter / self.draw_zoom(rng) ** 2
            crop = draw_crop(example.image, example.labels, diameter, self.settings.crop_size, rng)
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
        different = [
            f"{name}: {state['settings'].get(name)} then, {value} now"
            for name, value in asdict(self.settings).items()
            if name != "device" and state["settings"].get(name) != value
        ]
        if different:
            raise ValueError(f"{path} was made with other settings ({'; '.join(different)})")
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.iteration = int(state["iteration"])


TrainerT = TypeVar("TrainerT", bound=Trainer)


def run(
    data: Path,
    output: Path,
    begin: Callable[[list[Example]], TrainerT],
    *,
    resume: bool,
    seconds: float,
    report: Callable[[Step], None],
) -> TrainerT:
    """Train to the end of the settings' iterations.

    Parameters
    ----------
    data, output : Path
        ``output`` gets ``checkpoint.pt`` and ``log.csv``.
    begin : callable
        Builds the trainer, for the examples in ``data``.
    resume : bool
    seconds : float
        Time between checkpoints; one is written at the end, and on Ctrl-C, too.
    report : callable
        Called after each iteration.

    Raises
    ------
    FileExistsError
        If there is a checkpoint and ``resume`` is false.
    FileNotFoundError
        If ``resume`` is true and there is none.
    """
    checkpoint = _check_output(output, resume=resume)
    trainer = begin(load_examples(find_pairs(data)))
    log = _Log(output / "log.csv", trainer.columns)
    if resume:
        trainer.load(checkpoint)
        log.cut(trainer.iteration)
    saved = time.monotonic()
    try:
        while trainer.iteration < trainer.settings.iterations:
            step = trainer.step()
            log.add(step)
            report(step)
            if time.monotonic() - saved > seconds:
                trainer.save(checkpoint)
                saved = time.monotonic()
    finally:
        trainer.save(checkpoint)
    return trainer


def _check_output(output: Path, *, resume: bool) -> Path:
    """Say where the checkpoint goes, before data are read and a network is built."""
    checkpoint = output / "checkpoint.pt"
    if checkpoint.exists() != resume:
        if resume:
            raise FileNotFoundError(f"expected {checkpoint} to resume from; none is there")
        raise FileExistsError(f"{checkpoint} exists: pass --resume, or choose another folder")
    output.mkdir(parents=True, exist_ok=True)
    return checkpoint


def learning_rate(settings: TrainSettings, iteration: int) -> float:
    """Linear warm-up, then a cosine down to 1 % (Loshchilov & Hutter, 2017)."""
    if iteration < settings.warmup:
        return settings.learning_rate * (iteration + 1) / settings.warmup
    done = (iteration - settings.warmup) / max(1, settings.iterations - settings.warmup)
    return settings.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def _parameter_groups(
    network: nn.Module, weight_decay: float, begun: Sequence[nn.Parameter], begun_rate: float
) -> list[dict[str, Any]]:
    """No weight decay on biases and normalisation; a rate of their own for those begun."""
    slow = {id(parameter) for parameter in begun}
    groups = []
    for share, of_kind in ((begun_rate, True), (1.0, False)):
        members = [p for p in network.parameters() if (id(p) in slow) == of_kind]
        for decay, decayed in ((weight_decay, True), (0.0, False)):
            parameters = [p for p in members if (p.ndim > 1) == decayed]
            if parameters:
                groups.append({"params": parameters, "weight_decay": decay, "share": share})
    return groups


def _use_bfloat16(precision: str, device: torch.device) -> bool:
    if precision not in ("auto", "float32", "bfloat16"):
        raise ValueError(f"expected precision auto, float32 or bfloat16, got {precision!r}")
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


class _Log:
    """One row an iteration, as CSV."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, columns

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
