"""Planes of objects as one label set: what two-dimensional formats are read into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...instances import Instances
from ...label_set import LabelSet
from ...ops.axes import ArrayLike, Image
from ...ops.masks import paint_visible
from ...segmenter import Category, InputError
from .checks import check_size
from .planes import SURE, Found


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Planes of one image, as they are read.

    Parameters
    ----------
    name : str
    axes : str
        Of the label image.
    shape : tuple of int
        Of the label image.
    source : str
        For the table.
    spacing : mapping of str to float
        µm per pixel by axis letter, where known.
    recipe : mapping
        See `LabelSet`.
    """

    name: str
    axes: str
    shape: tuple[int, ...]
    source: str
    spacing: Mapping[str, float] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_size(self.shape)

    def paint(
        self, planes: Mapping[tuple[int, ...], Sequence[Found]], categories: Sequence[Category]
    ) -> LabelSet:
        """Make a label set of objects: better scores hide others, crowds are hidden by all.

        Parameters
        ----------
        planes : mapping of tuple of int to sequence of Found
            By index; planes without objects may be missing. The same label in several planes is
            one object.
        categories : sequence of Category

        Raises
        ------
        InputError
            If an object has more than one category.
        """
        height, width = self.shape[-2:]
        labels = np.zeros(self.shape, np.int32)
        raw: list[Instances] = []
        rows: list[tuple[Any, ...]] = []
        hidden = 0
        for index in np.ndindex(*self.shape[:-2]):
            found = planes.get(index, ())
            raw.append(_instances(found, (height, width)))
            order = sorted(range(len(found)), key=lambda i: found[i].order)
            rank = np.empty(len(found), np.int32)
            rank[order] = np.arange(1, len(found) + 1)
            visible, area = paint_visible(labels[index], raw[-1].masks, rank, 0)
            names = np.array([0, *(found[i].label for i in order)], np.int32)
            labels[index] = names[labels[index]]
            hidden += int((area - visible).sum())
            rows += _rows(found, index, visible, area)
        numbers = np.array(
            [one.label for i in np.ndindex(*self.shape[:-2]) for one in planes.get(i, ())], np.int32
        )
        return LabelSet(
            labels,
            self.axes,
            self._table(rows, categories),
            tuple(categories),
            self.name,
            self.spacing,
            raw=tuple(raw) if hidden else None,
            numbers=numbers if hidden else None,
            recipe=self.recipe,
        )

    def _table(
        self, rows: Sequence[tuple[Any, ...]], categories: Sequence[Category]
    ) -> pd.DataFrame:
        """One row an object, from one row an object and plane."""
        each = pd.DataFrame(rows, columns=[*_COLUMNS, *range(len(self.axes) - 2)])
        groups = each.groupby("index", sort=True)
        several = groups["category_id"].nunique() > 1
        if several.any():
            raise InputError(f"object {several.idxmax()}: expected one category in all planes")
        least, most = groups.min(), groups.max()
        table = pd.DataFrame({"index": least.index.to_numpy(np.int64)})
        names = {category.id: category.name for category in categories}
        ids = least["category_id"].to_numpy(np.int64)
        table["category_id"] = ids
        table["category"] = [names[i] for i in ids.tolist()]
        table["is_thing"] = True
        table["score"] = most["score"].to_numpy(np.float32)
        for column in ("area", "hidden_area"):
            table[column] = groups[column].sum().to_numpy(np.int64)
        for column in ("row_min", "col_min"):
            table[column] = least[column].to_numpy(np.int64)
        for column in ("row_max", "col_max"):
            table[column] = most[column].to_numpy(np.int64)
        for number, axis in enumerate(self.axes[:-2].lower()):
            table[axis] = table[f"{axis}_first"] = least[number].to_numpy(np.int64)
            table[f"{axis}_last"] = most[number].to_numpy(np.int64)
        edges = (table[["row_min", "col_min"]] == 0).any(axis=1)
        for column, size in zip(("row_max", "col_max"), self.shape[-2:], strict=True):
            edges |= table[column] == size
        table["touches_edge"] = edges
        if each["iscrowd"].any():
            table["iscrowd"] = most["iscrowd"].to_numpy(bool)
        table["source"] = self.source
        return table


_COLUMNS = (
    *("index", "category_id", "score", "iscrowd", "area", "hidden_area"),
    *("row_min", "col_min", "row_max", "col_max"),
)


def _rows(
    found: Sequence[Found],
    index: tuple[int, ...],
    visible: NDArray[np.int64],
    area: NDArray[np.int64],
) -> Iterator[tuple[Any, ...]]:
    for one, seen, all_of_it in zip(found, visible.tolist(), area.tolist(), strict=True):
        rows, cols = one.mask.slices
        yield (
            *(one.label, one.category_id, _score(one), one.crowd, seen, all_of_it - seen),
            *(rows.start, cols.start, rows.stop, cols.stop, *index),
        )


def _instances(found: Sequence[Found], shape: tuple[int, int]) -> Instances:
    return Instances.create(
        shape,
        [one.mask for one in found],
        scores=[_score(one) for one in found],
        category_ids=[one.category_id for one in found],
    )


def _score(one: Found) -> float:
    return SURE if np.isnan(one.score) else one.score


def as_stack(image: Image, axes: str, shape: Sequence[int]) -> ArrayLike:
    """Give a label image the axes that it is known to have.

    Parameters
    ----------
    image : Image
        As it was read: TIFF has an order of its own, and no axes of length 1.
    axes, shape : str, sequence of int
        What it was written with.

    Returns
    -------
    array of that shape
        Lazy data stay lazy if they have that shape already.

    Raises
    ------
    InputError
        If it has another number of pixels.
    """
    data, shape = image.data, tuple(shape)
    if image.axes == axes and tuple(data.shape) == shape:
        return data
    order = [image.axes.index(axis) for axis in axes if axis in image.axes]
    if len(order) == len(image.axes) and order != sorted(order):
        data = np.asarray(data[...]).transpose(order)
    if tuple(data.shape) == shape:
        return data
    if tuple(n for n in data.shape if n > 1) != tuple(n for n in shape if n > 1):
        raise InputError(f"expected a label image of shape {shape}, got {tuple(image.data.shape)}")
    return np.asarray(data[...]).reshape(shape)
