"""A run: image and settings in, tiles through the model, one `Segmentation` out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from .asked import planes_of, region_of, resizing, unlinked
from .hands import OWN_HANDS, Hands
from .heap import trim
from .instances import Instances
from .ops.axes import Image
from .ops.intensity import IntensityMapping, map_intensity, used_channels
from .ops.lapses import reach_of
from .ops.results import MemoryShelf, Shelf, Watch
from .ops.scaling import Resampling
from .ops.seams import Seams
from .ops.tiling import Tile, cores_of, plan_tiles
from .progress import Progress
from .provenance import versions
from .remarks import Remarks, describe, list_seams
from .segmentation import Segmentation
from .segmenter import (
    DeviceMemoryError,
    Segmenter,
    computing,
)
from .settings import Settings
from .sizing import find_diameter, median_diameter, zoom_to
from .stored import StoredSegmentation
from .stored_planes import read_planes
from .tile_work import (
    Batch,
    Report,
    TileWork,
    find_objects,
    merge_plane,
    result_of,
    segment_batch,
)

#: Tiles begin at multiples of this (px), which networks' strides divide.
GRID = 32
#: Tiles are not made smaller than this (px) when memory runs out.
SMALLEST_TILE = 256
#: After so many batches, freed memory is given back to the system.
TRIM_EVERY = 4


@dataclass(slots=True, eq=False)
class _Plane:
    """A plane under way: its tiles, each one's own part, and how many are done."""

    index: tuple[int, ...]
    tiles: list[Tile]
    cores: list[Tile]
    done: int = 0
    remarks: Remarks = field(default_factory=Remarks)

    @property
    def complete(self) -> bool:
        return self.done == len(self.tiles)

    def add(self, report: Report) -> None:
        """Note that the next tiles are done."""
        for non_finite, capped in report.results:
            self.remarks.non_finite += non_finite
            if capped is not None:
                cap, weakest = capped
                self.remarks.capped[cap].append(weakest)
        self.done += len(report.results)


