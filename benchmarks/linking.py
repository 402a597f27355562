"""Planes of label images to 3-D objects, beside what others do with the same planes.

The truth are ellipsoids, drawn as in the tests: apart or cutting into each other, with near and
with far planes, and with faults: in each plane some masks are missing, and some neighbours are
one. Where StarDist is installed, its 3-D sample joins them: planes of its truth, without and
with such faults, and what the built-in model finds in each of its planes. Everyone gets the same
label image of each plane, where an object has another number each time, and gives a label image
of the volume. AP is TP / (TP + FP + FN) at a 3-D IoU of 0.5.

Plain matching of consecutive planes (best one-to-one pairs of at least an IoU) is written here;
StarDist's `group_matching_labels` and Cellpose's `stitch3D` run where they are installed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from napari_instseg import segment
from napari_instseg.evaluation import match_labels
from napari_instseg.instances import Instances
from napari_instseg.ops.linking import LinkRules, Stack
from napari_instseg.ops.masks import paint_labels

from ._common import Result, Row, command, rows_of_turns
from ._processes import in_turns, missing

ROOT = Path(__file__).parents[1]
#: Where the ellipsoids are drawn.
sys.path.insert(0, str(ROOT / "tests"))
SIZE = 256
OURS, PLAIN = "napari-instseg", "consecutive planes, IoU ≥ 0.25"
#: IoU that Cellpose documents for stitching, and half of what most ask of detections.
LEAST = 0.25
#: What each peer needs to be imported.
PEERS = {
    "StarDist's group_matching_labels": ("stardist", "csbdeep", "numba"),
    "the same, IoU ≥ 0.25": ("stardist", "csbdeep", "numba"),
    "Cellpose's stitch3D, IoU ≥ 0.25": ("cellpose", "cv2", "fastremap", "fill_voids"),
}


@dataclass(frozen=True, slots=True)
class Case:
    """A volume: distance of its planes (px), how near its objects are, and faults of the planes."""

    title: str
    step: float
    touching: float = 1.1
    missed: float = 0.0
    fused: float = 0.0


CASES = (
    Case("apart", 1.0),
    Case("apart, planes 5 px apart", 5.0),
    Case("touching", 1.0, touching=0.8),
    Case("touching, planes 3 px apart", 3.0, touching=0.8),
    Case("touching, 5 % missed, 5 % fused", 1.0, 0.8, 0.05, 0.05),
    Case("touching, planes 3 px apart, 5 % missed, 5 % fused", 3.0, 0.8, 0.05, 0.05),
)


@dataclass(frozen=True, slots=True)
class Volume:
    """The truth of a volume, and a label image of each plane with numbers of its own, from 1 on."""

    title: str
    truth: NDArray[np.int32]
    planes: NDArray[np.int32]
    step: float
    remark: str = (
        "where there are more objects, many are single planes at an end, of which an IoU asks "
        "too much"
    )


def run(options: argparse.Namespace) -> list[Result]:
    """Link every volume in every way."""
    size = min(options.size or SIZE, 96) if options.smoke else options.size or SIZE
    drawn = (_draw(case, size) for case in CASES)
    return [_compare(volume, options.repeats or 3) for volume in (*drawn, *_samples())]


def _compare(volume: Volume, repeats: int) -> Result:
    truth, planes, step = volume.truth, volume.planes, volume.step
    contenders: dict[str, Callable[[], NDArray[np.integer]]] = {
        OURS: partial(link, planes, LinkRules(step=step)),
        f"{OURS}, no gaps": partial(link, planes, LinkRules(max_gap=0, step=step)),
        PLAIN: partial(consecutive, planes),
    }
    absent = {name: missing(*modules) for name, modules in PEERS.items()}
    contenders |= {name: partial(PEER_CALLS[name], planes) for name in PEERS if not absent[name]}
    times, found = in_turns(contenders, repeats)
    rows = [
        replace(row, notes=_agreement(truth, found[row.contender]))
        for row in rows_of_turns(times, OURS)
    ]
    rows += [Row(name, failure=reason) for name, reason in absent.items() if reason]
    title = f"objects of planes to 3-D, {'×'.join(map(str, truth.shape))}: {volume.title}"
    remark = f"{len(np.unique(truth)) - 1} objects; {volume.remark}"
    return Result(title, rows, [remark])


def _draw(case: Case, size: int) -> Volume:
    """Ellipsoids."""
    from volumes import ellipsoids, planes_of, with_faults

    depth = max(3, round(size / 3 / case.step))
    count = round(size**3 / 3 / (20**3 * case.touching**3))
    truth = ellipsoids((depth, size, size), count, case.step, touching=case.touching)
    found = with_faults(planes_of(truth), case.missed, case.fused)
    return Volume(f"ellipsoids, {case.title}", truth, _painted(found), case.step)


def _samples() -> Iterator[Volume]:
    """StarDist's 3-D sample, if it is here."""
    folder = find_spec("stardist")
    if folder is None or not folder.submodule_search_locations:
        return
    import tifffile
    from volumes import planes_of, with_faults

    images = Path(folder.submodule_search_locations[0], "data", "images")
    image, truth = (tifffile.imread(images / f"{name}3d.tif") for name in ("img", "mask"))
    truth = truth.astype(np.int32)
    name = "StarDist's sample"
    planes = planes_of(truth)
    yield Volume(f"{name}, planes of its truth", truth, _painted(planes), 1.0)
    faulty = with_faults(planes, 0.05, 0.05)
    yield Volume(f"{name}, 5 % missed, 5 % fused", truth, _painted(faulty), 1.0)
    found = segment(image, axes="ZYX", diameter="auto")
    remark = "all get the same masks of a model that has not seen such images"
    yield Volume(
        f"{name}, planes as the built-in model finds them",
        *(truth, _painted(found.raw, found.score_threshold), 1.0, remark),
    )


