"""Measure a promptable model on labelled images: clicks, boxes, corrections, refinement.

    python scripts/evaluate_prompts.py ../shared/data/dsb2018/val

Every object of every image is asked about; the answer is the one that the plugin shows, the
best by predicted IoU. Figures are means over objects of its IoU with the truth.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import napari_instseg as nis
from napari_instseg.evaluation import Score, match_labels, pool
from napari_instseg.instances import Mask
from napari_instseg.models import prompters
from napari_instseg.prompting.prompts import Candidate, Prompt
from napari_instseg.prompting.session import PromptSession
from napari_instseg.training.dataset import Example, find_pairs, load_examples
from napari_instseg.training.promptable_prompts import deepest, larger_error, loose_box

CLICK, BOX, RANDOM_BOX = "1 click", "box +10 %", "box +0-20 %"
CORRECTIONS = 4
COLUMNS = (CLICK, *(f"+{n} fix" for n in range(1, CORRECTIONS + 1)), BOX, RANDOM_BOX)
ALONE = "Mask R-CNN"
#: What refining shows the model of each object.
REFINEMENTS = {"refined, by box": "box", "refined, by mask": "mask"}
#: IoU of each object, by what was asked.
Found = dict[str, list[float]]


class Asked(NamedTuple):
    """What was measured on one image."""

    example: Example
    session: PromptSession
    found: Found
    #: Of the Mask R-CNN's masks, alone and refined, by `REFINEMENTS`; empty if not asked for.
    scores: dict[str, Score]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with images, labels and index.csv above")
    parser.add_argument("--model", default="sam-nuclei", help="a name or a path")
    parser.add_argument("--every", type=int, default=1, help="take each n-th image of a kind")
    parser.add_argument("--refine", action="store_true", help="refine the Mask R-CNN's masks, too")
    arguments = parser.parse_args()
    begin = time.process_time()
    examples = pick(load_examples(find_pairs(arguments.data)), arguments.every)
    asked = measure(examples, arguments.model, refine=arguments.refine)
    print(table(asked))
    if arguments.refine:
        print(refinement(asked))
    print(f"{len(examples)} images, {time.process_time() - begin:.0f} s of CPU time")


def measure(examples: list[Example], name: str, *, refine: bool) -> list[Asked]:
    """Ask about all objects of images; ``refine`` runs the built-in Mask R-CNN, too."""
    model = prompters.load(name, "cpu")
    detector = nis.load_model("nuclei", "cpu") if refine else None
    results = []
    for example in examples:
        session = open_session(example, model)
        found = ask(session, example.labels)
        scores = {}
        if detector is not None:
            first = nis.segment(example.image, detector, axes=axes_of(example))
            masks = {name: session.refine(first, prompt=p) for name, p in REFINEMENTS.items()}
            scores = {
                name: match_labels(example.labels, result.instances, kind=example.kind)
                for name, result in {ALONE: first, **masks}.items()
            }
        results.append(Asked(example, session, found, scores))
        print(f"{example.kind:13}{len(found[CLICK]):5} objects  {np.mean(found[CLICK]):.3f}")
    return results


def pick(examples: list[Example], every: int) -> list[Example]:
    """Take each n-th image of a kind, at least one."""
    kinds = sorted({example.kind for example in examples})
    return [e for kind in kinds for e in [x for x in examples if x.kind == kind][::every]]


def axes_of(example: Example) -> str:
    return "YXS" if example.image.ndim == 3 else "YX"


def open_session(example: Example, model: prompters.LoadedPrompter) -> PromptSession:
    return PromptSession(example.image, model, axes=axes_of(example), cache=False)


def ask(session: PromptSession, labels: NDArray[np.integer], most: int | None = None) -> Found:
    """Ask about the first ``most`` objects in each way; return the answers' IoU."""
    truth = [labels == number for number in np.unique(labels[labels > 0])[:most]]
    found: Found = {}
    prompts = [Prompt(points=(centre(mask),)) for mask in truth]
    answers = best(session, prompts)
    found[CLICK] = ious(answers, truth)
    for n in range(1, CORRECTIONS + 1):
        prompts = [corrected(*each) for each in zip(prompts, answers, truth, strict=True)]
        answers = best(session, prompts)
        found[f"+{n} fix"] = ious(answers, truth)
    rng = np.random.default_rng(0)
    for name, low, high in ((BOX, 0.1, 0.1), (RANDOM_BOX, 0.0, 0.2)):
        boxes = [loose_box(mask, rng.uniform(low, high, 4)).tolist() for mask in truth]
        prompts = [Prompt(box=tuple(box)) for box in boxes]
        found[name] = ious(best(session, prompts), truth)
    return found


def best(session: PromptSession, prompts: Sequence[Prompt]) -> list[Candidate]:
    return [answer[0] for answer in session.candidates(prompts)]


def centre(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Where a user would click: the middle of the pixel farthest from the border."""
    row, column = deepest(mask)
    return row + 0.5, column + 0.5


def corrected(prompt: Prompt, answer: Candidate, truth: NDArray[np.bool_]) -> Prompt:
    """Add the click that a user would: in the middle of the larger kind of error."""
    wrong, label = larger_error(truth, full(answer.mask, truth.shape))
    if not wrong.any():
        return prompt
    return Prompt(
        points=(*prompt.points, centre(wrong)),
        labels=(*prompt.labels, label),
        previous=answer,
    )


def full(mask: Mask, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    canvas = np.zeros(shape, np.bool_)
    canvas[mask.slices] = mask.pixels
    return canvas


def ious(answers: Sequence[Candidate], truth: Sequence[NDArray[np.bool_]]) -> list[float]:
    values: list[float] = []
    for answer, wanted in zip(answers, truth, strict=True):
        shared = np.count_nonzero(wanted[answer.mask.slices] & answer.mask.pixels)
        union = np.count_nonzero(wanted) + answer.mask.area - shared
        values.append(float(shared / union))
    return values


def table(asked: list[Asked]) -> str:
    """Mean IoU by kind of image and by what was asked."""
    lines = [
        "| | objects | " + " | ".join(COLUMNS) + " |",
        "|---|" + "--:|" * (len(COLUMNS) + 1),
    ]
    kinds = sorted({one.example.kind for one in asked})
    groups = [(k, [one for one in asked if one.example.kind == k]) for k in kinds]
    for kind, members in [*groups, ("all", asked)]:
        values = [np.concatenate([one.found[name] for one in members]) for name in COLUMNS]
        cells = [kind, str(len(values[0])), *(f"{v.mean():.3f}" for v in values)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def refinement(asked: list[Asked]) -> str:
    """AP and PQ of the Mask R-CNN alone, and of its masks refined."""
    rows = []
    for name in (ALONE, *REFINEMENTS):
        total = pool([one.scores[name] for one in asked], "all", "all")
        values = [m.average_precision for m in total.matches.values()]
        values.append(total.matches[0.5].panoptic_quality)
        rows.append(f"| {' | '.join([name, *(f'{v:.3f}' for v in values)])} |")
    head = "| | " + " | ".join(f"AP {t:g}" for t in total.matches) + " | PQ |"
    return "\n".join([head, "|---|" + "--:|" * len(values), *rows])


if __name__ == "__main__":
    main()
