"""What a user should know of a run, gathered by plane and put into words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from .ops.seams import KINDS, Seams


@dataclass(slots=True, eq=False)
class Remarks:
    """What there is to say of a plane.

    Parameters
    ----------
    loose : int
        Number of objects that end at a tile's edge without a counterpart.
    seams : Seams
        Where tiles met.
    non_finite : int
        Number of pixels without a value.
    capped : dict
        By the cap on objects: the lowest score within it, of each tile that has reached it.
    """

    loose: int = 0
    seams: Seams = field(default_factory=lambda: Seams.from_json([]))
    non_finite: int = 0
    capped: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Remarks:
        """Return the remarks that `to_json` told of."""
        capped = defaultdict(list, {int(cap): s for cap, s in values["capped"].items()})
        seams = Seams.from_json(values["seams"])
        return cls(values["loose"], seams, values["non_finite"], capped)

    def to_json(self) -> dict[str, Any]:
        """Return values that `json` can write."""
        return {
            "loose": self.loose,
            "seams": self.seams.to_json(),
            "non_finite": self.non_finite,
            "capped": dict(self.capped),
        }


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


def list_seams(remarks: Mapping[tuple[int, ...], Remarks], plane_axes: str) -> pd.DataFrame:
    """List all planes' seams.

    Parameters
    ----------
    remarks : mapping
        By the index of the plane along each of ``plane_axes``.
    plane_axes : str

    Returns
    -------
    DataFrame
        One row a place: one column a plane axis (z, t, ...), row_min, col_min, row_max, col_max
        (px), iou (in [0, 1]) and kind ("joined", "ambiguous", "loose"); see `ops.seams.Seams`.
    """
    found = list(remarks.items())
    counts = [len(r.seams) for _, r in found]
    where = np.array([plane for plane, _ in found], np.int64).reshape(len(found), len(plane_axes))
    columns = dict(zip(plane_axes.lower(), np.repeat(where, counts, axis=0).T, strict=True))
    nothing = Seams.from_json([])
    all_seams = [nothing, *(r.seams for _, r in found)]
    bounds = np.concatenate([seams.bounds for seams in all_seams])
    edges = ("row_min", "col_min", "row_max", "col_max")
    columns |= dict(zip(edges, bounds.T, strict=True))
    columns["iou"] = np.concatenate([seams.iou for seams in all_seams])
    kinds = np.concatenate([seams.kind for seams in all_seams])
    return pd.DataFrame(columns).assign(kind=[KINDS[k] for k in kinds])
