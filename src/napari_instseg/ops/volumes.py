"""Objects of planes, linked through Z, as label images and a table of 3-D objects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from ..instances import Instances, Mask
from .grouping import merge_rows, rank_groups
from .ids import Ids, with_zero
from .linking import LinkRules, Links, Stack
from .masks import corners, paint_visible
from .morphing import between, clip
from .rendering import Rendering

#: The axis that is linked.
DEPTH = "Z"
#: Columns that a table of 3-D objects has beyond those of planes; volume_um3 where it is known.
COLUMNS = ("z_first", "z_last", "planes", "volume", "volume_um3", "link_iou_mean", "link_iou_min")


def step_of(spacing: Mapping[str, float]) -> float:
    """Distance of neighbouring planes in px of the plane; 1 where the pixel sizes are unknown.

    Examples
    --------
    >>> step_of({"Z": 2.0, "Y": 0.5, "X": 0.5})
    4.0
    """
    if not {*"ZYX"} <= spacing.keys():
        return 1.0
    return spacing["Z"] / math.sqrt(spacing["Y"] * spacing["X"])


def voxel_of(spacing: Mapping[str, float]) -> float | None:
    """Volume of a pixel of the stack, µm³; None where the pixel sizes are unknown."""
    return math.prod(spacing[a] for a in "ZYX") if {*"ZYX"} <= spacing.keys() else None


@dataclass(frozen=True, slots=True, eq=False)
class _Fill:
    """A piece that is added to an object: its plane, and the row of the object's that it is like.

    Holes in a mask are in the plane of that row, masks of missing planes between two others.
    """

    row: int
    plane: int
    mask: Mask


class Volumes:
    """Objects of planes, compared through Z once and shown as 3-D objects at any threshold.

    Parameters
    ----------
    painted : Rendering
        Of ``planes``. What it leaves out as hidden is not linked.
    planes : sequence of Instances
        One a plane, in C order over ``plane_shape``.
    plane_shape, plane_axes : tuple of int, str
        Number of planes along each of the named axes, of which Z is one; the planes of each
        index along the others are stacks of their own.
    rules : LinkRules
    min_planes : int
        Objects that were found in fewer planes are left out.
    fill : bool
        Fill holes in masks, and planes in which an object was missed, where nothing else is.
    voxel : float, optional
        Volume of a pixel, µm³.
    """

    def __init__(
        self,
        painted: Rendering,
        planes: Sequence[Instances],
        plane_shape: tuple[int, ...],
        plane_axes: str,
        rules: LinkRules,
        *,
        min_planes: int = 1,
        fill: bool = False,
        voxel: float | None = None,
    ) -> None:
        self._painted, self._min_planes, self._fill, self._voxel = painted, min_planes, fill, voxel
        stops = np.cumsum([0, *(len(plane) for plane in planes)])
        numbers = [painted.numbers[begin:end] for begin, end in pairwise(stops)]
        grid = np.moveaxis(np.arange(len(planes)).reshape(plane_shape), plane_axes.index(DEPTH), -1)
        #: Planes of each stack, the stack, and the row of each of its objects.
        self._stacks = [
            (
                column,
                Stack([planes[p].take(numbers[p] > 0) for p in column], rules),
                np.concatenate([numbers[p][numbers[p] > 0] for p in column]) - 1,
            )
            for column in grid.reshape(math.prod(grid.shape[:-1]), grid.shape[-1])
            if len(column)
        ]
        self._holes = _holes(planes, numbers) if fill else []

    def show(self, score_threshold: float) -> tuple[Rendering, pd.DataFrame]:
        """Link the planes' objects that have at least this score, and number what comes of it.

        Parameters
        ----------
        score_threshold : float

        Returns
        -------
        rendering : Rendering
            Labels: 3-D objects 1..K by falling score, the mean of the planes' scores weighted
            by the masks' areas. Those of equal score are ordered by the best score in a plane.
            Table: one row each, see `Segmentation.table`.
        links : DataFrame
            One row a link: index of the object, z_from, z_to, iou.
        """
        painted, table = self._painted, self._painted.table
        objects, pairs, iou, gaps = self._link(painted.count(score_threshold))
        number, scores = self._number(objects, score_threshold)
        lookup = with_zero(number)
        labels = lookup[painted.labels]
        added = self._paint(labels, number, [*gaps, *self._holes])
        present = np.flatnonzero(number)
        rows = table.iloc[present].assign(index=number[present], found=1)
        shown = self._table(pd.concat([rows, added]) if len(added) else rows)
        shown["score"] = scores
        z, (lower, upper) = table["z"].to_numpy(), pairs.T
        columns = {"index": number[lower], "z_from": z[lower], "z_to": z[upper], "iou": iou}
        links = pd.DataFrame(columns).sort_values(["index", "z_from"], ignore_index=True)
        return Rendering(labels, self._measured(shown, links), lookup[painted.numbers]), links

    def _link(
        self, count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], list[_Fill]]:
        """Link the first rows: object of each row (-1 for none), links, and what fills gaps."""
        objects = np.full(len(self._painted.table), -1, np.int64)
        all_pairs, all_iou, gaps = [np.empty((0, 2), np.int64)], [np.empty(0)], []
        total = 0
        for planes, stack, rows in self._stacks:
            links = self._long_enough(stack.link(rows < count))
            here = links.objects >= 0
            objects[rows[here]] = links.objects[here] + total
            total += int(links.objects.max(initial=-1)) + 1
            all_pairs.append(rows[links.pairs])
            all_iou.append(links.iou)
            if self._fill:
                gaps += _gaps(stack, planes, rows, links, self._painted.labels.shape[-2:])
        return objects, np.concatenate(all_pairs), np.concatenate(all_iou), gaps

    def _long_enough(self, links: Links) -> Links:
        """Leave out objects that were found in too few planes."""
        present = links.objects >= 0
        planes = np.bincount(links.objects[present])
        if not (planes < self._min_planes).any():
            return links
        number = np.where(planes >= self._min_planes, np.cumsum(planes >= self._min_planes) - 1, -1)
        objects = links.objects.copy()
        objects[present] = number[objects[present]]
        kept = objects[links.pairs[:, 0]] >= 0
        return Links(objects, links.pairs[kept], links.iou[kept])

    def _number(self, objects: NDArray[np.int64], least: float) -> tuple[Ids, NDArray[np.float32]]:
        """Number of each row (0 for none), and the objects' scores, falling."""
        present = np.flatnonzero(objects >= 0)
        table = self._painted.table.iloc[present]
        weight = (table["area"] + table["hidden_area"]).to_numpy(np.float64)
        rank, scores = rank_groups(objects[present], table["score"].to_numpy(), weight, least)
        number = np.zeros(len(objects), rank.dtype)
        number[present] = rank[objects[present]]
        return number, scores

    def _paint(self, labels: Ids, number: Ids, fills: Sequence[_Fill]) -> pd.DataFrame:
        """Paint what is added where nothing is; return rows of it like those of the planes."""
        fills = [fill for fill in fills if number[fill.row]]
        shape = labels.shape[-2:]
        canvas = labels.reshape(math.prod(labels.shape[:-2]), *shape)
        area, hidden = np.zeros((2, len(fills)), np.int64)
        place = np.array([fill.plane for fill in fills], np.intp)
        for plane in np.unique(place):
            mine = np.flatnonzero(place == plane)
            numbers = number[[fills[k].row for k in mine]]
            masks = [fills[k].mask for k in mine]
            free, whole = paint_visible(canvas[plane], masks, numbers, 0.0)
            area[mine], hidden[mine] = free, whole - free
        bounds = corners(fill.mask for fill in fills)
        rows = [fill.row for fill in fills]
        like = self._painted.table.iloc[rows].assign(index=number[rows], found=0, area=area)
        like["hidden_area"] = hidden
        like[["row_min", "col_min", "row_max", "col_max"]] = bounds
        like["touches_edge"] = ((bounds[:, :2] == 0) | (bounds[:, 2:] == shape)).any(axis=1)
        return like

    def _table(self, rows: pd.DataFrame) -> pd.DataFrame:
        """One row an object of the rows of its planes, in the order of its number."""
        order = np.lexsort((rows["z"], -rows["area"], rows["index"]))
        rows = rows.iloc[order].assign(z_first=rows["z"].iloc[order], z_last=rows["z"].iloc[order])
        table = merge_rows(rows, {"found": "sum", "z_first": "min", "z_last": "max"})
        return table.rename(columns={"found": "planes"})

    def _measured(self, table: pd.DataFrame, links: pd.DataFrame) -> pd.DataFrame:
        """Add volumes, and how well the planes' masks agree; put the columns in order."""
        table["volume"] = table["area"]
        if self._voxel is not None:
            table["volume_um3"] = table["area"] * self._voxel
        iou = links.groupby("index")["iou"].agg(["mean", "min"]).reindex(table["index"])
        table["link_iou_mean"], table["link_iou_min"] = iou["mean"].array, iou["min"].array
        own = [column for column in COLUMNS if column in table]
        return table[[*self._painted.table.columns, *own]]


def _gaps(
    stack: Stack,
    planes: NDArray[np.intp],
    rows: NDArray[np.int64],
    links: Links,
    shape: tuple[int, ...],
) -> list[_Fill]:
    """Make the masks of objects in the planes that their links leap over."""
    height, width = shape
    fills = []
    for a, b in links.pairs.tolist():
        first, last = int(stack.plane[a]), int(stack.plane[b])
        for z in range(first + 1, last):
            share = (z - first) / (last - first)
            mask = clip(between(stack.masks[a], stack.masks[b], share), (height, width))
            if mask is not None:
                fills.append(_Fill(int(rows[a]), int(planes[z]), mask))
    return fills


def _holes(planes: Sequence[Instances], numbers: Sequence[Ids]) -> list[_Fill]:
    """Make masks of what is enclosed by masks."""
    fills = []
    for place, (plane, mine) in enumerate(zip(planes, numbers, strict=True)):
        for mask, number in zip(plane.masks, mine.tolist(), strict=True):
            inside = ndimage.binary_fill_holes(mask.pixels) & ~mask.pixels
            hole = Mask(mask.origin, inside).tight() if number else None
            if hole is not None:
                fills.append(_Fill(number - 1, place, hole))
    return fills
