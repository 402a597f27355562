"""Train the built-in promptable model, sam-nuclei.

    python scripts/train_promptable.py ../shared/data/dsb2018/train --output runs/sam-nuclei

Its image encoder begins with the backbone of the built-in Mask R-CNN.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from napari_instseg.models.registry import find
from napari_instseg.training.loop import Step
from napari_instseg.training.promptable import PromptTrainSettings, train_promptable

USUAL = PromptTrainSettings(iterations=1500, category="nucleus")
#: Fields of the settings that can be given.
OPTIONS = ("iterations", "learning_rate", "batch_size", "objects", "seed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with images and labels")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="weights to begin with, not the Mask R-CNN's")
    for name in OPTIONS:
        default = getattr(USUAL, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = replace(USUAL, **{name: getattr(arguments, name) for name in OPTIONS})
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
