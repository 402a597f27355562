"""Objects that were matched, missed and made up, and the measures that follow."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Match:
    """Counts at one IoU threshold; add them to pool images.

    Parameters
    ----------
    true_positives, false_positives, false_negatives : int
    iou_sum : float
        Of the matched pairs.

    Notes
    -----
    A ratio without anything to count (no object in the truth, none predicted) is NaN.

    Examples
    --------
    >>> match = Match(3, 1, 0, 2.4) + Match(1, 0, 1, 0.6)
    >>> round(match.average_precision, 3), match.precision, round(match.panoptic_quality, 3)
    (0.667, 0.8, 0.6)
    """

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0
    iou_sum: float = 0.0

    def __add__(self, other: Match) -> Match:
        return Match(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
            self.iou_sum + other.iou_sum,
        )

    @property
    def average_precision(self) -> float:
        """TP / (TP + FP + FN)."""
        return ratio(
            self.true_positives,
            self.true_positives + self.false_positives + self.false_negatives,
        )

    @property
    def precision(self) -> float:
        """TP / (TP + FP)."""
        return ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """TP / (TP + FN)."""
        return ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); the same as PQ's recognition quality (RQ)."""
        wrong = self.false_positives + self.false_negatives
        return ratio(2 * self.true_positives, 2 * self.true_positives + wrong)

    @property
    def segmentation_quality(self) -> float:
        """Mean IoU of the matched pairs (SQ)."""
        return ratio(self.iou_sum, self.true_positives)

    @property
    def panoptic_quality(self) -> float:
        """Sum of matched IoU / (TP + FP / 2 + FN / 2) (PQ; Kirillov et al., CVPR 2019)."""
        wrong = self.false_positives + self.false_negatives
        return ratio(self.iou_sum, self.true_positives + wrong / 2)

    def to_json(self) -> dict[str, Any]:
        """Return counts and ratios; None for NaN."""
        ratios = {
            "ap": self.average_precision,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "pq": self.panoptic_quality,
            "sq": self.segmentation_quality,
            "rq": self.f1,
        }
        counts = {
            "tp": self.true_positives,
            "fp": self.false_positives,
            "fn": self.false_negatives,
        }
        return {**counts, **{k: known(v) for k, v in ratios.items()}}


def mean(values: Iterable[float]) -> float:
    """Mean of what is not NaN; NaN of nothing."""
    found = [value for value in values if not math.isnan(value)]
    return ratio(sum(found), len(found))


def known(value: float) -> float | None:
    """None for NaN, which JSON cannot hold."""
    return None if math.isnan(value) else value


def ratio(part: float, whole: float) -> float:
    """Return a share; NaN of nothing."""
    return part / whole if whole else math.nan
