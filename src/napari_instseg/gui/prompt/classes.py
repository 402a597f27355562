"""The table of classes: name, colour and number key of each; one of them is the current one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qtpy.QtCore import QItemSelectionModel, QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ...segmenter import Category

#: Colours that also the colour-blind can tell apart (Okabe and Ito, 2008), the picture's grey
#: left out.
PALETTE = (
    (0.90, 0.62, 0.00),
    (0.34, 0.71, 0.91),
    (0.00, 0.62, 0.45),
    (0.80, 0.47, 0.65),
    (0.94, 0.89, 0.26),
    (0.84, 0.37, 0.00),
    (0.00, 0.45, 0.70),
    (0.70, 0.70, 0.70),
)
COLOR, NAME, KEY = range(3)
ROW_HEIGHT, MOST_ROWS, SWATCH = 24, 5, 14
FIRST = Category(1, "object", True, PALETTE[0])
KEYS = tuple("123456789")


class ClassTable(QWidget):
    """Classes that objects can have; click a row, or press its key, to choose it."""

    #: Another class is the current one.
    chosen = Signal()
    #: A class was added or removed, or has another name, colour or key.
    edited = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._classes: list[Category] = [FIRST]
        self._keys: list[str] = [KEYS[0]]
        self.table = QTableWidget(0, 3)
        self._style(self.table)
        self.add_button, self.remove_button = QPushButton("Add class"), QPushButton("Remove")
        self.add_button.clicked.connect(self.add)
        self.remove_button.clicked.connect(self.remove)
        buttons = QHBoxLayout()
        buttons.addWidget(self.add_button, 1)
        buttons.addWidget(self.remove_button, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.table)
        column.addLayout(buttons)
        self._show(0)
        self.table.itemSelectionChanged.connect(self.chosen)
        self.table.cellChanged.connect(self._read)
        self.table.cellDoubleClicked.connect(self._ask_color)

    def current(self) -> Category:
        """Return the class that accepted objects get."""
        return self._classes[max(self.table.currentRow(), 0)]

    def classes(self) -> tuple[Category, ...]:
        """Return all of them."""
        return tuple(self._classes)

    def set_classes(self, classes: Sequence[Category]) -> None:
        """Show other classes; the first nine get keys."""
        self._classes = list(classes) or [FIRST]
        self._keys = [KEYS[i] if i < len(KEYS) else "" for i in range(len(self._classes))]
        self._show(0)
        self.edited.emit()
        self.chosen.emit()

    def choose(self, number: int) -> None:
        """Choose a class by its number; nothing if there is none."""
        for row, one in enumerate(self._classes):
            if one.id == number:
                self.table.setCurrentCell(row, NAME)

    def press(self, key: str) -> None:
        """Choose the class of a number key; nothing if there is none."""
        if key in self._keys:
            self.table.setCurrentCell(self._keys.index(key), NAME)

    def class_of(self, key: str) -> Category | None:
        """Return the class of a number key, None if there is none."""
        return self._classes[self._keys.index(key)] if key in self._keys else None

    def add(self) -> None:
        """Add a class, and choose it."""
        number = max(one.id for one in self._classes) + 1
        color = PALETTE[(number - 1) % len(PALETTE)]
        self._classes.append(Category(number, f"class {number}", True, color))
        free = [key for key in KEYS if key not in self._keys]
        self._keys.append(free[0] if free else "")
        self._show(len(self._classes) - 1)
        self.edited.emit()
        self.chosen.emit()

    def remove(self) -> None:
        """Remove the current class, unless it is the only one."""
        row = max(self.table.currentRow(), 0)
        if len(self._classes) > 1:
            del self._classes[row], self._keys[row]
            self._show(min(row, len(self._classes) - 1))
            self.edited.emit()
            self.chosen.emit()

    def recolor(self, row: int, color: tuple[float, float, float]) -> None:
        """Give a class another colour."""
        self._classes[row] = replace(self._classes[row], color=color)
        self._show(row)
        self.edited.emit()

    def _style(self, table: QTableWidget) -> None:
        table.setFrameShape(QFrame.Shape.NoFrame)
        table.setShowGrid(False)
        table.setIconSize(QSize(SWATCH, SWATCH))
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        table.setToolTip(
            "Accepted objects get the chosen class.\n"
            "Double click a name or a key (1 to 9) to change it, a colour to pick another."
        )
        rows, columns = table.verticalHeader(), table.horizontalHeader()
        if rows is not None:
            rows.hide()
            rows.setDefaultSectionSize(ROW_HEIGHT)
            rows.setMinimumSectionSize(ROW_HEIGHT)
        if columns is not None:
            columns.hide()
            columns.setMinimumSectionSize(SWATCH)
            columns.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
            for column, width in ((COLOR, 30), (KEY, 34)):
                columns.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
                columns.resizeSection(column, width)

    def _show(self, chosen: int) -> None:
        table = self.table
        with QSignalBlocker(table):
            table.setRowCount(len(self._classes))
            for row, (one, key) in enumerate(zip(self._classes, self._keys, strict=True)):
                self._cell(row, COLOR).setIcon(_swatch(one.color))
                self._cell(row, NAME).setText(one.name)
                self._cell(row, KEY).setText(key)
            table.setCurrentCell(
                chosen,
                NAME,
                QItemSelectionModel.SelectionFlag.ClearAndSelect
                | QItemSelectionModel.SelectionFlag.Rows,
            )
        table.setFixedHeight(ROW_HEIGHT * min(len(self._classes), MOST_ROWS) + 2)
        self.remove_button.setEnabled(len(self._classes) > 1)

    def _cell(self, row: int, column: int) -> QTableWidgetItem:
        item = self.table.item(row, column)
        if item is None:
            item = QTableWidgetItem()
            if column == COLOR:
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
            if column == KEY:
                item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
            self.table.setItem(row, column, item)
        return item

    def _read(self, row: int, column: int) -> None:
        """Take what was typed, if it can be one."""
        item = self.table.item(row, column)
        text = "" if item is None else item.text().strip()
        if column == NAME and text:
            self._classes[row] = replace(self._classes[row], name=text)
        elif column == KEY and text in (*KEYS, ""):
            if text and text in self._keys:
                # Its owner gets ours.
                self._keys[self._keys.index(text)] = self._keys[row]
            self._keys[row] = text
        self._show(row)
        self.edited.emit()

    def _ask_color(self, row: int, column: int) -> None:
        if column != COLOR:
            return
        color = QColorDialog.getColor(QColor.fromRgbF(*self._classes[row].color), self)
        if color.isValid():
            self.recolor(row, (color.redF(), color.greenF(), color.blueF()))


def _swatch(color: tuple[float, float, float]) -> QIcon:
    pixels = QPixmap(SWATCH, SWATCH)
    pixels.fill(QColor.fromRgbF(*color))
    icon = QIcon()
    # The same for a chosen row, which Qt would tint.
    for mode in (QIcon.Mode.Normal, QIcon.Mode.Selected):
        icon.addPixmap(pixels, mode)
    return icon
