"""Fields that say whether and how the objects of a time-lapse become tracks."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QHBoxLayout, QSpinBox, QWidget

from ..settings import Settings
from .fields import Choice
from .form_rows import add_row, new_form, show_row

TRACK_TIP = (
    "Each frame by itself: an object has another number in each frame.\n"
    "Tracked: it has one number, and one row in the table, through all frames along T, and a\n"
    "Tracks layer shows its way. With Z planes linked, objects are tracked in 3-D."
)
DISTANCE_TIP = (
    "How far an object may go from one frame to the next.\n"
    "Auto: as far as a typical object is wide. µm needs a layer with scale and units."
)
OVERLAP_TIP = (
    "How much it counts whether masks of two frames overlap, beside how far apart their centres\n"
    "are: 0 is distance alone, 1 overlap alone. Less is better for objects that jump."
)
GAP_TIP = "Frames in a row that an object may be missing in"
FRAMES_TIP = "Tracks with objects in fewer frames than this are left out"
SPLIT_TIP = (
    "Look for objects that divide: their track ends, and two begin.\n"
    "The table's column “parent” names the track that each comes from."
)


class TimeForm(QWidget):
    """The choice to track objects through T, and its limits; hidden for images without T."""

    def __init__(self) -> None:
        super().__init__()
        default = Settings()
        self._form = new_form()
        self.setLayout(self._form)
        self.track = Choice((("Each frame by itself", False), ("Tracked: one number", True)))
        self.split = QCheckBox("Objects divide")
        self.distance = QDoubleSpinBox()
        self.distance.setRange(0, 10_000)
        # The lowest value stands for no value.
        self.distance.setSpecialValueText("Auto")
        self.unit = Choice((("px", "px"), ("µm", "um")))
        self.unit.setMinimumContentsLength(3)
        self.overlap = QDoubleSpinBox()
        self.overlap.setRange(0, 1)
        self.overlap.setSingleStep(0.05)
        self.overlap.setValue(default.track_overlap)
        self.gap, self.frames = QSpinBox(), QSpinBox()
        self.gap.setRange(0, 1000)
        self.gap.setValue(default.track_gap)
        self.frames.setRange(1, 100_000)
        self.frames.setValue(default.min_frames)
        self._add_rows()
        self.track.currentIndexChanged.connect(lambda _: self._show_limits())
        self._show_limits()
        self.allow(False)

    def values(self) -> dict[str, Any]:
        """Return the fields of `Settings` that are chosen here; those of an image without T."""
        if self.isHidden() or not self.track.currentData():
            return {}
        return {
            "track": True,
            "track_distance": round(self.distance.value(), 2) or None,
            "track_distance_unit": str(self.unit.currentData()),
            "track_overlap": round(self.overlap.value(), 2),
            "track_gap": self.gap.value(),
            "track_split": self.split.isChecked(),
            "min_frames": self.frames.value(),
        }

    def allow(self, allowed: bool) -> None:
        """Offer the choice, or hide it; what was chosen stays."""
        self.setVisible(allowed)

    def _add_rows(self) -> None:
        self._reach = QWidget()
        line = QHBoxLayout(self._reach)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.distance, 2)
        line.addWidget(self.unit, 1)
        add_row(self._form, "Time", self.track, TRACK_TIP)
        add_row(self._form, "", self.split, SPLIT_TIP)
        add_row(self._form, "Max. way", self._reach, DISTANCE_TIP)
        add_row(self._form, "Overlap", self.overlap, OVERLAP_TIP)
        add_row(self._form, "Max. gap", self.gap, GAP_TIP)
        add_row(self._form, "Shortest", self.frames, FRAMES_TIP)

    def _show_limits(self) -> None:
        for field in (self.split, self._reach, self.overlap, self.gap, self.frames):
            show_row(self._form, field, bool(self.track.currentData()))
