"""What a user should know of a run, gathered by plane and put into words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from .ops.tiling import Tile


@dataclass(slots=True, eq=False)
class Remarks:
    """What there is to say of a plane.

    Parameters
    ----------
    loose : int
        Number of objects that end at a tile's edge without a counterpart.
    non_finite : dict
        Number of pixels without a value by tile.
    capped : dict
        By the cap on objects: the lowest score within it, of each tile that has reached it.
    """

    loose: int = 0
    non_finite: dict[Tile, int] = field(default_factory=dict)
    capped: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))


def describe(remarks: Collection[Remarks]) -> list[str]:
    """Put the remarks on all planes into sentences for the user."""
    notes = []
    for cap in sorted({cap for r in remarks for cap in r.capped}):
        scores = [score for r in remarks for score in r.capped.get(cap, ())]
        plural = "tile" if len(scores) == 1 else "tiles"
        notes.append(
            f"limit of {cap} objects reached on {len(scores)} {plural}: objects with scores "
            f"below {max(scores):.2f} may be missing there; use smaller tiles"
        )
    loose = sum(r.loose for r in remarks)
    if loose:
        notes.append(
            f"{loose} objects end at a tile's edge without a counterpart beyond it: "
            "use larger tiles or more overlap"
        )
    non_finite = sum(sum(r.non_finite.values()) for r in remarks)
    if non_finite:
        notes.append(f"{non_finite} pixels are NaN or infinite and were masked")
    return notes
