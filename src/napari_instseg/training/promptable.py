"""Train the built-in promptable network: clicks, boxes, and clicks that correct.

Where the network was wrong decides where it is corrected; all else is drawn as in `loop`.

References
----------
Kirillov et al., "Segment Anything", ICCV 2023, appendix A: prompts and losses; here the pixel
loss is cross entropy over the object's area, which suits small objects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ..models.sam.compact_encoder import FORMAT, Architecture, PromptNetwork, build, fill_pyramid
from ..models.sam.mask_decoder import Attention
from ..models.sam.prompt_encoder import FIRST_CORNER
from ..models.weights import fill, read_weights, write_weights
from ..promptable import MASK_LOGIT
from .dataset import Example
from .loop import Step, Trainer, TrainSettings, run
from .promptable_losses import prompt_losses
from .promptable_prompts import corrected, first_prompts

#: Pictures whose objects are asked about with prompts of one kind.
GROUP = 2
#: Objects with fewer pixels than this are not asked about.
MIN_AREA = 20
#: Median object diameter (px) at which what is trained so answers best.
DIAMETER = 27.0
#: How often a crop is cut to a rectangle and padded, and how often it is zoomed in further,
#: by up to how much.
CUT, CLOSE, CLOSEST = 0.2, 0.25, 3.0
#: How often a correction comes with the logits of the answer that it corrects.
WITH_LOGITS = 0.75
#: How attention between prompts and picture begins: its sharpness, and the size of all that
#: is not a place.
SHARPNESS, QUIET = 2.0, 0.35


@dataclass(frozen=True, slots=True)
class PromptTrainSettings(TrainSettings):
    """How to train; see `TrainSettings` for the rest.

    Parameters
    ----------
    objects, rounds : int
        Objects asked about in each crop, and how often each: the first prompt, then
        corrections.
    backbone_rate : float
        Share of the learning rate for layers that begin trained.
    """

    batch_size: int = 8
    learning_rate: float = 8e-4
    warmup: int = 60
    objects: int = 6
    rounds: int = 3
    backbone_rate: float = 0.3


def train_promptable(
    data: Path,
    output: Path,
    settings: PromptTrainSettings,
    *,
    start: Path | None = None,
    resume: bool = False,
    checkpoint_seconds: float = 240.0,
    report: Callable[[Step], None] = lambda step: None,
    architecture: Architecture | None = None,
) -> Path:
    """Train on ``data/images`` and ``data/labels`` and write ``model.safetensors``.

    Parameters
    ----------
    data, output, settings, resume, checkpoint_seconds, report, architecture
        As in `trainer.train`, which also says what is raised.
    start : Path, optional
        Weights to begin with: a file of this kind with the same architecture, or one of a
        thin Mask R-CNN, for its backbone.

    Returns
    -------
    Path
        The weights file: the average of the weights over the last steps, as float16.
    """
    arch = architecture or Architecture()
    trainer = run(
        data,
        output,
        lambda examples: PromptTrainer(arch, settings, examples, start),
        resume=resume,
        seconds=checkpoint_seconds,
        report=report,
    )
    weights = output / "model.safetensors"
    about = {
        "format": FORMAT,
        "architecture": arch.to_dict(),
        "diameter": DIAMETER,
        "training": trainer.about,
    }
    write_weights(weights, trainer.averaged, about)
    return weights


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B pictures, normalised and padded (B, 3, S, S); N objects of each (B * N, S, S)."""

    pictures: Tensor
    objects: NDArray[np.bool_]


