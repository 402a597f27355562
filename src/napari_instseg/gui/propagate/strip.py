"""A row of bars, one a plane: how sure a propagation is of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QHelpEvent, QMouseEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

HEIGHT = 48
#: Colours of bars by what `Bar.kind` may be; those outside the range are grey.
COLORS = {"given": "#4da3ff", "found": "#f2b134", "between": "#ff6b5e"}
OUTSIDE, SHOWN = "#6b7078", "#ffffff"


@dataclass(frozen=True, slots=True)
class Bar:
    """One plane: its index, how high the bar is (in [0, 1]), its colour and its tooltip."""

    index: int
    height: float
    kind: str
    tip: str


class PlaneStrip(QWidget):
    """Shows a bar for each plane; a click chooses one."""

    #: Index of the plane that was clicked.
    clicked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._bars: tuple[Bar, ...] = ()
        self._range = (0, 0)
        self._shown: int | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def sizeHint(self) -> QSize:  # noqa: N802
        """As wide as there is room, and low."""
        return QSize(200, HEIGHT)

    def set_bars(self, bars: Sequence[Bar]) -> None:
        """Show other planes, in this order."""
        self._bars = tuple(bars)
        self.update()

    def set_range(self, first: int, last: int) -> None:
        """Grey the planes outside a range."""
        self._range = first, last
        self.update()

    def set_shown(self, index: int | None) -> None:
        """Mark the plane that the viewer shows."""
        if index != self._shown:
            self._shown = index
            self.update()

    def place_of(self, index: int) -> QPointF:
        """Middle of a plane's bar, in the widget."""
        for bar, area in zip(self._bars, self._areas(), strict=True):
            if bar.index == index:
                return area.center()
        return QPointF(-1, -1)

    def _areas(self) -> list[QRectF]:
        wide = self.width() / max(1, len(self._bars))
        return [QRectF(i * wide, 0, wide, self.height()) for i in range(len(self._bars))]

    def _bar_at(self, x: float) -> Bar | None:
        if not self._bars or not 0 <= x < self.width():
            return None
        return self._bars[int(x * len(self._bars) / self.width())]

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw the bars; the shown plane has a mark under it."""
        painter = QPainter(self)
        first, last = self._range
        for bar, area in zip(self._bars, self._areas(), strict=True):
            gap = 1.0 if area.width() > 4 else 0.0
            high = max(2.0, bar.height * (area.height() - 6))
            box = QRectF(area.left(), area.height() - 5 - high, min(24.0, area.width() - gap), high)
            box.moveLeft(area.center().x() - box.width() / 2)
            inside = first <= bar.index <= last
            painter.fillRect(box, QColor(COLORS[bar.kind] if inside else OUTSIDE))
            if bar.index == self._shown:
                mark = QRectF(box.left(), area.height() - 3, max(3.0, box.width()), 3)
                painter.fillRect(mark, QColor(SHOWN))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Choose the plane under the mouse."""
        bar = None if event is None else self._bar_at(event.position().x())
        if bar is not None:
            self.clicked.emit(bar.index)

    def event(self, event: object) -> bool:
        """Show the tooltip of the bar under the mouse."""
        if isinstance(event, QHelpEvent) and event.type() == QHelpEvent.Type.ToolTip:
            bar = self._bar_at(event.pos().x())
            QToolTip.showText(event.globalPos(), bar.tip if bar else "", self)
            return True
        return bool(super().event(event))  # type: ignore[arg-type]
