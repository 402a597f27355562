"""Link the objects of frames into tracks through time, which may divide.

Three steps, each a linear assignment that SciPy solves: which links, of all that may be, cost
the least together. First objects of neighbouring frames are linked one to one. Then ends of what
came of it are linked to beginnings over frames in which an object was missed; and, if asked for,
beginnings to objects that divide, at the same time, so that the two compete.

A link costs between 0 (same place, same pixels) and 1 (as far as an object may go, nothing
shared); no link costs 1.

References
----------
Jaqaman et al., "Robust single-particle tracking in live-cell time-lapse sequences", Nature
Methods 5, 2008: the two assignments. LapTrack (Fukai & Kawaguchi, Bioinformatics 39, 2023) makes
the same ones, with a call of Python for each pair of objects; see ``benchmarks/tracking.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from .arrays import joined
from .linking import by_first_use, heaviest

#: Area of two daughters together, as a multiple of what divides.
DAUGHTERS = (0.4, 1.6)
#: How much larger one daughter may be than the other.
UNLIKE = 1.8
#: Pixels that pairs of objects share: (P,) i and j to (P,) px.
Shared: TypeAlias = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class TrackRules:
    """What may be one object, or its daughter.

    A link over ``n`` frames (1: neighbouring ones) between objects whose centres are ``d`` apart
    costs ``(1 - overlap) * d² / (n * distance²) + overlap * (1 - IoU)``, and may be made if
    ``d² < n * distance²``: what wanders goes farther with the root of time.

    What divides has a link to one daughter already. The other one begins in the same frame, is
    no farther away than ``distance``, and looks like it: see `DAUGHTERS` and `UNLIKE`. The cost
    is that of a link to both as one object, whose centre may be half as far away.

    Parameters
    ----------
    distance : float
        px, above 0.
    overlap : float
        Share of overlap in the cost, in [0, 1]; the rest is distance.
    max_gap : int
        Frames in a row that an object may be missing in, 0 or more.
    split : bool
        Whether objects divide.
    """

    distance: float
    overlap: float = 0.5
    max_gap: int = 1
    split: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """N objects of frames.

    Parameters
    ----------
    frame : (N,) int64
        From 0.
    kind : (N,) int64
        Objects of different kinds are never one.
    center : (N, D) float64
        px, of equal size along all D axes.
    area : (N,) int64
        px.
    """

    frame: NDArray[np.int64]
    kind: NDArray[np.int64]
    center: NDArray[np.float64]
    area: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """How N objects of frames hang together.

    Parameters
    ----------
    track : (N,) int64
        Which track each belongs to, 0..K-1, in the order in which they first come.
    parent : (K,) int64
        Track that a track comes from by division; -1 for none.
    """

    track: NDArray[np.int64]
    parent: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Links that may be made, from objects of one frame to those of later ones."""

    i: NDArray[np.int64]
    j: NDArray[np.int64]
    cost: NDArray[np.float64]

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> _Pairs:
        """Select some."""
        return _Pairs(self.i[which], self.j[which], self.cost[which])


def track(objects: Objects, shared: Shared, rules: TrackRules) -> Tracks:
    """Link objects into tracks.

    Parameters
    ----------
    objects : Objects
    shared : callable
        Pixels that pairs of objects share, if their frames are laid on top of one another.
    rules : TrackRules

    Returns
    -------
    Tracks
        Of links that cost the same together, those of the first objects.

    Examples
    --------
    >>> frame, kind, area = np.array([0, 1, 2]), np.zeros(3, int), np.ones(3, int)
    >>> objects = Objects(frame, kind, np.array([[0.0], [1.0], [9.0]]), area)
    >>> track(objects, lambda i, j: 0 * i, TrackRules(3.0)).track
    array([0, 0, 1])
    """
    count = len(objects.frame)
    after, before = np.full((2, count), -1, np.int64)
    for pairs in _apart(objects, shared, rules, 1, after < 0, before < 0):
        links = _cheapest(pairs)
        after[links.i], before[links.j] = links.j, links.i
    ends, begins = after < 0, before < 0
    late = [_joined_pairs(_apart(objects, shared, rules, n, ends, begins)) for n in _gaps(rules)]
    if rules.split:
        late.append(_divisions(objects, shared, rules, after, begins))
    links = _cheapest(_joined_pairs(late))
    divides = after[links.i] >= 0
    mothers, others = links.i[divides], links.j[divides]
    after[links.i[~divides]] = links.j[~divides]
    daughters = np.concatenate([after[mothers], others])
    after[mothers] = -1
    return _tracks(after, daughters, np.tile(mothers, 2))


def _gaps(rules: TrackRules) -> range:
    """How many frames apart objects may be beside neighbouring ones."""
    return range(2, rules.max_gap + 2)


