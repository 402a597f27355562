"""The table and the field above it, tied to a session."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from .columns import columns_of
from .filters import Filters
from .session import ReviewSession
from .table_model import SegmentModel
from .table_view import SegmentView


class Rows(QWidget):
    """Lists the segments of a session, sorted and filtered.

    Attributes
    ----------
    filters : Filters
        After a change, call `filter`.
    """

    #: Other segments are shown or hidden, or there are other columns.
    changed = Signal()
    #: Other segments are chosen.
    selected = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.session: ReviewSession | None = None
        self.filters = Filters()
        self.model = SegmentModel()
        self.view = SegmentView(self.model)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Find a category, a source or a number")
        self.search.setClearButtonEnabled(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.search)
        column.addWidget(self.view, 1)
        self.search.textChanged.connect(self._find)
        self.view.marked.connect(self._choose)
        self.model.rearranged.connect(self._mark)

    def set_session(self, session: ReviewSession | None) -> None:
        """List the segments of another session, all of them; None: nothing."""
        self._leave()
        self.session = session
        self.filters.clear()
        self.search.clear()
        if session is not None:
            session.changed.connect(self._show)
            session.measured_changed.connect(self._show)
            session.selected.connect(self._mark)
        self._show()

    def _leave(self) -> None:
        session = self.session
        if session is not None:
            session.changed.disconnect(self._show)
            session.measured_changed.disconnect(self._show)
            session.selected.disconnect(self._mark)

    def _show(self, change: object = None) -> None:
        """Read the table again."""
        session = self.session
        columns = [] if session is None else columns_of(session.table, session.labels.spacing)
        self.model.set_columns(columns)
        self.filter()

    def filter(self) -> None:
        """Hide what the filters leave out, in the table and in the layers."""
        kept = self.filters.kept(self.model.columns)
        self.model.keep(kept)
        if self.session is not None:
            self.session.hide(self.model.labels[~kept])
        self.changed.emit()

    def _find(self, text: str) -> None:
        self.filters.text = text
        self.filter()

    def _choose(self, labels: list[int]) -> None:
        if self.session is not None:
            self.session.select(labels, look=True)

    def _mark(self, labels: object = None) -> None:
        """Mark the chosen segments, unless that is where they were chosen."""
        session = self.session
        chosen = () if session is None else session.chosen
        if tuple(self.view.marked_labels()) != chosen:
            self.view.mark(chosen)
        self.selected.emit()
