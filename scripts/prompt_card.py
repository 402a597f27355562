"""Measure the built-in promptable model on held-out images and write its card.

    python scripts/prompt_card.py ../shared/data/dsb2018/val --log runs/sam-nuclei/log.csv

Writes sam-nuclei.md and its two pictures beside the weights.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from evaluate_prompts import CLICK, Asked, best, centre, full, measure, refinement, table
from model_card import Shown, about_weights, facts, panel, save_sheet
from numpy.typing import NDArray

from napari_instseg.models import prompters
from napari_instseg.models.weights import read_weights
from napari_instseg.prompting.prompts import Prompt
from napari_instseg.training.dataset import find_pairs, load_examples

NAME = "sam-nuclei"
CARD = Path(__file__).with_suffix(".md")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with images, labels and index.csv above")
    parser.add_argument("--log", type=Path, help="the training's log.csv")
    arguments = parser.parse_args()
    pairs = find_pairs(arguments.data)
    begin = time.process_time()
    asked = measure(load_examples(pairs), NAME, refine=True)
    seconds = time.process_time() - begin
    path = prompters.find(NAME).path
    shown = [
        Shown(one.example.kind, pair.image.stem, "IoU", float(np.mean(one.found[CLICK])), draw(one))
        for pair, one in zip(pairs, asked, strict=True)
    ]
    save_sheet(path.with_name(f"{NAME}-worst.png"), shown, at=0.0)
    save_sheet(path.with_name(f"{NAME}-typical.png"), shown, at=0.5)
    text = CARD.read_text(encoding="utf-8").format(
        **facts(arguments.log),
        **about(path),
        val=len(pairs),
        nuclei=sum(len(one.found[CLICK]) for one in asked),
        seconds=seconds,
        date=time.strftime("%Y-%m-%d"),
        table=table(asked),
        refined=refinement(asked),
    )
    path.with_name(f"{NAME}.md").write_text(text, encoding="utf-8")
    print(table(asked), refinement(asked), sep="\n\n")


def draw(asked: Asked) -> NDArray[np.uint8]:
    """One click on each object, and what it gives; each later answer over those before."""
    labels, session = asked.example.labels, asked.session
    truth = [labels == number for number in np.unique(labels[labels > 0])]
    answers = best(session, [Prompt(points=(centre(mask),)) for mask in truth])
    found = np.zeros(labels.shape, np.int32)
    for number, answer in enumerate(answers, 1):
        found[full(answer.mask, labels.shape)] = number
    return panel(session.mapping.apply(asked.example.image), labels, found)


def about(path: Path) -> dict[str, object]:
    what = read_weights(path).about
    said, arch = what["training"], what["architecture"]
    return {
        **about_weights(path),
        "embed": arch["embed_dim"],
        "depth": arch["decoder_depth"],
        "heads": arch["decoder_heads"],
        "outputs": arch["outputs"],
        "input": arch["input_size"],
        "grid": arch["input_size"] // 8,
        "objects": said["objects"],
        "rounds": said["rounds"],
        "share": said["backbone_rate"],
    }


if __name__ == "__main__":
    main()
