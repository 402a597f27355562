"""From tiles to the objects of a plane: what any worker does, wherever it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .hands import OWN_HANDS, Hands
from .instances import Instances
from .ops.axes import Image
from .ops.comparing import uncovered
from .ops.intensity import IntensityMapping
from .ops.masks import tighten
from .ops.merging import Joined, Makeup, join
from .ops.objects import Objects
from .ops.results import KEPT_TILES, LazyParts, Shelf, TileResult
from .ops.scaling import Resampling
from .ops.seams import Seams
from .ops.tile_groups import Compared, Group, compare_group, groups
from .ops.tiling import Tile
from .segmenter import RGB, DeviceMemoryError, InputError, Prediction, Segmenter

Plane = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TileWork:
    """How tiles of one image are read, and where their objects belong.

    Parameters
    ----------
    image : Image
    channels : sequence of int, optional
        Channels that are read; None reads all.
    mapping : IntensityMapping
    region : Tile
        Rows and columns of the image that are segmented.
    resampling : Resampling
        Of the region, to the grid of the tiles.
    min_visible : float
        See `Rules`.
    """

    image: Image
    channels: Sequence[int] | None
    mapping: IntensityMapping
    region: Tile
    resampling: Resampling
    min_visible: float

    def read(self, plane: Plane, tile: Tile) -> tuple[RGB, NDArray[np.bool_] | None]:
        """Read a tile as the model sees it, and where pixels have no value, if any."""
        needed = self.resampling.needs(tile).shift(self.region.top, self.region.left)
        pixels = self.image.read(plane, *needed.slices, self.channels)
        bad = None
        if pixels.dtype.kind == "f":
            bad = ~np.isfinite(pixels)
            bad = bad if bad.ndim == 2 else bad.any(axis=-1)
        return self.resampling.apply(self.mapping.apply(pixels), tile), bad

    def segment(
        self, segmenter: Segmenter, plane: Plane, tiles: Sequence[Tile], cores: Sequence[Tile]
    ) -> list[TileResult]:
        """Segment tiles as one batch; ``cores`` are their own parts.

        Raises
        ------
        DeviceMemoryError
            If they are too many at once.
        """
        read = [self.read(plane, tile) for tile in tiles]
        predictions = segmenter.segment([picture for picture, _ in read])
        return [
            self._result(tile, core, prediction, bad)
            for tile, core, prediction, (_, bad) in zip(
                tiles, cores, predictions, read, strict=True
            )
        ]

    def _result(
        self, tile: Tile, core: Tile, prediction: Prediction, bad: NDArray[np.bool_] | None
    ) -> TileResult:
        target, semantic = self.resampling.target, prediction.semantic
        found = tighten(prediction.instances).shift(tile.top, tile.left, target)
        if tile.shape != target:
            found = uncovered(found, tile, self.min_visible)
        own = None if semantic is None else semantic[core.within(tile)].astype(np.int32)
        if bad is not None:
            bad = bad[self.resampling.origin_of(core).within(self.resampling.needs(tile))]
        weakest = float(prediction.instances.scores.min(initial=1.0))
        return TileResult(
            found,
            core,
            own,
            0 if bad is None else int(np.count_nonzero(bad)),
            (prediction.limit_reached, weakest) if prediction.limit_reached else None,
        )

    def merge(
        self,
        shelf: Shelf,
        plane: Plane,
        tiles: Sequence[Tile],
        shown: float,
        hands: Hands = OWN_HANDS,
    ) -> tuple[int, Seams]:
        """Put the results of a plane's tiles together, and keep its objects tile by tile.

        Parameters
        ----------
        shelf : Shelf
            With the tiles' results.
        plane : tuple of int
        tiles : sequence of Tile
        shown : float
            See `ops.merging.merge_tiles`.
        hands : Hands
            Who compares tiles, and moves their objects to the image.

        Returns
        -------
        loose : int
            Number of objects that end at a tile's edge without a counterpart.
        seams : Seams
            Where tiles met, in the image's grid.
        """
        target, several = self.resampling.target, groups(tiles)
        compared = hands.combine(
            partial(compare_stored, shelf, plane, target), several, Compared.joined
        )
        parts = LazyParts(len(tiles), lambda i: result_of(shelf, plane, tiles[i]).instances)
        objects = Objects(target, parts, compared.numbers)
        joined = join(tiles, objects, compared.evidence, shown)
        placings = (Placing.of(tiles, group.own, joined, objects) for group in several)
        for _ in hands.map(partial(self.place, shelf, plane), placings):
            pass
        seams = joined.seams.moved(self.resampling, self.region.top, self.region.left)
        return joined.loose, seams

    def place(self, shelf: Shelf, plane: Plane, placing: Placing) -> None:
        """Move the objects that begin in some tiles to the image, and these tiles' stuff.

        What comes of it is kept on the shelf.
        """
        read = lru_cache(maxsize=KEPT_TILES)(partial(result_of, shelf, plane))
        for tile, makeup in placing.makeups:
            made = makeup.build(
                self.resampling.target,
                lambda number, i: read(placing.tiles[number]).instances.masks[i],
            )
            shelf.keep_objects(plane, tile, self.to_image(replace(read(tile), instances=made)))

    def to_image(self, result: TileResult) -> TileResult:
        """Move a tile's result from the grid of the tiles to that of the image."""
        height, width = self.image.label_shape[-2:]
        top, left = self.region.top, self.region.left
        found = self.resampling.restore(result.instances)
        own, semantic = self.resampling.origin_of(result.core), result.semantic
        if semantic is not None:
            semantic = self.resampling.spread(semantic, result.core)
        return TileResult(found.shift(top, left, (height, width)), own.shift(top, left), semantic)


