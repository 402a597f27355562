"""The layer that accepted objects are painted into, and its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import napari.layers
import numpy as np
import pandas as pd

from ...instances import Mask
from ...ops.masks import span
from ...prompting import PromptSession
from ...prompting.painting import Accepted, painted, part_of
from ...segmenter import Category, InputError
from ..label_layers import table_of
from .ground import ALL, Ground
from .log import Act, Log

#: Where the layer's metadata keep its classes.
CATEGORIES_KEY = "napari_instseg_categories"


@dataclass(slots=True, eq=False)
class _Row:
    category_id: int
    score: float
    #: Rows and columns of what was painted, by plane.
    parts: dict[tuple[int, ...], tuple[slice, slice]] = field(default_factory=dict)


class Objects:
    """Paints objects into a Labels layer; each time is one step of the layer's own undo.

    Parameters
    ----------
    layer : napari.layers.Labels
    ground : Ground
    session : PromptSession
        What finds them.
    is_new : bool
        The layer is empty; it need not be read to find out which numbers are used.
    """

    def __init__(
        self,
        layer: napari.layers.Labels,
        ground: Ground,
        session: PromptSession,
        *,
        is_new: bool = False,
    ) -> None:
        self.layer, self._ground, self._source = layer, ground, session.loaded.name
        self.log = Log(layer, ground, session, is_new=is_new)
        self._rows: dict[int, _Row] = {}
        #: Of these, those that have pixels.
        self._here: tuple[int, ...] = ()
        self._described: list[dict[str, Any]] = []
        #: Numbers up to this one are taken by what was there before, or painted by hand.
        self._taken = 0 if is_new else _largest(ground, layer)
        self._others = _features(layer)
        self._categories: dict[int, Category] = {}

    def next_number(self) -> int:
        """The lowest number above all that are used."""
        return max([self._taken, *self._rows], default=0) + 1

    def take_number(self, number: int) -> None:
        """Keep a number from being given to another object: it was painted by hand."""
        if number not in self._rows:
            self._taken = max(self._taken, number)

    def mask(self, plane: tuple[int, ...], number: int) -> Mask | None:
        """The pixels of an object on a plane, None if it has none there."""
        here = self._ground.view(self.layer.data, plane, ALL, ALL)
        return Mask((0, 0), here == number).tight()

    def category_of(self, number: int) -> int | None:
        """Class of an object that was accepted here."""
        row = self._rows.get(number)
        return None if row is None else row.category_id

    def accept(
        self,
        plane: tuple[int, ...],
        accepted: Sequence[Accepted],
        category: Category,
        *,
        overwrite: bool,
    ) -> None:
        """Paint objects of one plane, as one step that undo takes back.

        Parameters
        ----------
        plane : tuple of int
        accepted : sequence of Accepted
            Where they overlap, the first one has the pixels.
        category : Category
            Their class.
        overwrite : bool
            Paint over other objects, too.

        Raises
        ------
        InputError
            If the layer's numbers do not go so far.
        """
        data = self.layer.data
        limit = np.iinfo(data.dtype).max
        if any(one.number > limit for one in accepted):
            raise InputError(
                f"{self.layer.name!r}: its pixels ({data.dtype}) hold numbers up to {limit}: "
                "convert it (right click, Convert data type) or start with a new layer"
            )
        rows, cols = part_of(self._ground.view(data, plane, ALL, ALL), accepted)
        before = self._ground.view(data, plane, rows, cols).copy()
        after = painted(before, accepted, (rows.start, cols.start), overwrite=overwrite)
        at = np.nonzero(after != before)
        if len(at[0]):
            index = self._ground.index(plane, at[0] + rows.start, at[1] + cols.start)
            self.layer.data_setitem(index, after[at])
        for one in accepted:
            row = self._rows.setdefault(one.number, _Row(category.id, one.answer.score))
            row.category_id, row.score = category.id, one.answer.score
            row.parts[plane] = one.mask.slices
        self._categories[category.id] = category
        self.log.add(Act(plane, tuple(accepted), category, overwrite))
        self.sync()

    def name_categories(self, categories: Sequence[Category]) -> None:
        """Take the classes as they are called and coloured now."""
        self._categories = {category.id: category for category in categories}
        self.layer.metadata = {**self.layer.metadata, CATEGORIES_KEY: tuple(categories)}
        self.sync()

    def note(self, number: int, plane: tuple[int, ...], mask: Mask) -> None:
        """Know that an accepted object has these pixels, too."""
        row = self._rows.get(number)
        if row is not None and mask.pixels.size:
            row.parts[plane] = mask.slices

    def write_recipe(self) -> None:
        """Say in the layer's metadata how its objects came about."""
        self.log.write(self._categories)

    @property
    def count(self) -> int:
        """Number of objects that were accepted here and are still there."""
        return len(self._here)

    def numbers(self) -> dict[int, int]:
        """Class of each object that was accepted here and is still there, by its number."""
        return {number: self._rows[number].category_id for number in self._here}

    def sync(self) -> None:
        """Bring the table in line with the pixels: undo and a brush change these, too."""
        alive = self._alive()
        self._here = tuple(alive)
        rows = [self._describe(number, *found) for number, found in alive.items()]
        if rows == self._described:
            return
        self._described, table = rows, pd.DataFrame(rows)
        if len(self._others):
            kept = self._others[~self._others["index"].isin(list(self._rows))]
            table = pd.concat([kept, table], ignore_index=True) if len(kept) else table
        self.layer.features = table

    def _alive(self) -> dict[int, tuple[_Row, int, bool]]:
        """Row, area (px) and whether it touches an edge, of each object that has pixels."""
        found = {}
        height, width = self._ground.plane_shape
        for number, row in self._rows.items():
            area, edge = 0, False
            for plane, (rows, cols) in row.parts.items():
                here = self._ground.view(self.layer.data, plane, rows, cols) == number
                pixels = int(np.count_nonzero(here))
                area += pixels
                out = rows.start == 0 or cols.start == 0
                out = out or rows.stop == height or cols.stop == width
                edge = edge or bool(pixels and out)
            if area:
                found[number] = row, area, edge
        return found

    def _describe(self, number: int, row: _Row, area: int, edge: bool) -> dict[str, Any]:
        """One row of the table; its columns are those of `Segmentation.table`."""
        category = self._categories.get(row.category_id)
        plane = next(iter(row.parts))
        rows, cols = (span([part[i] for part in row.parts.values()]) for i in (0, 1))
        letters = (letter.lower() for letter in self._ground.image.plane_axes)
        return {
            "index": number,
            "category_id": row.category_id,
            "category": category.name if category else f"category {row.category_id}",
            "is_thing": category.is_thing if category else True,
            "score": round(row.score, 4),
            "area": area,
            "row_min": rows.start,
            "col_min": cols.start,
            "row_max": rows.stop,
            "col_max": cols.stop,
            **dict(zip(letters, plane, strict=True)),
            "touches_edge": edge,
            "source": self._source,
        }


def categories_of(layer: napari.layers.Labels) -> tuple[Category, ...]:
    """The classes that a layer of objects was made with; none if it is no such layer."""
    found = layer.metadata.get(CATEGORIES_KEY, ())
    return tuple(one for one in found if isinstance(one, Category))


def _largest(ground: Ground, layer: napari.layers.Labels) -> int:
    """The largest number of a layer; stuff of the same result has numbers, too."""
    table = table_of(ground.viewer, layer)
    listed = 0 if table is None or table.empty else int(table["index"].max())
    return max(int(layer.data.max(initial=0)), listed)


def _features(layer: napari.layers.Labels) -> pd.DataFrame:
    """The table that the layer has already, if it is one of ours."""
    features = layer.features
    return features if "index" in features else pd.DataFrame({"index": []})
