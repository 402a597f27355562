"""Encode one picture of 1024 x 1024 px: the reference packages, and ours with their weights.

ViT-B beside ``segment_anything``, MobileSAM's ViT-T beside ``mobile_sam``: each from a picture
of 8 bit to its embedding. They take turns in one process, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from ._common import Result, Row, command, rows_of_turns
from ._processes import Meter, in_turns, measure, missing
from ._sam_networks import PACKAGES, ours, picture_of, predictor

SIDE = 1024
TITLES = {"vit_b": "ViT-B", "vit_t": "ViT-T"}
OURS = "napari-instseg"


def run(options: argparse.Namespace) -> list[Result]:
    """Measure both, for each encoder; only the small one where sizes are tiny."""
    kinds = ["vit_t"] if options.smoke else list(PACKAGES)
    return [_result(kind, options) for kind in kinds]


def _result(kind: str, options: argparse.Namespace) -> Result:
    title, peer = f"SAM: encoder {TITLES[kind]}, {SIDE}²", PACKAGES[kind]
    absent = missing(peer)
    if absent:
        return Result(title, [Row(peer, failure=absent)])
    with tempfile.TemporaryDirectory() as folder:
        found = measure(
            take_turns,
            memory_limit=options.memory_limit,
            kind=kind,
            folder=folder,
            device=options.device,
            repeats=options.repeats or 3,
        )
    if found.failure:
        return Result(title, [Row(peer, failure=found.failure)])
    extras = found.extras
    remark = f"embeddings differ by at most {extras['difference']:.1g} of their largest value"
    return Result(title, rows_of_turns(extras["times"], peer), [remark])


def take_turns(meter: Meter, kind: str, folder: str, device: str, repeats: int) -> dict[str, Any]:
    """Both in one process."""
    theirs, picture = predictor(kind, device), picture_of(SIDE)
    prompter = ours(theirs.model, folder, device)
    unit = picture.astype(np.float32) / np.float32(255)

    def encode() -> Any:
        theirs.set_image(picture)
        return theirs.features[0].cpu().numpy()

    contenders: dict[str, Callable[[], Any]] = {
        PACKAGES[kind]: encode,
        OURS: lambda: prompter.encode([unit])[0].arrays[0],
    }
    times, answers = in_turns(contenders, repeats)
    a, b = answers.values()
    with meter.work():
        difference = float(np.abs(a - b).max() / np.abs(a).max())
    return {"times": times, "difference": difference}


if __name__ == "__main__":
    command(run, __doc__)