@dataclass(frozen=True, slots=True)
class Batch:
    """Tiles of a plane that are segmented together, and their own parts."""

    plane: Plane
    tiles: list[Tile]
    cores: list[Tile]


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a `Batch`.

    Parameters
    ----------
    plane : tuple of int
    results : list of (int, (int, float) or None)
        ``non_finite`` and ``capped`` of each tile; see `TileResult`.
    fewer : list of int
        Memory ran out: numbers of tiles at a time that were tried instead.
    """

    plane: Plane
    results: list[tuple[int, tuple[int, float] | None]]
    fewer: list[int]


@dataclass(frozen=True, slots=True)
class Placing:
    """What the objects that begin in some tiles are made of.

    Parameters
    ----------
    makeups : list of (Tile, Makeup)
    tiles : dict of int to Tile
        Those that the makeups name.
    """

    makeups: list[tuple[Tile, Makeup]]
    tiles: dict[int, Tile]

    @classmethod
    def of(
        cls,
        tiles: Sequence[Tile],
        own: Sequence[int],
        joined: Joined,
        objects: Objects,
    ) -> Placing:
        """Choose the objects that begin in the tiles of the numbers ``own``."""
        stops = np.searchsorted(joined.roots, objects.first[[*own, own[-1] + 1]]).tolist()
        makeups = [
            (tiles[number], joined.makeup(objects, range(begin, end)))
            for number, (begin, end) in zip(own, pairwise(stops), strict=True)
        ]
        named = {n for _, makeup in makeups for parts in makeup.members for n, _ in parts}
        return cls(makeups, {n: tiles[n] for n in named})


def segment_batch(work: TileWork, segmenter: Segmenter, shelf: Shelf, batch: Batch) -> Report:
    """Segment the tiles of a batch and keep the results, if they are not there already.

    Raises
    ------
    DeviceMemoryError
        If a single tile is too much.
    """
    plane, tiles = batch.plane, batch.tiles
    # All or none: a tile's answer may depend on its batch by a rounding error.
    kept = [shelf.tile(plane, tile) for tile in tiles]
    results = [result for result in kept if result is not None]
    fewer: list[int] = []
    if len(results) < len(tiles):
        results, count = [], len(tiles)
        while len(results) < len(tiles):
            part = slice(len(results), len(results) + count)
            try:
                results += work.segment(segmenter, plane, tiles[part], batch.cores[part])
            except DeviceMemoryError:
                if len(tiles[part]) == 1:
                    raise
                count = len(tiles[part]) // 2
                fewer.append(count)
                continue
            for tile, result in zip(tiles[part], results[part], strict=True):
                shelf.keep_tile(plane, tile, result)
    return Report(plane, [(result.non_finite, result.capped) for result in results], fewer)


def find_objects(work: TileWork, segmenter: Segmenter, where: tuple[Plane, Tile]) -> Instances:
    """Segment a single tile, in its own pixel grid.

    Raises
    ------
    DeviceMemoryError
        If it is too large.
    """
    picture, _ = work.read(*where)
    return segmenter.segment([picture])[0].instances


def merge_plane(
    work: TileWork, shelf: Shelf, shown: float, plane: tuple[Plane, Sequence[Tile]]
) -> tuple[int, Seams]:
    """Put the results of a plane's tiles together; see `TileWork.merge`."""
    return work.merge(shelf, *plane, shown)


def compare_stored(
    shelf: Shelf, plane: Plane, plane_shape: tuple[int, int], group: Group
) -> Compared:
    """Compare the tiles of a group, whose results are on a shelf, with their neighbours."""
    read = lru_cache(maxsize=KEPT_TILES)(partial(result_of, shelf, plane))
    return compare_group(group, lambda number: read(group.tiles[number]).instances, plane_shape)


def result_of(shelf: Shelf, plane: Plane, tile: Tile) -> TileResult:
    """Return the result of a tile that is done.

    Raises
    ------
    InputError
        If it is gone.
    """
    result = shelf.tile(plane, tile)
    if result is None:
        raise InputError(
            f"the result of {tile} is gone or damaged; resume the run (--resume) to make it anew"
        )
    return result
