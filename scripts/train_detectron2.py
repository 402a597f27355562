"""Train a small Detectron2 Mask R-CNN on nuclei: the trained model of the tests.

    python scripts/train_detectron2.py train ../shared/data/dsb2018/train --output runs/d2
    python scripts/train_detectron2.py evaluate ../shared/data/dsb2018/val

Detectron2's own ``build_model`` makes the network from CONFIG; crops, their zooms and their
intensities are those that the built-in model is trained with. Every random draw of iteration
*i* comes from generators seeded by (seed, *i*), so a resumed run equals one without a break.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from model_card import table
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

import napari_instseg as nis
from napari_instseg.evaluation import match_labels
from napari_instseg.models.detectron2 import bridges
from napari_instseg.training.augment import draw_crop
from napari_instseg.training.dataset import Example, find_pairs, load_examples, sampling_weights
from napari_instseg.training.loop import EMA_DECAY, MAX_OBJECTS, TrainSettings, learning_rate

MODEL = Path(__file__).parents[1] / "tests" / "data" / "detectron2_nuclei"
#: A thin ResNet-50 with a feature pyramid: 0.6 wants full width for ResNet-18, which is 22 MB.
CONFIG = """\
# A small Mask R-CNN for nuclei; see README.md beside it.
MODEL:
  META_ARCHITECTURE: GeneralizedRCNN
  MASK_ON: true
  PIXEL_MEAN: [127.5, 127.5, 127.5]
  PIXEL_STD: [63.75, 63.75, 63.75]
  BACKBONE:
    NAME: build_resnet_fpn_backbone
    FREEZE_AT: 0
  RESNETS:
    DEPTH: 50
    NORM: BN
    STEM_OUT_CHANNELS: 32
    RES2_OUT_CHANNELS: 64
    WIDTH_PER_GROUP: 20
    STRIDE_IN_1X1: false
    OUT_FEATURES: [res2, res3, res4, res5]
  FPN:
    IN_FEATURES: [res2, res3, res4, res5]
    OUT_CHANNELS: 64
    NORM: BN
  ANCHOR_GENERATOR:
    SIZES: [[8, 13], [20, 32], [48, 76], [110, 160], [220, 300]]
    ASPECT_RATIOS: [[0.7, 1.4]]
  PROPOSAL_GENERATOR:
    NAME: RPN
  RPN:
    IN_FEATURES: [p2, p3, p4, p5, p6]
    IOU_THRESHOLDS: [0.3, 0.6]
    PRE_NMS_TOPK_TRAIN: 1500
    POST_NMS_TOPK_TRAIN: 800
    PRE_NMS_TOPK_TEST: 3000
    POST_NMS_TOPK_TEST: 2000
  ROI_HEADS:
    NAME: StandardROIHeads
    IN_FEATURES: [p2, p3, p4, p5]
    NUM_CLASSES: 1
    BATCH_SIZE_PER_IMAGE: 128
    POSITIVE_FRACTION: 0.33
    SCORE_THRESH_TEST: 0.05
    NMS_THRESH_TEST: 0.4
  ROI_BOX_HEAD:
    NAME: FastRCNNConvFCHead
    NUM_FC: 2
    FC_DIM: 256
    POOLER_RESOLUTION: 7
    POOLER_SAMPLING_RATIO: 2
  ROI_MASK_HEAD:
    NAME: MaskRCNNConvUpsampleHead
    NUM_CONV: 3
    CONV_DIM: 64
    POOLER_RESOLUTION: 14
    POOLER_SAMPLING_RATIO: 1
INPUT:
  FORMAT: RGB
  MASK_FORMAT: bitmask
  MIN_SIZE_TEST: 512
  MAX_SIZE_TEST: 1333
TEST:
  DETECTIONS_PER_IMAGE: 1000