class Run:
    """One segmentation, step by step.

    Iterate to work; leave the loop at any step to cancel; `result` gives what is done.

    Parameters
    ----------
    image : Image
    segmenter : Segmenter
    settings : Settings
    model : dict, optional
        What names the model in the recipe (name, sha256, ...).
    region : (slice, slice), optional
        Rows and columns (half-open, px) to segment; the rest stays empty.
    planes : sequence of tuple of int, optional
        Index of the planes to segment; the rest stays empty.
    shelf : Shelf, optional
        Where results of tiles are kept; what is there already is not done again. Memory by
        default.
    hands : Hands
        Who works on tiles and planes. Others than one's own need an image and a segmenter that
        can be pickled, and a shelf in files.
    watch : callable, optional
        Called after each batch with the plane and what was found in its tiles; of a plane that was
        done before, once, with all its objects.

    Raises
    ------
    InputError
        If the settings do not fit the image.

    Examples
    --------
    >>> for progress in Run(image, segmenter, settings):  # doctest: +SKIP
    ...     print(progress.done, progress.total)
    """

    def __init__(
        self,
        image: Image,
        segmenter: Segmenter,
        settings: Settings,
        *,
        model: dict[str, Any] | None = None,
        region: tuple[slice, slice] | None = None,
        planes: Sequence[tuple[int, ...]] | None = None,
        shelf: Shelf | None = None,
        hands: Hands = OWN_HANDS,
        watch: Watch | None = None,
    ) -> None:
        self.image, self.segmenter, self.settings = image, resizing(segmenter, settings), settings
        self.region = region_of(image, region)
        self._channels = used_channels(image, settings)
        self._planes = planes_of(image, planes)
        self._model = model or {"name": settings.model}
        self._shelf = MemoryShelf() if shelf is None else shelf
        self._hands = hands
        self._watch = watch
        #: Tiles of each plane that were put together.
        self._found: dict[tuple[int, ...], list[Tile]] = {p: [] for p in image.planes()}
        self._current: tuple[Sequence[_Plane], TileWork] | None = None
        self._tile_size = settings.tile_size
        self._batch = settings.batch_size or segmenter.batch_size
        self._remarks: dict[tuple[int, ...], Remarks] = {}
        reach_of(settings.track_distance, settings.track_distance_unit, image.spacing)
        self._notes = [*image.notes, *unlinked(image, settings)]
        self._resolved: dict[str, Any] = {**computing(segmenter)}
        self._complete = False

    def __iter__(self) -> Iterator[Progress]:
        """Do the work, one batch of tiles a step."""
        yield Progress(0, 0, "reading intensities")
        choose = partial(map_intensity, settings=self.settings)
        (mapping,) = self._hands.map(choose, [self.image])
        self._resolved["limits"] = [list(pair) for pair in mapping.limits]
        work = self._work(mapping, self._zoom(mapping))
        for first, planes in self._rounds(work):
            yield from self._segment_planes(planes, first, work)
        self._complete = True

    def _work(self, mapping: IntensityMapping, zoom: float) -> TileWork:
        return TileWork(
            self.image,
            self._channels,
            mapping,
            self.region,
            Resampling.by(self.region.shape, zoom),
            self.segmenter.rules.min_visible,
        )

    def result(self) -> Segmentation:
        """Return what has been found so far; `complete` says whether that is all."""
        self._store_planes()
        image = self.image
        height, width = image.label_shape[-2:]
        raw, stuff = [], None
        for number, (plane, tiles) in enumerate(self._found.items()):
            parts = [self._shelf.objects(plane, tile) for tile in tiles]
            nothing = Instances.empty((height, width))
            raw.append(Instances.concatenate([nothing, *(part.instances for part in parts)]))
            for part in parts:
                if part.semantic is not None:
                    if stuff is None:
                        stuff = np.zeros((len(self._found), height, width), np.int32)
                    stuff[number][part.core.slices] = part.semantic
        return Segmentation(
            raw=tuple(raw),
            image=image,
            categories=self.segmenter.categories,
            settings=self.settings,
            details=self.details,
            stuff=None if stuff is None else stuff.reshape(image.label_shape),
            warnings=(*self._notes, *describe(self._remarks.values())),
            complete=self._complete,
            rules=self.segmenter.rules,
            seams=list_seams(self._remarks, self.image.plane_axes),
        )

    def stored(self) -> StoredSegmentation:
        """Return what has been found so far without loading it: it stays on the shelf."""
        self._store_planes()
        height, width = self.image.label_shape[-2:]
        return StoredSegmentation(
            planes=read_planes((height, width), self._found, self._shelf, self._hands),
            image=self.image,
            categories=self.segmenter.categories,
            settings=self.settings,
            details=self.details,
            warnings=(*self._notes, *describe(self._remarks.values())),
            complete=self._complete,
            rules=self.segmenter.rules,
            seams=list_seams(self._remarks, self.image.plane_axes),
            hands=self._hands,
        )

    @property
    def details(self) -> dict[str, Any]:
        """What was found out so far, for the recipe."""
        return {
            "model": self._model,
            "resolved": {**self._resolved, "tile_size": self._tile_size},
            "versions": versions(),
        }

    def _rounds(self, work: TileWork) -> Iterator[tuple[int, list[tuple[int, ...]]]]:
        """Planes that together keep all hands busy, and the number of the first."""
        count = max(1, -(-self._hands.capacity // max(1, len(self._tiles(work)))))
        for first in range(0, len(self._planes), count):
            yield first, self._planes[first : first + count]

    def _tiles(self, work: TileWork) -> list[Tile]:
        size = self._tile_size - self._tile_size % GRID
        return plan_tiles(work.resampling.target, size, min(self.settings.overlap, size // 2), GRID)

    def _begin(self, plane: tuple[int, ...], work: TileWork) -> _Plane:
        tiles = self._tiles(work)
        return _Plane(plane, tiles, cores_of(tiles, work.resampling.target))

    def _segment_planes(
        self, planes: Sequence[tuple[int, ...]], first: int, work: TileWork
    ) -> Iterator[Progress]:
        """Segment some planes; start those not done again with smaller tiles if memory runs out."""
        known = [plane for plane in planes if self._take_over(plane)]
        for number, plane in enumerate(known, first + 1):
            count = len(self._found[plane])
            yield self._progress(plane, number * count, count)
        states = [self._begin(plane, work) for plane in planes if plane not in known]
        self._current = states, work
        while not all(state.complete for state in states):
            try:
                yield from self._find(states, first + len(known), work)
            except DeviceMemoryError as error:
                self._shrink(error)
                states = [s if s.complete else self._begin(s.index, work) for s in states]
                self._current = states, work
        self._store_planes()

    def _shrink(self, error: DeviceMemoryError) -> None:
        if self._tile_size <= SMALLEST_TILE:
            raise DeviceMemoryError(
                f"{error}, even for one tile of {self._tile_size} px: close other "
                "programs that use it, or choose the device 'cpu'"
            ) from error
        self._tile_size = max(SMALLEST_TILE, self._tile_size // 2)
        self._notes.append(
            f"{self.segmenter.device} ran out of memory: tiles were made smaller "
            f"({self._tile_size} px)"
        )

    def _take_over(self, plane: tuple[int, ...]) -> bool:
        """Take a plane that an earlier run has finished."""
        about = self._shelf.plane(plane)
        if about is None:
            return False
        self._found[plane] = [Tile(*edges) for edges in about["tiles"]]
        self._remarks[plane] = Remarks.from_json(about["remarks"])
        if self._watch is not None:
            self._watch(plane, (self._shelf.objects(plane, tile) for tile in self._found[plane]))
        return True

    def _progress(self, plane: tuple[int, ...], done: int, count: int) -> Progress:
        """Tell of the work done, given the number of tiles of a plane."""
        total = len(self._planes) * count
        where = ", ".join(
            f"{a.lower()} {i}" for a, i in zip(self.image.plane_axes, plane, strict=True)
        )
        return Progress(done, total, f"tile {done} of {total}" + (f" ({where})" if where else ""))

    def _find(self, states: Sequence[_Plane], first: int, work: TileWork) -> Iterator[Progress]:
        """Segment the tiles of some planes; take fewer at a time if memory runs out."""
        of = {state.index: state for state in states}
        function = partial(segment_batch, work, self.segmenter, self._shelf)
        for number, report in enumerate(self._hands.map(function, self._batches(states)), start=1):
            if number % TRIM_EVERY == 0:
                trim()
            state = of[report.plane]
            before = state.done
            state.add(report)
            self._show(state.index, state.tiles[before : state.done], work)
            for count in report.fewer:
                self._take_fewer(count)
            count = len(state.tiles)
            done = first * count + sum(s.done for s in states)
            yield self._progress(state.index, done, count)

    def _show(self, plane: tuple[int, ...], tiles: Sequence[Tile], work: TileWork) -> None:
        """Let whoever watches see what was found in tiles."""
        if self._watch is not None:
            self._watch(plane, (work.to_image(result_of(self._shelf, plane, t)) for t in tiles))

    def _batches(self, states: Sequence[_Plane]) -> Iterator[Batch]:
        for state in states:
            start = state.done
            while start < len(state.tiles):
                part = slice(start, start + self._batch)
                yield Batch(state.index, state.tiles[part], state.cores[part])
                start = part.stop

    def _take_fewer(self, count: int) -> None:
        if count < self._batch:
            self._batch = count
            now = "one tile" if count == 1 else f"{count} tiles"
            self._notes.append(f"{self.segmenter.device} ran out of memory: {now} at a time")

    def _store_planes(self) -> None:
        """Merge the tiles done so far and move them to the image's own grid."""
        if self._current is None:
            return
        states, work = self._current
        shown, done = self.settings.score_threshold, [s.tiles[: s.done] for s in states]
        merged: Iterable[tuple[int, Seams]]
        if len(states) == 1:
            merged = [work.merge(self._shelf, states[0].index, done[0], shown, self._hands)]
        else:
            function = partial(merge_plane, work, self._shelf, shown)
            parts = [(state.index, tiles) for state, tiles in zip(states, done, strict=True)]
            merged = self._hands.map(function, parts)
        for state, tiles, (loose, seams) in zip(states, done, merged, strict=True):
            self._found[state.index], self._remarks[state.index] = tiles, state.remarks
            state.remarks.seams = seams
            if state.complete:
                state.remarks.loose = loose
                edges = [list(tile.edges) for tile in tiles]
                about = {"tiles": edges, "remarks": state.remarks.to_json()}
                self._shelf.keep_plane(state.index, about)
        if all(state.complete for state in states):
            self._current = None

    def _zoom(self, mapping: IntensityMapping) -> float:
        """Factor that brings the image's objects to the size the model knows."""
        own = self.segmenter.diameter
        if not self._planes or 0 in self.region.shape:
            return 1.0

        def measure(own: float) -> float:
            return median_diameter(own, lambda zoom: self._segment_middle(mapping, zoom))

        diameter = find_diameter(self.settings, own, self.image.spacing, measure)
        if diameter is None or own is None:
            return 1.0
        if np.isnan(diameter):
            self._notes.append("diameter: too few objects to measure; pixels were left as they are")
            diameter = own
        self._resolved["diameter_px"] = diameter
        return zoom_to(own, diameter, self.settings.model)

    def _segment_middle(self, mapping: IntensityMapping, zoom: float) -> Instances:
        """Segment one tile in the middle of the middle plane; a smaller one if memory runs out."""
        plane = self._planes[len(self._planes) // 2]
        work = self._work(mapping, zoom)
        height, width = work.resampling.target
        edge = min(self._tile_size, 768)
        while True:
            top, left = max(0, (height - edge) // 2), max(0, (width - edge) // 2)
            tile = Tile(top, left, min(top + edge, height), min(left + edge, width))
            try:
                find = partial(find_objects, work, self.segmenter)
                (found,) = self._hands.map(find, [(plane, tile)])
                return found
            except DeviceMemoryError:
                if edge <= SMALLEST_TILE:
                    raise
                edge = max(SMALLEST_TILE, edge // 2)


def run_to_end(
    run: Run, report: Callable[[Progress], None] = lambda progress: None
) -> Segmentation:
    """Do all steps of a run and return its result."""
    for progress in run:
        report(progress)
    return run.result()
