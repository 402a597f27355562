"""Stuff beside the objects: what has no number of its own gets one a category."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..segmenter import Category, Rules
from .ids import Ids, id_type

#: First row and column, last row and column (half-open), px.
Edges = tuple[int, int, int, int]


class Stuff:
    """Counts a model's stuff window by window, then paints it.

    Parameters
    ----------
    categories : sequence of Category
        Things among them are ignored, since objects say where things are.
    rules : Rules
        How small a stuff category is left out of a plane.
    count : int
        Number of objects; segments of stuff follow, in the order of their categories' ids.
    """

    def __init__(self, categories: Sequence[Category], rules: Rules, count: int) -> None:
        self._categories = sorted((c for c in categories if not c.is_thing), key=lambda c: c.id)
        self._rules, self._count = rules, count
        #: No label is larger; and the type of labels.
        self.largest = count + len(self._categories)
        self.dtype = id_type(self.largest)
        self._areas: dict[tuple[int, Hashable], int] = {}
        self._edges: dict[tuple[int, Hashable], Edges] = {}
        self._segments: list[tuple[int, Category, int, Edges]] | None = None

    def look(
        self,
        plane: Hashable,
        origin: tuple[int, int],
        instances: Ids,
        stuff: NDArray[np.integer[Any]],
    ) -> None:
        """Count what a window has.

        Parameters
        ----------
        plane : hashable
            Names the plane; windows of one do not overlap.
        origin : (int, int)
            Row and column of the window's first pixel, px.
        instances, stuff : (H, W) integer array
            Numbers of objects, and category ids.
        """
        for category in self._categories:
            here = (stuff == category.id) & (instances == 0)
            area = int(np.count_nonzero(here))
            if area == 0:
                continue
            rows, cols = (np.flatnonzero(here.any(axis=axis)) for axis in (1, 0))
            top, left = origin
            edges = (
                *(top + int(rows[0]), left + int(cols[0])),
                *(top + int(rows[-1]) + 1, left + int(cols[-1]) + 1),
            )
            self._add((category.id, plane), area, edges)

    def include(self, other: Stuff) -> None:
        """Add what another one has counted in other windows."""
        for key, area in other._areas.items():
            self._add(key, area, other._edges[key])

    def _add(self, key: tuple[int, Hashable], area: int, edges: Edges) -> None:
        before = self._edges.get(key)
        self._areas[key] = self._areas.get(key, 0) + area
        self._edges[key] = edges if before is None else _around([before, edges])
        self._segments = None

    def segments(self) -> list[tuple[int, Category, int, Edges]]:
        """List the segments: number, category, area (px), and bounds over all planes."""
        # Windows ask for them one after the other, once all are counted.
        if self._segments is None:
            self._segments = self._list()
        return self._segments

    def _list(self) -> list[tuple[int, Category, int, Edges]]:
        found: list[tuple[int, Category, int, Edges]] = []
        for category in self._categories:
            planes = [p for i, p in self._areas if i == category.id and self._shown(i, p)]
            if planes:
                keys = [(category.id, plane) for plane in planes]
                area = sum(self._areas[key] for key in keys)
                number = self._count + len(found) + 1
                found.append((number, category, area, _around([self._edges[k] for k in keys])))
        return found

    def _shown(self, category_id: int, plane: Hashable) -> bool:
        return self._areas.get((category_id, plane), 0) >= max(1, self._rules.min_stuff_area)

    def paint(
        self,
        plane: Hashable,
        stuff: NDArray[np.integer[Any]],
        semantic: NDArray[np.int32],
        panoptic: Ids,
    ) -> None:
        """Paint a window's stuff where there are no objects, after all windows were counted.

        Parameters
        ----------
        plane : hashable
        stuff : (H, W) integer array
            Category ids.
        semantic, panoptic : (H, W) int32, (H, W) array of `dtype`
            With the objects; painted on.
        """
        free = panoptic == 0
        for number, category, *_ in self.segments():
            if self._shown(category.id, plane):
                here = free & (stuff == category.id)
                panoptic[here] = number
                semantic[here] = category.id


def _around(edges: Sequence[Edges]) -> Edges:
    tops, lefts, bottoms, rights = zip(*edges, strict=True)
    return min(tops), min(lefts), max(bottoms), max(rights)