VERSION: 2
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="train, and write config.yaml and model.pth")
    training.add_argument("data", type=Path, help="folder with images and labels")
    training.add_argument("--output", type=Path, required=True)
    training.add_argument("--iterations", type=int, default=4200)
    training.add_argument("--batch-size", type=int, default=4)
    training.add_argument("--threads", type=int, default=2)
    training.add_argument("--seed", type=int, default=0)
    training.add_argument("--resume", action="store_true")
    evaluating = commands.add_parser("evaluate", help="measure on held-out images")
    evaluating.add_argument("data", type=Path, help="folder with images, labels")
    evaluating.add_argument("--model", type=Path, default=MODEL)
    evaluating.add_argument(
        "--as-trained", action="store_true", help="resize as the config says, not native pixels"
    )
    arguments = parser.parse_args()
    if arguments.command == "evaluate":
        evaluate(arguments.data, arguments.model, as_trained=arguments.as_trained)
        return
    torch.set_num_threads(arguments.threads)
    settings = TrainSettings(
        arguments.iterations, batch_size=arguments.batch_size, seed=arguments.seed
    )
    train(arguments.data, arguments.output, settings, resume=arguments.resume)


def build() -> nn.Module:
    """Build the network with random weights, for training on the CPU."""
    bridges.load()
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    config = get_cfg()
    config.merge_from_other_cfg(config.load_cfg(CONFIG))
    config.MODEL.DEVICE = "cpu"
    model: nn.Module = build_model(config)
    return model.train()


def train(data: Path, output: Path, settings: TrainSettings, *, resume: bool) -> None:
    """Train, writing ``log.csv``, ``checkpoint.pt``, ``config.yaml`` and ``model.pth``."""
    output.mkdir(parents=True, exist_ok=True)
    examples = load_examples(find_pairs(data))
    torch.manual_seed(settings.seed)
    trainer = Trainer(build(), settings, examples)
    checkpoint = output / "checkpoint.pt"
    if resume:
        trainer.load(checkpoint)
    log = output / "log.csv"
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True) if resume else []
    # Rows after the checkpoint are about to be done again.
    log.write_text("".join(lines[: trainer.iteration + 1]), encoding="utf-8")
    saved = time.monotonic()
    while trainer.iteration < settings.iterations:
        begin = time.monotonic()
        losses = trainer.step()
        seconds = time.monotonic() - begin
        with log.open("a", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            if trainer.iteration == 1:
                rows.writerow(["iteration", "loss", *losses, "seconds"])
            values = [sum(losses.values()), *losses.values(), seconds]
            rows.writerow([trainer.iteration, *(f"{value:.5g}" for value in values)])
        if time.monotonic() - saved > 240 or trainer.iteration == settings.iterations:
            trainer.save(checkpoint)
            export(trainer.averaged, output)
            saved = time.monotonic()


def export(weights: dict[str, Tensor], folder: Path) -> None:
    """Write weights in half precision in Detectron2's layout, their config and categories."""
    halved = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in weights.items()
    }
    if not all(torch.isfinite(value).all() for value in halved.values()):
        raise FloatingPointError("weights do not fit into float16")
    partial = folder / "model.partial"
    torch.save({"model": halved}, partial)
    partial.replace(folder / "model.pth")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    (folder / "categories.txt").write_text("nucleus\n", encoding="utf-8")


