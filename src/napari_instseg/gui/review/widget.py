"""The Review dock: the objects of a result as a table that is tied to the canvas."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import napari.layers
import napari.viewer
import numpy as np
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QCloseEvent, QHideEvent, QShowEvent
from qtpy.QtWidgets import (
    QHBoxLayout,
    QPushButton,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from ...ops.editing.deleting import Delete, Filter
from ...progress import how_many
from ...segmenter import InstsegError
from ..copying import CopyButton, copy_as
from ..docks import is_taken_away
from ..fields import LayerChoice
from ..form_rows import DOCK_WIDTH, add_row, new_form, text_label
from ..links import PROMPTED
from ..prompt.classes import KEYS
from ..task_row import TaskRow, notify
from .classes_panel import ClassesPanel
from .copying import TIP, command_of, python_of, why_not
from .doubtful import DoubtfulPanel
from .edit_panel import EditPanel
from .measure_panel import MeasurePanel
from .pencil import CLICKS, LINE
from .picking import Picker, label_under
from .plot_panels import FilterPanel, ScatterPanel
from .rows import Rows
from .session import ReviewSession
from .sessions import Sessions
from .shortcuts import REDO, UNDO, Shortcuts

#: Of the dock at first, px.
SIZE = QSize(460, 820)
#: Heights of the table and of what is below it at first, px.
PARTS = (470, 330)
#: All tabs are seen in the narrowest dock.
TAB_STYLE = "QTabBar::tab { padding-left: 4px; padding-right: 4px; margin-left: 0px; }"
NO_LAYER = "Open a label image, or run Segment: its objects are listed here."
NO_OBJECTS = "No objects in this layer."
IN_PROMPT = "Objects are prompted in this layer now: press Stop in the Prompt dock to review them."


class ReviewWidget(QWidget):
    """Looks through the objects of a result.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer

    Attributes
    ----------
    sessions : Sessions
        One for each layer that was chosen.
    tool_row : QHBoxLayout
        Under the table, for tools that edit what is chosen.
    tabs : QTabWidget
        Under the tools.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.choice = LayerChoice(napari_viewer, (napari.layers.Labels,))
        self.rows = Rows()
        self.listing = TaskRow()
        self.sessions = Sessions(napari_viewer, self.choice, self.listing)
        self.status = text_label()
        self.tool_row, self.tabs = QHBoxLayout(), QTabWidget()
        self.filter = FilterPanel(napari_viewer, self.rows)
        self.scatter = ScatterPanel(napari_viewer, self.rows)
        self.doubtful, self.classes = DoubtfulPanel(napari_viewer), ClassesPanel()
        self.measure, self.edit = MeasurePanel(napari_viewer), EditPanel()
        self.undo_button, self.redo_button = QPushButton("Undo"), QPushButton("Redo")
        self.copy_button = CopyButton(TIP)
        self._picker = Picker(napari_viewer, self._pick)
        self.shortcuts = Shortcuts(napari_viewer, self._actions())
        self._parts: list[Any] = [
            *(self.rows, self.edit, self.doubtful, self.classes, self.measure, self.shortcuts)
        ]
        self._build()
        self.sessions.switched.connect(self._set_session)
        self.rows.changed.connect(self._show_state)
        self.rows.view.pressed_key.connect(self.shortcuts.press)
        self.filter.confirmed.connect(self._delete_hidden)
        self.edit.drawing.connect(self._let_draw)
        self.undo_button.clicked.connect(self.undo)
        self.redo_button.clicked.connect(self.redo)
        self.copy_button.python.connect(lambda: self._copy("Python", python_of))
        self.copy_button.command.connect(lambda: self._copy("a command", command_of))
        self.doubtful.fix.connect(self._fix)
        self._set_session(None)

    @property
    def session(self) -> ReviewSession | None:
        """That of the chosen layer."""
        return self.sessions.current

    def _actions(self) -> dict[str, Callable[[], None]]:
        """What keys do."""
        doubtful = self.doubtful
        actions: dict[str, Callable[[], None]] = {
            "A": doubtful.accept,
            "R": doubtful.reject,
            "F": doubtful.fix.emit,
            "N": doubtful.next,
            "P": doubtful.previous,
            "Delete": self.edit.delete,
            "J": self.edit.merge,
            "L": partial(self.edit.draw, LINE),
            "K": partial(self.edit.draw, CLICKS),
            UNDO: self.undo,
            REDO: self.redo,
        }
        for key in KEYS:
            actions[key] = partial(self.classes.press, key)
        return actions

    def _build(self) -> None:
        for title, panel in (
            ("Edit", self.edit),
            ("Filter", self.filter),
            ("Scatter", self.scatter),
            ("Doubtful", self.doubtful),
            ("Classes", self.classes),
            ("Measure", self.measure),
        ):
            self.tabs.addTab(panel, title)
        self.tabs.setStyleSheet(TAB_STYLE)
        for button in (self.undo_button, self.redo_button, self.copy_button):
            self.tool_row.addWidget(button)
        form = new_form()
        add_row(form, "Labels", self.choice, "Whose objects are listed")
        top = QWidget()
        above = QVBoxLayout(top)
        above.setContentsMargins(8, 8, 8, 4)
        above.setSpacing(8)
        above.addLayout(form)
        above.addWidget(self.listing)
        above.addWidget(self.rows, 1)
        above.addWidget(self.status)
        above.addLayout(self.tool_row)
        parts = QSplitter(Qt.Orientation.Vertical)
        parts.addWidget(top)
        parts.addWidget(self.tabs)
        parts.setChildrenCollapsible(False)
        parts.setSizes(list(PARTS))
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(parts)
        self.setMinimumWidth(DOCK_WIDTH)

    def _set_session(self, session: ReviewSession | None) -> None:
        """Show the objects of another session; None: nothing."""
        for part in self._parts:
            part.set_session(session)
        self.rows.view.empty_text = self._why_empty()
        self._show_state()

    def _why_empty(self) -> str:
        layer = self.choice.layer()
        if layer is None:
            return NO_LAYER
        return IN_PROMPT if layer.unique_id in PROMPTED else NO_OBJECTS

    # --------------------------------------------------------------------------------- edits

    def undo(self) -> None:
        """Take the last edit back."""
        if self.session is not None:
            self._try(self.session.undo)

    def redo(self) -> None:
        """Make the last edit that was taken back again."""
        if self.session is not None:
            self._try(self.session.redo)

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except InstsegError as error:
            notify(error)

    def _copy(self, what: str, write: Callable[[ReviewSession], str]) -> None:
        """Put what makes the objects again on the clipboard."""
        session = self.session
        if session is not None:
            copy_as(what, lambda: write(session), self.status)

    def _fix(self) -> None:
        """Offer what corrects the object that is looked at."""
        if self.session is not None:
            self.tabs.setCurrentWidget(self.edit)
            self.viewer.layers.selection.active = self.session.layer

    # ---------------------------------------------------------------------------- the canvas

    def _let_draw(self, drawing: bool) -> None:
        """Choose nothing by clicks while these draw."""
        if drawing:
            self._picker.detach()
        elif self.isVisible():
            self._picker.attach()

    def _pick(self, event: Any, extend: bool) -> None:
        """Choose what was clicked; with Shift, beside what is chosen, or no longer."""
        session = self.session
        if session is None or not session.layer.visible:
            return
        label = label_under(session, event)
        before = session.chosen if extend else ()
        if not label:
            session.select(before)
        elif label in before:
            session.select([one for one in before if one != label])
        else:
            session.select([label, *before])

    def _delete_hidden(self) -> None:
        """Make the filter an edit."""
        session, filters = self.session, self.rows.filters
        if session is None:
            return
        # Stuff is hidden, too, but no object.
        ids = np.intersect1d(session.hidden, session.labels.things["index"]).tolist()
        ranges = list(filters.ranges.items())
        filters.clear()
        self.rows.search.clear()
        try:
            if len(ranges) == 1:
                ((column, (low, high)),) = ranges
                session.apply(Filter.NAME, column=column, min=low, max=high, ids=ids)
            else:
                session.apply(Delete.NAME, ids=ids)
        except InstsegError as error:
            notify(error)
            self.rows.filter()

    def _show_state(self) -> None:
        session = self.session
        self.undo_button.setEnabled(session is not None and session.can_undo)
        self.redo_button.setEnabled(session is not None and session.can_redo)
        self.copy_button.allow(*why_not(session))
        if session is None:
            self.status.clear()
            return
        count = len(session.labels.table)
        hidden = len(session.hidden)
        text = how_many(count, "object")
        self.status.setText(f"{count - hidden} of {text}" if hidden else text)

    # ------------------------------------------------------------------------------ Qt's own

    def sizeHint(self) -> QSize:  # noqa: N802
        """Size at first."""
        return SIZE

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Listen to the canvas while the dock is seen."""
        super().showEvent(event)
        self._picker.attach()
        self.shortcuts.attach()
        self.sessions.wake()

    def hideEvent(self, event: QHideEvent | None) -> None:  # noqa: N802
        """Leave the canvas alone."""
        super().hideEvent(event)
        self.edit.put_down()
        self._picker.detach()
        self.shortcuts.detach()
        self.sessions.rest()

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Let go of the layers when the dock is taken away."""
        super().changeEvent(event)
        if is_taken_away(self, event):
            self._let_go()

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """Let go of the viewer."""
        self._let_go()
        super().closeEvent(event)
        for panel in (self.filter, self.scatter, self.measure):
            panel.disconnect_viewer()
        self.sessions.disconnect_viewer()
        self.choice.disconnect_viewer()

    def _let_go(self) -> None:
        self._picker.detach()
        self.shortcuts.detach()
        self.edit.task.cancel()
        self.sessions.end_all()
