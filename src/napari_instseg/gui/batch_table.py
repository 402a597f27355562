"""The table of a batch: a row for each image, with a small picture of what was found."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import Any

from qtpy.QtCore import (
    QModelIndex,
    QSize,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from qtpy.QtGui import QColor, QFont, QKeyEvent, QPainter, QPaintEvent, QPixmap, QResizeEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from ..batch.jobs import Job
from ..batch.status import DONE, FAILED, RUNNING, SKIPPED, STOPPED, WAITING
from ..io.images import stem_of
from ..progress import Progress
from .column_model import RIGHT, ColumnModel, Index, Role

FILE, STATUS, OBJECTS, SECONDS = range(4)
COLUMNS = ("Image", "Status", "Objects", "s")
#: Widths of all but the first, px.
WIDTHS = {STATUS: 74, OBJECTS: 60, SECONDS: 48}
#: Of a table that is narrower the seconds are left out: names need the room, px.
NARROW = 340
EMPTY = "Drop images or folders here"
WORDS = {
    WAITING: "waiting",
    RUNNING: "● working",
    DONE: "✓ done",
    STOPPED: "stopped",
    FAILED: "✗ FAILED",
    SKIPPED: "✓ before",
}
#: Behind rows that stand out; they go with dark and with light text.
TINTS = {FAILED: QColor(220, 40, 40, 90), RUNNING: QColor(60, 130, 220, 60)}
#: Of pictures in the table, px.
ICON = 48
#: That are kept.
ICONS = 400


class BatchModel(ColumnModel):
    """What has become of each image."""

    TITLES, NUMBERS = COLUMNS, (OBJECTS, SECONDS)

    def __init__(self) -> None:
        super().__init__()
        self._jobs: list[Job] = []
        self._messages: list[str] = []
        #: JPEGs by the path of the image; they outlive a change of the list.
        self._pictures: dict[str, bytes] = {}
        #: Pixmaps take more: only those of rows in view and near it are kept.
        self._icon = lru_cache(maxsize=ICONS)(_icon)

    def set_jobs(self, jobs: Sequence[Job]) -> None:
        """Show these images."""
        self.beginResetModel()
        self._jobs = list(jobs)
        self._messages = [message(job) for job in jobs]
        self.endResetModel()

    def jobs(self) -> list[Job]:
        """Return what is shown."""
        return list(self._jobs)

    def job(self, row: int) -> Job:
        """Return what has become of an image."""
        return self._jobs[row]

    def tell(self, row: int, job: Job, progress: Progress | None) -> None:
        """Show how far an image is."""
        self._jobs[row] = job
        self._messages[row] = message(job) if progress is None else progress.message
        self.dataChanged.emit(self.index(row, FILE), self.index(row, SECONDS))

    def set_picture(self, row: int, jpeg: bytes) -> None:
        """Show what was found in an image."""
        self._pictures[str(self._jobs[row].path)] = jpeg
        self.dataChanged.emit(self.index(row, FILE), self.index(row, FILE))

    # Qt's own.

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008, N802
        """Number of images."""
        return 0 if parent.isValid() else len(self._jobs)

    def data(self, index: Index, role: int = Role.DisplayRole) -> Any:
        """What Qt asks about a cell."""
        job, column = self._jobs[index.row()], index.column()
        if role == Role.DisplayRole:
            return self._text(index.row(), column)
        if role == Role.UserRole:
            return self._rank(index.row(), column)
        if role == Role.DecorationRole and column == FILE:
            return self._pixmap(job)
        if role == Role.ToolTipRole:
            return self._tip(index.row())
        if role == Role.BackgroundRole:
            return TINTS.get(job.status)
        if role == Role.FontRole and job.status == FAILED and column == STATUS:
            font = QFont()
            font.setBold(True)
            return font
        if role == Role.TextAlignmentRole and column in self.NUMBERS:
            return RIGHT
        return None

    def _text(self, row: int, column: int) -> str:
        job = self._jobs[row]
        found = job.status in (DONE, STOPPED, SKIPPED)
        return {
            FILE: "\n".join(filter(None, (_title(job), self._messages[row]))),
            STATUS: WORDS[job.status],
            OBJECTS: f"{job.count:,}" if found else "",
            SECONDS: f"{job.seconds:.1f}" if job.seconds and job.status != RUNNING else "",
        }[column]

    def _rank(self, row: int, column: int) -> Any:
        """What a column is sorted by."""
        job = self._jobs[row]
        if column == STATUS:
            # What needs to be looked at first.
            return (FAILED, STOPPED, RUNNING, WAITING, DONE, SKIPPED).index(job.status)
        numbers = {OBJECTS: job.count, SECONDS: job.seconds}
        return numbers.get(column, self._text(row, column).casefold())

    def _pixmap(self, job: Job) -> QPixmap:
        return self._icon(self._pictures.get(str(job.path), b""))

    def _tip(self, row: int) -> str:
        """The picture, larger, the path, and all of the message."""
        job = self._jobs[row]
        lines = [escape(line) for line in (str(job.path), self._messages[row]) if line]
        jpeg = self._pictures.get(str(job.path))
        if jpeg is not None:
            data = b64encode(jpeg).decode("ascii")
            lines.insert(0, f'<img src="data:image/jpeg;base64,{data}">')
        if job.files:
            lines.append("Double-click opens it.")
        return "<br>".join(lines)


class BatchView(QTableView):
    """Shows a `BatchModel`; its columns can be sorted by."""

    #: A row was double-clicked: its place in the model.
    opened = Signal(int)
    #: The rows that are marked are to be removed: their places in the model.
    removed = Signal(object)

    def __init__(self, model: BatchModel) -> None:
        super().__init__()
        self._proxy = QSortFilterProxyModel()
        self._proxy.setSourceModel(model)
        self._proxy.setSortRole(Role.UserRole)
        self.setModel(self._proxy)
        self.setSortingEnabled(True)
        # As added, until a heading is clicked.
        self._proxy.sort(-1)
        self.setIconSize(QSize(ICON, ICON))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        self.setShowGrid(False)
        # A drop is for the dock.
        self.setAcceptDrops(False)
        self._size_columns()
        self.doubleClicked.connect(lambda index: self.opened.emit(self._row(index)))

    def _size_columns(self) -> None:
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        if rows is None or columns is None:
            return
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(ICON + 4)
        columns.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        columns.setSectionResizeMode(FILE, QHeaderView.ResizeMode.Stretch)
        for column, width in WIDTHS.items():
            self.setColumnWidth(column, width)

    def _row(self, index: QModelIndex) -> int:
        return self._proxy.mapToSource(index).row()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Leave room for names."""
        super().resizeEvent(event)
        self.setColumnHidden(SECONDS, self.width() < NARROW)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Say what to do while there is nothing to show."""
        super().paintEvent(event)
        port = self.viewport()
        if self._proxy.rowCount() or port is None:
            return
        painter = QPainter(port)
        painter.setOpacity(0.6)
        painter.drawText(port.rect(), Qt.AlignmentFlag.AlignCenter, EMPTY)
        painter.end()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Delete removes rows, Enter opens one."""
        marked = self.selectionModel()
        rows = [] if marked is None else [self._row(i) for i in marked.selectedRows()]
        if event is None or not rows:
            super().keyPressEvent(event)
        elif event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.removed.emit(rows)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.opened.emit(rows[0])
        else:
            super().keyPressEvent(event)


def _title(job: Job) -> str:
    """Name of the image; with its folder, where several have the same."""
    name = job.path.name
    return name if job.name == stem_of(job.path) else f"{job.path.parent.name}/{name}"


def message(job: Job) -> str:
    """Say what there is to know of an image that has ended, without its path."""
    if job.error:
        return job.error.removeprefix(f"{job.path}: ")
    return " · ".join(job.warnings)


def _icon(jpeg: bytes) -> QPixmap:
    """Cut a square out of a picture; of none, make a clear one, so that texts line up."""
    if not jpeg:
        empty = QPixmap(ICON, ICON)
        empty.fill(Qt.GlobalColor.transparent)
        return empty
    pixmap = QPixmap()
    pixmap.loadFromData(jpeg, "JPG")
    by, smooth = Qt.AspectRatioMode.KeepAspectRatioByExpanding, Qt.TransformationMode
    return pixmap.scaled(ICON, ICON, by, smooth.SmoothTransformation).copy(0, 0, ICON, ICON)
