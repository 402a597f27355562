"""PQ of each category by COCO panoptic's protocol, and pixels of each category.

References
----------
Kirillov et al., "Panoptic segmentation", CVPR 2019, sections 4.1 and 4.2; its code,
https://github.com/cocodataset/panopticapi, ``evaluation.py``, ``pq_compute_single_core``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .comparison import Comparison
from .scores import Match


def panoptic_matches(comparison: Comparison) -> list[Match]:
    """Match the segments of each category.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    list of Match
        One a category.

    Notes
    -----
    Segments of one category with an IoU above 0.5 match; pixels of the prediction that are
    unlabelled in the truth do not count in the union. A crowd segment of the truth is neither
    matched nor missed. A segment that matches nothing is left out if more than half of it lies
    on unlabelled pixels and crowds of its category. Where unlabelled pixels are background
    (`Comparison.has_void`), they are in the union, and what lies on them is wrong.
    Unlike the reference, all crowds of a category count, not only its last one.
    """
    truth, predicted, overlap = comparison.truth, comparison.predicted, comparison.overlap
    rows, cols, shared = overlap.rows, overlap.cols, overlap.shared
    areas = overlap.predicted_areas - comparison.void_pixels
    iou = shared / (overlap.truth_areas[rows] + areas[cols] - shared)
    same = (truth.categories[rows] == predicted.categories[cols]) & (truth.categories[rows] >= 0)
    pairs = np.flatnonzero(same & (iou > 0.5) & ~truth.is_crowd[rows])
    lost = (truth.categories >= 0) & ~truth.is_crowd
    lost[rows[pairs]] = False
    extra = (predicted.categories >= 0) & ~comparison.excused
    extra[cols[pairs]] = False
    count = len(comparison.names)

    def tally(categories: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(categories, minlength=count)

    hits = truth.categories[rows[pairs]]
    sums = np.bincount(hits, iou[pairs], count)
    return [
        Match(int(tp), int(fp), int(fn), float(total))
        for tp, fp, fn, total in zip(
            tally(hits),
            tally(predicted.categories[extra]),
            tally(truth.categories[lost]),
            sums,
            strict=True,
        )
    ]


def category_pixels(
    comparison: Comparison,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Count the pixels of each category, whatever the object.

    Returns
    -------
    three (C,) int64
        On both sides, in the truth, in the prediction, px; without unlabelled ones, where these
        are void, and without crowds.
    """
    truth, predicted, overlap = comparison.truth, comparison.predicted, comparison.overlap
    kept = ~truth.is_crowd[overlap.rows]
    if comparison.has_void:
        kept &= truth.categories[overlap.rows] >= 0
    a, b = truth.categories[overlap.rows][kept], predicted.categories[overlap.cols][kept]
    shared, count = overlap.shared[kept], len(comparison.names)

    def pixels(which: NDArray[np.bool_], of: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(of[which], shared[which], count).astype(np.int64)

    return pixels((a == b) & (a >= 0), a), pixels(a >= 0, a), pixels(b >= 0, b)
