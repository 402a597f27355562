"""Objects that are accepted one after the other, painted into a label image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..instances import Mask
from ..ops.masks import span
from .prompts import Candidate

Labels = TypeVar("Labels", bound=np.integer)


@dataclass(frozen=True, slots=True, eq=False)
class Accepted:
    """An object to be painted.

    Parameters
    ----------
    number : int
        Its value in the label image.
    answer : Candidate
        Its pixels and score.
    replaces : bool
        Take its other pixels on this plane away first.
    """

    number: int
    answer: Candidate
    replaces: bool = False

    @property
    def mask(self) -> Mask:
        """Its pixels."""
        return self.answer.mask


def part_of(plane: NDArray[Labels], accepted: Sequence[Accepted]) -> tuple[slice, slice]:
    """Rows and columns of a plane that painting these objects may change."""
    masks = [one.mask for one in accepted]
    for one in accepted:
        old = Mask((0, 0), plane == one.number).tight() if one.replaces else None
        masks += [old] if old else []
    return _around(masks)


def painted(
    before: NDArray[Labels],
    accepted: Sequence[Accepted],
    origin: tuple[int, int],
    *,
    overwrite: bool,
) -> NDArray[Labels]:
    """Return a part of a plane with objects in it.

    Parameters
    ----------
    before : (H, W) integer array
    accepted : sequence of Accepted
        Within the part, in px of the plane. Where they overlap, the first one has the pixels.
    origin : (int, int)
        Row and column of the part's first pixel.
    overwrite : bool
        Paint over other objects, too.
    """
    after = before.copy()
    for one in accepted:
        if one.replaces:
            after[after == one.number] = 0
    new = np.zeros(before.shape, bool)
    for one in accepted:
        part = one.mask.shift(-origin[0], -origin[1]).slices
        here = after[part]
        free = one.mask.pixels & ~new[part]
        if not overwrite:
            free &= (here == 0) | (here == one.number)
        here[free] = one.number
        new[part] |= free
    return after


def repaint(plane: NDArray[Labels], goes: Iterable[tuple[Sequence[Accepted], bool]]) -> None:
    """Paint objects into a plane that has nothing of them yet, (H, W), in place.

    Only where an object was is looked for pixels that a go replaces: a search of all of a large
    plane takes a second, and each correction would add one.

    Parameters
    ----------
    plane : (H, W) integer array
    goes : iterable of (sequence of Accepted, bool)
        What was accepted together, and whether over other objects, too; see `painted`.
    """
    masks: defaultdict[int, list[Mask]] = defaultdict(list)
    for accepted, overwrite in goes:
        for one in accepted:
            masks[one.number].append(one.mask)
        if near := [mask for one in accepted for mask in masks[one.number]]:
            rows, cols = _around(near)
            origin = rows.start, cols.start
            plane[rows, cols] = painted(plane[rows, cols], accepted, origin, overwrite=overwrite)


def _around(masks: Sequence[Mask]) -> tuple[slice, slice]:
    rows, cols = (span([mask.slices[i] for mask in masks]) for i in (0, 1))
    return rows, cols
