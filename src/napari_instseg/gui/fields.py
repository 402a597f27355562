"""Small parts of forms: the choice of an image layer, and of a range."""

from __future__ import annotations

from collections.abc import Sequence

import napari.layers
import napari.viewer
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QWidget,
)


class Choice(QComboBox):
    """A combo box that stays narrow, whatever its texts, and knows its values.

    Parameters
    ----------
    options : sequence of (str, object)
        Text and value of each entry.
    """

    def __init__(self, options: Sequence[tuple[str, object]] = ()) -> None:
        super().__init__()
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        self.set_options(options)

    def set_options(self, options: Sequence[tuple[str, object]]) -> None:
        """Replace the entries; the value stays if it is still among them."""
        before = self.currentData()
        with QSignalBlocker(self):
            self.clear()
            for text, value in options:
                self.addItem(text, value)
            index = next((i for i, (_, value) in enumerate(options) if value == before), 0)
            self.setCurrentIndex(index if options else -1)
        if self.currentData() != before:
            self.currentIndexChanged.emit(self.currentIndex())

    def choose(self, value: object) -> None:
        """Select the entry with this value, if there is one."""
        for i in range(self.count()):
            if self.itemData(i) == value:
                self.setCurrentIndex(i)


class LayerChoice(Choice):
    """The viewer's image layers; follows the one that is clicked in the layer list.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    layer_changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        layers = viewer.layers
        self._events = (
            layers.events.inserted,
            layers.events.removed,
            layers.events.reordered,
            layers.events.renamed,
        )
        for event in self._events:
            event.connect(self._refresh)
        layers.selection.events.active.connect(self._follow)
        self.currentIndexChanged.connect(lambda _: self.layer_changed.emit())
        self._refresh()
        self._follow()

    def layer(self) -> napari.layers.Image | None:
        """Return the chosen layer."""
        key = self.currentData()
        return next((layer for layer in self._images() if layer.unique_id == key), None)

    def _images(self) -> list[napari.layers.Image]:
        return [x for x in self._viewer.layers if isinstance(x, napari.layers.Image)]

    def _refresh(self, event: object = None) -> None:
        # The topmost layer first, as in napari's own list.
        self.set_options([(x.name, x.unique_id) for x in reversed(self._images())])

    def _follow(self, event: object = None) -> None:
        active = self._viewer.layers.selection.active
        if isinstance(active, napari.layers.Image):
            self.choose(active.unique_id)

    def disconnect_viewer(self) -> None:
        """Stop following the viewer: to be called before the widget is deleted."""
        for event in self._events:
            event.disconnect(self._refresh)
        self._viewer.layers.selection.events.active.disconnect(self._follow)


class RangeField(QWidget):
    """Two numbers: a low and a high one.

    Parameters
    ----------
    low, high : float
        Values at first.
    bounds : (float, float)
        Least and greatest value.
    decimals : int
    """

    def __init__(
        self,
        low: float,
        high: float,
        bounds: tuple[float, float],
        decimals: int,
    ) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.low, self.high = QDoubleSpinBox(), QDoubleSpinBox()
        for box in (self.low, self.high):
            box.setRange(*bounds)
            box.setDecimals(decimals)
            box.setMinimumWidth(60)
        self.set_value(low, high)
        row.addWidget(self.low, 1)
        row.addWidget(QLabel("–"))
        row.addWidget(self.high, 1)

    def set_value(self, low: float, high: float) -> None:
        """Show two numbers."""
        self.low.setValue(low)
        self.high.setValue(high)

    def value(self) -> tuple[float, float]:
        """Return the two numbers."""
        return self.low.value(), self.high.value()
