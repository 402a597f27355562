"""From tiles to the objects of a plane: what any worker does, wherever it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .ops.axes import Image
from .ops.comparing import uncovered
from .ops.intensity import IntensityMapping
from .ops.masks import tighten
from .ops.merging import Joined, compare_all, join
from .ops.objects import Objects
from .ops.results import LazyParts, Shelf, TileResult
from .ops.scaling import Resampling
from .ops.tiling import Tile
from .segmenter import RGB, InputError, Prediction, Segmenter

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

    def merge(self, shelf: Shelf, plane: Plane, tiles: Sequence[Tile], shown: float) -> int:
        """Put the results of a plane's tiles together, and keep its objects tile by tile.

        Parameters
        ----------
        shelf : Shelf
            With the tiles' results.
        plane : tuple of int
        tiles : sequence of Tile
        shown : float
            See `ops.merging.merge_tiles`.

        Returns
        -------
        int
            Number of objects that end at a tile's edge without a counterpart.
        """
        parts = LazyParts(len(tiles), lambda i: tile_of(shelf, plane, tiles[i]).instances)
        objects = Objects(self.resampling.target, parts)
        comparisons = compare_all(tiles, parts, self.resampling.target)
        joined = join(tiles, objects, comparisons, shown)
        stops = np.searchsorted(joined.roots, objects.first).tolist()
        for tile, (begin, end) in zip(tiles, pairwise(stops), strict=True):
            result = self._place(tile_of(shelf, plane, tile), objects, joined, range(begin, end))
            shelf.keep_objects(plane, tile, result)
        return joined.loose

    def _place(
        self, result: TileResult, objects: Objects, joined: Joined, chosen: range
    ) -> TileResult:
        """Move the objects that begin in a tile, and its own part of the stuff, to the image."""
        return self.to_image(replace(result, instances=joined.build(objects, chosen)))

    def to_image(self, result: TileResult) -> TileResult:
        """Move a tile's result from the grid of the tiles to that of the image."""
        height, width = self.image.label_shape[-2:]
        top, left = self.region.top, self.region.left
        found = self.resampling.restore(result.instances)
        own = self.resampling.origin_of(result.core)
        semantic = result.semantic
        if semantic is not None:
            semantic = self.resampling.spread(semantic, result.core)
        return TileResult(found.shift(top, left, (height, width)), own.shift(top, left), semantic)


def tile_of(shelf: Shelf, plane: Plane, tile: Tile) -> TileResult:
    """Return the result of a tile that is done.

    Raises
    ------
    InputError
        If it is gone.
    """
    result = shelf.tile(plane, tile)
    if result is None:
        raise InputError(f"the result of {tile} is gone or damaged; run again with --resume")
    return result