class PromptTrainer(Trainer):
    """Of a promptable network.

    Parameters
    ----------
    arch : Architecture
    settings : PromptTrainSettings
    examples : list of Example
    start : Path, optional
        As in `train_promptable`.
    """

    losses = ("loss_clear", "loss_ambiguous", "loss_iou")
    figures = ("first_iou", "last_iou")
    clip = 2.0
    settings: PromptTrainSettings
    network: PromptNetwork
    averaged: PromptNetwork

    def __init__(
        self,
        arch: Architecture,
        settings: PromptTrainSettings,
        examples: list[Example],
        start: Path | None = None,
    ) -> None:
        torch.manual_seed(settings.seed)
        network = build(arch)
        begin_with_places(network)
        if start is not None:
            begin_with(network, start)
        network.to(settings.device)
        layout = torch.channels_last
        network.image_encoder.to(memory_format=layout)
        super().__init__(
            network,
            build(arch).to(settings.device),
            settings,
            examples,
            begun=list(network.image_encoder.pyramid.parameters()),
            begun_rate=settings.backbone_rate,
        )

    def compute(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Ask about objects, and correct the answers."""
        batch = self._draw_batch(rng)
        with self._cast():
            embeddings = self.network.image_encoder(batch.pictures)
        each = self.settings.objects
        groups: list[dict[str, Tensor]] = []
        # Each with prompts of one kind: as many tokens for all, none that is only padding.
        for begin in range(0, len(embeddings), GROUP):
            some = embeddings[begin : begin + GROUP].float()
            objects = batch.objects[begin * each : (begin + GROUP) * each]
            groups.append(self._ask(some, objects, rng))
        return {name: torch.stack([part[name] for part in groups]).mean() for name in groups[0]}

    def _ask(
        self, embeddings: Tensor, objects: NDArray[np.bool_], rng: np.random.Generator
    ) -> dict[str, Tensor]:
        target = self._coarse(objects)
        coarse = target.cpu().numpy()
        points, labels, drawn = first_prompts(objects, rng)
        given = None if drawn is None else MASK_LOGIT * (2 * self._coarse(drawn)[:, None] - 1)
        best, logits = target, given
        rounds: list[dict[str, Tensor]] = []
        for turn in range(self.settings.rounds):
            if turn:
                answers = (best > 0).cpu().numpy()
                points, labels = corrected(points, labels, coarse, answers, rng)
                logits = best[:, None] if rng.random() < WITH_LOGITS else given
            masks, iou = self._answer(embeddings, points, labels, logits)
            losses, best = prompt_losses(masks, iou, target)
            rounds.append(losses)
        parts = {name: torch.stack([part[name] for part in rounds]).mean() for name in self.losses}
        return {**parts, "first_iou": rounds[0]["iou"], "last_iou": rounds[-1]["iou"]}

    def _coarse(self, masks: NDArray[np.bool_]) -> Tensor:
        """(M, S, S) to the share of each cell of 2 x 2 px inside, (M, S / 2, S / 2)."""
        pixels = torch.from_numpy(masks).to(self.device)
        return F.avg_pool2d(pixels[:, None].float(), 2)[:, 0]

    def _answer(
        self,
        embedding: Tensor,
        points: NDArray[np.float64],
        labels: NDArray[np.int64],
        logits: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        prompts = self.network.prompt_encoder
        # Row, column and the pixel's edge here; column, row and the pixel's centre there.
        at = torch.from_numpy(points.astype(np.float32)).to(self.device).flip(-1) - 0.5
        sparse = prompts.sparse(at, torch.from_numpy(labels).to(self.device))
        if FIRST_CORNER in labels:
            # Corners came as points, but a box is not ended by a point that is not there.
            sparse = sparse[:, :-1]
        with self._cast():
            masks, iou = self.network.mask_decoder(
                embedding, prompts.dense_positions(), sparse, prompts.dense(logits)
            )
        return masks.float(), iou.float()

    def _cast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    def draw_zoom(self, rng: np.random.Generator) -> float:
        """Zoom in on some crops: objects may be as large as the picture."""
        return float(CLOSEST ** rng.uniform()) if rng.random() < CLOSE else 1.0

    def _draw_batch(self, rng: np.random.Generator) -> Batch:
        settings = self.settings
        pictures: list[Tensor] = []
        objects: list[NDArray[np.bool_]] = []
        while len(pictures) < settings.batch_size:
            crop = self.draw(rng)
            height, width = _draw_size(settings.crop_size, rng)
            labels = crop.labels.copy()
            labels[height:], labels[:, width:] = 0, 0
            areas = np.bincount(labels.ravel())
            areas[0] = 0
            large = np.flatnonzero(areas >= MIN_AREA)
            if not len(large):
                continue
            chosen = rng.choice(large, settings.objects, replace=len(large) < settings.objects)
            picture = torch.from_numpy(crop.image[np.newaxis, :, :height, :width])
            pictures.append(self.network.preprocess(picture.to(self.device)))
            objects.append(labels == chosen[:, np.newaxis, np.newaxis])
        stacked = torch.cat(pictures).contiguous(memory_format=torch.channels_last)
        return Batch(stacked, np.concatenate(objects))


def _draw_size(size: int, rng: np.random.Generator) -> tuple[int, int]:
    """Height and width to cut a crop to; the longer one stays."""
    if rng.random() >= CUT:
        return size, size
    short = int(rng.integers(size // 3, size))
    return (short, size) if rng.random() < 0.5 else (size, short)


def begin_with(network: PromptNetwork, start: Path) -> None:
    """Take over weights of a network of this kind, or the backbone of a thin Mask R-CNN."""
    weights = read_weights(start)
    if weights.about.get("format") == FORMAT:
        fill(network, weights, start)
    else:
        fill_pyramid(network.image_encoder.pyramid, weights.tensors)


@torch.no_grad()
def begin_with_places(network: PromptNetwork) -> None:
    """Let attention between prompts and picture find the place from the first step on.

    Queries and keys begin with the same projection, so that a cell and a point attend to each
    other the more the nearer they are; from separate random ones, it takes hundreds of steps
    until the place of a click has any effect.
    """
    transformer = network.mask_decoder.transformer
    for name, module in transformer.named_modules():
        if isinstance(module, Attention) and "attn_" in name:
            nn.init.orthogonal_(module.q_proj.weight, SHARPNESS)
            module.k_proj.weight.copy_(module.q_proj.weight)
            module.q_proj.bias.zero_()
            module.k_proj.bias.zero_()
    # What a cell shows and what a point is must not drown where they are.
    quiet: list[Any] = [network.image_encoder.neck[-1]]
    quiet += [layer.norm4 for layer in list(transformer.layers)[:-1]]
    for module in [*quiet, *network.prompt_encoder.point_embeddings]:
        module.weight.mul_(QUIET)
