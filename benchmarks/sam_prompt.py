"""One prompt, from the click to the masks in the picture, with the embedding at hand.

``segment_anything``'s `SamPredictor` and ours, with the same random weights and the decoder
that all published models of SAM share. Random weights scatter their masks over the whole
picture, which is the worst case for ours: it makes only the part of a mask that is there.
They take turns in one process, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from ._common import Result, Row, command, rows_of_turns
from ._processes import Meter, in_turns, measure, missing
from ._sam import drawn
from ._sam_networks import ours, picture_of, predictor

SIDE = 1024
#: Row and column of the click, and a box around it; as the reference counts.
CLICK, BOX = (400, 600), (300, 480, 520, 720)
OURS, PEER = "napari-instseg", "SamPredictor"
CASES = {"a click, 3 masks": True, "a box, 1 mask": False}


def run(options: argparse.Namespace) -> list[Result]:
    """Measure both, for each kind of prompt."""
    absent = missing("segment_anything", "mobile_sam")
    if absent:
        return [Result(_title(case), [Row(PEER, failure=absent)]) for case in CASES]
    with tempfile.TemporaryDirectory() as folder:
        found = measure(
            take_turns,
            memory_limit=options.memory_limit,
            folder=folder,
            device=options.device,
            repeats=options.repeats or 25,
        )
    if found.failure:
        return [Result(_title(case), [Row(PEER, failure=found.failure)]) for case in CASES]
    return [_result(case, found.extras[case]) for case in CASES]


def _title(case: str) -> str:
    return f"SAM: {case}, {SIDE}²"


def _result(case: str, extras: dict[str, Any]) -> Result:
    remark = f"{extras['pixels']} of {extras['area']} px differ"
    return Result(_title(case), rows_of_turns(extras["times"], PEER), [remark])


def take_turns(meter: Meter, folder: str, device: str, repeats: int) -> dict[str, Any]:
    """Both in one process."""
    # The smaller encoder, which is done with before the clock starts; the decoders are the same.
    theirs, picture = predictor("vit_t", device), picture_of(SIDE)
    prompter = ours(theirs.model, folder, device)
    theirs.set_image(picture)
    (embedding,) = prompter.encode([picture.astype(np.float32) / np.float32(255)])
    found = {}
    for case, click in CASES.items():
        times, answers = in_turns(_contenders(theirs, prompter, embedding, click), repeats)
        with meter.work():
            differ = _differing(answers[PEER], answers[OURS])
        found[case] = {"times": times, "pixels": differ, "area": int(answers[PEER].size)}
    return found


def _contenders(
    theirs: Any, prompter: Any, embedding: Any, click: bool
) -> dict[str, Callable[[], Any]]:
    from napari_instseg.promptable import Prompts

    if click:
        asked = {"point_coords": np.array([CLICK[::-1]]), "point_labels": np.array([1])}
        prompts = Prompts.create([[np.array(CLICK) + 0.5]])
    else:
        asked = {"box": np.array(BOX)[[1, 0, 3, 2]]}
        prompts = Prompts.create(boxes=[np.array(BOX) + 0.5])
    return {
        PEER: lambda: theirs.predict(**asked, multimask_output=click)[0],
        OURS: lambda: prompter.decode(embedding, prompts, multimask=click),
    }


def _differing(masks: Any, candidates: Any) -> int:
    """Pixels at which the reference's masks and ours differ."""
    found = drawn(candidates.masks, masks.shape[1:])
    return sum(int(np.count_nonzero(a != b)) for a, b in zip(masks, found, strict=True))


if __name__ == "__main__":
    command(run, __doc__)
