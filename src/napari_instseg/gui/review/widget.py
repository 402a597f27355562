"""The Review dock: the objects of a result as a table that is tied to the canvas."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import napari.layers
import napari.viewer
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
from superqt.utils import qdebounced

from ...editing import Editor
from ...label_set import LabelSet
from ...ops.editing.deleting import Delete, Filter
from ...progress import how_many
from ...segmenter import InstsegError
from ..docks import is_taken_away
from ..fields import LayerChoice
from ..form_rows import DOCK_WIDTH, add_row, new_form, text_label
from ..label_layers import label_set_of, outputs_of
from ..prompt.classes import KEYS
from ..task_row import TaskRow, notify
from .classes_panel import ClassesPanel
from .doubtful import DoubtfulPanel
from .edit_panel import EditPanel
from .measure_panel import MeasurePanel
from .open_editor import is_quick, read_layer
from .pencil import CLICKS, LINE
from .picking import Picker
from .plot_panels import FilterPanel, ScatterPanel
from .rows import Rows
from .session import ReviewSession
from .shortcuts import REDO, UNDO, Shortcuts

#: Of the dock at first, px.
SIZE = QSize(460, 820)
#: Heights of the table and of what is below it at first, px.
PARTS = (470, 330)
NO_LAYER = "Open a label image, or run Segment: its objects are listed here."
NO_OBJECTS = "No objects in this layer."


class ReviewWidget(QWidget):
    """Looks through the objects of a result.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer

    Attributes
    ----------
    session : ReviewSession or None
        Of the chosen layer.
    tool_row : QHBoxLayout
        Under the table, for tools that edit what is chosen.
    tabs : QTabWidget
        Under the tools.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.session: ReviewSession | None = None
        self._sessions: dict[Hashable, ReviewSession] = {}
        self.choice = LayerChoice(napari_viewer, (napari.layers.Labels,))
        self.rows = Rows()
        self.listing = TaskRow()
        self.status = text_label()
        self.tool_row, self.tabs = QHBoxLayout(), QTabWidget()
        self.filter = FilterPanel(napari_viewer, self.rows)
        self.scatter = ScatterPanel(napari_viewer, self.rows)
        self.doubtful, self.classes = DoubtfulPanel(napari_viewer), ClassesPanel()
        self.measure, self.edit = MeasurePanel(napari_viewer), EditPanel()
        self.undo_button, self.redo_button = QPushButton("Undo"), QPushButton("Redo")
        self._picker = Picker(napari_viewer, self._pick)
        self.shortcuts = Shortcuts(napari_viewer, self._actions())
        self._parts: list[Any] = [
            *(self.rows, self.edit, self.doubtful, self.classes, self.measure, self.shortcuts)
        ]
        self._build()
        self.choice.layer_changed.connect(self._choose)
        self.viewer.layers.events.removed.connect(self._forget)
        self.rows.changed.connect(self._show_state)
        self.rows.view.pressed_key.connect(self.shortcuts.press)
        self.filter.confirmed.connect(self._delete_hidden)
        self.edit.drawing.connect(self._let_draw)
        self.undo_button.clicked.connect(self.undo)
        self.redo_button.clicked.connect(self.redo)
        self._choose()

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
        for button in (self.undo_button, self.redo_button):
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

    # ------------------------------------------------------------------------------ sessions

    def _choose(self) -> None:
        """Review the chosen layer; of a semantic or panoptic one, its instances."""
        chosen = self.choice.layer()
        layer = None if chosen is None else outputs_of(self.viewer, chosen).get("instances", chosen)
        if self.session is not None and self.session.layer is layer:
            return
        if self.listing.worker is not None:
            self.listing.cancel()
        self._put_aside()
        self._prune()
        if layer is None:
            self._set_session(None)
        elif layer.unique_id in self._sessions:
            self._set_session(self._sessions[layer.unique_id])
        else:
            self._open(layer)

    def _open(self, layer: napari.layers.Labels) -> None:
        """Read a layer; what takes long, in a thread of its own."""
        viewer = self.viewer
        if is_quick(viewer, layer):
            try:
                self._begin(layer, (label_set_of(viewer, layer), None))
            except InstsegError as error:
                notify(error)
                self._set_session(None)
            return
        self._set_session(None)
        self.listing.start(
            f"listing the objects of {layer.name}",
            lambda report: read_layer(viewer, layer),
            lambda read: self._begin(layer, read),
            wait=False,
        )

    def _begin(self, layer: napari.layers.Labels, read: tuple[LabelSet, Editor | None]) -> None:
        if layer not in self.viewer.layers:
            return
        session = ReviewSession(self.viewer, layer, *read)
        session.setParent(self)
        session.outdated.connect(self._hear)
        session.changed.connect(self._show_state)
        self._sessions[layer.unique_id] = session
        self._set_session(session)

    def _set_session(self, session: ReviewSession | None) -> None:
        self.session = session
        for part in self._parts:
            part.set_session(session)
        self.rows.view.empty_text = NO_LAYER if self.choice.layer() is None else NO_OBJECTS
        self._show_state()

    def _put_aside(self) -> None:
        """Show all of the objects whose turn is over."""
        if self.session is not None and self.session.layer in self.viewer.layers:
            self.session.select(())
            self.session.show_all()

    def _prune(self) -> None:
        """End the session of a layer that turned out to be a part of a result.

        A run adds panoptic first: for a moment it looks like a result of its own.
        """
        for session in list(self._sessions.values()):
            outputs = outputs_of(self.viewer, session.layer)
            if outputs.get("instances", session.layer) is not session.layer:
                self._end(session)

    def _hear(self, session: ReviewSession) -> None:
        """Read a layer again once no more is done to it."""
        if session is self.session:
            self._reload()
        else:
            self._end(session)

    @qdebounced(timeout=100)
    def _reload(self) -> None:
        """Read the layer again: somebody has replaced its labels or its table."""
        session = self.session
        if session is None or session.layer not in self.viewer.layers:
            return
        self._end(session)
        self._open(session.layer)

    def _forget(self, event: Any) -> None:
        session = self._sessions.get(event.value.unique_id)
        if session is not None:
            self._end(session)
            if session is self.session:
                self._set_session(None)
                self._choose()

    def _end(self, session: ReviewSession) -> None:
        session.outdated.disconnect(self._hear)
        session.close()
        self._sessions.pop(session.layer.unique_id, None)
        session.setParent(None)

    # --------------------------------------------------------------------------------- edits

    def undo(self) -> None:
        """Take the last edit back."""
        if self.session is not None:
            self.session.undo()

    def redo(self) -> None:
        """Make the last edit that was taken back again."""
        if self.session is not None:
            self.session.redo()

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
        label = session.label_at(event.position)
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
        things = session.labels.things["index"].to_numpy()
        ids = [int(label) for label in session.hidden if label in things]
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

    def _show_state(self, change: object = None) -> None:
        session = self.session
        self.undo_button.setEnabled(session is not None and session.can_undo)
        self.redo_button.setEnabled(session is not None and session.can_redo)
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

    def hideEvent(self, event: QHideEvent | None) -> None:  # noqa: N802
        """Leave the canvas alone."""
        super().hideEvent(event)
        self.edit.put_down()
        self._picker.detach()
        self.shortcuts.detach()

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
        self.viewer.layers.events.removed.disconnect(self._forget)
        self.choice.disconnect_viewer()

    def _let_go(self) -> None:
        self._picker.detach()
        self.shortcuts.detach()
        self._reload.cancel()
        self.listing.cancel()
        for session in list(self._sessions.values()):
            self._end(session)
        if self.session is not None:
            self._set_session(None)
