"""The planes that a propagation has found: look at them, cut the range, accept or discard."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ...prompting.propagation import Propagated
from ..form_rows import LABEL_WIDTH
from .strip import Bar, PlaneStrip


class FoundPlanes(QWidget):
    """Shows what was found, plane by plane; hidden while there is nothing."""

    #: Another range is to be kept.
    range_changed = Signal()
    #: Index of a plane that is to be shown in the viewer.
    plane_chosen = Signal(int)
    accepted = Signal()
    discarded = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.found: Propagated | None = None
        self.strip = PlaneStrip()
        self.strip.clicked.connect(self.plane_chosen)
        self.first, self.last = QSpinBox(), QSpinBox()
        for box in (self.first, self.last):
            box.setKeyboardTracking(False)
            box.valueChanged.connect(self._follow_range)
            box.setToolTip("First and last plane to keep")
        self.weakest_button = QPushButton()
        self.weakest_button.setToolTip("Show the plane that the model is least sure of")
        self.weakest_button.clicked.connect(self._choose_weakest)
        self.accept_button, self.discard_button = QPushButton("Accept"), QPushButton("Discard")
        self.accept_button.setToolTip("Paint it; undo (Ctrl+Z) takes all planes back at once")
        self.accept_button.clicked.connect(self.accepted)
        self.discard_button.clicked.connect(self.discarded)
        keep, buttons = QHBoxLayout(), QHBoxLayout()
        label = QLabel("Keep")
        label.setFixedWidth(LABEL_WIDTH)
        keep.addWidget(label)
        keep.addWidget(self.first, 1)
        keep.addWidget(QLabel("–"))
        keep.addWidget(self.last, 1)
        buttons.addWidget(self.accept_button, 1)
        buttons.addWidget(self.discard_button, 1)
        # Text that wraps below it would squeeze it.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.strip)
        column.addWidget(self.weakest_button)
        column.addLayout(keep)
        column.addLayout(buttons)
        self.hide()

    def put(self, found: Propagated | None) -> None:
        """Show what was found, all of it to be kept; None hides this."""
        self.found = found
        self.setVisible(found is not None)
        if found is None:
            return
        self.strip.set_bars([_bar(found, index) for index in found.sections])
        for box, value in ((self.first, found.first), (self.last, found.last)):
            with QSignalBlocker(box):
                box.setRange(found.first, found.last)
                box.setValue(value)
        weakest = found.weakest()
        trust = found.sections[weakest].trust
        self.weakest_button.setText(f"Show the weakest plane: {weakest} ({trust:.2f})")
        self._follow_range()

    def part(self) -> Propagated | None:
        """What is to be kept of what was found."""
        if self.found is None:
            return None
        first, last = sorted((self.first.value(), self.last.value()))
        return self.found.cut(first, last)

    def _follow_range(self) -> None:
        part = self.part()
        if part is not None:
            self.strip.set_range(part.first, part.last)
            self.range_changed.emit()

    def _choose_weakest(self) -> None:
        if self.found is not None:
            self.plane_chosen.emit(self.found.weakest())


def _bar(found: Propagated, index: int) -> Bar:
    section = found.sections[index]
    name = f"{found.axis.lower()} {index}"
    if section.kind == "given":
        return Bar(index, 1.0, section.kind, f"{name}: given")
    if section.kind == "between":
        return Bar(index, 0.3, section.kind, f"{name}: not found, interpolated")
    tip = f"{name}: score {section.score:.2f}, IoU with the plane before {section.iou:.2f}"
    return Bar(index, section.trust, section.kind, tip)
