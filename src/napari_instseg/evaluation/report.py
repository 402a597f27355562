"""How well folders of label images agree with the truth: a table and JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..io.images import is_image, read_labels, stem_of
from ..io.index import read_kinds
from ..segmenter import InputError
from .matching import THRESHOLDS
from .scores import Score, pool
from .scoring import match_labels

#: What a predicted file may be called beyond the stem of its truth.
PREDICTED_ENDINGS = ("", "_instances", "_panoptic", "_masks", "_labels")


@dataclass(frozen=True, slots=True)
class Report:
    """Scores of a folder of label images.

    Parameters
    ----------
    images : tuple of Score
        One each, in the order of their names.
    unused : tuple of str
        Label images in the folder of predictions that have no truth.
    """

    images: tuple[Score, ...]
    unused: tuple[str, ...] = ()

    @property
    def pooled(self) -> Score:
        """All images together."""
        return pool(self.images)

    @property
    def kinds(self) -> tuple[Score, ...]:
        """The images of each kind together; empty if no kind is known."""
        names = sorted({score.kind for score in self.images} - {""})
        return tuple(pool([s for s in self.images if s.kind == k], k, k) for k in names)

    def to_json(self) -> dict[str, Any]:
        """Return pooled, per-kind and per-image scores, as values that JSON can hold."""
        return {
            "thresholds": list(self.images[0].matches),
            "pooled": self.pooled.to_json(),
            "kinds": {score.kind: score.to_json() for score in self.kinds},
            "images": [score.to_json() for score in self.images],
            "unused": list(self.unused),
        }

    def to_table(self, *, per_image: bool = True) -> str:
        """Return aligned text: AP at each threshold, then P, R, F1, PQ, SQ at the first."""
        groups = [*self.kinds, self.pooled]
        rows = [_row(score) for score in groups]
        singles = [_row(score) for score in self.images] if per_image else []
        head = _head(self.images[0])
        widths = [max(len(r[i]) for r in [head, *rows, *singles]) for i in range(len(head))]
        lines = [_line(head, widths), *(_line(row, widths) for row in rows)]
        if singles:
            lines += ["", *(_line(row, widths) for row in singles)]
        return "\n".join(lines)


def _head(score: Score) -> list[str]:
    first = f"{min(score.matches):g}"
    at = [f"AP {t:g}" for t in score.matches]
    return [
        "",
        "images",
        "truth",
        "found",
        *at,
        *(f"{n} {first}" for n in ("P", "R", "F1", "PQ", "SQ")),
        "Dice",
    ]


def _row(score: Score) -> list[str]:
    first = score.matches[min(score.matches)]
    numbers = [
        *(match.average_precision for match in score.matches.values()),
        first.precision,
        first.recall,
        first.f1,
        first.panoptic_quality,
        first.segmentation_quality,
        score.dice,
    ]
    counts = (score.images, score.truth_count, score.predicted_count)
    return [
        score.name,
        *(str(n) for n in counts),
        *("-" if math.isnan(n) else f"{n:.3f}" for n in numbers),
    ]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *rest = (
        cell.rjust(width) if i else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([name, *rest]).rstrip()


def evaluate_folders(
    predicted: str | Path, truth: str | Path, thresholds: Sequence[float] = THRESHOLDS
) -> Report:
    """Compare the label images of two folders (or two label images) by name.

    Parameters
    ----------
    predicted : str or Path
        Label images named as those of the truth, whatever the format; ``a_instances.tif``
        fits ``a.png``.
    truth : str or Path
        Label images; a folder with a sub-folder ``labels`` means that one. An ``index.csv``
        in it or above it with the columns ``name`` and ``kind`` groups the images.
    thresholds : sequence of float
        IoU, in (0, 1].

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If a folder is missing or empty, a prediction is missing or cannot be told from
        another, or a pair differs in shape; the message names the files.
    """
    predicted, truth = Path(predicted), Path(truth)
    if all(path.is_file() or is_image(path) for path in (truth, predicted)):
        return Report((_compare(truth, predicted, thresholds, ""),))
    if (truth / "labels").is_dir():
        truth = truth / "labels"
    truths = _label_files(truth)
    candidates = _label_files(predicted)
    pairs = _pair(truths, candidates, predicted)
    kinds = read_kinds((truth, *truth.resolve().parents[:2]))
    used = {path for _, path in pairs}
    unused = [p.name for p in candidates if p not in used and not _is_other_output(p, used)]
    scores = [_compare(t, p, thresholds, kinds.get(stem_of(t), "")) for t, p in pairs]
    return Report(tuple(scores), tuple(unused))


def _compare(truth: Path, predicted: Path, thresholds: Sequence[float], kind: str) -> Score:
    wanted, got = read_labels(truth), read_labels(predicted)
    if wanted.shape != got.shape:
        raise InputError(
            f"{predicted}: expected the shape {wanted.shape} of {truth}, got {got.shape}"
        )
    return match_labels(wanted, got, thresholds, name=stem_of(truth), kind=kind)


def _label_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of label images (or two files)")
    files = sorted(path for path in folder.iterdir() if is_image(path))
    if not files:
        raise InputError(f"{folder}: expected label images, found none")
    return files


def _pair(
    truths: Sequence[Path], candidates: Sequence[Path], folder: Path
) -> list[tuple[Path, Path]]:
    by_stem: dict[str, list[Path]] = {}
    for path in candidates:
        by_stem.setdefault(stem_of(path), []).append(path)
    pairs, missing = [], []
    for path in truths:
        stem = stem_of(path).removesuffix("_instances")
        found = next((by_stem[stem + e] for e in PREDICTED_ENDINGS if stem + e in by_stem), [])
        if len(found) > 1:
            names = " and ".join(p.name for p in found)
            raise InputError(f"{folder}: both {names} fit {path.name}; remove one")
        if found:
            pairs.append((path, found[0]))
        else:
            missing.append(path.name)
    if missing:
        some = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise InputError(
            f"{folder}: {len(missing)} of {len(truths)} label images have no prediction ({some})"
        )
    return pairs


def _is_other_output(path: Path, used: set[Path]) -> bool:
    """Whether a file is the semantic or panoptic image of a prediction in use."""
    base, _, output = stem_of(path).rpartition("_")
    return output in ("semantic", "panoptic") and any(
        stem_of(other) == f"{base}_instances" for other in used
    )
