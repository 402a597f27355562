"""Parts of forms; all labels have one width, so that the forms of a dock line up."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QFrame,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

LABEL_WIDTH = 74
#: The parts of a dock fit into it, px.
DOCK_WIDTH = 320


def new_form() -> QFormLayout:
    """Make an empty form."""
    form = QFormLayout()
    form.setContentsMargins(0, 0, 0, 0)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    form.setHorizontalSpacing(8)
    form.setVerticalSpacing(6)
    return form


def add_row(form: QFormLayout, text: str, field: QWidget, tip: str) -> None:
    """Add a field with its label and a tooltip for both."""
    label = QLabel(text)
    label.setFixedWidth(LABEL_WIDTH)
    for widget in (label, field):
        widget.setToolTip(tip)
    form.addRow(label, field)


def show_row(form: QFormLayout, field: QWidget, visible: bool) -> None:
    """Show or hide a field and its label."""
    label = form.labelForField(field)
    if label is not None:
        label.setVisible(visible)
    field.setVisible(visible)


def enable_option(box: QComboBox, value: object, enabled: bool) -> None:
    """Let an entry of a combo box be chosen, or grey it."""
    model = box.model()
    index = box.findData(value)
    if isinstance(model, QStandardItemModel) and index >= 0:
        item = model.item(index)
        if item is not None:
            item.setEnabled(enabled)


def text_label() -> QLabel:
    """Make a label for text that comes later, in as many lines as it takes."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def fill_dock(dock: QWidget, parts: Sequence[QWidget]) -> None:
    """Put the parts of a dock below each other, where they can be scrolled."""
    content = QWidget()
    column = QVBoxLayout(content)
    column.setContentsMargins(8, 8, 8, 8)
    column.setSpacing(8)
    for part in parts:
        column.addWidget(part)
    column.addStretch(1)
    outer = QVBoxLayout(dock)
    outer.setContentsMargins(0, 0, 0, 0)
    outer.addWidget(scrolling(content))
    dock.setMinimumWidth(DOCK_WIDTH)


def scrolling(content: QWidget) -> QScrollArea:
    """Put a widget into an area that scrolls up and down where it is too low for it."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(content)
    return area
