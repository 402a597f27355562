"""The layer that accepted objects are painted into, and its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import napari.layers
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...instances import Mask
from ...segmenter import Category, InputError
from .ground import Ground
from .masks import span

#: Where the layer's metadata keep its classes.
CATEGORIES_KEY = "napari_instseg_categories"


@dataclass(frozen=True, slots=True, eq=False)
class Accepted:
    """An object to be painted.

    Parameters
    ----------
    number : int
        Its value in the layer.
    mask : Mask
    score : float
        Predicted IoU, in [0, 1].
    replaces : bool
        Take its other pixels on this plane away first.
    """

    number: int
    mask: Mask
    score: float
    replaces: bool = False


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
    source : str
        What found them, for the table.
    is_new : bool
        The layer is empty; it need not be read to find out which numbers are used.
    """

    def __init__(
        self,
        layer: napari.layers.Labels,
        ground: Ground,
        source: str,
        *,
        is_new: bool = False,
    ) -> None:
        self.layer, self._ground, self._source = layer, ground, source
        self._rows: dict[int, _Row] = {}
        #: Of these, those that have pixels.
        self._here: tuple[int, ...] = ()
        self._described: list[dict[str, Any]] = []
        #: Numbers up to this one are taken by what was there before, or painted by hand.
        self._taken = 0 if is_new or not layer.data.size else int(layer.data.max())
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
        whole = slice(None), slice(None)
        return Mask((0, 0), self._ground.view(self.layer.data, plane, *whole) == number).tight()

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
        old = {one.number: self.mask(plane, one.number) for one in accepted if one.replaces}
        masks = [one.mask for one in accepted] + [mask for mask in old.values() if mask]
        rows, cols = (span([mask.slices[i] for mask in masks]) for i in (0, 1))
        before = self._ground.view(data, plane, rows, cols).copy()
        after = self._painted(before, accepted, (rows.start, cols.start), overwrite)
        at = np.nonzero(after != before)
        if len(at[0]):
            index = self._ground.index(plane, at[0] + rows.start, at[1] + cols.start)
            self.layer.data_setitem(index, after[at])
        for one in accepted:
            row = self._rows.setdefault(one.number, _Row(category.id, one.score))
            row.category_id, row.score = category.id, one.score
            row.parts[plane] = one.mask.slices
        self._categories[category.id] = category
        self.sync()

    def _painted(
        self,
        before: NDArray[Any],
        accepted: Sequence[Accepted],
        origin: tuple[int, int],
        overwrite: bool,
    ) -> NDArray[Any]:
        """Return a part of a plane with the objects in it."""
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


def _features(layer: napari.layers.Labels) -> pd.DataFrame:
    """The table that the layer has already, if it is one of ours."""
    features = layer.features
    return features if "index" in features else pd.DataFrame({"index": []})
