"""The form of a propagation: where to, from where, and where to stop."""

from __future__ import annotations

from qtpy.QtWidgets import QDoubleSpinBox, QSizePolicy, QVBoxLayout, QWidget

from ...prompting.propagation import PropagationSettings
from ..fields import Choice
from ..form_rows import add_row, new_form, show_row

ALL_PLANES, THIS_PLANE = False, True
ROWS = {
    "axis": ("Along", "Axis to follow the object along"),
    "start_from": ("Start from", "Where the object's mask is taken as given"),
    "direction": ("Direction", "Where to go from the outermost given planes; gaps are filled"),
    "min_score": ("Min. score", "Stop where the model's predicted IoU is lower"),
    "min_iou": (
        "Min. IoU",
        "Stop where the IoU with the plane before is lower;\n"
        "less is asked where planes are far apart",
    ),
}


class PropagateForm(QWidget):
    """Settings of a propagation."""

    def __init__(self) -> None:
        super().__init__()
        defaults = PropagationSettings()
        self.axis = Choice()
        self.start_from = Choice(
            [("all planes that have it", ALL_PLANES), ("shown plane only", THIS_PLANE)]
        )
        self.direction = Choice(
            [("both ways", "both"), ("forward", "forward"), ("backward", "backward")]
        )
        self.min_score, self.min_iou = QDoubleSpinBox(), QDoubleSpinBox()
        for box, value in ((self.min_score, defaults.min_score), (self.min_iou, defaults.min_iou)):
            box.setRange(0, 1)
            box.setSingleStep(0.05)
            box.setValue(value)
        self._form = new_form()
        for name, (text, tip) in ROWS.items():
            add_row(self._form, text, getattr(self, name), tip)
        # Text that wraps below it would squeeze it.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self._form)

    def set_axes(self, axes: str) -> None:
        """Offer plane axes; a stack is followed through space first."""
        ordered = sorted(axes, key=lambda letter: letter == "T")
        self.axis.set_options([(letter.lower(), letter) for letter in ordered])
        show_row(self._form, self.axis, len(axes) > 1)

    @property
    def alone(self) -> bool:
        """Whether to start from the shown plane only."""
        return bool(self.start_from.currentData())

    def settings(self) -> PropagationSettings:
        """Read the form."""
        return PropagationSettings(
            direction=self.direction.currentData(),
            min_score=round(self.min_score.value(), 3),
            min_iou=round(self.min_iou.value(), 3),
        )