class Trainer:
    """Network, average of its weights, optimiser and the number of steps done."""

    def __init__(self, model: nn.Module, settings: TrainSettings, examples: list[Example]) -> None:
        self.model, self.settings, self.examples = model, settings, examples
        self.chances = sampling_weights(examples)
        self.averaged = {name: v.clone() for name, v in model.state_dict().items()}
        self.iteration = 0
        groups: list[dict[str, Any]] = [
            {"params": [p for p in model.parameters() if p.ndim > 1]},
            {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(
            groups, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        if torch.cpu._is_avx512_bf16_supported():
            compute_in_bfloat16(model)

    def step(self) -> dict[str, float]:
        """Do one iteration; return the parts of the loss."""
        from detectron2.utils.events import EventStorage

        rng = np.random.default_rng((self.settings.seed, self.iteration))
        torch.manual_seed(int(rng.integers(2**31)))
        batch = [self.draw(rng) for _ in range(self.settings.batch_size)]
        rate = learning_rate(self.settings, self.iteration)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with EventStorage():
            losses: dict[str, Tensor] = self.model(batch)
        total = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(total):
            raise FloatingPointError(f"the loss became {total} at {self.iteration}")
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self.iteration += 1
        self.average()
        return {name: float(value.detach()) for name, value in losses.items()}

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draw a crop as Detectron2 takes it: RGB from 0 to 255, and its objects."""
        for _ in range(20):
            example = self.examples[rng.choice(len(self.examples), p=self.chances)]
            crop = draw_crop(
                example.image, example.labels, example.diameter, self.settings.crop_size, rng
            )
            if crop.labels.max() <= MAX_OBJECTS:
                break
        image = torch.from_numpy(crop.image).mul(255)
        return {"image": image, "instances": truth(crop.labels)}

    @torch.no_grad()
    def average(self) -> None:
        """Let the averaged weights follow; a shorter memory at first."""
        decay = min(EMA_DECAY, self.iteration / (self.iteration + 10))
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.averaged[name].lerp_(value, 1 - decay)
            else:
                self.averaged[name].copy_(value)

    def save(self, path: Path) -> None:
        """Write a checkpoint; an interrupted write leaves the one before."""
        partial = path.with_suffix(".partial")
        state = {
            "iteration": self.iteration,
            "model": self.model.state_dict(),
            "averaged": self.averaged,
            "optimizer": self.optimizer.state_dict(),
        }
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.iteration = state["iteration"]
        self.model.load_state_dict(state["model"])
        self.averaged = state["averaged"]
        self.optimizer.load_state_dict(state["optimizer"])


def truth(labels: NDArray[np.int64]) -> Any:
    """Boxes, classes and masks of a label image numbered 1..N without gaps."""
    from detectron2.structures import BitMasks, Boxes, Instances

    boxes = [(c.start, r.start, c.stop, r.stop) for r, c in ndimage.find_objects(labels)]
    numbers = np.arange(1, len(boxes) + 1)[:, np.newaxis, np.newaxis]
    found = Instances(labels.shape)
    found.gt_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    found.gt_classes = torch.zeros(len(boxes), dtype=torch.int64)
    found.gt_masks = BitMasks(torch.from_numpy(labels[np.newaxis] == numbers))
    return found


def compute_in_bfloat16(model: Any) -> None:
    """Let the convolutions compute in bfloat16; boxes, pooling and losses stay in float32.

    Autocast for the whole model would round box coordinates to bfloat16 in RoIAlign.
    """
    model.backbone.forward = _cast(model.backbone.forward)
    rpn = model.proposal_generator.rpn_head
    rpn.forward = _cast(rpn.forward)
    model.roi_heads.mask_head.layers = _cast(model.roi_heads.mask_head.layers)


def _cast(function: Callable[..., Any]) -> Callable[..., Any]:
    def to_float(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: to_float(v) for key, v in value.items()}
        return value.float() if isinstance(value, Tensor) else [to_float(v) for v in value]

    def cast(*inputs: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return to_float(function(*inputs))

    return cast


def evaluate(data: Path, folder: Path, *, as_trained: bool) -> None:
    """Print the accuracy on held-out images with the default settings, as a user gets it."""
    model = nis.load_model(
        folder / "config.yaml",
        "cpu",
        weights=folder / "model.pth",
        categories=folder / "categories.txt",
    )
    diameter = "as trained" if as_trained else None
    pairs = find_pairs(data)
    scores = []
    for pair, example in zip(pairs, load_examples(pairs), strict=True):
        axes = "YXS" if example.image.ndim == 3 else "YX"
        found = nis.segment(example.image, model, axes=axes, diameter=diameter).instances
        scores.append(match_labels(example.labels, found, name=pair.image.stem, kind=example.kind))
    print(table(scores))


if __name__ == "__main__":
    main()
