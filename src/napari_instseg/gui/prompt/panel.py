"""What is chosen while prompting: the tool, the class, and how objects are accepted."""

from __future__ import annotations

import napari.layers
import napari.viewer
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ..fields import Choice, choosable
from ..form_rows import add_row, new_form, show_row
from .classes import ClassTable
from .tools import ClickTool, LabelsTool, LassoTool, PolygonTool, ScribbleTool

TOOLS: tuple[type[ClickTool], ...] = (
    ClickTool,
    ScribbleTool,
    LassoTool,
    PolygonTool,
    LabelsTool,
)
#: What each key does; those of the mouse come first.
KEYS = (
    ("Left click", "on the object"),
    ("Right, Alt+click", "not the object"),
    ("Drag", "a box around it"),
    ("Shift+click, drag", "one more object"),
    ("Enter or C", "accept"),
    ("Tab", "next candidate mask"),
    ("Backspace", "take back a prompt"),
    ("Esc", "clear all prompts"),
    ("E", "edit object at mouse"),
    ("N", "new object"),
    ("1 … 9", "class"),
    ("Ctrl+Z, Ctrl+Shift+Z", "undo, redo"),
    ("Space, Ctrl, middle", "and drag: move view"),
)


class PromptPanel(QWidget):
    """Fields of a running session; it computes nothing.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    #: Another tool, by its name.
    tool_chosen = Signal(str)
    #: Another layer to take objects from, or another choice of a box.
    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._form = new_form()
        self._build_tools()
        self.source = Choice()
        self.source.currentIndexChanged.connect(lambda _: self.changed.emit())
        tip = "The Labels layer whose objects are prompts; the accepted ones are edited"
        add_row(self._form, "From", self.source, tip)
        self.object = QLabel()
        self.object.setTextFormat(Qt.TextFormat.PlainText)
        add_row(self._form, "Object", self.object, "Number of the current object, and its mask")
        self.classes = ClassTable()
        add_row(self._form, "Class", self.classes, "What accepted objects are")
        self._build_boxes()
        self._build_buttons()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(self._form)
        column.addLayout(self._buttons)
        self.show_sources(None)
        self._show_tool("click")

    def show_sources(self, own: napari.layers.Labels | None) -> None:
        """Offer the accepted objects, and the viewer's other Labels layers."""
        labels = choosable(self._viewer, (napari.layers.Labels,))
        others = [(layer.name, layer.unique_id) for layer in labels if layer is not own]
        self.source.set_options([("Accepted objects", None), *others])

    def source_layer(self) -> napari.layers.Labels | None:
        """Return the layer to take objects from; None: the accepted ones."""
        key = self.source.currentData()
        return next((x for x in self._viewer.layers if x.unique_id == key), None)

    def tool(self) -> str:
        """Return the name of the chosen tool."""
        return next(name for name, button in self.tools.items() if button.isChecked())

    def say(self, object_: str, accept: bool, clear: bool) -> None:
        """Show what is under way, and what can be done with it."""
        self.object.setText(object_)
        self.accept_button.setEnabled(accept)
        self.clear_button.setEnabled(clear)

    def _build_tools(self) -> None:
        row = QWidget()
        grid = QGridLayout(row)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(3)
        self.tools: dict[str, QPushButton] = {}
        self._group = QButtonGroup(self)
        for i, tool in enumerate(TOOLS):
            button = QPushButton(tool.title)
            button.setCheckable(True)
            button.setToolTip(tool.tip)
            # Keys are for the canvas.
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.clicked.connect(lambda _, name=tool.name: self._show_tool(name))
            self._group.addButton(button)
            self.tools[tool.name] = button
            # Two below three: side by side they would not fit a dock of 320 px.
            grid.addWidget(button, i // 3, i % 3)
        add_row(self._form, "Tool", row, "How objects are pointed at")

    def _build_boxes(self) -> None:
        boxes = QWidget()
        stack = QVBoxLayout(boxes)
        stack.setContentsMargins(0, 2, 0, 2)
        stack.setSpacing(3)
        self.preview = QCheckBox("Preview under the mouse")
        self.preview.setToolTip("Show what a click would give")
        self.moves_on = QCheckBox("A number for each object")
        self.moves_on.setToolTip(
            "After an object is accepted the next one gets the next number.\n"
            "Otherwise all go into the current number: parts of one object, on one plane or more."
        )
        self.overwrite = QCheckBox("Overwrite other objects")
        self.overwrite.setToolTip("Otherwise an accepted object leaves their pixels alone")
        for box, on in ((self.preview, True), (self.moves_on, True), (self.overwrite, False)):
            box.setChecked(on)
            box.toggled.connect(lambda _: self.changed.emit())
            stack.addWidget(box)
        add_row(self._form, "", boxes, "")

    def _build_buttons(self) -> None:
        self._buttons = QHBoxLayout()
        self.accept_button, self.clear_button = QPushButton("Accept"), QPushButton("Clear")
        self.new_button = QPushButton("New object")
        for button, tip in (
            (self.accept_button, "Paint the objects that are shown (Enter or C)"),
            (self.clear_button, "Forget the prompts (Esc)"),
            (self.new_button, "Go on with the next number (N)"),
        ):
            button.setToolTip(tip)
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            self._buttons.addWidget(button, 1)

    def _show_tool(self, name: str) -> None:
        self.tools[name].setChecked(True)
        show_row(self._form, self.source, name == LabelsTool.name)
        self.tool_chosen.emit(name)


class KeyList(QWidget):
    """All keys and buttons of the mouse, and what they do."""

    def __init__(self) -> None:
        super().__init__()
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setHorizontalSpacing(10)
        form.setVerticalSpacing(1)
        for key, what in KEYS:
            name, text = QLabel(key), QLabel(what)
            text.setWordWrap(True)
            # Somewhat paler, whatever the theme.
            name.setStyleSheet("color: rgb(140, 140, 140);")
            form.addRow(name, text)
