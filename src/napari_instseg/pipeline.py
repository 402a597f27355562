"""A run: image and settings in, tiles through the model, one `Segmentation` out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .instances import Instances
from .ops.axes import Image
from .ops.intensity import IntensityMapping, map_intensity, used_channels
from .ops.results import MemoryShelf, Shelf, Watch
from .ops.scaling import Resampling
from .ops.tiling import Tile, cores_of, plan_tiles, tile_of
from .ops.volumes import DEPTH
from .progress import Progress
from .provenance import versions
from .remarks import Remarks, describe
from .segmentation import Segmentation
from .segmenter import (
    DeviceMemoryError,
    InputError,
    ResizingSegmenter,
    Segmenter,
)
from .settings import AS_TRAINED, Settings
from .sizing import find_diameter, median_diameter, zoom_to
from .stored import StoredPlane, StoredSegmentation
from .tile_work import TileWork

#: Tiles begin at multiples of this (px), which networks' strides divide.
GRID = 32
#: Tiles are not made smaller than this (px) when memory runs out.
SMALLEST_TILE = 256


@dataclass(slots=True, eq=False)
class _Plane:
    """The plane under way: its tiles, each one's own part, and how many are done."""

    index: tuple[int, ...]
    tiles: list[Tile]
    cores: list[Tile]
    done: int = 0
    remarks: Remarks = field(default_factory=Remarks)


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
        watch: Watch | None = None,
    ) -> None:
        self.image, self.segmenter, self.settings = image, _resizing(segmenter, settings), settings
        self.region = _region(image, region)
        self._channels = used_channels(image, settings)
        self._planes = _planes(image, planes)
        self._model = model or {"name": settings.model}
        self._shelf = MemoryShelf() if shelf is None else shelf
        self._watch = watch
        #: Tiles of each plane that were put together.
        self._found: dict[tuple[int, ...], list[Tile]] = {p: [] for p in image.planes()}
        self._current: tuple[_Plane, TileWork] | None = None
        self._tile_size = settings.tile_size
        self._batch = settings.batch_size or segmenter.batch_size
        self._remarks: dict[tuple[int, ...], Remarks] = {}
        self._notes = _unlinked(image, settings)
        self._resolved: dict[str, Any] = {"device": segmenter.device}
        self._complete = False

    def __iter__(self) -> Iterator[Progress]:
        """Do the work, one batch of tiles a step."""
        yield Progress(0, 0, "reading intensities")
        mapping = map_intensity(self.image, self.settings)
        self._resolved["limits"] = [list(pair) for pair in mapping.limits]
        work = self._work(mapping, self._zoom(mapping))
        for number, plane in enumerate(self._planes):
            yield from self._segment_plane(plane, number, work)
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
        self._store_plane()
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
            details=self._details(),
            stuff=None if stuff is None else stuff.reshape(image.label_shape),
            warnings=(*self._notes, *describe(self._remarks.values())),
            complete=self._complete,
            rules=self.segmenter.rules,
        )

    def stored(self) -> StoredSegmentation:
        """Return what has been found so far without loading it: it stays on the shelf."""
        self._store_plane()
        height, width = self.image.label_shape[-2:]
        return StoredSegmentation(
            planes={
                index: StoredPlane((height, width), index, tiles, self._shelf)
                for index, tiles in self._found.items()
            },
            image=self.image,
            categories=self.segmenter.categories,
            settings=self.settings,
            details=self._details(),
            warnings=(*self._notes, *describe(self._remarks.values())),
            complete=self._complete,
            rules=self.segmenter.rules,
        )

    def _details(self) -> dict[str, Any]:
        """What was found out, for the recipe."""
        return {
            "model": self._model,
            "resolved": {**self._resolved, "tile_size": self._tile_size},
            "versions": versions(),
        }

    def _segment_plane(
        self,
        plane: tuple[int, ...],
        number: int,
        work: TileWork,
    ) -> Iterator[Progress]:
        """Segment one plane; start it again with smaller tiles if memory runs out."""
        if self._take_over(plane):
            count = len(self._found[plane])
            done, total = (number + 1) * count, len(self._planes) * count
            yield Progress(done, total, self._message(plane, done, total))
            return
        while True:
            size = self._tile_size - self._tile_size % GRID
            overlap = min(self.settings.overlap, size // 2)
            target = work.resampling.target
            tiles = plan_tiles(target, size, overlap, GRID)
            state = _Plane(plane, tiles, cores_of(tiles, target))
            self._current = state, work
            total, base = len(tiles) * len(self._planes), len(tiles) * number
            try:
                while state.done < len(tiles):
                    self._do_batch(state, work)
                    done = base + state.done
                    yield Progress(done, total, self._message(plane, done, total))
                break
            except DeviceMemoryError as error:
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
        self._store_plane()
        self._current = None

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

    def _message(self, plane: tuple[int, ...], done: int, total: int) -> str:
        where = ", ".join(
            f"{a.lower()} {i}" for a, i in zip(self.image.plane_axes, plane, strict=True)
        )
        return f"tile {done} of {total}" + (f" ({where})" if where else "")

    def _do_batch(self, state: _Plane, work: TileWork) -> None:
        """Segment the next tiles; take fewer at a time if memory runs out."""
        batch = slice(state.done, state.done + self._batch)
        tiles, cores = state.tiles[batch], state.cores[batch]
        # All or none: a tile's answer may depend on its batch by a rounding error.
        kept = [self._shelf.tile(state.index, tile) for tile in tiles]
        results = [result for result in kept if result is not None]
        if len(results) < len(tiles):
            try:
                results = work.segment(self.segmenter, state.index, tiles, cores)
            except DeviceMemoryError:
                if len(tiles) == 1:
                    raise
                self._batch = len(tiles) // 2
                now = "one tile" if self._batch == 1 else f"{self._batch} tiles"
                self._notes.append(f"{self.segmenter.device} ran out of memory: {now} at a time")
                return
            for tile, result in zip(tiles, results, strict=True):
                self._shelf.keep_tile(state.index, tile, result)
        for result in results:
            state.remarks.non_finite += result.non_finite
            if result.capped is not None:
                cap, weakest = result.capped
                state.remarks.capped[cap].append(weakest)
        state.done += len(results)
        if self._watch is not None:
            self._watch(state.index, map(work.to_image, results))

    def _store_plane(self) -> None:
        """Merge the tiles done so far and move them to the image's own grid."""
        if self._current is None:
            return
        state, work = self._current
        tiles = state.tiles[: state.done]
        loose = work.merge(self._shelf, state.index, tiles, self.settings.score_threshold)
        self._found[state.index], self._remarks[state.index] = tiles, state.remarks
        if state.done == len(state.tiles):
            state.remarks.loose = loose
            edges = [list(tile.edges) for tile in tiles]
            about = {"tiles": edges, "remarks": state.remarks.to_json()}
            self._shelf.keep_plane(state.index, about)
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
            picture, _ = work.read(plane, tile)
            try:
                return self.segmenter.segment([picture])[0].instances
            except DeviceMemoryError:
                if edge <= SMALLEST_TILE:
                    raise
                edge = max(SMALLEST_TILE, edge // 2)


def _resizing(segmenter: Segmenter, settings: Settings) -> Segmenter:
    if settings.diameter != AS_TRAINED:
        return segmenter
    if not isinstance(segmenter, ResizingSegmenter):
        raise InputError(
            f"diameter: the model {settings.model!r} was not trained on pictures of one size; "
            "expected None (native), 'auto' or a number instead of 'as trained'"
        )
    return segmenter.as_trained()


def _unlinked(image: Image, settings: Settings) -> list[str]:
    """Say that nothing is linked where planes are not those of Z."""
    axes = image.plane_axes
    if not settings.link or not axes or DEPTH in axes:
        return []
    return [f"link: only planes along Z are linked; those along {axes} were left as they are"]


def _planes(image: Image, planes: Sequence[tuple[int, ...]] | None) -> list[tuple[int, ...]]:
    known = image.planes()
    if planes is None:
        return known
    chosen = [tuple(plane) for plane in planes]
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        raise InputError(
            f"planes: expected indices along {image.plane_axes or 'no axis'} within "
            f"{image.plane_shape}, got {unknown[0]}"
        )
    return chosen


def _region(image: Image, region: tuple[slice, slice] | None) -> Tile:
    height, width = image.label_shape[-2:]
    if region is None:
        return Tile(0, 0, height, width)
    return tile_of(region, (height, width))


def run_to_end(
    run: Run, report: Callable[[Progress], None] = lambda progress: None
) -> Segmentation:
    """Do all steps of a run and return its result."""
    for progress in run:
        report(progress)
    return run.result()
