"""Where docks are: the one around a widget, and tabs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import napari.viewer
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

WidgetT = TypeVar("WidgetT", bound=QWidget)


def dock_of(widget: QWidget) -> QDockWidget | None:
    """Return the dock that a widget is in."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent


def is_taken_away(widget: QWidget, event: QEvent | None) -> bool:
    """Whether an event of `QWidget.changeEvent` says that napari took the widget's dock away.

    The x of napari's docks does not close the widget in them: it leaves it without a parent.
    """
    moved = event is not None and event.type() == QEvent.Type.ParentChange
    return moved and widget.parentWidget() is None


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


def open_dock(
    viewer: napari.viewer.Viewer,
    kind: type[WidgetT],
    name: str,
    make: Callable[[], WidgetT],
) -> WidgetT:
    """Return the widget of a dock, opened if it is not there, shown if it is hidden.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    kind : type
        Of the widget.
    name : str
        That which the menu entry gives to the dock, so that both mean the same one.
        (`Window.add_plugin_dock_widget` would name it after the package, and open a second.)
    make : callable
        Makes the widget.
    """
    for widget in viewer.window.dock_widgets.values():
        if isinstance(widget, kind):
            dock = dock_of(widget)
            if dock is not None:
                dock.show()
                dock.raise_()
            return widget
    widget = make()
    viewer.window.add_dock_widget(widget, name=name, area="right")
    return widget
