"""A heading that unfolds what is below it."""

from __future__ import annotations

from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QWidget
from superqt import QCollapsible


class Fold(QCollapsible):
    """A part of a form that is folded at first.

    Parameters
    ----------
    title : str
    content : QWidget, optional
        Shown when it is unfolded.
    """

    def __init__(self, title: str, content: QWidget | None = None) -> None:
        # The arrow is text: an icon would be drawn in Qt's colour, black on napari's dark.
        super().__init__(f"▸ {title}", expandedIcon=QIcon(), collapsedIcon=QIcon())
        self.toggled.connect(lambda open_: self.setText(f"{'▾' if open_ else '▸'} {title}"))
        self.setDuration(0)
        # napari paints checked buttons in its highlight colour; this one is a heading.
        self.toggleButton().setStyleSheet(
            "text-align: left; border: none; background: transparent; padding: 2px 0px;"
        )
        if content is not None:
            self.addWidget(content)
        for layout in (self.layout(), self.content().layout()):
            if layout is not None:
                layout.setContentsMargins(0, 0, 0, 0)
