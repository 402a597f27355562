"""Objects of all planes to label images and one table.

Numbers follow falling score over the whole image: object 1 is the best. A better object is
painted over a lesser one, so leaving out all objects below a score never uncovers anything:
the label image at any threshold is the full one with the numbers above N set to 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..instances import Instances
from ..segmenter import USUAL_RULES, Category, Rules
from .arrays import joined
from .ids import Ids, id_type, ranks_of, with_zero
from .masks import paint_visible
from .objects import Objects
from .stuff import Edges, Stuff


@dataclass(frozen=True, slots=True, eq=False)
class Rendering:
    """All objects, painted and listed once; numbered by falling score.

    Parameters
    ----------
    labels : int32 or int64 array of the image's label shape
        Object numbers, 0 is nothing; see `ids`.
    table : DataFrame
        One row an object, in the order of the numbers.
    numbers : (N,) int32 or int64
        Number of each of the planes' objects, one plane after the other; 0 if it was left out.
    """

    labels: Ids
    table: pd.DataFrame
    numbers: Ids

    def count(self, score_threshold: float) -> int:
        """Number of objects with at least this score."""
        scores = self.table["score"].to_numpy()
        # Scores fall, so their negatives are sorted.
        return int(np.searchsorted(-scores, -np.float32(score_threshold), side="right"))

    def instances(self, count: int) -> Ids:
        """Label image of the first ``count`` objects."""
        if count == len(self.table):
            return self.labels
        return np.where(self.labels <= count, self.labels, self.labels.dtype.type(0))

    def semantic(self, count: int) -> NDArray[np.int32]:
        """Category id of the first ``count`` objects, 0 elsewhere."""
        ids = np.zeros(len(self.table) + 1, np.int32)
        ids[1 : count + 1] = self.table["category_id"].to_numpy()[:count]
        return ids[self.labels]


def render(
    planes: Sequence[Instances],
    plane_shape: tuple[int, ...],
    plane_axes: str,
    image_shape: tuple[int, int],
    categories: Sequence[Category],
    source: str,
    rules: Rules = USUAL_RULES,
) -> Rendering:
    """Paint and list the objects of all planes, but those that are mostly hidden.

    Parameters
    ----------
    planes : sequence of Instances
        One a plane, in C order over ``plane_shape``.
    plane_shape, plane_axes : tuple of int, str
        Number of planes along each of the named axes.
    image_shape : (int, int)
        Height and width of a plane, px.
    categories : sequence of Category
    source : str
        Name of the model, for the table.
    rules : Rules
        Which objects are hidden too much to be shown, and whether masks are boxes.

    Returns
    -------
    Rendering
        Equal scores are ordered by plane, then as they come.
    """
    objects = [Objects(image_shape, (plane,)) for plane in planes]
    order, rank = ranked(objects)
    labels = np.zeros((len(planes), *image_shape), rank.dtype)
    visible, area = np.zeros((2, len(order)), np.int64)
    stops = np.cumsum([len(p) for p in planes], dtype=np.intp)
    for canvas, plane, stop in zip(labels, planes, stops, strict=True):
        mine = slice(stop - len(plane), stop)
        visible[mine], area[mine] = paint_visible(
            canvas, plane.masks, rank[mine], rules.min_visible
        )
    listing = Listing(plane_shape, plane_axes, image_shape, tuple(categories), source, rules)
    table, numbers = listing.make(objects, order, visible, area)
    if len(table) < len(order):
        labels = with_zero(numbers[order])[labels]
    return Rendering(labels.reshape(*plane_shape, *image_shape), table, numbers)


def ranked(planes: Sequence[Objects]) -> tuple[NDArray[np.intp], Ids]:
    """Order all planes' objects by falling score, then by plane; each one's rank from 1 on."""
    scores = joined((plane.scores for plane in planes), np.float32)
    order = np.argsort(-scores, kind="stable")
    return order, ranks_of(order)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a table says of all objects alike; parameters as of `render`."""

    plane_shape: tuple[int, ...]
    plane_axes: str
    image_shape: tuple[int, int]
    categories: tuple[Category, ...]
    source: str
    rules: Rules

    def make(
        self,
        planes: Sequence[Objects],
        order: NDArray[np.intp],
        visible: NDArray[np.int64],
        area: NDArray[np.int64],
    ) -> tuple[pd.DataFrame, Ids]:
        """Number the objects, but those that are mostly hidden, and list them.

        Parameters
        ----------
        planes : sequence of Objects
            One a plane, in C order over ``plane_shape``.
        order : (N,) int
            As of `ranked`.
        visible, area : (N,) int64
            Of each object: pixels that are not hidden, and all, px.

        Returns
        -------
        table : DataFrame
            One row an object, in the order of the numbers.
        numbers : (N,) int32 or int64
            See `Rendering`.
        """
        kept = order[(visible >= self.rules.min_visible * area)[order]]
        numbers = np.zeros(len(order), id_type(len(kept)))
        numbers[kept] = np.arange(1, len(kept) + 1)
        table = self._columns(planes)
        table["area"] = visible
        table["hidden_area"] = area - visible
        table["is_box"] = self.rules.boxes_only
        table = table.iloc[kept].reset_index(drop=True)
        table.insert(0, "index", np.arange(1, len(kept) + 1))
        return table, numbers

    def _columns(self, planes: Sequence[Objects]) -> pd.DataFrame:
        """Columns of every object, in the order of the planes."""
        ids = joined((p.category_ids for p in planes), np.int64)
        named = {c.id: c for c in self.categories}
        bounds = np.concatenate([np.empty((0, 4), np.int64), *(p.bounds for p in planes)])
        columns: dict[str, object] = {
            "category_id": ids,
            "category": [named[i].name if i in named else f"category {i}" for i in ids],
            "is_thing": np.ones(len(ids), bool),
            "score": joined((p.scores for p in planes), np.float32),
            "area": 0,
            "hidden_area": 0,
            "is_box": False,
        }
        edges = ("row_min", "col_min", "row_max", "col_max")
        columns |= dict(zip(edges, bounds.T, strict=True))
        where = np.repeat(np.arange(len(planes)), [len(p) for p in planes])
        index = np.unravel_index(where, self.plane_shape or (1,))
        for axis, place in zip(self.plane_axes, index, strict=False):
            columns[axis.lower()] = place
        last = bounds[:, 2:] == self.image_shape
        columns["touches_edge"] = ((bounds[:, :2] == 0) | last).any(axis=1)
        columns["source"] = self.source
        return pd.DataFrame(columns)


