"""Going through the objects with the lowest scores, one after the other."""

from __future__ import annotations

from typing import Any

import napari.layers
import napari.viewer
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QIcon, QImage, QPixmap, QShowEvent
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QListView,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ...models.entry import Report
from ...ops.editing.deleting import Delete
from ...ops.editing.reviewing import Review
from ...ops.editing.rows import REVIEWED
from ...segmenter import InstsegError
from ..fields import choosable
from ..form_rows import text_label
from ..links import link_of
from ..task_row import TaskRow, notify
from .columns import number_text
from .session import ReviewSession
from .thumbnails import SIZE, picture_of

#: That are shown at a time, and how many fewer are left before more are drawn.
MOST = 24
NOTHING = "No doubtful objects are left: all have been looked at."
NO_SESSION = "No objects."


def doubtful(table: pd.DataFrame) -> NDArray[np.int64]:
    """Give the labels of the objects that nobody has accepted, the lowest score first.

    Parameters
    ----------
    table : DataFrame
        See `LabelSet`; ``reviewed`` may be missing.
    """
    rows = table[table["is_thing"].astype(bool)]
    if REVIEWED in rows:
        rows = rows[~rows[REVIEWED].fillna(False).astype(bool)]
    found: NDArray[np.int64] = rows.sort_values("score", kind="stable")["index"].to_numpy(np.int64)
    return found


