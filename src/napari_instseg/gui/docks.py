"""Where docks are: the one around a widget, and tabs."""

from __future__ import annotations

from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget


def dock_of(widget: QWidget) -> QDockWidget | None:
    """Return the dock that a widget is in."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent


def share_place(widget: QWidget, kind: type[QWidget]) -> None:
    """Make a widget's dock a tab of a dock with a widget of some kind, if both are side by side."""
    window, mine = widget.window(), dock_of(widget)
    if mine is None or not isinstance(window, QMainWindow):
        return
    for other in window.findChildren(kind):
        dock = dock_of(other)
        if dock is None or dock.isFloating() or mine.isFloating() or not dock.isVisible():
            continue
        if window.dockWidgetArea(dock) == window.dockWidgetArea(mine):
            window.tabifyDockWidget(dock, mine)
            mine.raise_()