def add_stuff(
    rendering: Rendering,
    count: int,
    stuff: NDArray[np.integer[Any]] | None,
    categories: Sequence[Category],
    source: str,
    rules: Rules = USUAL_RULES,
) -> tuple[NDArray[np.int32], Ids, pd.DataFrame]:
    """Combine the first ``count`` objects with a map of stuff.

    Parameters
    ----------
    rendering : Rendering
    count : int
    stuff : integer array of the label shape, optional
        Category id of each pixel from the model's semantic head; things in it are ignored,
        since objects say where things are.
    categories : sequence of Category
    source : str
    rules : Rules
        How small a stuff category is left out of a plane.

    Returns
    -------
    semantic, panoptic : integer arrays of the label shape
        In panoptic (see `ids`), objects keep their number and each stuff category follows from
        ``count + 1`` on, in the order of its id.
    table : DataFrame
        The rows of the objects, then one a stuff category.
    """
    instances = rendering.instances(count)
    semantic = rendering.semantic(count)
    table = rendering.table.iloc[:count].copy()
    if stuff is None:
        return semantic, instances, table
    seen = Stuff(categories, rules, count)
    panoptic = instances.astype(seen.dtype)
    planes = list(np.ndindex(*instances.shape[:-2]))
    for plane in planes:
        seen.look(plane, (0, 0), instances[plane], stuff[plane])
    for plane in planes:
        seen.paint(plane, stuff[plane], semantic[plane], panoptic[plane])
    return semantic, panoptic, add_rows(table, seen, instances.shape[-2:], source)


def add_rows(
    table: pd.DataFrame, stuff: Stuff, image_shape: tuple[int, ...], source: str
) -> pd.DataFrame:
    """Add a row for each segment of stuff to the rows of the objects."""
    columns = list(table.columns)
    rows = [_stuff_row(segment, image_shape, columns, source) for segment in stuff.segments()]
    if not rows:
        return table
    whole = [table, pd.DataFrame(rows)] if len(table) else [pd.DataFrame(rows)]
    return pd.concat(whole, ignore_index=True)[columns]


def rows_of(table: pd.DataFrame, output: str) -> pd.DataFrame:
    """Choose the rows of a table that tell of one output: one row a label in it.

    Parameters
    ----------
    table : DataFrame
        As of `add_stuff`.
    output : {"instances", "semantic", "panoptic"}

    Returns
    -------
    DataFrame
        Column ``index`` is the label. Of semantic: category_id, category, is_thing, segments
        (their number) and area (px); of the others all columns.
    """
    if output == "instances":
        return table[table["is_thing"].astype(bool)]
    if output == "panoptic":
        return table
    groups = table.groupby(["category_id", "category", "is_thing"], as_index=False)
    rows = groups.agg(segments=("index", "size"), area=("area", "sum"))
    rows.insert(0, "index", rows["category_id"])
    return rows


def _stuff_row(
    segment: tuple[int, Category, int, Edges],
    image_shape: tuple[int, ...],
    columns: Sequence[str],
    source: str,
) -> dict[str, object]:
    number, category, area, edges = segment
    row: dict[str, object] = dict.fromkeys(columns, -1)
    row |= dict(zip(("row_min", "col_min", "row_max", "col_max"), edges, strict=True))
    return row | {
        "index": number,
        "category_id": category.id,
        "category": category.name,
        "is_thing": False,
        "score": 1.0,
        "area": area,
        "hidden_area": 0,
        "is_box": False,
        "touches_edge": min(edges[:2]) == 0 or edges[2:] == image_shape,
        "source": source,
    }
