"""What a dock would do, copied as text: a button for it, and where the image is to be had."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import napari.layers
import napari.viewer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QApplication, QLabel, QMenu, QPushButton

from ..io.formats.result import recipe_of
from ..io.images import read_image
from ..io.records import read_recipe
from ..ops.axes import Image
from ..segmenter import InputError, InstsegError
from ..snippets.recipe import Kept
from ..snippets.source import Source
from .axes import layer_axes
from .layers import choose_level, image_from_layer
from .links import FILE_KEY, RECIPE_KEY, link_of
from .task_row import notify

TIP = (
    "What Run would do, as text: lines of Python for a notebook or napari's console,\n"
    "or a command for a terminal"
)
PYTHON, COMMAND = "Copy as Python", "Copy as command"


class CopyButton(QPushButton):
    """A button with a menu: as Python, or as a command.

    Parameters
    ----------
    tip : str
        What is copied.
    """

    python, command = Signal(), Signal()

    def __init__(self, tip: str = TIP) -> None:
        super().__init__("Copy")
        self._tip = tip
        self.setToolTip(tip)
        # napari leaves no room for the arrow.
        self.setStyleSheet(
            "QPushButton { padding-left: 8px; padding-right: 20px; }"
            "QPushButton::menu-indicator { subcontrol-position: right center; right: 6px; }"
        )
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        self.actions_by_name = {name: menu.addAction(name) for name in (PYTHON, COMMAND)}
        for name, signal in ((PYTHON, self.python), (COMMAND, self.command)):
            action = self.actions_by_name[name]
            if action is not None:
                action.triggered.connect(lambda _=False, signal=signal: signal.emit())
        self.setMenu(menu)

    def allow(self, python: str = "", command: str = "") -> None:
        """Offer what can be copied.

        Parameters
        ----------
        python, command : str
            Why it cannot be, and what to do about it; "": it can.
        """
        for name, reason in ((PYTHON, python), (COMMAND, command)):
            action = self.actions_by_name[name]
            if action is not None:
                action.setEnabled(not reason)
                action.setToolTip(reason)
        self.setEnabled(not (python and command))
        self.setToolTip(self._tip if self.isEnabled() else python)


def copy(text: str) -> None:
    """Put a text on the clipboard."""
    clipboard = QApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(text)


def copy_as(what: str, write: Callable[[], str], status: QLabel) -> None:
    """Put what is written on the clipboard and say so, or why it cannot be written."""
    try:
        copy(write())
        status.setText(f"Copied as {what}.")
    except InstsegError as error:
        notify(error)


#: Of a recipe, where its image is to be had, and where it is itself.
Write = Callable[[Mapping[str, Any], Source, Kept], str]


def recipe_text(viewer: napari.viewer.Viewer, labels: napari.layers.Labels, write: Write) -> str:
    """Write what makes the labels of a layer again, by its recipe.

    Raises
    ------
    InputError
        If the layer has no recipe of a run, or the image is not in the viewer.
    """
    recipe = labels.metadata.get(RECIPE_KEY, {})
    if "settings" not in recipe:
        raise InputError(f"{labels.name!r}: expected objects that a run or prompts gave")
    return write(recipe, _source_in(viewer, labels, recipe), _kept(labels, recipe))


def file_of(layer: napari.layers.Labels) -> Path | None:
    """Find the file, or folder, that a layer was read from."""
    path = layer.metadata.get(FILE_KEY) or layer.source.path
    return Path(path) if path else None


def _kept(labels: napari.layers.Labels, recipe: Mapping[str, Any]) -> Kept:
    """Where a layer's recipe is; on disk only if that says the same."""
    file = file_of(labels)
    path = None if file is None else recipe_of(file)
    if path is not None and read_recipe(path) == json.loads(json.dumps(recipe)):
        return Kept(labels.name, path.resolve())
    return Kept(labels.name)


def _source_in(
    viewer: napari.viewer.Viewer, labels: napari.layers.Labels, recipe: Mapping[str, Any]
) -> Source:
    """Find the image of a recipe in the viewer."""
    # It takes the models' registries along, which no dock needs to open.
    from ..replaying.checks import different

    told, link = recipe.get("input", {}), link_of(labels)
    layers = [layer for layer in viewer.layers if isinstance(layer, napari.layers.Image)]
    layers.sort(key=lambda layer: link is None or layer.unique_id != link.source)
    for layer in layers:
        for level, image in _levels(layer, told):
            if not different(recipe, image):
                return _told_of(layer, image, level)
    raise InputError(
        f"expected the image {told.get('name')!r}, in which the objects of {labels.name!r} were "
        "found, as a layer: open it"
    )


def _levels(layer: napari.layers.Image, told: Mapping[str, Any]) -> Iterator[tuple[int, Image]]:
    """Levels of a layer that have the shape of a recipe's image, with its axes and pixel sizes."""
    for level, data in enumerate(layer.data if layer.multiscale else [layer.data]):
        if list(data.shape) == told.get("shape"):
            try:
                image = image_from_layer(layer, axes=told.get("axes"), level=level)
            except InputError:
                continue
            sizes = told.get("spacing_um", image.spacing) or {}
            yield level, replace(image, spacing={a: s for a, s in sizes.items() if a in image.axes})


def _told_of(layer: napari.layers.Image, image: Image, level: int) -> Source:
    """`source_of`, with axes and pixel sizes if they are others than the layer's."""
    source, own = source_of(layer, image, level), image_from_layer(layer, level=level)
    if source.path is not None or source.level is not None:
        return source
    axes = None if own.axes == image.axes else image.axes
    return replace(
        source, axes=axes, spacing=None if own.spacing == image.spacing else dict(image.spacing)
    )


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
