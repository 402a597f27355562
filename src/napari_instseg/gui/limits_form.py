"""Sliders that choose from the masks that were found."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget
from superqt import QDoubleRangeSlider, QLabeledDoubleSlider

from ..promptable import Habits
from .fields import share_slider
from .form_rows import add_row, new_form, show_row
from .found import OF_OBJECTS, Limits

GRID, DETECTOR, LAYER = "grid", "detector", "layer"
IOU_TIP = "What the model thinks of its own mask: masks with less are left out"
REFINED_IOU_TIP = (
    "What the model thinks of its own mask. Where it is less, an object keeps the mask that it\n"
    "had; a point or a box gives nothing."
)
STABILITY_TIP = "How little a mask changes with the model's cut-off: masks with less are left out"
NMS_TIP = "Of masks that overlap by more than this (IoU), only the best is kept"
SCORE_TIP = "Objects to which the detector gave less are left out"
AREA_TIP = "Smaller and larger masks are left out"
#: Steps of the slider of areas, whose scale is logarithmic.
AREA_STEPS = 1000


class LimitsForm(QWidget):
    """Sliders for `Limits`; a run need not be repeated when they move."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._source = GRID
        first = Limits()
        #: What limits are at first, by where the prompts come from.
        self._defaults = {
            GRID: first,
            DETECTOR: OF_OBJECTS,
            LAYER: replace(OF_OBJECTS, score=0.0),
        }
        self.predicted_iou = share_slider(first.predicted_iou)
        self.stability = share_slider(first.stability)
        self.nms = share_slider(first.nms)
        self.score = share_slider(first.score)
        self.area = AreaRange()
        self.reset_button = QPushButton("Reset")
        self.reset_button.setToolTip("Put all limits back to where they were at first")
        self.reset_button.clicked.connect(self.reset)
        self._form = form = new_form()
        add_row(form, "Pred. IoU", self.predicted_iou, IOU_TIP)
        add_row(form, "Stability", self.stability, STABILITY_TIP)
        add_row(form, "Overlap", self.nms, NMS_TIP)
        add_row(form, "Min. score", self.score, SCORE_TIP)
        add_row(form, "Area", self.area, AREA_TIP)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(form)
        column.addWidget(self.reset_button, 0, Qt.AlignmentFlag.AlignRight)
        for slider in self._sliders().values():
            slider.valueChanged.connect(lambda _: self._tell())
        self.area.changed.connect(self._tell)
        self.show_source(GRID)

    def value(self) -> Limits:
        """Return the limits."""
        shares = {name: round(slider.value(), 3) for name, slider in self._sliders().items()}
        low, high = self.area.value()
        return Limits(**shares, min_area=low, max_area=high)

    def set_value(self, limits: Limits) -> None:
        """Show limits."""
        with QSignalBlocker(self):
            for name, slider in self._sliders().items():
                slider.setValue(getattr(limits, name))
            self.area.set_value(limits.min_area, limits.max_area)
        self._tell()

    def reset(self) -> None:
        """Put all limits back to where they were at first."""
        self.set_value(self._defaults[self._source])

    def show_source(self, source: str) -> None:
        """Offer the limits that count where prompts come from there."""
        grid = source == GRID
        show_row(self._form, self.stability, grid)
        show_row(self._form, self.nms, grid)
        show_row(self._form, self.score, source == DETECTOR)
        self.predicted_iou.setToolTip(IOU_TIP if grid else REFINED_IOU_TIP)
        if source != self._source:
            self._source = source
            self.reset()

    def show_model(self, habits: Habits) -> None:
        """Begin with what a model does well with; what the user has set stays."""
        before, now = self._defaults[GRID], self.value()
        iou, stability = habits.min_predicted_iou, habits.min_stability
        self._defaults[GRID] = replace(before, predicted_iou=iou, stability=stability)
        if self._source == GRID and now == before:
            self.reset()

    def show_areas(self, areas: NDArray[np.float32], unit: float, name: str) -> None:
        """Let areas be chosen from those that were found; none: there is no choice.

        Parameters
        ----------
        areas : (N,) float32
            px.
        unit : float
            What a px is in the unit that is shown.
        name : str
            Of the unit.
        """
        self.area.show_areas(areas, unit, name)
        show_row(self._form, self.area, len(np.unique(areas)) > 1)
        self._tell()

    def _sliders(self) -> dict[str, QLabeledDoubleSlider]:
        return {
            "predicted_iou": self.predicted_iou,
            "stability": self.stability,
            "nms": self.nms,
            "score": self.score,
        }

    def _tell(self) -> None:
        self.reset_button.setEnabled(self.value() != self._defaults[self._source])
        self.changed.emit()


class AreaRange(QWidget):
    """A slider with two ends on a logarithmic scale; at its ends, it is no limit."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._first, self._last = 1.0, 1.0
        self._unit, self._name = 1.0, "px"
        self.slider = QDoubleRangeSlider(Qt.Orientation.Horizontal)  # type: ignore[no-untyped-call]
        self.slider.setRange(0, AREA_STEPS)
        self.slider.setValue((0, AREA_STEPS))
        self.text = QLabel()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.slider)
        column.addWidget(self.text)
        self.slider.valueChanged.connect(lambda _: self._show())
        self._show()

    def value(self) -> tuple[float, float]:
        """Return the smallest and the largest area, px."""
        low, high = self._ends()
        return (
            0.0 if low <= 0 else self._area(low),
            inf if high >= AREA_STEPS else self._area(high),
        )

    def set_value(self, smallest: float, largest: float) -> None:
        """Show a smallest and a largest area, px."""
        low = 0.0 if smallest <= self._first else self._step(smallest)
        high = AREA_STEPS if largest >= self._last else self._step(largest)
        self.slider.setValue((low, high))

    def show_areas(self, areas: NDArray[np.float32], unit: float, name: str) -> None:
        """See `LimitsForm.show_areas`; what is chosen stays, as far as it can."""
        before = self.value() if len(areas) else (0.0, inf)
        if len(areas):
            self._first = max(1.0, float(areas.min()))
            self._last = max(self._first, float(areas.max()))
        self._unit, self._name = unit, name
        with QSignalBlocker(self):
            self.set_value(*before)
            self._show()

    def _ends(self) -> tuple[float, float]:
        ends: Any = self.slider.value()
        return float(ends[0]), float(ends[1])

    def _area(self, step: float) -> float:
        return float(self._first * (self._last / self._first) ** (step / AREA_STEPS))

    def _step(self, area: float) -> float:
        if self._last <= self._first:
            return 0.0
        return float(AREA_STEPS * np.log(area / self._first) / np.log(self._last / self._first))

    def _show(self) -> None:
        low, high = (_short(self._area(step) * self._unit) for step in self._ends())
        self.text.setText(f"{low} – {high} {self._name}")
        self.changed.emit()


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
