"""How far the outlines of matched objects lie apart.

References
----------
Average symmetric surface distance; Yeghiazaryan & Voiculescu, "Family of boundary overlap metrics
for the evaluation of medical image segmentation", Journal of Medical Imaging 5 (2018), 015006.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..label_set import LabelSet
from .comparison import Comparison
from .matching import match_pairs

#: Axes along which there are distances.
SPACE = "ZYX"


def distance_unit(truth: LabelSet) -> str:
    """Unit of boundary distances: µm where all pixel sizes are known, else px."""
    return "µm" if set(space_axes(truth)) <= set(truth.spacing) else "px"


def space_axes(truth: LabelSet) -> str:
    """Axes along which there are distances; a single plane has none along Z."""
    sizes = zip(truth.axes, truth.shape, strict=True)
    return "".join(axis for axis, n in sizes if axis in SPACE and (axis, n) != ("Z", 1))


def boundary_distances(
    comparison: Comparison, predicted: LabelSet, truth: LabelSet, threshold: float
) -> list[float]:
    """Measure the mean distance between the outlines of each pair that matches.

    Parameters
    ----------
    comparison : Comparison
        Of the two label sets.
    predicted, truth : LabelSet
        Read where a pair lies, one pair after the other.
    threshold : float
        Least IoU of a pair.

    Returns
    -------
    list of float
        One a pair of `match_pairs`, in `distance_unit`.
    """
    objects = comparison.objects
    pairs = match_pairs(objects, threshold)
    # Those of the objects' pairs would leave out what lies on background.
    boxes = [
        comparison.overlap.boxes_of(side)[kept]
        for side, kept in zip(("truth", "predicted"), comparison.kept, strict=True)
    ]
    space = space_axes(truth)
    apart = tuple(i for i, axis in enumerate(truth.axes) if axis not in space)
    sizes: Mapping[str, float] = truth.spacing if distance_unit(truth) == "µm" else {}
    sampling = tuple(float(sizes.get(axis, 1.0)) for axis in space)
    found = []
    for row, col in zip(objects.rows[pairs], objects.cols[pairs], strict=True):
        first = np.minimum(boxes[0][row, 0], boxes[1][col, 0])
        last = np.maximum(boxes[0][row, 1], boxes[1][col, 1])
        where = tuple(map(slice, first.tolist(), last.tolist()))
        masks = [
            np.squeeze(side.read("instances", where) == label, apart)
            for side, label in ((truth, objects.truth[row]), (predicted, objects.predicted[col]))
        ]
        found.append(mean_distance(masks[0], masks[1], sampling))
    return found


def mean_distance(a: NDArray[np.bool_], b: NDArray[np.bool_], sampling: tuple[float, ...]) -> float:
    """Mean distance from each outline to the other, of both directions.

    Parameters
    ----------
    a, b : bool arrays of one shape
        Two objects, neither of them empty; outlines are their pixels that have a neighbour (by
        a side) outside, or lie at the array's edge.
    sampling : tuple of float
        Size of a pixel along each dimension.

    Examples
    --------
    >>> line = np.array([[True, True, False, False]])
    >>> mean_distance(line, np.roll(line, 1), (1.0, 1.0))
    0.5
    """
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (a, b)]
    means = [
        ndimage.distance_transform_edt(~edges[other], sampling)[edges[mine]].mean()
        for mine, other in ((0, 1), (1, 0))
    ]
    return float(np.mean(means))
