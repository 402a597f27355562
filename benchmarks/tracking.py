"""Objects of a time-lapse to tracks, beside what others do with the same frames.

The truth are discs, drawn as in the tests: apart or touching, slow, or fast and straight through
each other, dividing, and missed for a frame. Everyone gets the same label image of each frame,
where an object has another number each time, and gives one number a track, with its parent.

Measured as the Cell Tracking Challenge does, by py-ctcmetrics: TRA, which weighs what is needed
to correct objects and links (objects count most, and are the same for all); LNK, the links alone;
IDF1, how long objects keep their number; and divisions within a frame of the truth's.

Matching of consecutive frames (best one-to-one pairs of at least an IoU) is that of the benchmark
of planes; greedy nearest neighbours are written here. LapTrack runs where it is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from skimage.measure import regionprops

from napari_instseg.instances import Instances
from napari_instseg.io.ctc import TRUTH, write_ctc
from napari_instseg.ops.axes import Image
from napari_instseg.ops.masks import paint_labels
from napari_instseg.segmentation import Segmentation
from napari_instseg.segmenter import Category
from napari_instseg.settings import Settings

from ._common import Result, Row, command, rows_of_turns
from ._processes import in_turns, missing
from .linking import LEAST, ROOT, consecutive

SIZE, FRAMES = 256, 20
OURS, OVERLAP = "napari-instseg", f"consecutive frames, IoU ≥ {LEAST}"
GREEDY = "greedy nearest neighbours"
LAPTRACK, OVERLAPTRACK = "LapTrack, distance", "OverLapTrack, 1 − IoU"
#: Farthest way that contenders allow who must be told, px: about the discs' diameter.
REACH = 15.0
#: Label images of frames to those of tracks, and each track's parent.
Answer: TypeAlias = tuple[NDArray[np.integer], Mapping[int, int]]


@dataclass(frozen=True, slots=True)
class Case:
    """A time-lapse: objects in 256² px, how they move, and how often one is missed."""

    title: str
    count: int
    speed: float
    turning: float = 0.5
    division: float = 0.0
    missed: float = 0.0
    scale: int = 1


CASES = (
    Case("apart, 2 px a frame", 30, 2.0),
    Case("apart, 2 px a frame, 5 % missed", 30, 2.0, missed=0.05),
    Case("touching, 2.5 px a frame", 80, 2.5),
    Case("touching, 2.5 px a frame, 5 % missed", 80, 2.5, missed=0.05),
    Case("crossing, 8 px a frame", 30, 8.0, turning=0.1),
    Case("dividing, 2.5 px a frame", 25, 2.5, division=0.05),
    Case("dividing, 2.5 px a frame, 5 % missed", 25, 2.5, division=0.05, missed=0.05),
    Case("touching, 2.5 px a frame, 5 % missed, many", 80, 2.5, missed=0.05, scale=2),
)


def run(options: argparse.Namespace) -> list[Result]:
    """Track every lapse in every way."""
    size = min(options.size or SIZE, 96) if options.smoke else options.size or SIZE
    frames = 6 if options.smoke else FRAMES
    repeats = options.repeats or 3
    return [
        _compare(case, size * (1 if options.smoke else case.scale), frames, repeats)
        for case in CASES
    ]


def _compare(case: Case, size: int, frames: int, repeats: int) -> Result:
    sys.path.insert(0, str(ROOT / "tests"))
    from lapses import frames_of, lapse

    truth = lapse(
        size,
        frames,
        max(2, round(case.count * (size / 256) ** 2)),
        speed=case.speed,
        turning=case.turning,
        division=case.division,
    )
    found = frames_of(truth.labels, case.missed)
    labels = np.stack([paint_labels(frame, frame.image_shape) for frame in found])
    split = case.division > 0
    contenders: dict[str, Callable[[], Answer]] = {
        OURS: partial(track, labels, split),
        OVERLAP: lambda: (consecutive(labels), {}),
        GREEDY: lambda: (greedy(labels), {}),
    }
    absent = missing("laptrack")
    if not absent:
        contenders |= {
            LAPTRACK: partial(laptrack, labels, split),
            OVERLAPTRACK: partial(overlaptrack, labels, split),
        }
    # Some take minutes where there are many objects.
    times, answers = in_turns(contenders, 1 if case.scale > 1 else repeats)
    rows = [
        replace(row, notes=_measure(truth.labels, truth.parents, answers[row.contender]))
        for row in rows_of_turns(times, OURS)
    ]
    if absent:
        rows.append(Row(LAPTRACK, failure=absent))
    title = f"discs to tracks, {'×'.join(map(str, labels.shape))}: {case.title}"
    objects = sum(len(frame) for frame in found)
    divisions = len(set(truth.parents.values()))
    about = f"{len(np.unique(truth.labels)) - 1} tracks, {divisions} divisions, {objects} objects"
    return Result(title, rows, [about])


def _measure(truth: NDArray[np.integer], parents: Mapping[int, int], answer: Answer) -> str:
    if missing("ctc_metrics"):
        return "no measures: pip install py-ctcmetrics"
    from ctc_metrics.scripts.evaluate import evaluate_sequence

    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
        folder = Path(name)
        (folder / "GT").mkdir()
        write_ctc(folder / "GT" / "TRA", truth, "TYX", parents, TRUTH)
        write_ctc(folder / "RES", answer[0], "TYX", answer[1])
        found: dict[str, Any] = evaluate_sequence(
            str(folder / "RES"),
            str(folder / "GT"),
            metrics=["Valid", "TRA", "LNK", "IDF1", "BC"],
            threads=1,
        )
    text = ", ".join(f"{key} {found[key]:.3f}" for key in ("TRA", "LNK", "IDF1"))
    if parents:
        right, wrong, lost = (found[f"{kind}_div(1)"] for kind in ("tp", "fp", "fn"))
        text += f"; divisions: {right} right, {wrong} wrong, {lost} not found"
    return text


# ---------------------------------------------------------------------------------- contenders


def track(labels: NDArray[np.integer], split: bool) -> Answer:
    """Ours, with its own choice of the distance."""
    image = Image(np.zeros(labels.shape, np.uint8), "TYX")
    settings = Settings(track=True, track_split=split, score_threshold=0.0)
    raw = tuple(Instances.from_labels(frame) for frame in labels)
    found = Segmentation(raw, image, (Category(1, "disc"),), settings, {})
    return found.instances, {child: parent for child, (parent,) in found.lineage.items()}


def greedy(labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """Link the two nearest of neighbouring frames, then the next two, up to a distance."""
    tracks = np.zeros_like(labels)
    before: list[tuple[Any, int]] = []
    total = 0
    for t, frame in enumerate(labels):
        regions = regionprops(frame)
        numbers = [0] * len(regions)
        if before and regions:
            ways = cdist([place for place, _ in before], [r.centroid for r in regions])
            taken: set[int] = set()
            for i, j in zip(
                *np.unravel_index(np.argsort(ways, axis=None), ways.shape), strict=True
            ):
                if ways[i, j] < REACH and i not in taken and not numbers[j]:
                    numbers[j] = before[i][1]
                    taken.add(i)
        for j, region in enumerate(regions):
            if not numbers[j]:
                total += 1
                numbers[j] = total
            tracks[t][tuple(region.coords.T)] = numbers[j]
        before = [(r.centroid, n) for r, n in zip(regions, numbers, strict=True)]
    return tracks


def laptrack(labels: NDArray[np.integer], split: bool) -> Answer:
    """LapTrack on centres, as its documentation has it, with one missing frame allowed."""
    import pandas as pd
    from laptrack import LapTrack

    rows = [
        (t, region.label, *region.centroid)
        for t, frame in enumerate(labels)
        for region in regionprops(frame)
    ]
    table = pd.DataFrame(rows, columns=["frame", "label", "y", "x"])
    tracker = LapTrack(
        cutoff=REACH**2,
        gap_closing_cutoff=REACH**2,
        gap_closing_max_frame_count=2,
        splitting_cutoff=REACH**2 if split else False,
    )
    found, splits, _ = tracker.predict_dataframe(table, ["y", "x"], index_offset=1)
    return _painted(labels, found, splits)


def overlaptrack(labels: NDArray[np.integer], split: bool) -> Answer:
    """LapTrack on overlaps: its cost is 1 − IoU, up to 0.9, with one missing frame allowed."""
    from laptrack import OverLapTrack

    iou = (1, 0, -1, 0, 0)
    tracker = OverLapTrack(
        cutoff=0.9,
        gap_closing_cutoff=0.9,
        gap_closing_max_frame_count=2,
        splitting_cutoff=0.9 if split else False,
        metric_coefs=iou,
        gap_closing_metric_coefs=iou,
        splitting_metric_coefs=iou,
    )
    found, splits, _ = tracker.predict_overlap_dataframe(labels)
    found["track_id"] += 1
    return _painted(labels, found.reset_index(), splits + 1)


def _painted(labels: NDArray[np.integer], found: Any, splits: Any) -> Answer:
    """Turn LapTrack's tables into our kind of answer."""
    frames, objects = found["frame"].to_numpy(), found["label"].to_numpy()
    tracks = np.zeros_like(labels)
    numbers = found["track_id"].to_numpy()
    for t, frame in enumerate(labels):
        lookup = np.zeros(int(frame.max()) + 1, labels.dtype)
        lookup[objects[frames == t]] = numbers[frames == t]
        tracks[t] = lookup[frame]
    pairs = splits.to_numpy().tolist() if len(splits) else []
    return tracks, {int(child): int(parent) for parent, child in pairs}


if __name__ == "__main__":
    command(run, __doc__)
