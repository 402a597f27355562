"""COCO's AP and AR, with the matching and accumulation of faster-coco-eval.

COCO's own code reads masks; here the IoU of each pair is known already from the label images, so
no mask is made, whatever the size and the number of dimensions.

References
----------
https://cocodataset.org/#detection-eval; https://github.com/MiXaiLL76/faster_coco_eval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray
from scipy import sparse

from .comparison import Comparison
from .intervals import Intervals, ends_of
from .match import known
from .matching import group_pairs

#: Objects of a picture are handed over in groups that do not touch, of about so many.
BUNDLE = 256
#: All draws together look at so many objects at most, but there are so many draws.
MOST_LOOKS, LEAST_DRAWS = 1_000_000, 100
#: Names of `COCOeval`'s sizes: areas up to 32², up to 96², and above, px.
SIZES = ("all", "small", "medium", "large")


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """A group of objects: their annotations, and the IoU of truth (rows) and prediction."""

    truth: list[dict[str, Any]]
    predicted: list[dict[str, Any]]
    iou: sparse.csr_array


@dataclass(frozen=True, slots=True)
class CocoScore:
    """COCO's measures; NaN where there is no object.

    Parameters
    ----------
    ap, ap50, ap75 : float
        Mean over categories of the area under the precision-recall curve: mean of IoU 0.5 to
        0.95, at 0.5, at 0.75.
    ar : float
        Recall, mean of IoU 0.5 to 0.95 and categories.
    ap_by_size, ar_by_size : dict of str to float
        Of small (up to 32² px), medium (up to 96²) and large objects; empty for volumes.
    ap_by_category : dict of str to float
    objects : int
        The most objects of a picture: none is left out, as COCO does from 100 on.
    has_scores : bool
        Whether objects have scores of their own; else all are equal, and AP says only how
        precision and recall are at that one point.
    intervals : Intervals, optional
        Of ap, ap50, ap75 and ar.
    """

    ap: float
    ap50: float
    ap75: float
    ar: float
    ap_by_size: dict[str, float]
    ar_by_size: dict[str, float]
    ap_by_category: dict[str, float]
    objects: int
    has_scores: bool
    intervals: Intervals | None = None

    def to_json(self) -> dict[str, Any]:
        """Return all numbers; None for NaN."""
        return {
            "ap": known(self.ap),
            "ap50": known(self.ap50),
            "ap75": known(self.ap75),
            "ar": known(self.ar),
            **{f"ap_{size}": known(value) for size, value in self.ap_by_size.items()},
            **{f"ar_{size}": known(value) for size, value in self.ar_by_size.items()},
            "categories": {name: known(value) for name, value in self.ap_by_category.items()},
            "max_objects": self.objects,
            "has_scores": self.has_scores,
            "intervals": None if self.intervals is None else self.intervals.to_json(),
        }


def coco_score(
    comparisons: Sequence[Comparison], draws: int = 0, seed: int = 0, level: float = 0.95
) -> CocoScore:
    """Evaluate predicted objects as COCO does.

    Parameters
    ----------
    comparisons : sequence of Comparison
        One an image: a plane or volume.
    draws, seed, level
        See `intervals.find_intervals`; of many objects there are fewer draws, but
        `LEAST_DRAWS`. A single image has no intervals.

    Returns
    -------
    CocoScore

    Notes
    -----
    Matching never looks beyond objects that touch, and precision only at the order of scores: so
    groups of objects are handed over as pictures of their own, with ranks for scores, in the
    order in which COCO takes equal ones. The result is the same, and memory grows with the
    number of objects, not with its square.
    """
    names, pictures, images = _pictures(comparisons)
    counted = _Counted(names, pictures)
    most = max((len(one.predicted_areas) for one in (c.objects for c in comparisons)), default=0)
    counted.params.maxDets = [max(1, most)]
    counted.evaluate()
    counted.accumulate()
    precision, recall = (counted.eval[key][..., 0] for key in ("precision", "recall"))
    planes = all("Z" not in c.axes for c in comparisons)
    sizes = {name: k for k, name in enumerate(SIZES[1:], start=1)} if planes else {}
    return CocoScore(
        *_main(precision[..., 0], recall[..., 0]),
        {name: _mean(precision[..., k]) for name, k in sizes.items()},
        {name: _mean(recall[..., k]) for name, k in sizes.items()},
        {name: _mean(precision[:, :, i, 0]) for i, name in enumerate(names)},
        most,
        any(c.has_scores for c in comparisons),
        _intervals(counted, images, len(comparisons), draws, seed, level),
    )


def _main(
    precision: NDArray[np.float64], recall: NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """AP, AP50, AP75 and AR of precisions (IoU, recall, category) and recalls (IoU, category)."""
    return _mean(precision), _mean(precision[0]), _mean(precision[5]), _mean(recall)


def _intervals(
    counted: _Counted, images: NDArray[np.intp], count: int, draws: int, seed: int, level: float
) -> Intervals | None:
    """Draw images, with the groups of objects that each one has."""
    objects = sum(len(picture.predicted) for picture in counted.pictures)
    draws = min(draws, max(LEAST_DRAWS, MOST_LOOKS // max(1, objects)))
    if draws < 1 or count < 2 or not counted.pictures:
        return None
    random = np.random.default_rng(seed)
    order = np.argsort(images, kind="stable")
    groups = np.split(order, np.searchsorted(images[order], np.arange(1, count)))
    found = []
    for _ in range(draws):
        drawn = np.concatenate([groups[i] for i in random.integers(0, count, count)])
        found.append(_main(*counted.of(drawn.tolist())))
    named = dict(zip(("ap", "ap50", "ap75", "ar"), np.transpose(found), strict=True))
    return Intervals("images", level, draws, seed, ends_of(named, level))


class _Counted(COCOeval_faster):  # type: ignore[misc]
    """COCO's evaluation with IoUs that are known already."""

    # What the library keeps between matching and adding up.
    _evalImgs_cpp: list[Any]  # noqa: N815
    _paramsEval: Any  # noqa: N815

    def __init__(self, names: Sequence[str], pictures: Sequence[_Picture]) -> None:
        self.pictures = pictures
        sides = [_dataset(names, [getattr(p, s) for p in pictures]) for s in ("truth", "predicted")]
        # Of the kinds that it knows, "bbox" is the one that asks for no masks.
        super().__init__(*sides, "bbox", separate_eval=True, print_function=lambda *args: None)

    def of(self, drawn: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Precision and recall of objects of all sizes, as if these pictures were there.

        Parameters
        ----------
        drawn : sequence of int
            Places in ``pictures``, some several times.
        """
        # By category, then size, then picture.
        matched, params = self._evalImgs_cpp, self._paramsEval
        count, sizes = len(self.pictures), len(params.areaRng)
        again = copy(params)
        again.imgIds, again.areaRng = [*range(1, len(drawn) + 1)], params.areaRng[:1]
        starts = range(0, len(matched), count * sizes)
        self._evalImgs_cpp = [matched[start + i] for start in starts for i in drawn]
        self._paramsEval = again
        self.accumulate()
        self._evalImgs_cpp, self._paramsEval = matched, params
        return self.eval["precision"][..., 0, 0], self.eval["recall"][..., 0, 0]

    def computeIoU(self, imgId: int, catId: int) -> NDArray[np.float64] | list[float]:  # noqa: N802, N803
        """IoU of a picture's objects of a category, the best score first."""
        picture = self.pictures[imgId - 1]
        rows, cols = (
            [a["place"] for a in side if a["category_id"] == catId]
            for side in (picture.truth, picture.predicted)
        )
        if not rows or not cols:
            return []
        ranks = np.array([picture.predicted[i]["score"] for i in cols])
        best = np.array(cols)[np.argsort(-ranks, kind="stable")]
        return np.ascontiguousarray(picture.iou[rows][:, best].toarray().T)


def _dataset(names: Sequence[str], annotations: Sequence[list[dict[str, Any]]]) -> Any:
    data = COCO()
    data.dataset = {
        "images": [{"id": i, "height": 1, "width": 1} for i in range(1, len(annotations) + 1)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, start=1)],
        "annotations": [
            {**one, "id": number, "image_id": picture}
            for number, (picture, one) in enumerate(
                ((p, a) for p, side in enumerate(annotations, start=1) for a in side), start=1
            )
        ],
    }
    data.createIndex()
    return data


