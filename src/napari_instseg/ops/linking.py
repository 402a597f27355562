"""Link the objects of neighbouring planes into objects that reach through them.

Two masks of neighbouring planes are held against each other as if the planes lay on top of one
another. They may be one object if they share enough of their union (IoU). Towards the top and
the bottom of a round object the masks shrink to nothing, and so does the IoU: there, the smaller
mask has to lie in the larger one. Of all that may be, the one-to-one links with the largest total
IoU are made, so that two objects that touch in one plane stay two, and a speck in an object takes
it from nobody. Where the masks become smaller from both sides, one object ends and another one
begins on top of it: there the links are cut. Then ends that found no counterpart are linked over
planes in which the object was missed.

The farther apart two planes are for objects of their size, the less overlap can be expected of
what is one object; see `LinkRules`.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

from ..instances import Instances
from .arrays import joined
from .masks import corners, overlap_area
from .nesting import INSIDE, meeting

#: A mask with so many times the area of the next one is at an object's end.
TAPER = 1.1
#: Weight of score and place where the IoU of links leaves a choice.
TIE = 1e-9


@dataclass(frozen=True, slots=True)
class LinkRules:
    """What may be one object.

    With ``way`` the distance between two planes in px, and ``diameter`` that of a disc with the
    area of the smaller mask, two masks may be linked

    - if they share ``min_overlap / (1 + t)`` of their union, where ``t = (way - 1) / diameter``
      in [0, 1]: all of the overlap between planes 1 px apart, half of it where they are as far
      apart as the object is wide;
    - or if the smaller one has `nesting.INSIDE` of its pixels in the larger one;
    - not where the masks become smaller towards each other from both sides through two planes, by
      more than ``TAPER ** 2``, if ``cut_waists``: of neighbouring links of which that holds, those
      with the least IoU are cut;
    - and over missing planes only if the way is not longer than the diameter, and the masks do
      not become smaller towards them from both sides (by more than `TAPER` from plane to plane):
      where they do, one object ends and another one begins.

    Parameters
    ----------
    min_overlap : float
        IoU in (0, 1].
    max_gap : int
        Planes in a row that an object may be missing in, 0 or more.
    step : float
        Distance of neighbouring planes in px of the plane, above 0.
    cut_waists : bool
        Right for round objects, such as nuclei; not for tubes that are narrow in places.
    """

    min_overlap: float = 0.3
    max_gap: int = 1
    step: float = 1.0
    cut_waists: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Links:
    """How N objects of planes hang together.

    Parameters
    ----------
    objects : (N,) int64
        Which object each belongs to, 0..K-1; -1 for those that were left out.
    pairs : (L, 2) int64
        The two ends of each link, the lower plane first; sorted.
    iou : (L,) float64
        Of each link, in (0, 1].
    """

    objects: NDArray[np.int64]
    pairs: NDArray[np.int64]
    iou: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Masks of two planes that may be linked: their numbers in the stack, and IoU."""

    i: NDArray[np.int64]
    j: NDArray[np.int64]
    iou: NDArray[np.float64]

    @classmethod
    def join(cls, parts: Sequence[_Pairs]) -> _Pairs:
        """Put pairs of several planes together."""
        return cls(
            joined((part.i for part in parts), np.int64),
            joined((part.j for part in parts), np.int64),
            joined((part.iou for part in parts), np.float64),
        )

    def take(self, which: NDArray[np.bool_]) -> _Pairs:
        """Select some."""
        return _Pairs(self.i[which], self.j[which], self.iou[which])

    def among(self, shown: NDArray[np.bool_]) -> _Pairs:
        """Those of which both are shown."""
        return self.take(shown[self.i] & shown[self.j])


