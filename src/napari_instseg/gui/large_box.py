"""The part of the Segment dock about results that go to disk."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from ..ops.axes import Image
from ..progress import how_many
from ..segmenter import InputError
from ..settings import Settings
from .form_rows import LABEL_WIDTH, text_label
from .on_disk import Unfinished, choose_root, find_unfinished, is_large, results_root

FOLDER_TIP = (
    "Results of large images are written here as they are found, so that memory does not grow:\n"
    "each image gets a folder with label images (OME-Zarr), table and recipe."
)
ANEW_TIP = "Discard the unfinished run, and begin again"
FIXED = "Results go to disk as they are found. They keep the min. score that the run had."


class LargeBox(QWidget):
    """Says where results go, lets another folder be chosen, and tells of an unfinished run.

    Hidden for images whose results stay in memory.
    """

    #: Another folder was chosen.
    moved = Signal()

    def __init__(self) -> None:
        super().__init__()
        #: Whether results of the image go to disk.
        self.active = False
        self.unfinished: Unfinished | None = None
        self._root = results_root()
        name = QLabel("Results")
        name.setFixedWidth(LABEL_WIDTH)
        self.folder = QLabel()
        # As wide as there is room, whatever its text.
        self.folder.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.change = QPushButton("Change…")
        self.change.clicked.connect(self._ask)
        line = QHBoxLayout()
        line.setSpacing(8)
        line.addWidget(name)
        line.addWidget(self.folder, 1)
        line.addWidget(self.change)
        self.note = text_label()
        self.anew = QPushButton("Start anew")
        self.anew.setToolTip(ANEW_TIP)
        below = QHBoxLayout()
        below.setSpacing(8)
        below.addWidget(self.note, 1)
        below.addWidget(self.anew)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(line)
        column.addLayout(below)
        self.hide()

    @property
    def root(self) -> Path:
        """Folder with a folder for each image."""
        return self._root

    def look(self, image: Image | None, settings: Settings | None, *, running: bool) -> None:
        """Show what there is for an image and settings."""
        self.active = image is not None and is_large(image)
        self.unfinished = None
        self.setVisible(self.active)
        if not self.active or image is None:
            return
        self._root = results_root()
        if settings is not None and not running:
            self.unfinished = find_unfinished(self._root, image, settings)
        self._show_folder()
        self.note.setText(_describe(self.unfinished))
        self.anew.setVisible(self.unfinished is not None)
        self.change.setEnabled(not running)

    @property
    def resumable(self) -> bool:
        """Whether there is an unfinished run with the same settings."""
        return self.unfinished is not None and not self.unfinished.differing

    def check(self) -> None:
        """Refuse to run over an unfinished run that cannot be resumed.

        Raises
        ------
        InputError
            If there is one with other settings.
        """
        if self.unfinished is not None and self.unfinished.differing:
            raise InputError(_describe(self.unfinished))

    def _ask(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Folder for results", str(self._root))
        if chosen:
            choose_root(Path(chosen))
            self.moved.emit()

    def _show_folder(self) -> None:
        text = self.folder.fontMetrics().elidedText(
            str(self._root), Qt.TextElideMode.ElideLeft, max(60, self.folder.width())
        )
        self.folder.setText(text)
        self.folder.setToolTip(f"{self._root}\n\n{FOLDER_TIP}")

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Show as much of the folder's name as there is room for."""
        super().resizeEvent(event)
        self._show_folder()


def _describe(unfinished: Unfinished | None) -> str:
    if unfinished is None:
        return FIXED
    done = how_many(unfinished.tiles, "tile")
    if not unfinished.differing:
        return f"An unfinished run is here: {done} done. Resume goes on with it."
    names = ", ".join(key.replace("_", " ") for key in unfinished.differing)
    return (
        f"An unfinished run is here, with other settings ({names}): {done} done. Set them back to "
        "resume it, or start anew, which discards it."
    )
