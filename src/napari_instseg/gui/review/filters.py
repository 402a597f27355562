"""Which segments the review table shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .columns import Column, number_text


class Filters:
    """Ranges of columns, and a text.

    Attributes
    ----------
    ranges : dict of str to (float, float)
        Least and greatest value by the column's name. What has no value stays.
    text : str
        A part of a text in any column, or a label.
    """

    def __init__(self) -> None:
        self.ranges: dict[str, tuple[float, float]] = {}
        self.text = ""

    @property
    def any(self) -> bool:
        """Whether something may be left out."""
        return bool(self.ranges or self.text.strip())

    def clear(self) -> None:
        """Leave out nothing."""
        self.ranges, self.text = {}, ""

    def kept(self, columns: Sequence[Column]) -> NDArray[np.bool_]:
        """Say for each segment whether it is shown."""
        size = len(columns[0].values) if columns else 0
        kept = np.ones(size, bool)
        for column in columns:
            if column.name in self.ranges:
                low, high = self.ranges[column.name]
                kept &= ~((column.values < low) | (column.values > high))
        text = self.text.strip().casefold()
        return kept & _matches(columns, text) if text else kept

    def words(self, columns: Sequence[Column]) -> str:
        """Say what is asked for."""
        titles = {column.name: column.title for column in columns}
        parts = [
            f"{titles[name]} {number_text(low, name)} – {number_text(high, name)}"
            for name, (low, high) in self.ranges.items()
            if name in titles
        ]
        return " · ".join([*parts, *filter(None, [f"“{self.text}”" if self.text else ""])])


def _matches(columns: Sequence[Column], text: str) -> NDArray[np.bool_]:
    found = np.zeros(len(columns[0].values) if columns else 0, bool)
    for column in columns:
        if column.words:
            # Of 50,000 texts few are different ones.
            hits = np.array([text in word.casefold() for word in column.words])
            found |= hits[column.ranks]
        elif column.name == "index" and text.isdecimal():
            found |= column.values == int(text)
    return found
