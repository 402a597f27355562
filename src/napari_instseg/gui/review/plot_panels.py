"""What stands around the plots: choices of columns, limits as numbers, buttons."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import napari.viewer
import numpy as np
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget
from superqt.utils import qthrottled

from ..fields import Choice, RangeField
from ..form_rows import text_label
from .columns import Column
from .rows import Rows
from .session import ReviewSession

MISSING = (
    'Plots need pyqtgraph: pip install "napari-instseg[gui]" (or: pip install pyqtgraph), then '
    "start napari again."
)
#: Of limits that are typed.
WIDEST = 1e12
FILTER_TIP = "Delete the objects that are left out: one step, which Undo takes back"


class PlotPanel(QWidget):
    """A place for a plot, which is made when it is first seen, and drawn only while it is seen.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    rows : Rows
    """

    def __init__(self, viewer: napari.viewer.Viewer, rows: Rows) -> None:
        super().__init__()
        self.viewer, self.rows = viewer, rows
        self.plot: Any = None
        self.place = QVBoxLayout(self)
        self.place.setContentsMargins(8, 8, 8, 8)
        self.place.setSpacing(6)
        rows.changed.connect(self._refresh)

    def _make_plot(self, plots: Any) -> Any:
        """Make the plot, with the module that draws."""
        raise NotImplementedError

    def _draw(self) -> None:
        """Show the columns as they are now."""
        raise NotImplementedError

    def _insert(self, plot: QWidget) -> None:
        """Put the plot, or what is said instead, into its place."""
        self.place.insertWidget(1, plot, 1)

    def _refresh(self) -> None:
        if self.isVisible():
            self._draw()

    def _columns(self) -> list[Column]:
        return [column for column in self.rows.model.columns if column.is_number]

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Make the plot the first time."""
        super().showEvent(event)
        if self.plot is None:
            if importlib.util.find_spec("pyqtgraph") is None:
                self.plot = text_label()
                self.plot.setText(MISSING)
            else:
                self.plot = self._make_plot(importlib.import_module(".plots", __package__))
                self.viewer.events.theme.connect(self._restyle)
            self._insert(self.plot)
        self._draw()

    @property
    def can_plot(self) -> bool:
        """Whether there is a plot."""
        return self.plot is not None and not isinstance(self.plot, QLabel)

    def _restyle(self, event: object = None) -> None:
        self.plot.set_theme(self.viewer.theme)

    def disconnect_viewer(self) -> None:
        """Stop following the viewer."""
        if self.can_plot:
            self.viewer.events.theme.disconnect(self._restyle)


