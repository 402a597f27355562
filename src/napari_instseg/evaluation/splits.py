"""Objects that are cut into several, and objects that join several.

References
----------
Hoover et al., "An experimental comparison of range image segmentation algorithms", IEEE TPAMI 18
(1996), 673-689, section 4.2: over-segmentation, under-segmentation, missed, noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .overlap import Overlap

#: A part lies in an object if more than this share of its own pixels does.
INSIDE = 0.5
#: A part counts if it has at least this share of the object's pixels: crumbs do not.
PART = 0.1


def find_split(overlap: Overlap) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Find the objects of the truth that the prediction cuts into several.

    Parameters
    ----------
    overlap : Overlap
        Of objects only.

    Returns
    -------
    (N,) bool
        Over-segmented: at least two predicted objects have more than `INSIDE` of themselves in
        it, each has at least `PART` of it, and together they have more than `INSIDE` of it.
    (K,) intp
        The pairs of these objects with their parts, as places in ``overlap.rows``.
    """
    return _torn(overlap.rows, overlap.of_truth, overlap.of_predicted, len(overlap.truth))


def find_merged(overlap: Overlap) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Find the predicted objects that join several of the truth: `find_split`, sides exchanged.

    Returns
    -------
    (M,) bool
        Under-segmented.
    (K,) intp
        The pairs of these objects with their parts, as places in ``overlap.rows``.
    """
    return _torn(overlap.cols, overlap.of_predicted, overlap.of_truth, len(overlap.predicted))


def _torn(
    places: NDArray[np.int64],
    of_whole: NDArray[np.float64],
    of_part: NDArray[np.float64],
    count: int,
) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    part = (of_part > INSIDE) & (of_whole >= PART)
    parts = np.bincount(places[part], minlength=count)
    covered = np.bincount(places[part], of_whole[part], minlength=count)
    torn = (parts >= 2) & (covered > INSIDE)
    return torn, np.flatnonzero(part & torn[places])
