"""Fields that say whether and how the planes of a z-stack become 3-D objects."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QSpinBox, QWidget

from ..settings import Settings
from .fields import Choice
from .form_rows import add_row, new_form, show_row

LINK_TIP = (
    "Each plane by itself: an object has another number in each plane.\n"
    "Linked: it has one number, and one row in the table, through all planes along Z.\n"
    "Choose the first for a time-lapse that was opened as a stack."
)
OVERLAP_TIP = (
    "How much of their union (IoU) an object's masks share in neighbouring planes, at least.\n"
    "Less will do where planes lie far apart, and where one of the masks lies in the other."
)
GAP_TIP = "Planes in a row that an object may be missing in; never farther than it is wide"
PLANES_TIP = "What is found in fewer planes than this is left out"
WAISTS_TIP = (
    "Where the masks become smaller from both sides, one object lies on another: they are two.\n"
    "Not for tubes that are narrow in places, such as mitochondria."
)
ORTHO_TIP = (
    "Segment planes along Y and along X, too, and keep what at least two of the three directions\n"
    "agree on. Takes three times as long; needs about equal pixel sizes along all axes."
)
FILL_TIP = "Fill holes in objects, and planes that they are missing in, where nothing else is"


class StackForm(QWidget):
    """The choice to link planes through Z, and its limits; hidden for images without Z."""

    def __init__(self) -> None:
        super().__init__()
        default = Settings()
        self._form = new_form()
        self.setLayout(self._form)
        self.link = Choice((("Each plane by itself", False), ("Linked: 3-D objects", True)))
        self.overlap = QDoubleSpinBox()
        self.overlap.setRange(0.01, 1)
        self.overlap.setSingleStep(0.05)
        self.overlap.setValue(default.link_overlap)
        self.gap, self.planes = QSpinBox(), QSpinBox()
        self.gap.setRange(0, 1000)
        self.gap.setValue(default.link_gap)
        self.planes.setRange(1, 100_000)
        self.planes.setValue(default.min_planes)
        self.waists = QCheckBox("Cut at waists")
        self.waists.setChecked(default.link_waists)
        self.fill = QCheckBox("Fill holes and gaps")
        self.ortho = QCheckBox("From three sides")
        add_row(self._form, "Z planes", self.link, LINK_TIP)
        add_row(self._form, "Link IoU", self.overlap, OVERLAP_TIP)
        add_row(self._form, "Max. gap", self.gap, GAP_TIP)
        add_row(self._form, "Shortest", self.planes, PLANES_TIP)
        add_row(self._form, "", self.waists, WAISTS_TIP)
        add_row(self._form, "", self.fill, FILL_TIP)
        add_row(self._form, "", self.ortho, ORTHO_TIP)
        self.link.currentIndexChanged.connect(lambda _: self._show_limits())
        self._show_limits()
        self.allow(False)

    def values(self) -> dict[str, Any]:
        """Return the fields of `Settings` that are chosen here; those of an image without Z."""
        if self.isHidden() or not self.link.currentData():
            return {}
        return {
            "link": True,
            "link_overlap": round(self.overlap.value(), 2),
            "link_waists": self.waists.isChecked(),
            "link_gap": self.gap.value(),
            "min_planes": self.planes.value(),
            "link_fill": self.fill.isChecked(),
            "ortho": self.ortho.isChecked(),
        }

    def allow(self, allowed: bool) -> None:
        """Offer the choice, or hide it; what was chosen stays."""
        self.setVisible(allowed)

    def _show_limits(self) -> None:
        limits = (self.overlap, self.gap, self.planes, self.waists, self.fill, self.ortho)
        for field in limits:
            show_row(self._form, field, bool(self.link.currentData()))
