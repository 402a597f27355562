"""The score of one image, from the labels of both sides laid side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .comparing import compare_arrays
from .comparison import Comparison
from .match import Match
from .matching import THRESHOLDS, check_thresholds, match_pairs
from .overlap import Overlap
from .panoptic import category_pixels, panoptic_matches
from .scores import CategoryScore, Score
from .splits import find_merged, find_split


def match_labels(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    name: str = "",
    kind: str = "",
) -> Score:
    """Compare two label images.

    Parameters
    ----------
    truth, predicted : bool or integer arrays of the same shape, any number of dimensions
        0 is nothing; every other number is one object.
    thresholds : sequence of float
        In (0, 1]: pairs with at least this IoU may match.
    name, kind : str
        Kept in the result.

    Returns
    -------
    Score
        See `match_pairs` on how objects are paired.

    Raises
    ------
    InputError
        If shapes differ, or a threshold is out of range.
    """
    thresholds = check_thresholds(thresholds)
    return score_of(compare_arrays(truth, predicted, name=name, kind=kind), thresholds)


def score_of(
    comparison: Comparison,
    thresholds: Sequence[float] = THRESHOLDS,
    distances: Sequence[float] = (),
) -> Score:
    """Count what is right and wrong.

    Parameters
    ----------
    comparison : Comparison
    thresholds : sequence of float
        IoU, in (0, 1].
    distances : sequence of float
        Boundary distances of the pairs that match at the lowest threshold, if they were measured.

    Returns
    -------
    Score
    """
    objects, excused = comparison.objects, comparison.excused[comparison.kept[1]]
    lowest = match_pairs(objects, min(thresholds))
    matches = _matches(objects, excused, thresholds)
    counted = _predicted_count(matches, min(thresholds))
    overlap = int(objects.shared.sum())
    kept = comparison.kept[1]
    found = comparison.overlap.predicted_areas[kept] - comparison.ignored_pixels[kept]
    return Score(
        comparison.name,
        comparison.kind,
        images=1,
        truth_count=len(objects.truth),
        predicted_count=counted,
        count_error=abs(len(objects.truth) - counted),
        overlap=overlap,
        foreground=int(objects.truth_areas.sum() + found.sum()),
        matches=matches,
        over_segmented=int(find_split(objects)[0].sum()),
        under_segmented=int(find_merged(objects)[0].sum()),
        categories=_categories(comparison, matches),
        distance_sum=float(sum(distances)),
        distances=len(distances),
        ious=tuple(objects.iou[lowest].tolist()),
    )


def _matches(
    overlap: Overlap, excused: NDArray[np.bool_], thresholds: Sequence[float]
) -> dict[float, Match]:
    return {t: _match(overlap, excused, t) for t in thresholds}


def _match(overlap: Overlap, excused: NDArray[np.bool_], threshold: float) -> Match:
    pairs = match_pairs(overlap, threshold)
    wrong = ~excused
    wrong[overlap.cols[pairs]] = False
    count = len(pairs)
    lost = len(overlap.truth) - count
    return Match(count, int(wrong.sum()), lost, float(overlap.iou[pairs].sum()))


def _predicted_count(matches: dict[float, Match], threshold: float) -> int:
    """Predicted objects, without those that are excused."""
    return matches[threshold].true_positives + matches[threshold].false_positives


def _categories(comparison: Comparison, matches: dict[float, Match]) -> tuple[CategoryScore, ...]:
    """Score each category that is on either side; ``matches`` are those of all objects."""
    alone = len(comparison.names) == 1
    panoptic = panoptic_matches(comparison)
    overlap, of_truth, of_predicted = category_pixels(comparison)
    found = []
    for place, (name, is_thing) in enumerate(zip(comparison.names, comparison.things, strict=True)):
        match = panoptic[place]
        own: dict[float, Match] = {}
        if is_thing:
            own = matches if alone else _matches(*comparison.of_category(place), list(matches))
        truth_count = match.true_positives + match.false_negatives
        predicted_count = match.true_positives + match.false_positives
        one = CategoryScore(
            name,
            is_thing,
            truth_count,
            predicted_count,
            abs(truth_count - predicted_count) if is_thing else 0,
            int(overlap[place]),
            int(of_truth[place]),
            int(of_predicted[place]),
            match,
            own,
        )
        if truth_count or predicted_count or one.truth_pixels or one.predicted_pixels:
            found.append(one)
    return tuple(found)