class FilterPanel(PlotPanel):
    """The histogram of a column, with limits that hide objects as they are moved."""

    #: The hidden objects are to be deleted.
    confirmed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer, rows: Rows) -> None:
        super().__init__(viewer, rows)
        self.column = Choice()
        self.limits = RangeField(0, 0, (-WIDEST, WIDEST), 3)
        self.said = text_label()
        self.clear_button = QPushButton("Show all")
        self.delete_button = QPushButton("Delete hidden")
        self.delete_button.setToolTip(FILTER_TIP)
        buttons = QHBoxLayout()
        for button in (self.clear_button, self.delete_button):
            buttons.addWidget(button, 1)
        self.place.addWidget(self.column)
        self.place.addWidget(self.limits)
        self.place.addWidget(self.said)
        self.place.addLayout(buttons)
        self.column.currentIndexChanged.connect(self._show_column)
        for box in (self.limits.low, self.limits.high):
            box.setKeyboardTracking(False)
            box.valueChanged.connect(lambda _: self._take(*self.limits.value()))
        self.clear_button.clicked.connect(self._clear)
        self.delete_button.clicked.connect(self.confirmed)
        #: What is in the plot, so that a change of the filter alone draws nothing anew.
        self._drawn: object = None

    def _make_plot(self, plots: Any) -> Any:
        plot = plots.Histogram(self.viewer.theme)
        plot.moved.connect(self._take)
        return plot

    def _draw(self) -> None:
        options = [(column.title, column.name) for column in self._columns()]
        # The label itself says nothing of an object.
        self.column.set_options([o for o in options if o[1] != "index"])
        column = self._chosen()
        values = None if column is None else column.values
        if values is not self._drawn:
            self._show_column()
        self._say()

    def _chosen(self) -> Column | None:
        return self.rows.model.column(self.column.currentData() or "")

    def _bounds(self, column: Column) -> tuple[float, float]:
        values = column.values[np.isfinite(column.values)]
        return (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)

    def _show_column(self) -> None:
        """Show the values of the chosen column, and its limits."""
        column = self._chosen()
        self._drawn = None if column is None else column.values
        self.limits.setEnabled(column is not None)
        low, high = 0.0, 0.0
        if column is not None:
            low, high = self.rows.filters.ranges.get(column.name, self._bounds(column))
        self._show_limits(low, high)
        if self.can_plot:
            self.plot.show_values(np.zeros(0) if column is None else column.values, low, high)

    def _show_limits(self, low: float, high: float) -> None:
        with QSignalBlocker(self.limits.low), QSignalBlocker(self.limits.high):
            self.limits.set_value(low, high)

    def _take(self, low: float, high: float) -> None:
        """Keep what is between limits."""
        column = self._chosen()
        if column is None:
            return
        least, greatest = self._bounds(column)
        # Spin boxes round.
        near = 0.0005 if column.values.dtype.kind == "f" else 0.0
        if low <= least + near and high >= greatest - near:
            self.rows.filters.ranges.pop(column.name, None)
        else:
            self.rows.filters.ranges[column.name] = (low, high)
        self._show_limits(low, high)
        if self.can_plot:
            self.plot.set_range(low, high)
        self._filter()

    @qthrottled(timeout=30)
    def _filter(self) -> None:
        self.rows.filter()

    def _clear(self) -> None:
        self.rows.search.clear()
        self.rows.filters.clear()
        self.rows.filter()
        self._show_column()

    def _say(self) -> None:
        filters = self.rows.filters
        self.said.setText(filters.words(self.rows.model.columns))
        self.said.setVisible(filters.any)
        some = filters.any and not self.rows.model.kept.all()
        self.clear_button.setEnabled(filters.any)
        self.delete_button.setEnabled(some)


class ScatterPanel(PlotPanel):
    """Two columns against each other; a line around points chooses their objects."""

    def __init__(self, viewer: napari.viewer.Viewer, rows: Rows) -> None:
        super().__init__(viewer, rows)
        self.across, self.upward = Choice(), Choice()
        line = QHBoxLayout()
        for field, text in ((self.across, "x"), (self.upward, "y")):
            line.addWidget(QLabel(text))
            line.addWidget(field, 1)
        self.place.addLayout(line)
        hint = text_label()
        hint.setText("Draw around points to choose their objects. Wheel: zoom; middle: move.")
        self.place.addWidget(hint)
        self._drawn: tuple[Any, ...] = ()
        self._shown: Any = np.zeros(0, np.intp)
        for field in (self.across, self.upward):
            field.currentIndexChanged.connect(self._refresh)
        rows.selected.connect(self._mark)

    def _make_plot(self, plots: Any) -> Any:
        plot = plots.Scatter(self.viewer.theme)
        plot.caught.connect(self._choose)
        return plot

    def _draw(self) -> None:
        columns = self._columns()
        options = [(column.title, column.name) for column in columns if column.name != "index"]
        first = not self.across.count()
        for field in (self.across, self.upward):
            with QSignalBlocker(field):
                field.set_options(options)
        if first:
            with QSignalBlocker(self.across):
                self.across.choose("area")
        if not self.can_plot:
            return
        model = self.rows.model
        pair = [model.column(field.currentData() or "") for field in (self.across, self.upward)]
        self._shown = np.flatnonzero(model.kept)
        found = [column for column in pair if column is not None]
        points = np.zeros((0, 2))
        if len(found) == 2:
            points = np.stack([column.values[self._shown] for column in found], axis=1)
        key = tuple(column.name for column in found)
        titles = (found[0].title, found[1].title) if len(found) == 2 else ("", "")
        self.plot.show_points(points.astype(np.float64), titles, fit=key != self._drawn)
        self._drawn = key
        self._mark()

    def _choose(self, places: Any) -> None:
        session: ReviewSession | None = self.rows.session
        if session is not None:
            session.select(self.rows.model.labels[self._shown[places]].tolist())

    def _mark(self) -> None:
        session = self.rows.session
        if not self.can_plot or not self.isVisible() or session is None:
            return
        labels = self.rows.model.labels[self._shown]
        self.plot.mark(np.flatnonzero(np.isin(labels, session.chosen)))
