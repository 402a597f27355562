"""What a dock would do, copied as text: a button for it, and where the image is to be had."""

from __future__ import annotations

from pathlib import Path

import napari.layers
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QApplication, QMenu, QPushButton

from ..io.images import read_image
from ..ops.axes import Image
from ..segmenter import InputError
from ..snippets.source import Source
from .axes import layer_axes
from .layers import choose_level

TIP = (
    "What Run would do, as text: lines of Python for a notebook or napari's console,\n"
    "or a command for a terminal"
)
PYTHON, COMMAND = "Copy as Python", "Copy as command"


class CopyButton(QPushButton):
    """A button with a menu: as Python, or as a command."""

    python, command = Signal(), Signal()

    def __init__(self) -> None:
        super().__init__("Copy")
        self.setToolTip(TIP)
        # napari leaves no room for the arrow.
        self.setStyleSheet(
            "QPushButton { padding-left: 8px; padding-right: 20px; }"
            "QPushButton::menu-indicator { subcontrol-position: right center; right: 6px; }"
        )
        menu = QMenu(self)
        self.actions_by_name = {name: menu.addAction(name) for name in (PYTHON, COMMAND)}
        for name, signal in ((PYTHON, self.python), (COMMAND, self.command)):
            action = self.actions_by_name[name]
            if action is not None:
                action.triggered.connect(lambda _=False, signal=signal: signal.emit())
        self.setMenu(menu)


def copy(text: str) -> None:
    """Put a text on the clipboard."""
    clipboard = QApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(text)


def source_of(layer: napari.layers.Image, image: Image, level: int) -> Source:
    """Say where the image of a layer is to be had: its file, if that has the same pixels.

    Parameters
    ----------
    layer : napari.layers.Image
    image : Image
        Of the layer.
    level : int
        Of a multiscale layer.
    """
    found = _file_of(layer, image)
    if found is None:
        usual = choose_level(layer, layer_axes(layer).letters)
        if level == usual:
            return Source(layer=layer.name)
        return Source(None, layer.name, image.axes, dict(image.spacing) or None, level)
    path, read = found
    spacing = None if read.spacing == image.spacing else dict(image.spacing)
    axes = None if read.axes == image.axes else image.axes
    return Source(path, layer.name, axes, spacing)


def _file_of(layer: napari.layers.Image, image: Image) -> tuple[Path, Image] | None:
    """The file that a layer was opened from, and what is in it, if its pixels are the layer's."""
    if not layer.source.path:
        return None
    path = Path(layer.source.path)
    try:
        read = read_image(path)
        same = tuple(read.data.shape) == tuple(image.data.shape)
        if same and Image(read.data, image.axes).sample_sha256 == image.sample_sha256:
            return path.resolve(), read
    except InputError:
        pass  # Opened by another plugin, or gone: the layer has the pixels.
    return None