def _painted(planes: Iterable[Instances], score: float = 0.0) -> NDArray[np.int32]:
    kept = [plane.take(np.flatnonzero(plane.scores >= score)) for plane in planes]
    return np.stack([paint_labels(plane, plane.image_shape) for plane in kept])


def _agreement(truth: NDArray[np.int32], found: NDArray[np.integer]) -> str:
    """AP of all objects, and of those that are in more than one plane, as many would ask for."""
    planes = np.bincount(np.concatenate([np.unique(plane) for plane in found]))
    score = match_labels(truth, found, [0.5])
    longer = match_labels(truth, np.where(planes[found] > 1, found, 0), [0.5])
    ap, ap_longer = (s.matches[0.5].average_precision for s in (score, longer))
    return f"AP {ap:.3f}, {ap_longer:.3f} without single planes; {score.predicted_count} objects"


# ---------------------------------------------------------------------------------- contenders


def link(planes: NDArray[np.int32], rules: LinkRules) -> NDArray[np.int32]:
    """Ours: label images in, label image out."""
    found = [Instances.from_labels(plane) for plane in planes]
    stack = Stack(found, rules)
    objects = np.concatenate([[0], stack.link().objects + 1]).astype(np.int32)
    first = np.cumsum([0, *(len(plane) for plane in found)])
    return np.stack(
        [
            np.concatenate([[0], objects[start + 1 : start + 1 + len(plane)]])[
                paint_labels(plane, plane.image_shape)
            ]
            for plane, start in zip(found, first, strict=False)
        ]
    )


def consecutive(planes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Pair the objects of each plane with those of the one before, one to one, by IoU."""
    labels = np.zeros_like(planes)
    labels[0], total = planes[0], int(planes[0].max())
    for z in range(1, len(planes)):
        before, here = planes[z - 1], planes[z]
        shape = int(before.max()) + 1, int(here.max()) + 1
        codes = before.astype(np.int64) * shape[1] + here
        shared = np.bincount(codes.ravel(), minlength=shape[0] * shape[1]).reshape(shape)
        areas = shared.sum(axis=1)[1:, None] + shared.sum(axis=0)[None, 1:]
        iou = shared[1:, 1:] / np.maximum(areas - shared[1:, 1:], 1)
        iou[iou < LEAST] = 0
        pairs = [(i, j) for i, j in zip(*linear_sum_assignment(-iou), strict=True) if iou[i, j]]
        numbers = np.zeros(shape[1], np.int32)
        names = np.zeros(shape[0], np.int32)
        names[before.ravel()] = labels[z - 1].ravel()
        for i, j in pairs:
            numbers[j + 1] = names[i + 1]
        new = np.flatnonzero(numbers[1:] == 0) + 1
        numbers[new] = np.arange(total + 1, total + 1 + len(new))
        total += len(new)
        labels[z] = numbers[here]
    return labels


def group(planes: NDArray[np.int32], **options: float) -> NDArray[np.integer]:
    """StarDist's; its first plane must have an object."""
    from stardist.matching import group_matching_labels

    return np.asarray(group_matching_labels(planes, **options))


def stitch(planes: NDArray[np.int32]) -> NDArray[np.integer]:
    """Cellpose's, which writes into what it gets."""
    from cellpose import utils

    bar, utils.trange = utils.trange, range
    try:
        return np.asarray(utils.stitch3D(planes.copy(), stitch_threshold=LEAST))
    finally:
        utils.trange = bar


PEER_CALLS = dict(zip(PEERS, (group, partial(group, thresh=LEAST), stitch), strict=True))


if __name__ == "__main__":
    command(run, __doc__)