def _tracks(
    after: NDArray[np.int64], daughters: NDArray[np.int64], mothers: NDArray[np.int64]
) -> Tracks:
    """Number what hangs together: each object's next one, and who comes from whom."""
    i = np.flatnonzero(after >= 0)
    graph = sparse.coo_array((np.ones(len(i), np.int8), (i, after[i])), (len(after),) * 2)
    number = by_first_use(connected_components(graph, directed=False)[1])
    parent = np.full(int(number.max(initial=-1)) + 1, -1, np.int64)
    parent[number[daughters]] = number[mothers]
    return Tracks(number, parent)


def _apart(
    objects: Objects,
    shared: Shared,
    rules: TrackRules,
    apart: int,
    ends: NDArray[np.bool_],
    begins: NDArray[np.bool_],
) -> list[_Pairs]:
    """Links of chosen objects to those that are some frames later, one item a frame."""
    reach = rules.distance * np.sqrt(apart)
    found = []
    for frame in range(int(objects.frame.max(initial=-1)) + 1 - apart):
        here = np.flatnonzero(ends & (objects.frame == frame))
        there = np.flatnonzero(begins & (objects.frame == frame + apart))
        i, j, way = _near(objects, here, there, reach)
        cost = _cost(rules, way / reach, _iou(objects, i, j, shared(i, j)))
        pairs = _Pairs(i, j, cost)
        found.append(pairs.take(cost < 1))
    return found


def _near(
    objects: Objects, here: NDArray[np.intp], there: NDArray[np.intp], reach: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Pairs of one kind nearer than a distance, sorted, and how far they are apart."""
    if not len(here) or not len(there):
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    first, second = KDTree(objects.center[here]), KDTree(objects.center[there])
    pairs = first.sparse_distance_matrix(second, reach, output_type="ndarray")
    pairs = pairs[np.lexsort((pairs["j"], pairs["i"]))]
    i, j, way = here[pairs["i"]].astype(np.int64), there[pairs["j"]].astype(np.int64), pairs["v"]
    good = (objects.kind[i] == objects.kind[j]) & (way < reach)
    return i[good], j[good], way[good]


def _divisions(
    objects: Objects,
    shared: Shared,
    rules: TrackRules,
    after: NDArray[np.int64],
    begins: NDArray[np.bool_],
) -> _Pairs:
    """Links of objects that have a next one to a beginning that may be its other daughter."""
    area, center = objects.area, objects.center
    nothing = _Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    found = [nothing]
    for frame in range(int(objects.frame.max(initial=0))):
        here = np.flatnonzero((after >= 0) & (objects.frame == frame))
        there = np.flatnonzero(begins & (objects.frame == frame + 1))
        m, s, _ = _near(objects, here, there, rules.distance)
        k = after[m]
        both = area[k] + area[s]
        alike = np.maximum(area[k], area[s]) <= UNLIKE * np.minimum(area[k], area[s])
        low, high = DAUGHTERS
        good = alike & (both >= low * area[m]) & (both <= high * area[m])
        m, s, k, both = m[good], s[good], k[good], both[good]
        middle = (area[k, None] * center[k] + area[s, None] * center[s]) / both[:, None]
        way = 2 * np.linalg.norm(middle - center[m], axis=1) / rules.distance
        common = shared(m, k) + shared(m, s)
        cost = _cost(rules, way, common / np.maximum(area[m] + both - common, 1))
        found.append(_Pairs(m, s, cost).take((cost < 1) & (way < 1)))
    return _joined_pairs(found)


def _cost(
    rules: TrackRules, way: NDArray[np.float64], iou: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Cost of links, given ways as shares of the farthest."""
    return (1 - rules.overlap) * way**2 + rules.overlap * (1 - iou)


def _iou(
    objects: Objects, i: NDArray[np.int64], j: NDArray[np.int64], shared: NDArray[np.int64]
) -> NDArray[np.float64]:
    iou: NDArray[np.float64] = shared / np.maximum(objects.area[i] + objects.area[j] - shared, 1)
    return iou


def _joined_pairs(parts: list[_Pairs]) -> _Pairs:
    return _Pairs(
        joined([part.i for part in parts], np.int64),
        joined([part.j for part in parts], np.int64),
        joined([part.cost for part in parts], np.float64),
    )


def _cheapest(pairs: _Pairs) -> _Pairs:
    """Choose the one-to-one links that cost the least, if no link costs 1."""
    _, i, times_i = np.unique(pairs.i, return_inverse=True, return_counts=True)
    _, j, times_j = np.unique(pairs.j, return_inverse=True, return_counts=True)
    chosen = (times_i[i] == 1) & (times_j[j] == 1)
    contested = np.flatnonzero(~chosen)
    if len(contested):
        best = heaviest(i[contested], j[contested], 1 - pairs.cost[contested])
        chosen[contested[best]] = True
    return pairs.take(chosen)
