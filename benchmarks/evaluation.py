"""Label images against the truth, beside StarDist's matching and COCO's evaluations.

The truth are discs in a grid; of the prediction, most are moved by a pixel or two and some are
lost. Everyone gets the same two label images in memory. Beside StarDist, AP at ten IoU thresholds
is asked for (ours counts pixels of categories, PQ, split and merged objects in the same go). For
COCO's AP, peers get each object as COCO's run lengths, made beforehand, and no cap on objects;
ours starts from the label images. Each contender has a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._common import Result, Row, command
from ._processes import Contender, Meter, measure, missing

OURS = "napari-instseg"
THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
#: pycocotools looks at each pair of objects in Python, forty times.
MOST_IN_PYTHON = 2500


@dataclass(frozen=True, slots=True)
class Case:
    """Edge of the label images, px, and about how many objects are in them."""

    size: int
    count: int


CASES = (Case(2048, 2000), Case(4096, 20_000))
SMOKE = (Case(256, 60),)


def run(options: argparse.Namespace) -> list[Result]:
    """Measure both kinds of AP at each size."""
    found = []
    for case in SMOKE if options.smoke else CASES:
        repeats = options.repeats or 3
        common = {"size": case.size, "count": case.count, "memory_limit": options.memory_limit}
        about = f"about {case.count:,} objects on {case.size}²"
        found.append(_microscopy(about, {**common, "repeats": repeats}))
        found.append(_coco(about, {**common, "repeats": repeats}, case.count))
    return found


def _microscopy(about: str, common: dict[str, Any]) -> Result:
    absent = missing("stardist", "csbdeep", "numba")
    rows = [_row(OURS, ours, common, reference=True)]
    name = "StarDist's matching"
    rows.append(Row(name, failure=absent) if absent else _row(name, stardist, common))
    return Result(f"AP at ten IoU thresholds, {about}", rows)


def _coco(about: str, common: dict[str, Any], count: int) -> Result:
    absent = missing("faster_coco_eval")
    title = f"COCO's AP, {about}"
    if absent:
        return Result(title, [Row(OURS, failure=absent)])
    rows = [_row(OURS, ours_coco, common, reference=True)]
    rows.append(_row("faster-coco-eval, run lengths", faster_coco, {**common, "repeats": 1}))
    absent = missing("pycocotools")
    if count > MOST_IN_PYTHON:
        absent = absent or "not run: grows with the square of the number of objects"
    name = "pycocotools, run lengths"
    once = {**common, "repeats": 1}
    rows.append(Row(name, failure=absent) if absent else _row(name, pycoco, once))
    return Result(title, rows)


def _row(
    name: str, contender: Contender, common: dict[str, Any], *, reference: bool = False
) -> Row:
    found = measure(contender, **common)
    notes = ", ".join(f"{key} {value:.6f}" for key, value in found.extras.items())
    return Row.of(name, found, notes, reference)


# ---------------------------------------------------------------------------------- contenders


def discs(
    size: int, count: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    """Truth and prediction, and scores by label of the latter."""
    random = np.random.default_rng(0)
    cells = round(count**0.5)
    edge = size // cells
    rows, cols = np.mgrid[:edge, :edge] - (edge - 1) / 2
    truth, found = np.zeros((2, size, size), np.int32)
    for label in range(1, cells**2 + 1):
        top, left = (label - 1) // cells * edge, (label - 1) % cells * edge
        radius = random.uniform(0.25, 0.42) * edge
        moved = random.normal(0, 0.06 * edge, 2)
        part = np.s_[top : top + edge, left : left + edge]
        truth[part][np.hypot(rows, cols) < radius] = label
        if random.random() < 0.95:
            wide = radius * random.uniform(0.9, 1.1)
            found[part][np.hypot(rows - moved[0], cols - moved[1]) < wide] = label
    return truth, found, random.random(cells**2 + 1)


def ours(meter: Meter, size: int, count: int, repeats: int) -> dict[str, float]:
    """All that `match_labels` counts."""
    from napari_instseg.evaluation import match_labels

    truth, found, _ = discs(size, count)
    match_labels(truth[:64, :64], found[:64, :64])
    for _ in range(repeats):
        with meter.work():
            score = match_labels(truth, found, THRESHOLDS)
    return {"mean AP": score.mean_average_precision}


def stardist(meter: Meter, size: int, count: int, repeats: int) -> dict[str, float]:
    """StarDist's, compiled before."""
    from stardist.matching import matching

    truth, found, _ = discs(size, count)
    matching(truth[:64, :64], found[:64, :64], THRESHOLDS)
    for _ in range(repeats):
        with meter.work():
            rows = matching(truth, found, THRESHOLDS)
    return {"mean AP": float(np.mean([row.accuracy for row in rows]))}


