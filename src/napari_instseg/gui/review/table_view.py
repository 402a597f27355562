"""The review table on the screen: what is marked in it is chosen, and the other way round."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from qtpy.QtCore import (
    QItemSelection,
    QItemSelectionModel,
    QPoint,
    QSignalBlocker,
    Qt,
    Signal,
)
from qtpy.QtGui import QKeyEvent, QKeySequence, QPainter, QPaintEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QMenu, QTableView

from .columns import SEEN_LATER
from .shortcuts import REDO, UNDO
from .table_model import SegmentModel

ROW_HEIGHT = 24
#: Keys that have other names on other systems, as napari spells them.
KEYS = {
    QKeySequence.StandardKey.Delete: "Delete",
    QKeySequence.StandardKey.Undo: UNDO,
    QKeySequence.StandardKey.Redo: REDO,
}
#: Widths of columns at first, px.
WIDTH, WIDTHS = 74, {"index": 48, "category": 86, "score": 56, "touches_edge": 46}


class SegmentView(QTableView):
    """Shows a `SegmentModel`."""

    #: The user has marked other rows: their labels, the current one first.
    marked = Signal(object)
    #: A key was pressed that may do something with what is marked: its text.
    pressed_key = Signal(str)

    def __init__(self, model: SegmentModel) -> None:
        super().__init__()
        self.segments = model
        self._names: list[str] = []
        #: What a user has chosen to see, or not to see.
        self._wanted: dict[str, bool] = {}
        self.empty_text = ""
        self.setModel(model)
        self.setSortingEnabled(True)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        self.setShowGrid(False)
        self._style_headers()
        model.modelReset.connect(self._show_columns)
        marks = self.selectionModel()
        if marks is not None:
            marks.selectionChanged.connect(self._tell)

    def _style_headers(self) -> None:
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        if rows is None or columns is None:
            return
        rows.hide()
        # The same for all: else Qt measures each of 50,000 rows.
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(ROW_HEIGHT)
        columns.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        columns.setSectionsMovable(True)
        columns.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        columns.customContextMenuRequested.connect(self._offer_columns)

    # ------------------------------------------------------------------------------- columns

    def _show_columns(self) -> None:
        """Hide what is of less interest; give columns that have come other places a width."""
        names = [column.name for column in self.segments.columns]
        if names == self._names:
            return
        self._names = names
        for place, name in enumerate(names):
            self.setColumnWidth(place, WIDTHS.get(name, WIDTH))
            self.setColumnHidden(place, not self._wanted.get(name, name not in SEEN_LATER))
        header, order = self.horizontalHeader(), self.segments.sorted_by
        if header is not None:
            with QSignalBlocker(header):
                header.setSortIndicator(
                    names.index(order[0]) if order[0] in names else -1, order[1]
                )

    def _choose_column(self, place: int, shown: bool) -> None:
        self._wanted[self._names[place]] = shown
        self.setColumnHidden(place, not shown)

    def _offer_columns(self, where: QPoint) -> None:
        header = self.horizontalHeader()
        if header is None:
            return
        menu = self.columns_menu()
        menu.exec(header.mapToGlobal(where))

    def columns_menu(self) -> QMenu:
        """Make a menu in which columns can be ticked."""
        menu = QMenu(self)
        for place, column in enumerate(self.segments.columns):
            action = menu.addAction(column.title)
            if action is None:
                continue
            action.setCheckable(True)
            action.setChecked(not self.isColumnHidden(place))
            action.toggled.connect(lambda shown, place=place: self._choose_column(place, shown))
        return menu

    # ------------------------------------------------------------------------------- marking

    def mark(self, labels: Sequence[int]) -> None:
        """Mark the rows of labels, without telling, and scroll to the first of them."""
        marks = self.selectionModel()
        if marks is None:
            return
        rows = self.segments.rows_of(labels)
        # Of thousands of ranges Qt would compare each with each to say what has changed.
        with QSignalBlocker(marks):
            marks.select(self._ranges(rows), QItemSelectionModel.SelectionFlag.ClearAndSelect)
            current = self.segments.rows_of(labels[:1])
            if len(current):
                index = self.segments.index(int(current[0]), 0)
                marks.setCurrentIndex(index, QItemSelectionModel.SelectionFlag.NoUpdate)
        if len(current):
            self.scrollTo(self.segments.index(int(current[0]), self._first_column()))
        port = self.viewport()
        if port is not None:
            port.update()

    def _first_column(self) -> int:
        """The column at the left edge, so that scrolling to a row does not scroll sideways."""
        return max(self.columnAt(0), 0)

    def _ranges(self, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> QItemSelection:
        """Rows as few ranges."""
        selection, model = QItemSelection(), self.segments
        if not len(rows):
            return selection
        last = model.columnCount() - 1
        breaks = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
        for begin, end in pairwise(breaks):
            first = model.index(int(rows[begin]), 0)
            selection.select(first, model.index(int(rows[end - 1]), last))
        return selection

    def marked_labels(self) -> list[int]:
        """Labels of the marked rows, the current one first."""
        marks = self.selectionModel()
        if marks is None:
            return []
        ranges = marks.selection()
        parts = (ranges[i] for i in range(len(ranges)))
        rows = [row for part in parts for row in range(part.top(), part.bottom() + 1)]
        current = marks.currentIndex().row()
        rows = sorted(set(rows), key=lambda row: (row != current, row))
        return self.segments.labels_of(rows)

    def _tell(self) -> None:
        self.marked.emit(self.marked_labels())

    # ------------------------------------------------------------------------------ Qt's own

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Pass on letters and digits, which Qt would search for, and keys of edits."""
        key = "" if event is None else _name(event)
        if key:
            self.pressed_key.emit(key)
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Say why there is nothing to show."""
        super().paintEvent(event)
        port = self.viewport()
        if self.segments.rowCount() or port is None:
            return
        painter = QPainter(port)
        painter.setOpacity(0.6)
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(port.rect(), flags, self.empty_text)
        painter.end()


def _name(event: QKeyEvent) -> str:
    """Name a key as napari does: a letter or digit, Delete, undo, redo; empty for others."""
    for standard, name in KEYS.items():
        if event.matches(standard):
            return name
    text = event.text()
    plain = event.modifiers() == Qt.KeyboardModifier.NoModifier
    return text.upper() if plain and len(text) == 1 and text.isalnum() else ""