class DoubtfulPanel(QWidget):
    """Shows what is doubtful, with what can be done about it.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    #: The user wants to correct the chosen object.
    fix = Signal()

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = viewer
        self.session: ReviewSession | None = None
        self._pending = False
        self.pictures = QListWidget()
        self.drawing = TaskRow()
        self.said = text_label()
        self.buttons: dict[str, QPushButton] = {}
        self._build()
        self.pictures.currentItemChanged.connect(self._look)
        self.drawing.ended.connect(self._draw_pending)

    def _build(self) -> None:
        pictures = self.pictures
        pictures.setViewMode(QListView.ViewMode.IconMode)
        pictures.setFlow(QListView.Flow.LeftToRight)
        pictures.setWrapping(False)
        pictures.setMovement(QListView.Movement.Static)
        pictures.setFrameShape(QFrame.Shape.NoFrame)
        pictures.setIconSize(QSize(SIZE, SIZE))
        pictures.setFixedHeight(SIZE + 46)
        pictures.setHorizontalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        column, line = QVBoxLayout(self), QHBoxLayout()
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(6)
        for part in (pictures, self.drawing, self.said):
            column.addWidget(part)
        actions = (
            ("previous", "◀", self.previous, "Previous (P)"),
            ("accept", "Accept", self.accept, "It is right: remember that (A)"),
            ("reject", "Reject", self.reject, "Delete it (R); Undo brings it back"),
            ("fix", "Fix", self.fix.emit, "Stay here, to correct it with the tools (F)"),
            ("next", "▶", self.next, "Leave it, and go to the next (N)"),
        )
        for name, text, action, tip in actions:
            self.buttons[name] = button = QPushButton(text)
            button.setToolTip(tip)
            button.clicked.connect(lambda checked, action=action: action())
            line.addWidget(button, 1 if len(text) > 1 else 0)
        column.addLayout(line)
        column.addStretch(1)

    # --------------------------------------------------------------------------- what is shown

    def set_session(self, session: ReviewSession | None) -> None:
        """Go through the objects of another session."""
        if self.session is not None:
            self.session.changed.disconnect(self._refresh)
            self.session.selected.disconnect(self._mark)
        self.session = session
        if session is not None:
            session.changed.connect(self._refresh)
            session.selected.connect(self._mark)
        self._refresh()

    def _refresh(self, change: Any = None) -> None:
        """List what is doubtful now; pictures that are known stay."""
        if not self.isVisible():
            # Keys may come before it is seen again.
            with QSignalBlocker(self.pictures):
                self.pictures.clear()
            return
        session = self.session
        labels = np.zeros(0, np.int64) if session is None else doubtful(session.labels.table)
        known = {} if change is None else self._icons()
        for label in [] if change is None else change.ids:
            known.pop(label, None)
        with QSignalBlocker(self.pictures):
            self.pictures.clear()
            for label in labels[:MOST].tolist():
                item = QListWidgetItem(known.get(label, QIcon(_blank())), self._title(label))
                item.setData(Qt.ItemDataRole.UserRole, label)
                item.setTextAlignment(Qt.AlignmentFlag.AlignHCenter)
                self.pictures.addItem(item)
        for button in self.buttons.values():
            button.setEnabled(len(labels) > 0)
        left = f"{len(labels):,} left to look at, the worst first"
        self.said.setText(left if len(labels) else NOTHING if session else NO_SESSION)
        self._mark()
        self._draw([label for label in labels[:MOST].tolist() if label not in known])

    def _title(self, label: int) -> str:
        session = self.session
        if session is None:
            return ""
        table = session.labels.table
        score = table.loc[table["index"] == label, "score"].iloc[0]
        return f"{label} · {number_text(float(score), 'score')}"

    def _icons(self) -> dict[int, QIcon]:
        items = map(self.pictures.item, range(self.pictures.count()))
        return {_label(item): item.icon() for item in items if item is not None}

    def _draw(self, labels: list[int]) -> None:
        """Draw pictures, in a thread of its own: images may be far away."""
        session = self.session
        if session is None or not labels:
            return
        if self.drawing.worker is not None:
            self._pending = True
            return
        table, now = session.labels.table, session.labels
        rows = {label: table[table["index"] == label] for label in labels}
        places, image = session.places, self._image(session)

        def work(report: Report) -> dict[int, NDArray[np.uint8]]:
            found = {}
            for done, (label, row) in enumerate(rows.items()):
                report(done, 0, "drawing")
                found[label] = picture_of(now, places, image, label, row)
            return found

        self.drawing.start("drawing small pictures", work, self._put)
        self.drawing.hide()

    def _draw_pending(self) -> None:
        if self._pending:
            self._pending = False
            self._refresh()

    def _put(self, pictures: dict[int, NDArray[np.uint8]]) -> None:
        for place in range(self.pictures.count()):
            item = self.pictures.item(place)
            if item is not None and _label(item) in pictures:
                item.setIcon(QIcon(_pixmap(pictures[_label(item)])))

    def _image(self, session: ReviewSession) -> napari.layers.Image | None:
        """Choose the layer that the result is of; else the topmost image in view."""
        link = link_of(session.layer)
        images = choosable(self.viewer, (napari.layers.Image,))
        for layer in images:
            if link is not None and layer.unique_id == link.source:
                return layer
        return next((layer for layer in images if layer.visible), None)

    # ---------------------------------------------------------------------------- going through

    @property
    def current(self) -> int:
        """Label of the object that is looked at; 0 if there is none."""
        item = self.pictures.currentItem()
        return 0 if item is None else _label(item)

    def next(self) -> None:
        """Go to the next one."""
        self._step(1)

    def previous(self) -> None:
        """Go to the one before."""
        self._step(-1)

    def _step(self, by: int) -> None:
        count = self.pictures.count()
        if count:
            row = self.pictures.currentRow()
            first = 0 if by > 0 else count - 1
            self.pictures.setCurrentRow(first if row < 0 else (row + by) % count)

    def accept(self) -> None:
        """Remember that the current one is right; go to the next."""
        self._do(Review.NAME)

    def reject(self) -> None:
        """Delete the current one; go to the next."""
        self._do(Delete.NAME)

    def _do(self, edit: str) -> None:
        session, label, row = self.session, self.current, self.pictures.currentRow()
        if session is None or not label:
            self.next()
            return
        try:
            session.apply(edit, ids=[label])
        except InstsegError as error:
            notify(error)
            return
        if self.pictures.count():
            # What came after it has its place now.
            self.pictures.setCurrentRow(min(row, self.pictures.count() - 1))

    def _look(self) -> None:
        if self.session is not None and self.current:
            self.session.select([self.current], look=True)

    def _mark(self, labels: object = None) -> None:
        """Show which one is chosen, if it is among them."""
        session = self.session
        chosen = session.chosen[0] if session is not None and session.chosen else 0
        with QSignalBlocker(self.pictures):
            self.pictures.setCurrentRow(-1)
            for place in range(self.pictures.count()):
                item = self.pictures.item(place)
                if item is not None and _label(item) == chosen:
                    self.pictures.setCurrentRow(place)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """List what is doubtful by now."""
        super().showEvent(event)
        self._refresh()


def _label(item: QListWidgetItem) -> int:
    return int(item.data(Qt.ItemDataRole.UserRole))


def _blank() -> QPixmap:
    pixmap = QPixmap(SIZE, SIZE)
    pixmap.fill(Qt.GlobalColor.transparent)
    return pixmap


def _pixmap(picture: NDArray[np.uint8]) -> QPixmap:
    height, width, _ = picture.shape
    image = QImage(picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    # Fetched by the pixmap before the bytes go.
    return QPixmap.fromImage(image).scaled(SIZE, SIZE, keep, smooth)
