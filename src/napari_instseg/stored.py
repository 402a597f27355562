"""A result whose objects lie on disk, for images larger than memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .hands import OWN_HANDS, Hands
from .ops.arrays import joined
from .ops.axes import Image
from .ops.ids import Ids, id_type
from .ops.lazy import LazyLabels, Plan
from .ops.rendering import Listing, add_rows, ranked
from .ops.stuff import Stuff
from .ops.tiling import plan_tiles
from .ops.visibility import find_visible
from .result import Result
from .segmenter import USUAL_RULES, Category, Rules
from .settings import Settings
from .stored_planes import Scene, StoredPlane

if TYPE_CHECKING:
    from .io.objects import Objects

#: Edge of the windows in which stuff is counted, px.
WINDOW = 1024


def _see(
    min_visible: float, plane: tuple[StoredPlane, Ids]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    stored, rank = plane
    return find_visible(stored.objects, stored.overlaps, rank, min_visible)


def _count(categories: tuple[Category, ...], rules: Rules, count: int, scene: Scene) -> Stuff:
    stuff = Stuff(categories, rules, count)
    origin = scene.window.top, scene.window.left
    stuff.look(scene.read.plane, origin, scene.objects(), scene.stuff())
    return stuff


@dataclass(frozen=True, eq=False)
class StoredSegmentation(Result):
    """What `Segmentation` is, with objects on disk: label images are painted where looked at.

    Parameters
    ----------
    planes : mapping of tuple of int to StoredPlane
        Of all planes, in C order.
    image, categories, settings, details, warnings, complete, rules, seams
        See `Segmentation`.
    hands : Hands
        Who counts and paints.
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
    hands: Hands = OWN_HANDS

    @cached_property
    def _listed(self) -> tuple[pd.DataFrame, dict[tuple[int, ...], Ids]]:
        """Table of all objects, whatever the threshold, and their numbers in each plane."""
        image, least = self.image, self.rules.min_visible
        height, width = image.label_shape[-2:]
        objects = [plane.objects for plane in self.planes.values()]
        order, rank = ranked(objects)
        stops = np.cumsum([0, *(len(plane) for plane in objects)]).tolist()
        ranks = (rank[begin:end] for begin, end in pairwise(stops))
        # A plane is done as a whole: what hides an object may itself be hidden by another, and so
        # on, as far as that goes.
        planes = zip(self.planes.values(), ranks, strict=True)
        seen = [*self.hands.map(partial(_see, least), planes)]
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
    def plane_counts(self) -> list[int]:
        """Number of objects above the model's floor in each plane, in C order."""
        return [len(plane.objects) for plane in self.planes.values()]

    @cached_property
    def count(self) -> int:
        """Number of objects at the present threshold."""
        scores = self._listed[0]["score"].to_numpy()
        return int(np.searchsorted(-scores, -np.float32(self.score_threshold), side="right"))

    def _scene(self, index: tuple[int, ...], rows: slice, cols: slice) -> Scene:
        return self.planes[index].scene(self._listed[1][index], self.count, rows, cols)

    @property
    def _no_stuff(self) -> Stuff | None:
        """Stuff, not counted; None if the model has no semantic head."""
        if not any(plane.ground for plane in self.planes.values()):
            return None
        return Stuff(self.categories, self.rules, self.count)

    @cached_property
    def _stuff(self) -> Stuff | None:
        """All stuff, counted; None if the model has no semantic head."""
        stuff = self._no_stuff
        if stuff is None:
            return None
        known = self.categories, self.rules, self.count
        scenes = (
            self._scene(index, *window)
            for index, plane in self.planes.items()
            for window in (self._windows() if plane.ground else ())
        )
        for counted in self.hands.map(partial(_count, *known), scenes):
            stuff.include(counted)
        return stuff

    def _windows(self) -> Iterator[tuple[slice, slice]]:
        height, width = self.image.label_shape[-2:]
        return (tile.slices for tile in plan_tiles((height, width), WINDOW, 0))

    def _lazy(self, plan: Plan, largest: int) -> LazyLabels:
        return LazyLabels(self.image.label_shape, plan, largest)

    @property
    def instances(self) -> LazyLabels:
        """Label image (`Ids`, `image.label_shape`): objects 1..N by falling score, 0 nothing."""
        return self._lazy(lambda *where: self._scene(*where).objects, self.count)

    @property
    def semantic(self) -> LazyLabels:
        """Label image (int32, `image.label_shape`) of category ids, 0 is void."""
        largest = max((category.id for category in self.categories), default=0)
        return self._lazy(
            lambda *where: partial(self._scene(*where).semantic, self._stuff), largest
        )

    @property
    def panoptic(self) -> LazyLabels:
        """Label image (`Ids`, `image.label_shape`): objects as in `instances`, then stuff."""
        stuff = self._no_stuff
        largest = self.count if stuff is None else stuff.largest
        return self._lazy(
            lambda *where: partial(self._scene(*where).panoptic, self._stuff), largest
        )

    @property
    def objects(self) -> Objects:
        """All that the model found, to be saved: its masks, and the stuff, are read into memory."""
        from .io.objects import Objects

        shape = self.image.label_shape
        whole = slice(0, shape[-2]), slice(0, shape[-1])
        numbers = joined(self._listed[1].values(), id_type(len(self._listed[0])))
        stuff = None
        if self._no_stuff is not None:
            stuff = np.zeros((len(self.planes), *shape[-2:]), np.int32)
            for part, index in zip(stuff, self.planes, strict=True):
                part[...] = self._scene(index, *whole).stuff()
            stuff = stuff.reshape(shape)
        return Objects(
            tuple(plane.instances() for plane in self.planes.values()),
            np.where(numbers <= self.count, numbers, numbers.dtype.type(0)),
            self.categories,
            self.rules,
            stuff,
        )

    @property
    def table(self) -> pd.DataFrame:
        """See `Segmentation.table`."""
        table = self._listed[0].iloc[: self.count].copy()
        if self._stuff is None:
            return table
        return add_rows(table, self._stuff, self.image.label_shape[-2:], self.settings.model)

    def with_score_threshold(self, score_threshold: float) -> StoredSegmentation:
        """Return the same result shown at another threshold, without the model."""
        other = replace(self, settings=self.settings.replace(score_threshold=score_threshold))
        other.__dict__["_listed"] = self._listed
        return other
