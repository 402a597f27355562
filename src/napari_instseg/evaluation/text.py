"""Scores as aligned text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .scores import CategoryScore, Score

if TYPE_CHECKING:
    from .intervals import Intervals
    from .report import Report

#: Of more thresholds than this, only tenths get a column.
COLUMNS = 6


def number(value: float) -> str:
    """Three digits; "-" for NaN."""
    return "-" if math.isnan(value) else f"{value:.3f}"


def score_table(groups: Sequence[Score], singles: Sequence[Score]) -> str:
    """Align a row for each group of images, then one for each image."""
    shown = list(groups[-1].matches)
    if len(shown) > COLUMNS:
        shown = [t for t in shown if math.isclose(t * 10, round(t * 10))]
    rows = [_head(groups[-1], shown), *(_row(score, shown) for score in groups)]
    lines = align([*rows, *(_row(score, shown) for score in singles)])
    if singles:
        lines.insert(len(rows), "")
    return "\n".join(lines)


def _head(score: Score, shown: Sequence[float]) -> list[str]:
    first = f"{min(score.matches):g}"
    return [
        *("", "images", "truth", "found", "mAP"),
        *(f"AP {t:g}" for t in shown),
        *(f"{n} {first}" for n in ("P", "R", "F1", "PQ", "SQ")),
        *("Dice", "split", "merged"),
    ]


def _row(score: Score, shown: Sequence[float]) -> list[str]:
    first = score.matches[min(score.matches)]
    numbers = [
        score.mean_average_precision,
        *(score.matches[t].average_precision for t in shown),
        first.precision,
        first.recall,
        first.f1,
        first.panoptic_quality,
        first.segmentation_quality,
        score.dice,
    ]
    counts = (score.images, score.truth_count, score.predicted_count)
    torn = (score.over_segmented, score.under_segmented)
    return [score.name, *map(str, counts), *map(number, numbers), *map(str, torn)]


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align columns: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def details(report: Report) -> Iterator[str]:
    """Say what the table of scores has no room for, line by line."""
    pooled = report.pooled
    if len(pooled.categories) > 1:
        yield from ("", *align(category_rows(pooled)))
    yield ""
    if report.intervals is not None:
        yield _in_words(report.intervals)
    if report.coco is not None:
        coco = report.coco
        named = {"AP": coco.ap, "AP50": coco.ap50, "AP75": coco.ap75, "AR": coco.ar}
        named |= {f"AP {size}": value for size, value in coco.ap_by_size.items()}
        values = ", ".join(f"{name} {number(value)}" for name, value in named.items())
        without = "" if coco.has_scores else " (all scores are equal)"
        yield f"COCO: {values}{without}"
        if coco.intervals is not None:
            yield f"COCO: {_in_words(coco.intervals)}"
    if pooled.distances:
        yield f"Mean boundary distance: {pooled.boundary_distance:.3f} {report.unit}"
    counts = report.error_counts
    first = f"{min(pooled.matches):g}"
    wrong = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    yield f"Errors at IoU {first}: {wrong or 'none'}; count off by {pooled.count_error}"


def _in_words(intervals: Intervals) -> str:
    ends = (f"{name} {low:.3f}-{high:.3f}" for name, (low, high) in intervals.values.items())
    return (
        f"{intervals.level:.0%} intervals ({intervals.draws} draws of {intervals.drawn}, seed "
        f"{intervals.seed}): {', '.join(ends)}"
    )


def category_rows(score: Score) -> list[list[str]]:
    """A heading, a row for each category, and means as COCO panoptic has them."""
    first = min(score.matches)
    rows = [
        ["", "truth", "found", f"AP {first:g}", "PQ", "SQ", "RQ", "IoU", "Dice"],
        *(_category_row(category, first) for category in score.categories),
    ]
    means = [("mean", None), ("things", True), ("stuff", False)]
    if all(category.is_thing for category in score.categories):
        means = means[:1]
    for name, things in means:
        panoptic = score.panoptic(things=things)
        pixels = [score.mean_iou, score.mean_dice] if things is None else [math.nan] * 2
        rows.append([name, "", "", "", *map(number, panoptic.values()), *map(number, pixels)])
    return rows


def _category_row(category: CategoryScore, first: float) -> list[str]:
    panoptic = category.panoptic
    numbers = (
        category.matches[first].average_precision if category.is_thing else math.nan,
        panoptic.panoptic_quality,
        panoptic.segmentation_quality,
        panoptic.f1,
        category.iou,
        category.dice,
    )
    counts = category.truth_count, category.predicted_count
    return [category.name, *map(str, counts), *map(number, numbers)]
