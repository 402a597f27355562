"""What is counted of images, and the measures that follow; counts of images can be added up."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..segmenter import InputError


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
        return _ratio(
            self.true_positives,
            self.true_positives + self.false_positives + self.false_negatives,
        )

    @property
    def precision(self) -> float:
        """TP / (TP + FP)."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """TP / (TP + FN)."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); the same as PQ's recognition quality (RQ)."""
        wrong = self.false_positives + self.false_negatives
        return _ratio(2 * self.true_positives, 2 * self.true_positives + wrong)

    @property
    def segmentation_quality(self) -> float:
        """Mean IoU of the matched pairs (SQ)."""
        return _ratio(self.iou_sum, self.true_positives)

    @property
    def panoptic_quality(self) -> float:
        """Sum of matched IoU / (TP + FP / 2 + FN / 2) (PQ; Kirillov et al., CVPR 2019)."""
        wrong = self.false_positives + self.false_negatives
        return _ratio(self.iou_sum, self.true_positives + wrong / 2)

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


@dataclass(frozen=True, slots=True)
class CategoryScore:
    """Counts of one category; add them to pool images.

    Parameters
    ----------
    name : str
    is_thing : bool
    truth_count, predicted_count : int
        Segments; of things: objects.
    count_error : int
        Sum over images of how far the number of objects is off.
    overlap, truth_pixels, predicted_pixels : int
        Pixels of this category on both sides, in the truth, in the prediction, whatever the
        object; without unlabelled ones, px.
    panoptic : Match
        By the protocol of COCO panoptic: see `evaluation.panoptic`.
    matches : dict of float to Match
        Objects by IoU threshold; none of stuff.
    """

    name: str
    is_thing: bool
    truth_count: int
    predicted_count: int
    count_error: int
    overlap: int
    truth_pixels: int
    predicted_pixels: int
    panoptic: Match
    matches: dict[float, Match]

    @property
    def iou(self) -> float:
        """Pixels on both sides / on either side; NaN without any."""
        return _ratio(self.overlap, self.truth_pixels + self.predicted_pixels - self.overlap)

    @property
    def dice(self) -> float:
        """2 · pixels on both sides / sum of both sides' pixels; NaN without any."""
        return _ratio(2 * self.overlap, self.truth_pixels + self.predicted_pixels)

    def __add__(self, other: CategoryScore) -> CategoryScore:
        return CategoryScore(
            self.name,
            self.is_thing,
            self.truth_count + other.truth_count,
            self.predicted_count + other.predicted_count,
            self.count_error + other.count_error,
            self.overlap + other.overlap,
            self.truth_pixels + other.truth_pixels,
            self.predicted_pixels + other.predicted_pixels,
            self.panoptic + other.panoptic,
            {t: match + other.matches[t] for t, match in self.matches.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """Return all numbers; None for NaN."""
        panoptic = self.panoptic.to_json()
        return {
            "name": self.name,
            "is_thing": self.is_thing,
            "truth_count": self.truth_count,
            "predicted_count": self.predicted_count,
            "count_error": self.count_error,
            "iou_pixels": known(self.iou),
            "dice": known(self.dice),
            "panoptic": {k: panoptic[k] for k in ("tp", "fp", "fn", "pq", "sq", "rq")},
            "iou": {f"{t:g}": match.to_json() for t, match in self.matches.items()},
        }


@dataclass(frozen=True, slots=True)
class Score:
    """How one image, or several pooled, compare with the truth.

    Parameters
    ----------
    name, kind : str
    images : int
        Images; of a time-lapse, frames.
    truth_count, predicted_count : int
        Objects, of all categories.
    count_error : int
        Sum over images of how far the number of objects is off.
    overlap, foreground : int
        Pixels in both foregrounds; pixels of the truth's plus of the prediction's.
    matches : dict of float to Match
        By IoU threshold, whatever the category.
    over_segmented, under_segmented : int
        Objects of the truth that are cut into several, predicted ones that join several: see
        `evaluation.errors`.
    categories : tuple of CategoryScore
    distance_sum, distances : float, int
        Sum and number of the matched pairs' boundary distances; see `evaluation.boundary`.
    ious : tuple of float
        Of the pairs that are matched at the lowest threshold.
    """

    name: str
    kind: str
    images: int
    truth_count: int
    predicted_count: int
    count_error: int
    overlap: int
    foreground: int
    matches: dict[float, Match]
    over_segmented: int = 0
    under_segmented: int = 0
    categories: tuple[CategoryScore, ...] = ()
    distance_sum: float = 0.0
    distances: int = 0
    ious: tuple[float, ...] = field(default=(), compare=False, repr=False)

    @property
    def dice(self) -> float:
        """2 · overlap / (foreground of the truth + of the prediction); NaN without any."""
        return _ratio(2 * self.overlap, self.foreground)

    @property
    def mean_average_precision(self) -> float:
        """Mean of AP over the thresholds; NaN without objects."""
        return mean(match.average_precision for match in self.matches.values())

    @property
    def mean_iou(self) -> float:
        """Mean over categories of their pixels' IoU (mIoU); NaN without any."""
        return mean(category.iou for category in self.categories)

    @property
    def mean_dice(self) -> float:
        """Mean over categories of their pixels' Dice; NaN without any."""
        return mean(category.dice for category in self.categories)

    @property
    def boundary_distance(self) -> float:
        """Mean over matched pairs; NaN where it was not measured."""
        return _ratio(self.distance_sum, self.distances)

    def panoptic(self, *, things: bool | None = None) -> dict[str, float]:
        """Mean PQ, SQ and RQ over categories that are there, as COCO panoptic has them.

        Parameters
        ----------
        things : bool, optional
            Only things, or only stuff.
        """
        found = [c.panoptic for c in self.categories if things is None or c.is_thing == things]
        # A category without a match counts with 0, one that is on neither side not at all.
        there = [m for m in found if m.true_positives + m.false_positives + m.false_negatives]
        return {
            "pq": mean(m.panoptic_quality for m in there),
            "sq": mean(m.segmentation_quality if m.true_positives else 0.0 for m in there),
            "rq": mean(m.f1 for m in there),
        }

    def to_json(self) -> dict[str, Any]:
        """Return all numbers; None for NaN."""
        panoptic = {"all": self.panoptic(), **_by_kind(self)}
        return {
            "name": self.name,
            "kind": self.kind,
            "images": self.images,
            "truth_count": self.truth_count,
            "predicted_count": self.predicted_count,
            "count_error": self.count_error,
            "map": known(self.mean_average_precision),
            "dice": known(self.dice),
            "over_segmented": self.over_segmented,
            "under_segmented": self.under_segmented,
            "boundary_distance": known(self.boundary_distance),
            "miou": known(self.mean_iou),
            "mdice": known(self.mean_dice),
            "panoptic": {n: {k: known(v) for k, v in of.items()} for n, of in panoptic.items()},
            "iou": {f"{t:g}": match.to_json() for t, match in self.matches.items()},
            "categories": [category.to_json() for category in self.categories],
        }


def _by_kind(score: Score) -> dict[str, dict[str, float]]:
    return {"things": score.panoptic(things=True), "stuff": score.panoptic(things=False)}


def pool(scores: Sequence[Score], name: str = "all", kind: str = "") -> Score:
    """Add up the counts of several images.

    Raises
    ------
    InputError
        If there is none.
    """
    if not scores:
        raise InputError("expected at least one image to pool")
    categories: dict[tuple[str, bool], CategoryScore] = {}
    for one in (category for score in scores for category in score.categories):
        key = one.name, one.is_thing
        categories[key] = categories[key] + one if key in categories else one
    return Score(
        name,
        kind,
        images=sum(s.images for s in scores),
        truth_count=sum(s.truth_count for s in scores),
        predicted_count=sum(s.predicted_count for s in scores),
        count_error=sum(s.count_error for s in scores),
        overlap=sum(s.overlap for s in scores),
        foreground=sum(s.foreground for s in scores),
        matches={t: sum((s.matches[t] for s in scores), Match()) for t in scores[0].matches},
        over_segmented=sum(s.over_segmented for s in scores),
        under_segmented=sum(s.under_segmented for s in scores),
        categories=tuple(categories.values()),
        distance_sum=sum(s.distance_sum for s in scores),
        distances=sum(s.distances for s in scores),
        ious=tuple(iou for s in scores for iou in s.ious),
    )


def mean(values: Iterable[float]) -> float:
    """Mean of what is not NaN; NaN of nothing."""
    found = [value for value in values if not math.isnan(value)]
    return _ratio(sum(found), len(found))


def known(value: float) -> float | None:
    """None for NaN, which JSON cannot hold."""
    return None if math.isnan(value) else value


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
