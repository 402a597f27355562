"""Objects that go: some, those at an edge, those with too small or large a value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...checked import Check
from ...segmenter import InputError
from .base import Edit, OfObjects, are_ids, is_row
from .scene import Region, Scene


def without(labels: NDArray[np.int32], ids: tuple[int, ...]) -> NDArray[np.int32]:
    """Take objects away.

    Examples
    --------
    >>> without(np.array([[1, 2, 3]], np.int32), (1, 3))
    array([[0, 2, 0]], dtype=int32)
    """
    return np.where(np.isin(labels, ids), np.int32(0), labels)


@dataclass(frozen=True, slots=True)
class Delete(Edit):
    """Take objects away.

    Parameters
    ----------
    ids : tuple of int
        Their numbers.
    """

    ids: tuple[int, ...]
    NAME: ClassVar[str] = "delete"
    CHECKS: ClassVar[tuple[Check, ...]] = (("ids", lambda e: are_ids(e.ids), "numbers of objects"),)

    def resolved(self, scene: Scene) -> Self:
        """See `Edit.resolved`."""
        scene.known(self.ids)
        return self

    def targets(self, scene: Scene) -> tuple[int, ...]:
        """See `Edit.targets`."""
        return self.ids

    def change(self, region: Region, ids: tuple[int, ...]) -> NDArray[np.int32]:
        """See `Edit.change`."""
        return without(region.labels, ids)


@dataclass(frozen=True, slots=True)
class RemoveEdge(Edit):
    """Take away the objects that reach an edge of the image.

    Parameters
    ----------
    axes : str
        Whose ends are edges: "YX" the borders of a plane, "ZYX" the first and last plane, too.
        Axes that the image has not do not matter.
    """

    axes: str = "YX"
    NAME: ClassVar[str] = "remove_edge"
    CHECKS: ClassVar[tuple[Check, ...]] = (
        ("axes", lambda e: e.axes.isalpha() and e.axes.isupper(), "letters of axes"),
    )

    def resolved(self, scene: Scene) -> Self:
        """See `Edit.resolved`."""
        return self

    def targets(self, scene: Scene) -> tuple[int, ...]:
        """See `Edit.targets`."""
        looked_at = [k for k, axis in enumerate(scene.axes) if axis in self.axes]
        return tuple(
            number
            for number, (start, stop) in sorted(scene.boxes.items())
            if any(start[k] == 0 or stop[k] == scene.shape[k] for k in looked_at)
        )

    def change(self, region: Region, ids: tuple[int, ...]) -> NDArray[np.int32]:
        """See `Edit.change`."""
        return without(region.labels, ids)


@dataclass(frozen=True, slots=True)
class Filter(OfObjects):
    """Take away the objects whose value in a column of the table is outside limits.

    Parameters
    ----------
    column : str
        Of numbers: "area", "score", or what was measured. Objects without a value stay.
    min, max : float, optional
        The limits, which are inside; at least one.
    ids : tuple of int, optional
        The objects that go. Found out where they are not given; the log has them, so that a
        replay does not need the column.
    """

    column: str = "area"
    min: float | None = None
    max: float | None = None
    NAME: ClassVar[str] = "filter"
    CHECKS: ClassVar[tuple[Check, ...]] = (
        *OfObjects.CHECKS,
        ("column", lambda e: isinstance(e.column, str), "a column's name"),
        ("min", lambda e: e.min is None or is_row([e.min]), "a number"),
        ("max", lambda e: e.max is None or is_row([e.max]), "a number"),
        ("min", lambda e: e.ids is not None or {e.min, e.max} != {None}, "min, max or both"),
    )

    def resolved(self, scene: Scene) -> Self:
        """See `Edit.resolved`."""
        if self.ids is not None:
            scene.known(self.ids)
            return self
        return replace(self, ids=outside(scene, self.column, self.min, self.max))

    def change(self, region: Region, ids: tuple[int, ...]) -> NDArray[np.int32]:
        """See `Edit.change`."""
        return without(region.labels, ids)


def outside(scene: Scene, column: str, low: float | None, high: float | None) -> tuple[int, ...]:
    """Find the objects whose value in a column is below or above limits.

    Raises
    ------
    InputError
        If the table has no such column of numbers.
    """
    table = scene.table
    numbers = [
        name
        for name in table.columns
        if pd.api.types.is_numeric_dtype(table[name])
        and not pd.api.types.is_bool_dtype(table[name])
    ]
    if column not in numbers:
        raise InputError(f"filter: expected a column of numbers, one of {numbers}, got {column!r}")
    values = table[column].to_numpy(np.float64)
    out = np.zeros(len(table), bool)
    if low is not None:
        out |= values < low
    if high is not None:
        out |= values > high
    out &= table["is_thing"].to_numpy(bool)
    return tuple(sorted(table.loc[out, "index"].tolist()))
