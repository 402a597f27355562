"""What a user should know of a run, gathered by plane and put into words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, eq=False)
class Remarks:
    """What there is to say of a plane.

    Parameters
    ----------
    loose : int
        Number of objects that end at a tile's edge without a counterpart.
    non_finite : int
        Number of pixels without a value.
    capped : dict
        By the cap on objects: the lowest score within it, of each tile that has reached it.
    """

    loose: int = 0
    non_finite: int = 0
    capped: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Remarks:
        """Return the remarks that `to_json` told of."""
        capped = defaultdict(list, {int(cap): s for cap, s in values["capped"].items()})
        return cls(values["loose"], values["non_finite"], capped)

    def to_json(self) -> dict[str, Any]:
        """Return values that `json` can write."""
        return {"loose": self.loose, "non_finite": self.non_finite, "capped": dict(self.capped)}


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
    non_finite = sum(r.non_finite for r in remarks)
    if non_finite:
        notes.append(f"{non_finite} pixels are NaN or infinite and were masked")
    return notes