class Stack:
    """Planes in order along one axis, compared once and linked for any choice of objects.

    Parameters
    ----------
    planes : sequence of Instances
        Masks are tight. Objects are numbered through all planes, 0..N-1.
    rules : LinkRules

    Examples
    --------
    >>> plane = Instances.from_labels(np.array([[1, 1, 0, 2]]))
    >>> Stack([plane, plane], LinkRules()).link().objects
    array([0, 1, 0, 1])
    """

    def __init__(self, planes: Sequence[Instances], rules: LinkRules) -> None:
        self.rules = rules
        self.masks = [mask for plane in planes for mask in plane.masks]
        self.plane = np.repeat(np.arange(len(planes)), [len(plane) for plane in planes])
        self._depth = len(planes)
        self._bounds = corners(self.masks)
        self._areas = np.array([mask.area for mask in self.masks], np.int64)
        self._categories = joined([plane.category_ids for plane in planes], np.int64)
        self._ties = self._tie_keys(joined([plane.scores for plane in planes], np.float64))
        everything = np.ones(len(self.masks), np.bool_)
        self._neighbours = [
            self._candidates(everything, everything, z, 1) for z in range(self._depth - 1)
        ]

    def link(self, shown: NDArray[np.bool_] | None = None) -> Links:
        """Link the objects that are shown, as if there were no others.

        Parameters
        ----------
        shown : (N,) bool, optional
            None is all.

        Returns
        -------
        Links
            The same whatever the order of objects in their plane: between links of equal IoU
            the better scores decide, then the place. Objects of different categories are not
            linked.
        """
        count = len(self.masks)
        shown = np.ones(count, np.bool_) if shown is None else shown
        # What each is linked to below and above it; -1 for nothing.
        below, above = np.full((2, count), -1, np.int64)
        found = [self._join_neighbours(shown, below, above)]
        for apart in range(2, min(self.rules.max_gap + 2, self._depth)):
            # As it was before this distance, so that it does not matter which plane comes first.
            ends, begins = shown & (above < 0), shown & (below < 0)
            known = below.copy(), above.copy()
            for z in range(self._depth - apart):
                candidates = self._candidates(ends, begins, z, apart)
                links = self._assign(candidates.take(~self._shrinks(candidates, *known)))
                above[links.i], below[links.j] = links.j, links.i
                found.append(links)
        links = _Pairs.join(found)
        i, j = links.i, links.j
        order = np.lexsort((j, i))
        graph = sparse.coo_array((np.ones(len(i), np.int8), (i, j)), (count, count))
        objects = np.full(count, -1, np.int64)
        _, chains = connected_components(graph, directed=False)
        objects[shown] = by_first_use(chains[shown])
        return Links(objects, np.stack([i, j], axis=1)[order], links.iou[order])

    def _join_neighbours(
        self, shown: NDArray[np.bool_], below: NDArray[np.int64], above: NDArray[np.int64]
    ) -> _Pairs:
        """Link neighbouring planes, and note in ``below`` and ``above`` what is linked."""
        links = _Pairs.join([self._assign(pairs.among(shown)) for pairs in self._neighbours])
        above[links.i], below[links.j] = links.j, links.i
        if not self.rules.cut_waists:
            return links
        waists = self._waists(links, below, above)
        gone = links.take(waists)
        above[gone.i] = below[gone.j] = -1
        return links.take(~waists)

    def _waists(
        self, links: _Pairs, below: NDArray[np.int64], above: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Which links are the weakest where the masks become smaller from both sides."""
        narrow = self._narrows(links.i, below) & self._narrows(links.j, above)
        # Between links of equal IoU the masks decide: upside down it is the same.
        content = self._ties[0]
        strength = links.iou + TIE * ((content[links.i] + content[links.j]) % 1009)
        # Of the link that begins with each mask, if it may be cut; its neighbours in the chain
        # end with mask i, and begin with mask j.
        begun = np.full(len(self.masks), np.inf)
        begun[links.i[narrow]] = strength[narrow]
        before = np.where(below[links.i] >= 0, begun[below[links.i]], np.inf)
        return np.asarray(narrow & (strength <= before) & (strength < begun[links.j]), np.bool_)

    def _narrows(self, masks: NDArray[np.int64], way: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether masks are smaller than the next and the next but one that way."""
        one = way[masks]
        two = np.where(one >= 0, way[one], -1)
        areas = self._areas
        smaller = (areas[two] > areas[one]) & (areas[one] > areas[masks])
        return (two >= 0) & smaller & (areas[two] > TAPER**2 * areas[masks])

    def _tie_keys(self, scores: NDArray[np.float64]) -> list[NDArray[Any]]:
        """What decides between links of equal IoU; the last first, as `np.lexsort` has it."""
        content = [zlib.crc32(np.ascontiguousarray(mask.pixels).data) for mask in self.masks]
        place = self._bounds
        return [np.array(content, np.int64), self._areas, place[:, 1], place[:, 0], -scores]

    def _candidates(
        self, lower: NDArray[np.bool_], upper: NDArray[np.bool_], z: int, apart: int
    ) -> _Pairs:
        """Pairs of a plane and one above it that may be linked, of those that are chosen."""
        begin = np.searchsorted(self.plane, [z, z + 1, z + apart, z + apart + 1])
        ids = [
            np.flatnonzero(chosen[first:last]) + first
            for chosen, first, last in ((lower, *begin[:2]), (upper, *begin[2:]))
        ]
        a, b = meeting(self._bounds[ids[0]], self._bounds[ids[1]])
        i, j = ids[0][a], ids[1][b]
        same = self._categories[i] == self._categories[j]
        i, j = i[same], j[same]
        first, second = self._bounds[i], self._bounds[j]
        sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
        # No pair shares more than its boxes do: most that only touch are not looked at.
        likely = self._may_be_one(i, j, sides.prod(axis=1), apart)
        i, j = i[likely], j[likely]
        masks = self.masks
        shared = np.array(
            [overlap_area(masks[a], masks[b]) for a, b in zip(i, j, strict=True)], np.int64
        )
        good = self._may_be_one(i, j, shared, apart)
        i, j, shared = i[good], j[good], shared[good]
        return _Pairs(i, j, shared / (self._areas[i] + self._areas[j] - shared))

    def _may_be_one(
        self,
        i: NDArray[np.int64],
        j: NDArray[np.int64],
        shared: NDArray[np.int64],
        apart: int,
    ) -> NDArray[np.bool_]:
        """Whether pairs that share so many pixels (or at most so many) keep the rules."""
        rules = self.rules
        smaller = np.maximum(np.minimum(self._areas[i], self._areas[j]), 1)
        both = self._areas[i] + self._areas[j]
        way, diameter = apart * rules.step, 2 * np.sqrt(smaller / math.pi)
        needed = rules.min_overlap / (1 + np.clip((way - 1) / diameter, 0, 1))
        iou = shared / np.maximum(both - shared, 1)
        good = (iou >= needed) | (shared >= INSIDE * smaller)
        return np.asarray(good & (shared > 0) & ((apart == 1) | (way <= diameter)), np.bool_)

    def _shrinks(
        self, pairs: _Pairs, below: NDArray[np.int64], above: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Whether both get smaller towards what is between them."""
        areas, end, begin = self._areas, below[pairs.i], above[pairs.j]
        ends = (end >= 0) & (areas[end] > TAPER * areas[pairs.i])
        begins = (begin >= 0) & (areas[begin] > TAPER * areas[pairs.j])
        return np.asarray(ends & begins, np.bool_)

    def _assign(self, pairs: _Pairs) -> _Pairs:
        """Choose the one-to-one pairs with the largest total IoU."""
        _, i, times_i = np.unique(pairs.i, return_inverse=True, return_counts=True)
        _, j, times_j = np.unique(pairs.j, return_inverse=True, return_counts=True)
        chosen = (times_i[i] == 1) & (times_j[j] == 1)
        contested = np.flatnonzero(~chosen)
        if len(contested):
            ties = [key[pairs.i[contested]] + key[pairs.j[contested]] for key in self._ties]
            place = np.empty(len(contested))
            place[np.lexsort(ties)] = np.arange(1, len(contested) + 1)
            weight = pairs.iou[contested] + TIE / np.sqrt(place)
            chosen[contested[heaviest(i[contested], j[contested], weight)]] = True
        return pairs.take(chosen)


def heaviest(
    i: NDArray[np.integer], j: NDArray[np.integer], weight: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Choose one-to-one pairs with the largest total weight; some may be left without.

    Parameters
    ----------
    i, j : (P,) integer
        What is paired, from 0; each pair once.
    weight : (P,) float64
        Above 0.

    Returns
    -------
    (C,) intp
        Index of the pairs chosen, ascending.

    Notes
    -----
    SciPy's linear_sum_assignment would need all N x M weights. Its counterpart for sparse ones
    has to give each row a column: one of its own, that adds nothing, stands for none.
    """
    rows, columns = int(i.max()) + 1, int(j.max()) + 1
    own = np.arange(rows)
    weights = sparse.coo_array(
        (
            # Weights of 0 would not be there; 1 more for each row does not change the choice.
            np.concatenate([1 + weight, np.ones(rows)]),
            (np.concatenate([i, own]), np.concatenate([j, columns + own])),
        ),
        (rows, columns + rows),
    ).tocsr()
    row, column = min_weight_full_bipartite_matching(weights, maximize=True)
    partner = np.full(rows, -1)
    partner[row] = column
    return np.flatnonzero(partner[i] == j)


def by_first_use(names: NDArray[np.integer]) -> NDArray[np.int64]:
    """Number equal names 0, 1, ... in the order in which they first come."""
    _, first, inverse = np.unique(names, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)
