"""Label images that are painted where they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ids import Ids, id_type

#: Paints what it was made for.
Painter = Callable[[], Ids]
#: Finds what is to be painted in rows and columns of a plane, which is given by its index along
#: each axis of the planes.
Plan = Callable[[tuple[int, ...], slice, slice], Painter]


class LazyLabels:
    """A label image that is never whole in memory; indexed as arrays are.

    Parameters
    ----------
    shape : tuple of int
        Planes, rows, columns.
    plan : callable
        Finds what is to be painted in a window of a plane.
    largest : int
        No label is larger; see `ids` for the type.
    order : sequence of int, optional
        For each of the leading axes here, that of the index ``plan`` takes.
    """

    def __init__(
        self, shape: tuple[int, ...], plan: Plan, largest: int, order: Sequence[int] | None = None
    ) -> None:
        self.shape, self.ndim, self.largest = shape, len(shape), largest
        self.dtype = id_type(largest)
        self._plan = plan
        self._order = tuple(range(len(shape) - 2)) if order is None else tuple(order)

    def __getitem__(self, key: Any) -> Ids:
        """Paint a part: whole numbers, slices and an ellipsis."""
        spans, single = self._spans(key)
        *planes, rows, cols = spans
        window = tuple(slice(min(s), max(s) + 1) if s else slice(0, 0) for s in (rows, cols))
        part = np.zeros([len(span) for span in spans], self.dtype)
        if part.size:
            for place in np.ndindex(*part.shape[:-2]):
                index = [span[i] for span, i in zip(planes, place, strict=True)]
                whole = self.painter(index, *window)()
                part[place] = whole[:: rows.step, :: cols.step]
        return part.reshape([len(s) for s, one in zip(spans, single, strict=True) if not one])

    def painter(self, plane: Sequence[int], rows: slice, cols: slice) -> Painter:
        """Return what paints a window of a plane, here or in another process."""
        return self._plan(tuple(plane[axis] for axis in self._inverse), rows, cols)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Paint all of it."""
        return self[...].astype(dtype or self.dtype, copy=False)

    def transpose(self, order: Sequence[int]) -> LazyLabels:
        """Exchange axes of the planes; rows and columns stay the last two."""
        *planes, rows, cols = order
        if (rows, cols) != (self.ndim - 2, self.ndim - 1):
            raise ValueError(f"expected rows and columns to stay the last axes, got order {order}")
        shape = tuple(self.shape[axis] for axis in order)
        return LazyLabels(shape, self._plan, self.largest, [self._order[axis] for axis in planes])

    @property
    def _inverse(self) -> list[int]:
        return [self._order.index(axis) for axis in range(len(self._order))]

    def _spans(self, key: Any) -> tuple[list[range], list[bool]]:
        """Places along each axis, and whether it is a single one, which leaves the axis out."""
        parts = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in parts:
            at = parts.index(Ellipsis)
            parts[at : at + 1] = [slice(None)] * (self.ndim - len(parts) + 1)
        parts += [slice(None)] * (self.ndim - len(parts))
        if len(parts) != self.ndim:
            raise IndexError(f"expected at most {self.ndim} indices, got {len(parts)}")
        spans = []
        for part, size in zip(parts, self.shape, strict=True):
            whole = range(size)
            if isinstance(part, slice):
                spans.append(whole[part])
            else:
                place = whole[int(part)]
                spans.append(range(place, place + 1))
        return spans, [not isinstance(part, slice) for part in parts]
