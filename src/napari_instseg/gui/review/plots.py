"""Plots of the review table's columns, drawn by pyqtgraph; imported when the first one is shown."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import qtpy
from napari.utils.theme import get_theme
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget
from skimage.measure import points_in_poly

# Of several Qt bindings it must not take another one than everybody here.
os.environ.setdefault("PYQTGRAPH_QT_LIB", qtpy.API_NAME)
import pyqtgraph as pg

#: Most bars of a histogram.
MOST_BINS = 60
#: Colours that are seen on dark and on light.
ALL, KEPT, CHOSEN = (130, 135, 145, 110), (74, 134, 232, 230), (255, 170, 40, 255)
DOT, CHOSEN_DOT = 5, 9
#: In the background of plots.
LOW_HEIGHT = 90


class Plot(QWidget):
    """A plot in the colours of napari's theme, without menus.

    Parameters
    ----------
    theme : str
        Name of napari's.
    box : ViewBox, optional
    """

    def __init__(self, theme: str, box: Any = None) -> None:
        super().__init__()
        self.plot = pg.PlotWidget(viewBox=box, background=None, enableMenu=False)
        self.plot.hideButtons()
        self.plot.setMinimumHeight(LOW_HEIGHT)
        self.plot.setFrameShape(self.plot.Shape.NoFrame)
        self.set_theme(theme)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.plot)

    def set_theme(self, theme: str) -> None:
        """Draw axes and texts in the colours of a theme."""
        color = get_theme(theme).text.as_hex()
        for side in ("left", "bottom"):
            axis = self.plot.getAxis(side)
            axis.setPen(color)
            axis.setTextPen(color)
            axis.enableAutoSIPrefix(False)


class Histogram(Plot):
    """How often values occur, and two handles around those that are wanted."""

    #: The handles were moved: low and high.
    moved = Signal(float, float)

    def __init__(self, theme: str) -> None:
        super().__init__(theme)
        self.plot.setMouseEnabled(x=False, y=False)
        self._values: NDArray[np.float64] = np.zeros(0)
        self._edges: NDArray[np.float64] = np.zeros(0)
        self._all, self._kept = (
            pg.BarGraphItem(x0=[], x1=[], y0=0, height=[], brush=color, pen=None)
            for color in (ALL, KEPT)
        )
        self.handles = pg.LinearRegionItem(
            brush=(0, 0, 0, 0),
            hoverBrush=(255, 255, 255, 12),
            pen=pg.mkPen(CHOSEN, width=2),
            hoverPen=pg.mkPen(CHOSEN, width=4),
        )
        for item in (self._all, self._kept, self.handles):
            self.plot.addItem(item)
        self.handles.sigRegionChanged.connect(self._move)
        self._moving = False

    def show_values(self, values: NDArray[Any], low: float, high: float) -> None:
        """Show values, NaN and infinite ones left out, and the handles at ``low`` and ``high``."""
        values = np.asarray(values, np.float64)
        self._values = values[np.isfinite(values)]
        self._edges = bin_edges(self._values, whole=np.asarray(values).dtype.kind in "iu")
        self._draw(self._all, self._values)
        if len(self._edges):
            margin = 0.04 * (self._edges[-1] - self._edges[0])
            self.plot.setXRange(self._edges[0] - margin, self._edges[-1] + margin, padding=0)
        self.set_range(low, high)

    def set_range(self, low: float, high: float) -> None:
        """Put the handles somewhere, without telling."""
        self._moving = True
        self.handles.setRegion((low, high))
        self._moving = False
        self._paint_kept()

    def _move(self) -> None:
        if not self._moving:
            self._paint_kept()
            self.moved.emit(*self.handles.getRegion())

    def _paint_kept(self) -> None:
        low, high = self.handles.getRegion()
        self._draw(self._kept, self._values[(self._values >= low) & (self._values <= high)])

    def _draw(self, bars: Any, values: NDArray[np.float64]) -> None:
        edges = self._edges
        heights = np.histogram(values, edges)[0] if len(edges) else np.zeros(0)
        bars.setOpts(x0=edges[:-1], x1=edges[1:], height=heights)


def bin_edges(values: NDArray[np.float64], *, whole: bool) -> NDArray[np.float64]:
    """Cut a range into bins; of whole numbers, few enough, one a number.

    Examples
    --------
    >>> bin_edges(np.array([1.0, 3.0]), whole=True)
    array([0.5, 1.5, 2.5, 3.5])
    """
    if not len(values):
        return np.zeros(0)
    low, high = float(values.min()), float(values.max())
    if whole and high - low < MOST_BINS:
        return np.arange(low - 0.5, high + 1)
    if low == high:
        return np.array([low - 0.5, high + 0.5])
    count = int(np.clip(np.sqrt(len(values)) * 1.5, 10, MOST_BINS))
    return np.linspace(low, high, count + 1)


class LassoBox(pg.ViewBox):  # type: ignore[misc]
    """The inside of a plot in which the left button draws a line around points."""

    #: The line is closed: (N, 2) array of x and y.
    closed = Signal(object)

    def __init__(self) -> None:
        super().__init__(enableMenu=False)
        self._line = pg.PlotCurveItem(pen=pg.mkPen(CHOSEN, width=2, style=Qt.PenStyle.DashLine))
        self._path: list[tuple[float, float]] = []
        self.addItem(self._line, ignoreBounds=True)

    def mouseDragEvent(self, ev: Any, axis: int | None = None) -> None:  # noqa: N802
        """Draw with the left button; move with the others."""
        if ev.button() != Qt.MouseButton.LeftButton or axis is not None:
            super().mouseDragEvent(ev, axis)
            return
        ev.accept()
        if ev.isStart():
            at = self.mapToView(ev.buttonDownPos())
            self._path = [(at.x(), at.y())]
        at = self.mapToView(ev.pos())
        self._path.append((at.x(), at.y()))
        if ev.isFinish():
            self._line.setData([], [])
            self.closed.emit(np.array(self._path))
        else:
            self._line.setData(*np.array([*self._path, self._path[0]]).T)


class Scatter(Plot):
    """Two values of each object; a line around some of them chooses these."""

    #: Places in the arrays of the points inside the line.
    caught = Signal(object)

    def __init__(self, theme: str) -> None:
        self.box = LassoBox()
        super().__init__(theme, self.box)
        self._points: NDArray[np.float64] = np.zeros((0, 2))
        self._all = pg.ScatterPlotItem(size=DOT, pen=None, brush=KEPT, pxMode=True)
        self._chosen = pg.ScatterPlotItem(size=CHOSEN_DOT, pen=None, brush=CHOSEN, pxMode=True)
        for item in (self._all, self._chosen):
            self.plot.addItem(item)
        self.box.closed.connect(self._catch)

    def show_points(
        self, points: NDArray[np.float64], titles: tuple[str, str], *, fit: bool
    ) -> None:
        """Show points (N, 2), with titles of x and y; ``fit`` brings all of them into view."""
        self._points = points
        self._all.setData(pos=points[np.isfinite(points).all(axis=1)])
        for side, title in zip(("bottom", "left"), titles, strict=True):
            self.plot.setLabel(side, title)
        if fit:
            self.plot.autoRange()

    def mark(self, chosen: NDArray[np.intp]) -> None:
        """Mark points by their places."""
        points = self._points[chosen]
        self._chosen.setData(pos=points[np.isfinite(points).all(axis=1)])

    def _catch(self, path: NDArray[np.float64]) -> None:
        inside = points_in_poly(np.nan_to_num(self._points, nan=np.inf), path)
        self.caught.emit(np.flatnonzero(inside))
