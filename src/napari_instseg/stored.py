"""A result whose objects lie on disk, for images larger than memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .instances import Instances
from .ops.arrays import joined
from .ops.axes import Image
from .ops.lazy import LazyLabels, Paint
from .ops.objects import Objects
from .ops.rendering import Listing, add_rows, ranked
from .ops.results import LazyParts, Shelf
from .ops.stuff import Stuff
from .ops.tiling import Tile, plan_tiles
from .ops.visibility import Overlaps, find_visible, paint_window
from .segmentation import Result
from .segmenter import USUAL_RULES, Category, Rules
from .settings import Settings

#: Edge of the windows in which stuff is counted, px.
WINDOW = 1024


class StoredPlane:
    """One plane's objects and stuff, read where they are needed.

    Parameters
    ----------
    shape : (int, int)
        Height and width, px.
    index : tuple of int
        Of the plane, along each axis of planes.
    tiles : sequence of Tile
        Those that the shelf has objects of.
    shelf : Shelf
    """

    def __init__(
        self, shape: tuple[int, int], index: tuple[int, ...], tiles: Sequence[Tile], shelf: Shelf
    ) -> None:
        self._index, self._tiles, self._shelf = index, tiles, shelf
        #: Where each tile's stuff lies, if it has any.
        self._stuff: dict[int, Tile] = {}
        self.objects = Objects(shape, LazyParts(len(tiles), self._read))
        self.overlaps = Overlaps(self.objects.bounds)

    def _read(self, number: int) -> Instances:
        result = self._shelf.objects(self._index, self._tiles[number])
        if result.semantic is not None:
            self._stuff[number] = result.core
        return result.instances

    @property
    def has_stuff(self) -> bool:
        """Whether the model had a semantic head."""
        return bool(self._stuff)

    def stuff(self, rows: slice, cols: slice) -> NDArray[np.int32]:
        """Category ids of a window; 0 is void."""
        window = Tile(rows.start, cols.start, rows.stop, cols.stop)
        found = np.zeros(window.shape, np.int32)
        for number, core in self._stuff.items():
            shared = core.intersection(window)
            if shared is None:
                continue
            semantic = self._shelf.objects(self._index, self._tiles[number]).semantic
            if semantic is not None:
                found[shared.within(window)] = semantic[shared.within(core)]
        return found


@dataclass(frozen=True, eq=False)
class StoredSegmentation(Result):
    """What `Segmentation` is, with objects on disk: label images are painted where looked at.

    Parameters
    ----------
    planes : mapping of tuple of int to StoredPlane
        Of all planes, in C order.
    image, categories, settings, details, warnings, complete, rules, seams
        See `Segmentation`.
    """

    planes: Mapping[tuple[int, ...], StoredPlane]
    image: Image
    categories: tuple[Category, ...]
    settings: Settings
    details: dict[str, Any]
    warnings: tuple[str, ...] = ()
    complete: bool = True
    rules: Rules = USUAL_RULES
    seams: pd.DataFrame = field(default_factory=pd.DataFrame)

    @cached_property
    def _listed(self) -> tuple[pd.DataFrame, dict[tuple[int, ...], NDArray[np.int32]]]:
        """Table of all objects, whatever the threshold, and their numbers in each plane."""
        image, least = self.image, self.rules.min_visible
        height, width = image.label_shape[-2:]
        objects = [plane.objects for plane in self.planes.values()]
        order, rank = ranked(objects)
        stops = np.cumsum([0, *(len(plane) for plane in objects)]).tolist()
        seen = [
            find_visible(plane.objects, plane.overlaps, rank[begin:end], least)
            for plane, (begin, end) in zip(self.planes.values(), pairwise(stops), strict=True)
        ]
        visible, area = (joined((counts[i] for counts in seen), np.int64) for i in (0, 1))
        listing = Listing(
            image.plane_shape,
            image.plane_axes,
            (height, width),
            self.categories,
            self.settings.model,
            self.rules,
        )
        table, numbers = listing.make(objects, order, visible, area)
        parts = (numbers[begin:end] for begin, end in pairwise(stops))
        return table, dict(zip(self.planes, parts, strict=True))

    @property
    def count(self) -> int:
        """Number of objects at the present threshold."""
        scores = self._listed[0]["score"].to_numpy()
        return int(np.searchsorted(-scores, -np.float32(self.score_threshold), side="right"))

    def _objects(self, index: tuple[int, ...], rows: slice, cols: slice) -> NDArray[np.int32]:
        plane, numbers = self.planes[index], self._listed[1][index]
        shown = np.where(numbers <= self.count, numbers, np.int32(0))
        return paint_window(plane.objects, plane.overlaps, shown, rows, cols)

    @cached_property
    def _stuff(self) -> Stuff:
        """All stuff, counted."""
        stuff = Stuff(self.categories, self.rules, self.count)
        for index, plane in self.planes.items():
            for rows, cols in self._windows() if plane.has_stuff else ():
                origin = rows.start, cols.start
                stuff.look(index, origin, self._objects(index, rows, cols), plane.stuff(rows, cols))
        return stuff

    def _windows(self) -> Iterator[tuple[slice, slice]]:
        height, width = self.image.label_shape[-2:]
        return (tile.slices for tile in plan_tiles((height, width), WINDOW, 0))

    def _both(
        self, index: tuple[int, ...], rows: slice, cols: slice
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Paint a window of the semantic and of the panoptic label image."""
        panoptic = self._objects(index, rows, cols)
        of = np.zeros(self.count + 1, np.int32)
        of[1:] = self._listed[0]["category_id"].to_numpy()[: self.count]
        semantic, plane = of[panoptic], self.planes[index]
        if plane.has_stuff:
            self._stuff.paint(index, plane.stuff(rows, cols), semantic, panoptic)
        return semantic, panoptic

    def _lazy(self, paint: Paint, largest: int) -> LazyLabels:
        return LazyLabels(self.image.label_shape, paint, largest)

    @property
    def instances(self) -> LazyLabels:
        """Label image (int32, `image.label_shape`): objects 1..N by falling score, 0 nothing."""
        return self._lazy(self._objects, self.count)

    @property
    def semantic(self) -> LazyLabels:
        """Label image (int32, `image.label_shape`) of category ids, 0 is void."""
        largest = max((category.id for category in self.categories), default=0)
        return self._lazy(lambda *where: self._both(*where)[0], largest)

    @property
    def panoptic(self) -> LazyLabels:
        """Label image (int32, `image.label_shape`): objects as in `instances`, then stuff."""
        largest = self.count + len(self.categories)
        return self._lazy(lambda *where: self._both(*where)[1], largest)

    @property
    def table(self) -> pd.DataFrame:
        """See `Segmentation.table`."""
        table = self._listed[0].iloc[: self.count].copy()
        if not any(plane.has_stuff for plane in self.planes.values()):
            return table
        return add_rows(table, self._stuff, self.image.label_shape[-2:], self.settings.model)

    def with_score_threshold(self, score_threshold: float) -> StoredSegmentation:
        """Return the same result shown at another threshold, without the model."""
        other = replace(self, settings=self.settings.replace(score_threshold=score_threshold))
        other.__dict__["_listed"] = self._listed
        return other
