"""The review table's rows: sorted and filtered as arrays, not row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, Signal

from .columns import Column

_Index = QModelIndex | QPersistentModelIndex
Role = Qt.ItemDataRole
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
CENTER = Qt.AlignmentFlag.AlignCenter


class SegmentModel(QAbstractTableModel):
    """Segments in some order, without those that a filter leaves out.

    Notes
    -----
    A permutation says which segment a row shows. Sorting and filtering compute another one with
    NumPy; Qt asks only for the cells that are seen.
    """

    #: The rows are others, or in another order.
    rearranged = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._columns: list[Column] = []
        self._labels: NDArray[np.int64] = np.zeros(0, np.int64)
        self._kept: NDArray[np.bool_] = np.zeros(0, bool)
        #: All segments as they are sorted, and those of them that are shown.
        self._order: NDArray[np.intp] = np.zeros(0, np.intp)
        self._shown: NDArray[np.intp] = self._order
        self._sorted_by, self._falling = "", False

    # ------------------------------------------------------------------------- what is shown

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Show other segments; order stays by the same column, and all are shown."""
        self.beginResetModel()
        self._columns = list(columns)
        labels = self.column("index")
        self._labels = np.zeros(0, np.int64) if labels is None else labels.values
        self._kept = np.ones(len(self._labels), bool)
        self._arrange()
        self.endResetModel()
        self.rearranged.emit()

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Show only some of the segments; ``kept`` is in the order of the columns' values."""
        if np.array_equal(kept, self._kept):
            return
        self.beginResetModel()
        self._kept = kept
        self._shown = self._order[kept[self._order]]
        self.endResetModel()
        self.rearranged.emit()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; -1: as the segments come. Equal ones stay as they come."""
        known = 0 <= column < len(self._columns)
        self.beginResetModel()
        self._sorted_by = self._columns[column].name if known else ""
        self._falling = order == Qt.SortOrder.DescendingOrder
        self._arrange()
        self.endResetModel()
        self.rearranged.emit()

    def _arrange(self) -> None:
        column = self.column(self._sorted_by)
        if column is None:
            self._order = np.arange(len(self._labels))
        else:
            self._order = sort_order(column.ranks, falling=self._falling)
        self._shown = self._order[self._kept[self._order]]

    # ---------------------------------------------------------------------------- looking up

    @property
    def sorted_by(self) -> tuple[str, Qt.SortOrder]:
        """Name of the column that it is sorted by, "" for none, and in which direction."""
        order = Qt.SortOrder
        return self._sorted_by, order.DescendingOrder if self._falling else order.AscendingOrder

    @property
    def columns(self) -> list[Column]:
        """All columns."""
        return list(self._columns)

    def column(self, name: str) -> Column | None:
        """Return a column by its name, None if there is none."""
        return next((one for one in self._columns if one.name == name), None)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Labels of all segments, in the order of the columns' values."""
        return self._labels

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Which of them are shown."""
        return self._kept

    def shown_labels(self) -> NDArray[np.int64]:
        """Labels of the rows, from top to bottom."""
        return self._labels[self._shown]

    def labels_of(self, rows: Sequence[int]) -> list[int]:
        """Labels of some rows."""
        found: list[int] = self._labels[self._shown[np.asarray(rows, np.intp)]].tolist()
        return found

    def rows_of(self, labels: Sequence[int]) -> NDArray[np.intp]:
        """Rows of some labels, rising; those that are not shown are left out."""
        return np.flatnonzero(np.isin(self.shown_labels(), np.asarray(labels, np.int64)))

    # ----------------------------------------------------------------------------- Qt's own

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008, N802
        """Number of segments that are shown."""
        return 0 if parent.isValid() else len(self._shown)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008, N802
        """Number of columns."""
        return 0 if parent.isValid() else len(self._columns)

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Role.DisplayRole
    ) -> Any:
        """Titles of columns."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self._columns):
            return None
        column = self._columns[section]
        if role == Role.DisplayRole:
            return column.title
        if role == Role.ToolTipRole:
            return f"{column.name}: click to sort; right-click chooses columns"
        return _alignment(column) if role == Role.TextAlignmentRole else None

    def data(self, index: _Index, role: int = Role.DisplayRole) -> Any:
        """What Qt asks about a cell."""
        if role == Role.DisplayRole:
            return self._columns[index.column()].text(int(self._shown[index.row()]))
        if role == Role.TextAlignmentRole:
            return _alignment(self._columns[index.column()])
        return None


def sort_order(ranks: NDArray[Any], *, falling: bool) -> NDArray[np.intp]:
    """Give the order that sorts an array; equal ones stay as they come, NaN always goes last.

    Examples
    --------
    >>> sort_order(np.array([2.0, np.nan, 3.0, 2.0]), falling=True)
    array([2, 0, 3, 1])
    """
    if falling:
        # Whole numbers would overflow at their least one, which labels and counts are not.
        ranks = -ranks
    return np.argsort(ranks, kind="stable")


def _alignment(column: Column) -> Qt.AlignmentFlag:
    if column.values.dtype.kind == "b":
        return CENTER
    return RIGHT if column.is_number else LEFT