def ours_coco(meter: Meter, size: int, count: int, repeats: int) -> dict[str, float]:
    """From label images and scores to COCO's AP."""
    from napari_instseg import Category, LabelSet
    from napari_instseg.evaluation.coco import coco_score
    from napari_instseg.evaluation.comparison import compare

    truth, found, scores = discs(size, count)
    sets = [
        LabelSet.from_labels(labels, "YX", category=Category(1, "disc"))
        for labels in (found, truth)
    ]
    sets[0].table["score"] = scores[sets[0].table["index"]]
    for _ in range(repeats):
        with meter.work():
            score = coco_score(list(compare(sets[0], sets[1])))
    return {"AP": score.ap}


def faster_coco(meter: Meter, size: int, count: int, repeats: int) -> dict[str, float]:
    """One picture with all objects, as run lengths."""
    from faster_coco_eval import COCO, COCOeval_faster

    return _coco_ap(meter, size, count, repeats, COCO, COCOeval_faster)


def pycoco(meter: Meter, size: int, count: int, repeats: int) -> dict[str, float]:
    """The same, with COCO's own code."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return _coco_ap(meter, size, count, repeats, COCO, COCOeval)


def _coco_ap(
    meter: Meter, size: int, count: int, repeats: int, data: Any, evaluation: Any
) -> dict[str, float]:
    truth, found, scores = discs(size, count)
    wanted, results = _annotations(truth, None), _annotations(found, scores)
    del truth, found
    for _ in range(repeats):
        with meter.work(), contextlib.redirect_stdout(io.StringIO()):
            sets = [data(), data()]
            for one, annotations in zip(sets, (wanted, results), strict=True):
                one.dataset = {
                    "images": [{"id": 1, "height": size, "width": size}],
                    "categories": [{"id": 1, "name": "disc"}],
                    "annotations": annotations,
                }
                one.createIndex()
            counted = evaluation(*sets, "segm")
            counted.params.maxDets = [1, 10, len(results)]
            counted.evaluate()
            counted.accumulate()
    precision = counted.eval["precision"][..., 0, -1]
    return {"AP": float(precision[precision > -1].mean())}


def _annotations(
    labels: NDArray[np.int32], scores: NDArray[np.float64] | None
) -> list[dict[str, Any]]:
    from scipy import ndimage

    from napari_instseg.instances import Mask
    from napari_instseg.ops.rle import encode

    listed = []
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        mask = Mask((box[0].start, box[1].start), labels[box] == label)
        one = {"id": label, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": mask.area}
        rle = encode(mask, labels.shape)
        # As pycocotools has it.
        rle["counts"] = rle["counts"].encode() if isinstance(rle["counts"], str) else rle["counts"]
        corner = [box[1].start, box[0].start, *mask.pixels.shape[::-1]]
        listed.append({**one, "segmentation": rle, "bbox": corner})
        if scores is not None:
            listed[-1]["score"] = float(scores[label])
    return listed


if __name__ == "__main__":
    command(run, __doc__)
