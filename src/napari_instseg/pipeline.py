"""A run: image and settings in, tiles through the model, one `Segmentation` out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .instances import Instances
from .ops.axes import Image
from .ops.intensity import IntensityMapping, map_intensity, used_channels
from .ops.masks import tighten
from .ops.merging import merge_tiles
from .ops.scaling import Resampling
from .ops.tiling import Tile, core_of, plan_tiles, tile_of
from .ops.volumes import DEPTH
from .progress import Progress
from .provenance import versions
from .remarks import Remarks, describe
from .segmentation import Segmentation
from .segmenter import (
    RGB,
    DeviceMemoryError,
    InputError,
    Prediction,
    ResizingSegmenter,
    Segmenter,
)
from .settings import AS_TRAINED, Settings
from .sizing import find_diameter, median_diameter, zoom_to

#: Tiles begin at multiples of this (px), which networks' strides divide.
GRID = 32
#: Tiles are not made smaller than this (px) when memory runs out.
SMALLEST_TILE = 256


@dataclass(slots=True, eq=False)
class _Plane:
    """What has been found in the plane under way."""

    tiles: list[Tile]
    parts: list[Instances] = field(default_factory=list)
    semantic: NDArray[np.int32] | None = None
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
    ) -> None:
        self.image, self.segmenter, self.settings = image, _resizing(segmenter, settings), settings
        self.region = _region(image, region)
        self._channels = used_channels(image, settings)
        self._planes = _planes(image, planes)
        self._model = model or {"name": settings.model}
        height, width = image.label_shape[-2:]
        self._found = {plane: Instances.empty((height, width)) for plane in image.planes()}
        self._stuff: NDArray[np.int32] | None = None
        self._current: tuple[tuple[int, ...], _Plane, Resampling] | None = None
        self._tile_size = settings.tile_size
        self._batch = settings.batch_size or segmenter.batch_size
        self._remarks: dict[tuple[int, ...], Remarks] = {}
        self._notes = [*image.notes, *_unlinked(image, settings)]
        self._resolved: dict[str, Any] = {"device": segmenter.device}
        self._complete = False

    def __iter__(self) -> Iterator[Progress]:
        """Do the work, one batch of tiles a step."""
        yield Progress(0, 0, "reading intensities")
        mapping = map_intensity(self.image, self.settings)
        self._resolved["limits"] = [list(pair) for pair in mapping.limits]
        zoom = self._zoom(mapping)
        shape = self.region.shape
        resampling = Resampling.by(shape, zoom)
        for number, plane in enumerate(self._planes):
            yield from self._segment_plane(plane, number, mapping, resampling)
        self._complete = True

    def result(self) -> Segmentation:
        """Return what has been found so far; `complete` says whether that is all."""
        self._store_plane()
        image = self.image
        return Segmentation(
            raw=tuple(self._found.values()),
            image=image,
            categories=self.segmenter.categories,
            settings=self.settings,
            details={
                "model": self._model,
                "resolved": {**self._resolved, "tile_size": self._tile_size},
                "versions": versions(),
            },
            stuff=None if self._stuff is None else self._stuff.reshape(image.label_shape),
            warnings=(*self._notes, *describe(self._remarks.values())),
            complete=self._complete,
            rules=self.segmenter.rules,
        )

    def _segment_plane(
        self,
        plane: tuple[int, ...],
        number: int,
        mapping: IntensityMapping,
        resampling: Resampling,
    ) -> Iterator[Progress]:
        """Segment one plane; start it again with smaller tiles if memory runs out."""
        while True:
            size = self._tile_size - self._tile_size % GRID
            overlap = min(self.settings.overlap, size // 2)
            tiles = plan_tiles(resampling.target, size, overlap, GRID)
            state = _Plane(tiles)
            self._current = plane, state, resampling
            total, base = len(tiles) * len(self._planes), len(tiles) * number
            try:
                while len(state.parts) < len(tiles):
                    self._do_batch(plane, state, mapping, resampling)
                    done = base + len(state.parts)
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

    def _message(self, plane: tuple[int, ...], done: int, total: int) -> str:
        where = ", ".join(
            f"{a.lower()} {i}" for a, i in zip(self.image.plane_axes, plane, strict=True)
        )
        return f"tile {done} of {total}" + (f" ({where})" if where else "")

    def _do_batch(
        self,
        plane: tuple[int, ...],
        state: _Plane,
        mapping: IntensityMapping,
        resampling: Resampling,
    ) -> None:
        """Segment the next tiles; take fewer at a time if memory runs out."""
        begin = len(state.parts)
        tiles = state.tiles[begin : begin + self._batch]
        pictures = [self._read_tile(plane, tile, mapping, resampling, state) for tile in tiles]
        try:
            predictions = self.segmenter.segment(pictures)
        except DeviceMemoryError:
            if len(tiles) == 1:
                raise
            self._batch = len(tiles) // 2
            self._notes.append(
                f"{self.segmenter.device} ran out of memory: "
                + ("one tile at a time" if self._batch == 1 else f"{self._batch} tiles at a time")
            )
            return
        for tile, prediction in zip(tiles, predictions, strict=True):
            self._keep(state, tile, prediction, resampling)

    def _read_tile(
        self,
        plane: tuple[int, ...],
        tile: Tile,
        mapping: IntensityMapping,
        resampling: Resampling,
        state: _Plane | None = None,
    ) -> RGB:
        needed = tile if resampling.identity else resampling.needs(tile)
        top, left = self.region.top, self.region.left
        pixels = self.image.read(
            plane,
            slice(needed.top + top, needed.bottom + top),
            slice(needed.left + left, needed.right + left),
            self._channels,
        )
        if state is not None and pixels.dtype.kind == "f":
            bad = ~np.isfinite(pixels)
            if bad.any():
                core = resampling.origin_of(core_of(tile, state.tiles, resampling.target))
                rows = slice(core.top - needed.top, core.bottom - needed.top)
                cols = slice(core.left - needed.left, core.right - needed.left)
                bad = bad if bad.ndim == 2 else bad.any(axis=-1)
                state.remarks.non_finite[tile] = int(np.count_nonzero(bad[rows, cols]))
        return resampling.apply(mapping.apply(pixels), tile)

    def _keep(
        self, state: _Plane, tile: Tile, prediction: Prediction, resampling: Resampling
    ) -> None:
        part = tighten(prediction.instances)
        state.parts.append(part.shift(tile.top, tile.left, resampling.target))
        if prediction.limit_reached:
            weakest = float(prediction.instances.scores.min(initial=1.0))
            state.remarks.capped[prediction.limit_reached].append(weakest)
        if prediction.semantic is not None:
            if state.semantic is None:
                state.semantic = np.zeros(resampling.target, np.int32)
            core = core_of(tile, state.tiles, resampling.target)
            state.semantic[core.top : core.bottom, core.left : core.right] = prediction.semantic[
                core.top - tile.top : core.bottom - tile.top,
                core.left - tile.left : core.right - tile.left,
            ]

    def _store_plane(self) -> None:
        """Merge the tiles done so far and move them to the image's own grid."""
        if self._current is None:
            return
        plane, state, resampling = self._current
        done = len(state.parts)
        merged = merge_tiles(
            resampling.target,
            state.tiles[:done],
            state.parts,
            self.settings.score_threshold,
            self.segmenter.rules.min_visible,
        )
        state.remarks.loose = merged.loose if done == len(state.tiles) else 0
        self._remarks[plane] = state.remarks
        height, width = self.image.label_shape[-2:]
        top, left = self.region.top, self.region.left
        restored = resampling.restore(merged.instances)
        self._found[plane] = restored.shift(top, left, (height, width))
        if state.semantic is not None:
            self._keep_stuff(plane, state.semantic, resampling)

    def _keep_stuff(
        self, plane: tuple[int, ...], semantic: NDArray[np.int32], resampling: Resampling
    ) -> None:
        height, width = self.image.label_shape[-2:]
        if self._stuff is None:
            self._stuff = np.zeros((len(self._found), height, width), np.int32)
        rows, cols = (
            np.minimum((np.arange(n) + 0.5) * m / n, m - 1).astype(np.intp)
            for n, m in zip(resampling.source, resampling.target, strict=True)
        )
        region = self.region
        where = list(self._found).index(plane)
        self._stuff[where, region.top : region.bottom, region.left : region.right] = semantic[
            rows[:, np.newaxis], cols
        ]

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
        resampling = Resampling.by(self.region.shape, zoom)
        height, width = resampling.target
        edge = min(self._tile_size, 768)
        while True:
            top, left = max(0, (height - edge) // 2), max(0, (width - edge) // 2)
            tile = Tile(top, left, min(top + edge, height), min(left + edge, width))
            picture = self._read_tile(plane, tile, mapping, resampling)
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
