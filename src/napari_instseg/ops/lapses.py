"""Objects of frames, tracked through time, as label images and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..instances import Instances
from ..segmenter import InputError
from .grouping import merge_rows, rank_groups
from .ids import Ids
from .masks import overlap_area
from .rendering import Rendering
from .tracking import Objects, Shared, TrackRules, Tracks, track
from .volumes import COLUMNS as OF_VOLUMES
from .volumes import DEPTH, step_of

#: The axis along which objects are tracked.
TIME = "T"
#: Columns that a table of tracks has beyond those of frames; path_um where pixel sizes are known.
COLUMNS = ("t_first", "t_last", "frames", "parent", "area_mean", "path", "path_um")


def reach_of(distance: float | None, unit: str, spacing: Mapping[str, float]) -> float | None:
    """How far an object may go from frame to frame, px; None if that is not said.

    Raises
    ------
    InputError
        If it is in µm and the pixel sizes are unknown.

    Examples
    --------
    >>> reach_of(6.0, "um", {"Y": 0.5, "X": 0.5})
    12.0
    """
    if distance is None or unit == "px":
        return distance
    if not {*"YX"} <= spacing.keys():
        raise InputError(
            "track_distance_unit: 'um' needs an image with a known pixel size; set the layer's "
            "scale and units, or give the distance in px"
        )
    return distance / _pixel(spacing)


def _pixel(spacing: Mapping[str, float]) -> float:
    """Side of a pixel, µm."""
    return math.sqrt(spacing["Y"] * spacing["X"])


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """Tracks at a threshold.

    Parameters
    ----------
    rendering : Rendering
        Labels: tracks 1..K by falling score. Table: one row each, see `Segmentation.table`.
    positions : DataFrame
        One row for each object of a frame, see `Segmentation.tracks`.
    numbers : (N + 1,) int32 or int64
        Track of each of the N objects that were tracked; the first is 0, for nothing.
    """

    rendering: Rendering
    positions: pd.DataFrame
    numbers: Ids


class Lapses:
    """Objects of frames, measured once and tracked at any threshold.

    Parameters
    ----------
    planes : sequence of Instances
        One a plane, in C order over ``plane_shape``.
    plane_shape, plane_axes : tuple of int, str
        Number of planes along each of the named axes, of which T is one; the frames of each
        index along the others are lapses of their own.
    linked : bool
        Whether objects go through Z: then they are tracked in 3-D.
    spacing : mapping of str to float
        µm per pixel by axis letter.
    reach : float, optional
        How far an object may go from frame to frame, px; None: as far as a typical one is wide.
    overlap, max_gap, split
        See `TrackRules`.
    min_frames : int
        Tracks with objects in fewer frames are left out.
    """

    def __init__(
        self,
        planes: Sequence[Instances],
        plane_shape: tuple[int, ...],
        plane_axes: str,
        *,
        linked: bool = False,
        spacing: Mapping[str, float],
        reach: float | None = None,
        overlap: float = 0.5,
        max_gap: int = 1,
        split: bool = False,
        min_frames: int = 1,
    ) -> None:
        self._axes, self._linked, self._spacing = plane_axes, linked, spacing
        self._reach, self._overlap, self._max_gap = reach, overlap, max_gap
        self._split, self._min_frames = split, min_frames
        self._masks = [mask for plane in planes for mask in plane.masks]
        plane = np.repeat(np.arange(len(planes)), [len(plane) for plane in planes])
        #: Index of each mask along each plane axis: (axes, N).
        self._where = np.array(np.unravel_index(plane, plane_shape))
        self._areas = np.array([mask.area for mask in self._masks], np.int64)
        self._middles = np.array([_middle(m.pixels, m.origin) for m in self._masks]).reshape(-1, 2)
        #: Index over all plane axes but time: masks of one place may lie on top of one another.
        self._place = self._index("".join(a for a in plane_axes if a != TIME))

    def show(self, found: Rendering, count: int) -> Tracked:
        """Track the first objects of a rendering, and number what comes of it.

        Parameters
        ----------
        found : Rendering
            Of the planes; or of their objects through Z, if these are linked.
        count : int
            How many of them there are.
        """
        table = found.table.iloc[:count]
        of = np.where(found.numbers <= count, found.numbers, 0).astype(np.int64) - 1
        objects = self._objects(of, table)
        tracks = track(objects, self._shared(of, count), self._rules(objects.area))
        number, scores = self._number(tracks.track, table)
        parent = _parents(tracks, number, len(scores))
        positions = self._positions(objects, table, number, parent)
        rows = self._table(table, number, positions).assign(score=scores)
        lookup = np.zeros(len(found.table) + 1, number.dtype)
        lookup[1 : count + 1] = number
        rendering = Rendering(lookup[found.labels], rows, lookup[found.numbers])
        return Tracked(rendering, positions.drop(columns="way"), lookup)

    def _index(self, axes: str) -> NDArray[np.int64]:
        """One number for each mask's index along some of the plane axes."""
        index = np.zeros(len(self._masks), np.int64)
        for axis in axes:
            along = self._where[self._axes.index(axis)]
            index = index * (int(along.max(initial=0)) + 1) + along
        return index

    def _objects(self, of: NDArray[np.int64], table: pd.DataFrame) -> Objects:
        """Put the masks of each object together; those of none have -1."""
        count, mine = len(table), np.flatnonzero(of >= 0)
        of, areas = of[mine], self._areas[mine]
        area = np.bincount(of, areas, count)
        axes = [self._middles[mine, 0], self._middles[mine, 1]]
        if self._linked:
            z = self._where[self._axes.index(DEPTH)][mine]
            axes.insert(0, z * step_of(self._spacing))
        sums = [np.bincount(of, areas * axis, count) for axis in axes]
        center = np.stack(sums, axis=1) / np.maximum(area, 1)[:, None]
        apart = "".join(a for a in self._axes if a != TIME and not (self._linked and a == DEPTH))
        frame, kind = np.zeros((2, count), np.int64)
        frame[of] = self._where[self._axes.index(TIME)][mine]
        kind[of] = self._index(apart)[mine]
        category = np.unique(table["category_id"].to_numpy(), return_inverse=True)[1]
        kind = kind * (int(category.max(initial=0)) + 1) + category
        return Objects(frame, kind, center, area.astype(np.int64))

    def _rules(self, area: NDArray[np.int64]) -> TrackRules:
        reach = self._reach
        if reach is None:
            typical = float(np.median(area)) if len(area) else 1.0
            reach = 2 * math.sqrt(typical / math.pi)
            if self._linked:
                volume = typical * step_of(self._spacing)
                reach = 2 * (3 * volume / (4 * math.pi)) ** (1 / 3)
        return TrackRules(reach, self._overlap, self._max_gap, self._split)

    def _shared(self, of: NDArray[np.int64], count: int) -> Shared:
        """Count what objects share, each made of some masks."""
        order = np.argsort(of, kind="stable")
        stops = np.searchsorted(of[order], np.arange(count + 1))
        members = [order[begin:end] for begin, end in pairwise(stops)]

        def shared(i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.int64]:
            pairs = zip(i.tolist(), j.tolist(), strict=True)
            return np.array([self._pixels(members[a], members[b]) for a, b in pairs], np.int64)

        return shared

    def _pixels(self, a: NDArray[np.intp], b: NDArray[np.intp]) -> int:
        """Pixels that masks of two objects share, in the same planes but for time."""
        masks, place = self._masks, self._place
        if len(a) == len(b) == 1:
            return overlap_area(masks[a[0]], masks[b[0]]) if place[a[0]] == place[b[0]] else 0
        other = {int(place[j]): int(j) for j in b}
        pairs = ((int(i), other.get(int(place[i]))) for i in a)
        return sum(overlap_area(masks[i], masks[j]) for i, j in pairs if j is not None)

    def _number(
        self, tracks: NDArray[np.int64], table: pd.DataFrame
    ) -> tuple[Ids, NDArray[np.float32]]:
        """Number of each object's track (0: too short), and the tracks' scores, falling."""
        long = np.bincount(tracks) >= self._min_frames
        present = np.flatnonzero(long[tracks])
        of = (np.cumsum(long) - 1)[tracks[present]]
        chosen = table.iloc[present]
        weight = (chosen["area"] + chosen["hidden_area"]).to_numpy(np.float64)
        scores = chosen["score"].to_numpy()
        rank, means = rank_groups(of, scores, weight, float(scores.min(initial=1.0)))
        number = np.zeros(len(tracks), rank.dtype)
        number[present] = rank[of]
        return number, means

    def _positions(
        self,
        objects: Objects,
        table: pd.DataFrame,
        number: Ids,
        parent: Ids,
    ) -> pd.DataFrame:
        """One row an object, sorted by track and time; ``way`` since the one before, px."""
        axes = {axis.lower(): table[axis.lower()].to_numpy() for axis in self._axes}
        if self._linked:
            axes["z"] = objects.center[:, 0] / step_of(self._spacing)
        columns = {"track": number, "parent": parent[number], **axes}
        columns |= {"y": objects.center[:, -2], "x": objects.center[:, -1]}
        columns |= {name: table[name].to_numpy() for name in ("area", "score", "category")}
        order = np.lexsort((objects.frame, number))
        order = order[number[order] > 0]
        rows = pd.DataFrame(columns).iloc[order].reset_index(drop=True)
        steps = np.linalg.norm(np.diff(objects.center[order], axis=0), axis=1)
        same = np.diff(number[order]) == 0
        rows["way"] = np.concatenate([np.zeros(min(len(order), 1)), np.where(same, steps, 0.0)])
        return rows

    def _table(self, table: pd.DataFrame, number: Ids, positions: pd.DataFrame) -> pd.DataFrame:
        """One row a track of the rows of its frames, in the order of its number."""
        kept = [c for c in table.columns if c not in OF_VOLUMES or c in ("z_first", "z_last")]
        order = np.lexsort((table["t"], number))
        order = order[number[order] > 0]
        rows = table[kept].iloc[order].assign(index=number[order], frames=1)
        rows = rows.assign(t_first=rows["t"], t_last=rows["t"])
        how = {"frames": "sum", "t_first": "min", "t_last": "max"}
        how |= {name: how[f"t_{name[2:]}"] for name in ("z_first", "z_last") if name in kept}
        merged = merge_rows(rows, how)
        tracks = positions.groupby("track")
        merged["parent"] = tracks["parent"].first().array
        merged["area_mean"] = merged["area"] / merged["frames"]
        merged["path"] = tracks["way"].sum().array
        if {*"YX"} <= self._spacing.keys():
            merged["path_um"] = merged["path"] * _pixel(self._spacing)
        return merged[[*kept, *(column for column in COLUMNS if column in merged)]]


def _middle(pixels: NDArray[np.bool_], origin: tuple[int, int]) -> tuple[float, float]:
    """Mean row and column of a mask's pixels, px."""
    rows, cols = np.nonzero(pixels)
    return float(rows.mean()) + origin[0], float(cols.mean()) + origin[1]


def _parents(tracks: Tracks, number: Ids, count: int) -> Ids:
    """Number of the track that each one, by its number, comes from; 0 for none."""
    numbers = np.zeros(len(tracks.parent) + 1, number.dtype)
    numbers[tracks.track] = number
    parent = np.zeros(count + 1, number.dtype)
    # The last entry stands for no parent, -1.
    parent[numbers[:-1]] = numbers[tracks.parent]
    parent[0] = 0
    return parent
