"""Train the built-in promptable model, sam-nuclei.

    python scripts/train_promptable.py ../shared/data/dsb2018/train --output runs/sam-nuclei

Its image encoder begins with the backbone of the built-in Mask R-CNN.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from napari_instseg.models.registry import find
from napari_instseg.training.promptable import PromptTrainSettings, train_promptable
from napari_instseg.training.trainer import Step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with images and labels")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="weights to begin with, not the Mask R-CNN's")
    parser.add_argument("--iterations", type=int, default=1500)
    parser.add_argument("--learning-rate", type=float, default=8e-4)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--objects", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = PromptTrainSettings(
        iterations=arguments.iterations,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        objects=arguments.objects,
        seed=arguments.seed,
        category="nucleus",
    )
    weights = train_promptable(
        arguments.data,
        arguments.output,
        settings,
        start=arguments.start or find("nuclei").path,
        resume=arguments.resume,
        report=tell,
    )
    print(weights)


def tell(step: Step) -> None:
    if step.iteration % 10 == 0:
        parts = "  ".join(f"{name} {value:.3f}" for name, value in step.parts.items())
        print(f"{step.iteration:6}  {step.loss:.3f}  {parts}  {step.seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