def _pictures(
    comparisons: Sequence[Comparison],
) -> tuple[list[str], list[_Picture], NDArray[np.intp]]:
    """Names of the categories that are there, groups of objects that do not touch, their images."""
    scores = [c.predicted.scores[c.predicted.is_thing] for c in comparisons]
    every = np.concatenate([np.empty(0), *scores])
    ranks = np.empty(len(every))
    ranks[np.argsort(-every, kind="stable")] = np.arange(len(every), 0, -1)
    ids: dict[str, int] = {}
    start, of_images = 0, []
    for comparison, own in zip(comparisons, scores, strict=True):
        of_images.append(_bundles(comparison, ranks[start : start + len(own)], ids))
        start += len(own)
    images = np.repeat(np.arange(len(of_images)), [len(some) for some in of_images])
    return list(ids), [one for some in of_images for one in some], images


def _bundles(
    comparison: Comparison, ranks: NDArray[np.float64], ids: dict[str, int]
) -> list[_Picture]:
    """Cut the objects of a comparison into groups; note new categories in ``ids``."""
    truth, predicted = comparison.truth, comparison.predicted
    overlap = comparison.overlap.take(truth.is_thing, predicted.is_thing)
    crowd = truth.is_crowd[truth.is_thing]
    shape = len(overlap.truth), len(overlap.predicted)
    count, group = group_pairs(overlap.rows, overlap.cols, shape)
    bundle = (np.cumsum(np.bincount(group, minlength=count)) - 1) // BUNDLE
    iou = np.where(crowd[overlap.rows], overlap.of_predicted, overlap.iou)
    table = sparse.csr_array((iou, (overlap.rows, overlap.cols)), shape)
    sides = (
        _annotations(comparison, truth.categories[truth.is_thing], overlap.truth_areas, ids),
        _annotations(
            comparison, predicted.categories[predicted.is_thing], overlap.predicted_areas, ids
        ),
    )
    for i in np.flatnonzero(crowd):
        sides[0][i]["iscrowd"] = 1
    for annotation, rank in zip(sides[1], ranks.tolist(), strict=True):
        annotation["score"] = rank
    of_truth, of_predicted = bundle[group[: shape[0]]], bundle[group[shape[0] :]]
    found = []
    for number in np.unique(bundle):
        rows, cols = np.flatnonzero(of_truth == number), np.flatnonzero(of_predicted == number)
        inside = table[rows][:, cols]
        found.append(_Picture(_numbered(sides[0], rows), _numbered(sides[1], cols), inside))
    return found


def _annotations(
    comparison: Comparison,
    categories: NDArray[np.int64],
    areas: NDArray[np.int64],
    ids: dict[str, int],
) -> list[dict[str, Any]]:
    named = [comparison.names[place] for place in categories]
    return [
        {
            "category_id": ids.setdefault(name, len(ids) + 1),
            "area": float(area),
            "iscrowd": 0,
            "bbox": [0, 0, 1, 1],
        }
        for name, area in zip(named, areas.tolist(), strict=True)
    ]


def _numbered(side: list[dict[str, Any]], places: NDArray[np.intp]) -> list[dict[str, Any]]:
    return [{**side[place], "place": number} for number, place in enumerate(places.tolist())]


def _mean(values: NDArray[np.float64]) -> float:
    """Mean of what COCO could measure; the rest is -1."""
    found = values[values > -1]
    return float(found.mean()) if found.size else math.nan
