"""Small parts of forms: the choice of a layer, of outputs, of a share, and of a range."""

from __future__ import annotations

from collections.abc import Sequence

import napari.layers
import napari.viewer
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledDoubleSlider

from ..settings import OUTPUTS
from .links import is_temporary


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


def choosable(
    viewer: napari.viewer.Viewer, kinds: tuple[type[napari.layers.Layer], ...]
) -> list[napari.layers.Layer]:
    """Layers of some kinds, the topmost first, as in napari's own list; no temporary ones."""
    layers = (layer for layer in reversed(viewer.layers) if isinstance(layer, kinds))
    return [layer for layer in layers if not is_temporary(layer)]


class LayerChoice(Choice):
    """The viewer's layers of some kinds; follows the one that is clicked in the layer list.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    kinds : tuple of type
        Classes of layers.
    follow : bool
        Whether it follows; else a choice stays until it is changed here.
    """

    layer_changed = Signal()

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        kinds: tuple[type[napari.layers.Layer], ...] = (napari.layers.Image,),
        *,
        follow: bool = True,
    ) -> None:
        super().__init__()
        self._viewer, self._kinds, self._follows = viewer, kinds, follow
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

    def layer(self) -> napari.layers.Layer | None:
        """Return the chosen layer."""
        key = self.currentData()
        layers = choosable(self._viewer, self._kinds)
        return next((layer for layer in layers if layer.unique_id == key), None)

    def _refresh(self, event: object = None) -> None:
        layers = choosable(self._viewer, self._kinds)
        self.set_options([(layer.name, layer.unique_id) for layer in layers])

    def _follow(self, event: object = None) -> None:
        active = self._viewer.layers.selection.active
        if self._follows and isinstance(active, self._kinds):
            self.choose(active.unique_id)

    def disconnect_viewer(self) -> None:
        """Stop following the viewer: to be called before the widget is deleted."""
        for event in self._events:
            event.disconnect(self._refresh)
        self._viewer.layers.selection.events.active.disconnect(self._follow)


class OutputBoxes(QWidget):
    """A box to tick for each output that may become a layer.

    Parameters
    ----------
    chosen : tuple of str
        Outputs that are ticked at first.
    """

    def __init__(self, chosen: tuple[str, ...]) -> None:
        super().__init__()
        # One below the other: side by side they would not fit a dock of 320 px.
        stack = QVBoxLayout(self)
        stack.setContentsMargins(0, 2, 0, 2)
        stack.setSpacing(3)
        self.boxes = {name: QCheckBox(name.capitalize()) for name in OUTPUTS}
        for name, box in self.boxes.items():
            box.setChecked(name in chosen)
            stack.addWidget(box)

    def value(self) -> tuple[str, ...]:
        """Return the outputs that are ticked and can be had."""
        boxes = self.boxes.items()
        return tuple(name for name, box in boxes if box.isChecked() and box.isEnabled())


def share_slider(value: float) -> QLabeledDoubleSlider:
    """Make a slider from 0 to 1 with a number beside it."""
    slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
    slider.setRange(0, 1)
    # The annotations say int, for the slider of whole numbers.
    slider.setSingleStep(0.01)  # type: ignore[arg-type]
    slider.setPageStep(0.05)  # type: ignore[arg-type]
    slider.setDecimals(2)
    slider.setValue(value)
    return slider


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
