"""Small parts of forms: the choice of an image layer, of a model, and of a range."""

from __future__ import annotations

from collections.abc import Sequence

import napari.layers
import napari.viewer
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QWidget,
)

from ..models.registry import entries


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


class ModelChoice(Choice):
    """The registered models, then the user's own weights files."""

    _OPEN = "open a weights file"

    def __init__(self) -> None:
        super().__init__()
        for entry in entries():
            missing = entry.missing()
            self.addItem(f"{entry.title} – {missing}" if missing else entry.title, entry.name)
            tip = f"{entry.description}\nLicence: {entry.license}"
            self.setItemData(self.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
            if missing:
                self._disable_last()
        self.addItem("Open weights file…", self._OPEN)
        self._chosen = self._first_ready()
        self.setCurrentIndex(self._chosen)
        self.activated.connect(self._activate)

    def name(self) -> str:
        """Return the name, or the path of the weights file, of the chosen model."""
        return str(self.itemData(self._chosen))

    def open_file(self, path: str) -> None:
        """Add a weights file and choose it."""
        index = self.findData(path)
        if index < 0:
            index = self.count() - 1
            self.insertItem(index, path.replace("\\", "/").rsplit("/", 1)[-1], path)
            self.setItemData(index, path, Qt.ItemDataRole.ToolTipRole)
        self._chosen = index
        self.setCurrentIndex(index)

    def _activate(self, index: int) -> None:
        if self.itemData(index) != self._OPEN:
            self._chosen = index
            return
        self.setCurrentIndex(self._chosen)
        path, _ = QFileDialog.getOpenFileName(
            self, "Open weights file", "", "Weights (*.safetensors)"
        )
        if path:
            self.open_file(path)

    def _disable_last(self) -> None:
        item = self.model().item(self.count() - 1)  # type: ignore[union-attr]
        item.setEnabled(False)

    def _first_ready(self) -> int:
        ready = [i for i, entry in enumerate(entries()) if not entry.missing()]
        return ready[0] if ready else 0


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
