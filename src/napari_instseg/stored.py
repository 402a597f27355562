"""A result whose objects lie on disk, for images larger than memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .hands import OWN_HANDS, Hands
from .ops.arrays import joined
from .ops.axes import Image
from .ops.grouping import GROUP
from .ops.lazy import LazyLabels, Plan
from .ops.objects import Numbers, Objects
from .ops.rendering import Listing, add_rows, ranked
from .ops.results import LazyParts, ObjectReader, Shelf
from .ops.stuff import Stuff
from .ops.tiling import Tile, plan_tiles
from .ops.visibility import Overlaps, find_visible, paint_window, shown_in
from .segmentation import Result
from .segmenter import USUAL_RULES, Category, Rules
from .settings import Settings

#: Edge of the windows in which stuff is counted, px.
WINDOW = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is known of the objects that begin in some tiles, and where these tiles' stuff lies.

    Parameters
    ----------
    numbers : Numbers
    ground : list of (Tile, Tile)
        Of the tiles with stuff: the tile, and its own part of the plane.
    """

    numbers: Numbers
    ground: list[tuple[Tile, Tile]]


class StoredPlane:
    """One plane's objects and stuff, read where they are needed.

    Parameters
    ----------
    shape : (int, int)
        Height and width, px.
    tiles : sequence of Tile
        Those that the shelf has objects of.
    read : ObjectReader
    known : sequence of Known
        Of the tiles, one group after the other.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        tiles: Sequence[Tile],
        read: ObjectReader,
        known: Sequence[Known],
    ) -> None:
        self._shape, self.tiles, self._read = shape, tiles, read
        numbers = Numbers.joined([part.numbers for part in known])
        #: See `Known`.
        self.ground = [place for part in known for place in part.ground]
        self._known = Known(numbers, self.ground)
        parts = LazyParts(len(tiles), lambda number: read(tiles[number]).instances)
        self.objects = Objects(shape, parts, numbers)
        self.overlaps = Overlaps(self.objects.bounds)

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the numbers; masks stay in files."""
        return StoredPlane, (self._shape, self.tiles, self._read, [self._known])

    def scene(self, numbers: NDArray[np.int32], rows: slice, cols: slice) -> Scene:
        """Find what a window shows, given a number for each object; 0 leaves it out."""
        window = Tile(rows.start, cols.start, rows.stop, cols.stop)
        near = shown_in(self.overlaps, numbers, rows, cols)
        owner = self.objects.owner[near]
        return Scene(
            self._read,
            window,
            {number: self.tiles[number] for number in np.unique(owner).tolist()},
            [self.objects.place(index) for index in near.tolist()],
            numbers[near],
            self.objects.category_ids[near].astype(np.int32),
            [place for place in self.ground if place[1].intersection(window)],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What a window of a plane shows; it can be painted in any process that has the files.

    Parameters
    ----------
    read : ObjectReader
    window : Tile
    tiles : dict of int to Tile
        Those that objects of the window begin in.
    places : list of (int, int)
        The tile of each object, and its number there.
    numbers, category_ids : (N,) int32
        Of the objects.
    ground : list of (Tile, Tile)
        See `Known`; those that reach into the window.
    """

    read: ObjectReader
    window: Tile
    tiles: dict[int, Tile]
    places: list[tuple[int, int]]
    numbers: NDArray[np.int32]
    category_ids: NDArray[np.int32]
    ground: list[tuple[Tile, Tile]]

    def objects(self) -> NDArray[np.int32]:
        """Paint the objects' numbers."""
        masks = [self.read(self.tiles[tile]).instances.masks[n] for tile, n in self.places]
        return paint_window(masks, self.numbers, *self.window.slices)

    def stuff(self) -> NDArray[np.int32]:
        """Category ids of the model's stuff; 0 is void."""
        found = np.zeros(self.window.shape, np.int32)
        for tile, core in self.ground:
            shared, semantic = core.intersection(self.window), self.read(tile).semantic
            if shared is not None and semantic is not None:
                found[shared.within(self.window)] = semantic[shared.within(core)]
        return found

    def semantic(self, stuff: Stuff | None) -> NDArray[np.int32]:
        """Paint category ids; ``stuff`` has been counted, if there is any."""
        return self._both(stuff)[0]

    def panoptic(self, stuff: Stuff | None) -> NDArray[np.int32]:
        """Paint objects and stuff; see `semantic`."""
        return self._both(stuff)[1]

    def _both(self, stuff: Stuff | None) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        panoptic = self.objects()
        ids = np.zeros(self.numbers.max(initial=0) + 1, np.int32)
        ids[self.numbers] = self.category_ids
        semantic = ids[panoptic]
        if stuff is not None and self.ground:
            stuff.paint(self.read.plane, self.stuff(), semantic, panoptic)
        return semantic, panoptic


def read_planes(
    shape: tuple[int, int],
    found: Mapping[tuple[int, ...], Sequence[Tile]],
    shelf: Shelf,
    hands: Hands = OWN_HANDS,
) -> dict[tuple[int, ...], StoredPlane]:
    """Read what there is to know of planes without their masks.

    Parameters
    ----------
    shape : (int, int)
        Height and width, px.
    found : mapping of tuple of int to sequence of Tile
        By plane: tiles that the shelf has objects of.
    shelf : Shelf
    hands : Hands
        Who reads.
    """
    readers = {index: ObjectReader(shelf, index) for index in found}
    groups = [
        (index, tiles[start : start + GROUP])
        for index, tiles in found.items()
        for start in range(0, len(tiles), GROUP)
    ]
    known: dict[tuple[int, ...], list[Known]] = {index: [] for index in found}
    parts = hands.map(_look_up, ((readers[index], tiles) for index, tiles in groups))
    for (index, _), part in zip(groups, parts, strict=True):
        known[index].append(part)
    return {
        index: StoredPlane(shape, tiles, readers[index], known[index])
        for index, tiles in found.items()
    }


def _look_up(group: tuple[ObjectReader, Sequence[Tile]]) -> Known:
    read, tiles = group
    numbers, ground = [], []
    for tile in tiles:
        result = read(tile)
        numbers.append(Numbers.of(result.instances))
        if result.semantic is not None:
            ground.append((tile, result.core))
    return Known(Numbers.joined(numbers), ground)


def _see(
    min_visible: float, plane: tuple[StoredPlane, NDArray[np.int32]]
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
    def _listed(self) -> tuple[pd.DataFrame, dict[tuple[int, ...], NDArray[np.int32]]]:
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
    def count(self) -> int:
        """Number of objects at the present threshold."""
        scores = self._listed[0]["score"].to_numpy()
        return int(np.searchsorted(-scores, -np.float32(self.score_threshold), side="right"))

    def _scene(self, index: tuple[int, ...], rows: slice, cols: slice) -> Scene:
        numbers = self._listed[1][index]
        shown = np.where(numbers <= self.count, numbers, np.int32(0))
        return self.planes[index].scene(shown, rows, cols)

    @cached_property
    def _stuff(self) -> Stuff | None:
        """All stuff, counted; None if the model has no semantic head."""
        if not any(plane.ground for plane in self.planes.values()):
            return None
        known = self.categories, self.rules, self.count
        stuff = Stuff(*known)
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
        """Label image (int32, `image.label_shape`): objects 1..N by falling score, 0 nothing."""
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
        """Label image (int32, `image.label_shape`): objects as in `instances`, then stuff."""
        largest = self.count + len(self.categories)
        return self._lazy(
            lambda *where: partial(self._scene(*where).panoptic, self._stuff), largest
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
