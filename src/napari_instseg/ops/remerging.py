"""Join the objects of overlapping tiles again and again, when some of them come and go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..instances import Instances
from .comparing import Comparison, Evidence, compare, touching, uncovered
from .merging import Merged, join
from .objects import Numbers, Objects
from .tile_groups import neighbours
from .tiling import Tile


@dataclass(frozen=True, slots=True, eq=False)
class _Strip:
    """What two tiles say of the objects that reach into the pixels that both show."""

    parts: tuple[Instances, Instances]
    near: tuple[Instances, Instances]
    comparison: Comparison
    evidence: Evidence


class TileMerger:
    """Joins what was found in each tile, as `merge_tiles` does, and remembers it.

    What two tiles say of their strip is compared anew only where one of them brings other objects
    there than the last time.

    Parameters
    ----------
    plane_shape, tiles, min_visible
        See `merge_tiles`.
    """

    def __init__(
        self, plane_shape: tuple[int, int], tiles: Sequence[Tile], min_visible: float = 0.5
    ) -> None:
        self._shape, self._tiles, self._min_visible = plane_shape, tiles, min_visible
        self._pairs = list(neighbours(tiles))
        self._given: list[Instances | None] = [None] * len(tiles)
        self._seen: list[Instances] = [Instances.empty(plane_shape)] * len(tiles)
        self._numbers = [Numbers.of(part) for part in self._seen]
        self._strips: dict[tuple[int, int], _Strip] = {}

    def __call__(self, parts: Sequence[Instances], shown: float = 0.0) -> Merged:
        """Join the tiles' objects; see `merge_tiles`."""
        if not parts:
            return Merged(Instances.empty(self._shape))
        if len(parts) == 1:
            return Merged(parts[0])
        for number, part in enumerate(parts):
            if self._given[number] is not part:
                self._given[number] = part
                seen = uncovered(part, self._tiles[number], self._min_visible)
                self._seen[number], self._numbers[number] = seen, Numbers.of(seen)
        objects = Objects(self._shape, self._seen, Numbers.joined(self._numbers))
        evidence = Evidence.joined([self._compare(a, b) for a, b in self._pairs])
        joined = join(self._tiles, objects, evidence, shown)
        return Merged(joined.build(objects), joined.loose)

    def _compare(self, a: int, b: int) -> Evidence:
        parts, last = (self._seen[a], self._seen[b]), self._strips.get((a, b))
        if last is not None and last.parts[0] is parts[0] and last.parts[1] is parts[1]:
            return last.evidence
        tiles = self._tiles[a], self._tiles[b]
        strip = tiles[0].intersection(tiles[1])
        ids = [
            np.empty(0, np.intp) if strip is None else touching(self._numbers[t].bounds, strip)
            for t in (a, b)
        ]
        near = parts[0].take(ids[0]), parts[1].take(ids[1])
        if last is not None and all(map(_same, near, last.near)):
            comparison = last.comparison
        else:
            comparison = compare(tiles, near, self._shape)
        evidence = Evidence.of(a, b, comparison.renumbered(ids[0], ids[1]))
        self._strips[a, b] = _Strip(parts, near, comparison, evidence)
        return evidence


def _same(now: Instances, then: Instances) -> bool:
    """Whether objects are the very same."""
    if len(now) != len(then):
        return False
    same = all(a is b for a, b in zip(now.masks, then.masks, strict=True))
    return same and np.array_equal(now.scores, then.scores)
