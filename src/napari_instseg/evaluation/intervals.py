"""How sure a measure is: intervals from images, or objects, drawn anew at random.

References
----------
Efron & Tibshirani, "An introduction to the bootstrap", 1993, chapter 13: the percentile interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .match import Match
from .scores import Score

#: Numbers drawn at a time.
BATCH = 4_000_000
#: Columns of counts.
TP, FP, FN, IOU = range(4)


@dataclass(frozen=True, slots=True)
class Intervals:
    """Where measures would lie if the images were others of their kind.

    Parameters
    ----------
    drawn : {"images", "objects"}
        What was drawn: objects where there is only one image; they are then taken as independent
        of each other, so that intervals are too narrow where errors cluster.
    level : float
        Share of draws inside.
    draws, seed : int
    values : dict of str to (float, float)
        Low and high end by measure, named as in `Score.to_json`: map, ap, precision, recall, f1,
        pq, sq at the lowest threshold, and of images, dice.
    """

    drawn: str
    level: float
    draws: int
    seed: int
    values: dict[str, tuple[float, float]]

    def to_json(self) -> dict[str, object]:
        """Return all numbers."""
        return {
            "drawn": self.drawn,
            "level": self.level,
            "draws": self.draws,
            "seed": self.seed,
            **{name: list(ends) for name, ends in self.values.items()},
        }


def find_intervals(
    scores: Sequence[Score], draws: int = 1000, seed: int = 0, level: float = 0.95
) -> Intervals | None:
    """Draw images with replacement and look how far measures spread.

    Parameters
    ----------
    scores : sequence of Score
        One an image (a frame, of a time-lapse). Of a single one, its objects are drawn instead: a
        matched pair, a missed object and a spurious one each are one.
    draws : int
        0: none.
    seed : int
        The same seed gives the same intervals.
    level : float
        In (0, 1).

    Returns
    -------
    Intervals or None
        None without draws, or where there is less than two of what is drawn.
    """
    of_images = len(scores) > 1
    counts = _of_images(scores) if of_images else _of_objects(scores[0])
    pixels = np.array([[s.overlap, s.foreground] for s in scores], np.float64)
    if draws < 1 or len(counts) < 2:
        return None
    random = np.random.default_rng(seed)
    sums, areas = [], []
    size = max(1, BATCH // len(counts))
    for start in range(0, draws, size):
        number = min(size, draws - start)
        times = random.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), number)
        sums.append(np.tensordot(times.astype(np.float64), counts, 1))
        if of_images:
            areas.append(times @ pixels)
    found = _measures(np.concatenate(sums))
    if of_images:
        overlap, foreground = np.concatenate(areas).T
        found["dice"] = _ratio(2 * overlap, foreground)
    drawn = "images" if of_images else "objects"
    return Intervals(drawn, level, draws, seed, ends_of(found, level))


def ends_of(
    found: Mapping[str, NDArray[np.float64]], level: float
) -> dict[str, tuple[float, float]]:
    """Low and high end of measures that were drawn, NaN left out; of those without any none."""
    ends = (1 - level) / 2
    return {
        name: (float(np.nanquantile(v, ends)), float(np.nanquantile(v, 1 - ends)))
        for name, v in found.items()
        if not np.isnan(v).all()
    }


def _of_images(scores: Sequence[Score]) -> NDArray[np.float64]:
    """Counts (images, thresholds, 4)."""
    return np.array([[_row(m) for m in score.matches.values()] for score in scores], np.float64)


def _row(match: Match) -> tuple[float, ...]:
    counts = match.true_positives, match.false_positives, match.false_negatives
    return (*counts, match.iou_sum)


def _of_objects(score: Score) -> NDArray[np.float64]:
    """Counts (pairs and single objects, thresholds, 4)."""
    lowest = score.matches[min(score.matches)]
    iou = np.array(score.ious)
    alone = lowest.false_positives + lowest.false_negatives
    counts = np.zeros((len(iou) + alone, len(score.matches), 4))
    for k, threshold in enumerate(score.matches):
        good = iou >= threshold
        counts[: len(iou), k, TP] = good
        counts[: len(iou), k, IOU] = iou * good
        # A pair that matches no longer leaves one object on either side.
        counts[: len(iou), k, FP] = counts[: len(iou), k, FN] = ~good
    counts[len(iou) : len(iou) + lowest.false_positives, :, FP] = 1
    counts[len(iou) + lowest.false_positives :, :, FN] = 1
    return counts


def _measures(sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Measures of each draw, from sums (draws, thresholds, 4)."""
    tp, fp, fn = sums[..., TP], sums[..., FP], sums[..., FN]
    iou = sums[..., IOU]
    return {
        "map": _ratio(tp, tp + fp + fn).mean(axis=1),
        "ap": _ratio(tp, tp + fp + fn)[:, 0],
        "precision": _ratio(tp, tp + fp)[:, 0],
        "recall": _ratio(tp, tp + fn)[:, 0],
        "f1": _ratio(2 * tp, 2 * tp + fp + fn)[:, 0],
        "pq": _ratio(iou, tp + (fp + fn) / 2)[:, 0],
        "sq": _ratio(iou, tp)[:, 0],
    }


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    nothing = np.full(part.shape, np.nan)
    return np.asarray(np.divide(part, whole, out=nothing, where=whole > 0), np.float64)
