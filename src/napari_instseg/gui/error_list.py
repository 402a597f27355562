"""The list of errors, and buttons to go from one to the next."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from qtpy.QtCore import QModelIndex, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from ..evaluation.errors import KINDS, MEANINGS
from ..progress import how_many
from .column_model import LEFT, RIGHT, ColumnModel, Index, Role
from .error_layers import COLORS
from .fields import Choice

KIND, LABELS, IOU, AREA = range(4)
COLUMNS = ("Error", "Truth → found", "IoU", "px")
WIDTHS = {LABELS: 104, IOU: 50, AREA: 66}
NUMBERS = {name: number for number, name in KINDS.items()}
#: Least height of the list, px.
HEIGHT = 150


class ErrorModel(ColumnModel):
    """Errors as rows."""

    TITLES, NUMBERS = COLUMNS, (IOU, AREA)

    def __init__(self) -> None:
        super().__init__()
        self._all = self._shown = pd.DataFrame({"kind": []})

    def set_errors(self, table: pd.DataFrame) -> None:
        """Show other errors: rows as of `Assessment.error_table`."""
        self._all = table
        self.keep("")

    def keep(self, kind: str) -> None:
        """Show only errors of a kind; "": all."""
        self.beginResetModel()
        table = self._all
        self._shown = (table[table["kind"] == kind] if kind else table).reset_index(drop=True)
        self.endResetModel()

    def error(self, row: int) -> pd.Series:
        """Return the error of a row."""
        return self._shown.iloc[row]

    # Qt's own.

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008, N802
        """Number of errors."""
        return 0 if parent.isValid() else len(self._shown)

    def data(self, index: Index, role: int = Role.DisplayRole) -> Any:
        """What Qt asks about a cell."""
        error, column = self._shown.iloc[index.row()], index.column()
        if role == Role.DisplayRole:
            return _text(error, column)
        if role == Role.DecorationRole and column == KIND:
            return QColor.fromRgbF(*COLORS[NUMBERS[error["kind"]]])
        if role == Role.ToolTipRole:
            return f"{MEANINGS[NUMBERS[error['kind']]]}\n{error['image']}"
        if role == Role.TextAlignmentRole:
            return RIGHT if column in self.NUMBERS else LEFT
        return None


def _text(error: pd.Series, column: int) -> str:
    if column == KIND:
        parts = int(error["parts"])
        return f"{error['kind']}{f' ({parts})' if parts > 1 else ''}"
    if column == LABELS:
        return " → ".join(
            str(error[side]) if error[side] else "–" for side in ("truth", "predicted")
        )
    if column == IOU:
        return "" if math.isnan(error["iou"]) else f"{error['iou']:.2f}"
    return f"{error['area']:,}"


class ErrorList(QWidget):
    """Errors to click through; hidden until there are some to list."""

    #: An error is to be looked at: its row of the table.
    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.model = ErrorModel()
        self.view = QTableView()
        self.view.setModel(self.model)
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setShowGrid(False)
        self.view.setWordWrap(False)
        self.view.setMinimumHeight(HEIGHT)
        self._size_columns()
        self.kinds = Choice()
        self.kinds.currentIndexChanged.connect(self._keep)
        self.back_button, self.next_button = QPushButton("◀ Previous"), QPushButton("Next ▶")
        self.back_button.clicked.connect(lambda: self._step(-1))
        self.next_button.clicked.connect(lambda: self._step(1))
        self.place = QLabel()
        self.place.setAlignment(Qt.AlignmentFlag.AlignCenter)
        line = QHBoxLayout()
        line.addWidget(self.back_button)
        line.addWidget(self.place, 1)
        line.addWidget(self.next_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.kinds)
        column.addWidget(self.view, 1)
        column.addLayout(line)
        marked = self.view.selectionModel()
        if marked is not None:
            marked.currentRowChanged.connect(lambda now, before: self._choose(now.row()))
        self.hide()

    def _size_columns(self) -> None:
        rows, columns = self.view.verticalHeader(), self.view.horizontalHeader()
        if rows is None or columns is None:
            return
        rows.hide()
        rows.setDefaultSectionSize(22)
        columns.setSectionResizeMode(KIND, QHeaderView.ResizeMode.Stretch)
        for column, width in WIDTHS.items():
            self.view.setColumnWidth(column, width)

    def show_errors(self, table: pd.DataFrame) -> None:
        """List errors: rows as of `Assessment.error_table`."""
        self.model.set_errors(table)
        counts = table["kind"].value_counts()
        kinds = [(f"{name} ({counts[name]})", name) for name in NUMBERS if name in counts]
        self.kinds.set_options([(f"All errors ({len(table)})", ""), *kinds])
        self._keep()
        self.setVisible(True)

    def _keep(self, _: int = 0) -> None:
        self.model.keep(str(self.kinds.currentData() or ""))
        self._tell(-1)

    def _step(self, by: int) -> None:
        """Go to the next or previous error, around the ends."""
        count = self.model.rowCount()
        row = self.view.currentIndex().row()
        start = row if row >= 0 else (-1 if by > 0 else 0)
        if count:
            self.view.selectRow((start + by) % count)

    def _choose(self, row: int) -> None:
        self._tell(row)
        if row >= 0:
            self.chosen.emit(self.model.error(row))

    def _tell(self, row: int) -> None:
        count = self.model.rowCount()
        for button in (self.back_button, self.next_button):
            button.setEnabled(count > 0)
        self.place.setText(f"{row + 1} of {count}" if row >= 0 else how_many(count, "error"))
