"""The Models dock: which models there are, and which of them are on this machine."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qtpy.QtCore import QTimer, QUrl
from qtpy.QtGui import QDesktopServices, QEnterEvent, QShowEvent
from qtpy.QtWidgets import (
    QGridLayout,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ..models import downloads, library, registry
from ..models.detectron2 import install
from ..models.entry import YOURS, ModelEntry
from ..segmenter import InstsegError
from . import model_text
from .docks import share_place
from .form_rows import DOCK_WIDTH, text_label
from .install_box import InstallBox
from .model_files import add, ask_new
from .model_tree import ModelTree
from .segment_widget import SegmentWidget
from .task_row import TaskRow, breakable, sentence

COLUMNS = ("Model", "MB", "Here")
WITHOUT = "Detectron2, which the models of its zoo run in, is not installed."
FOLDER_TIP = (
    "Where downloaded weights are kept.\n"
    f"To use another folder, set the environment variable {downloads.CACHE} and start again."
)


class ModelsWidget(QWidget):
    """Lists, downloads, adds and removes models."""

    def __init__(self) -> None:
        super().__init__()
        self._placed = False
        self.models = ModelTree(COLUMNS)
        self.models.moved.connect(self._show_current)
        self.info = text_label()
        self.download_button = QPushButton("Download")
        self.download_button.setToolTip("Get the weights now; else a model's first run does")
        self.download_button.clicked.connect(self._download)
        self.remove_button = QPushButton("Remove")
        self.remove_button.clicked.connect(self._remove)
        self.add_button = QPushButton("Add…")
        self.add_button.setToolTip("Add a model of your own: its files are copied")
        self.add_button.clicked.connect(self._add)
        self.folder_button = QPushButton("Open folder")
        self.folder_button.clicked.connect(self._open_folder)
        self.task = TaskRow()
        self.task.ended.connect(self.refresh)
        self.install = InstallBox(WITHOUT)
        self.install.installed.connect(self.refresh)
        self.detectron2 = text_label()
        self.disk = text_label()
        self.disk.setToolTip(FOLDER_TIP)
        buttons = QGridLayout()
        buttons.setContentsMargins(0, 0, 0, 0)
        four = (self.download_button, self.remove_button, self.add_button, self.folder_button)
        for i, button in enumerate(four):
            buttons.addWidget(button, i // 2, i % 2)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(8)
        column.addWidget(self.models, 1)
        column.addWidget(self.info)
        column.addLayout(buttons)
        for widget in (self.task, self.install, self.detectron2, self.disk):
            column.addWidget(widget)
        self.setMinimumWidth(DOCK_WIDTH)
        self.refresh()

    def refresh(self) -> None:
        """Look again at what there is and what is here."""
        entry = self.models.entry()
        self.models.fill(registry.entries(), "" if entry is None else entry.name)
        self._show_rest()

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Look again: other docks download models, too."""
        super().showEvent(event)
        self.refresh()
        if not self._placed:
            self._placed = True
            # Below each other, both would be too low.
            QTimer.singleShot(0, lambda: share_place(self, SegmentWidget))

    def enterEvent(self, event: QEnterEvent | None) -> None:  # noqa: N802
        """Look again if something came or went since."""
        super().enterEvent(event)
        if self.task.worker is None and self._present() != self._known:
            self.refresh()

    def _present(self) -> list[tuple[str, bool]]:
        return [(entry.name, entry.present) for entry in registry.entries()]

    def _show_rest(self) -> None:
        """Tell of disk use and of Detectron2."""
        self._known = self._present()
        folder = downloads.cache_folder()
        own = library.data_folder()
        used = model_text.in_words(downloads.disk_use(folder))
        lines = [f"Downloaded: {used} in {breakable(str(folder))}"]
        if own.is_dir():
            used = model_text.in_words(downloads.disk_use(own))
            lines.append(f"Yours: {used} in {breakable(str(own))}")
        self.disk.setText("\n".join([*lines, *map(breakable, library.problems())]))
        state = install.state()
        self.install.setVisible(self.install.busy or not state.installed)
        self.detectron2.setVisible(state.installed)
        build = "with" if state.compiled else "without"
        self.detectron2.setText(f"Detectron2 {state.version}, {build} its compiled extension")
        self.detectron2.setToolTip(state.location)

    def _show_current(self) -> None:
        """Tell of the current row's model, and offer what can be done with it."""
        entry, free = self.models.entry(), self.task.worker is None
        self.info.setText("" if entry is None else _about(entry))
        gone = entry is not None and not entry.present and bool(entry.url)
        self.download_button.setEnabled(free and gone)
        self.remove_button.setEnabled(free and entry is not None and _removable(entry))
        self.add_button.setEnabled(free)

    def _download(self) -> None:
        entry = self.models.entry()
        if entry is not None:
            work = partial(downloads.fetch_weights, entry)
            self.task.start(f"downloading {entry.title}", work, wait=False)
            self._show_current()

    def _add(self) -> None:
        files = ask_new(self)
        if files is not None:
            # In another thread, since large files are copied.
            self.task.start(f"adding {files.name}", lambda _: add(files), self._show_added)
            self._show_current()

    def _show_added(self, entry: ModelEntry) -> None:
        self.refresh()
        self.models.select(entry.name)

    def _remove(self) -> None:
        entry = self.models.entry()
        if entry is None or not self._sure(entry):
            return
        try:
            freed = _discard(entry)
        except InstsegError as error:
            self.task.say(str(error))
        else:
            self.task.say(f"Removed; {model_text.in_words(freed)} are free again.")
        self.refresh()

    def _sure(self, entry: ModelEntry) -> bool:
        what = (
            "It is taken from the list, with the copies of its files; the files that they were "
            "copied from stay."
            if entry.group == YOURS
            else "Its weights are deleted; they can be downloaded again."
        )
        answer = QMessageBox.question(
            self,
            "Remove a model",
            f"Remove {entry.title}?\n{what}",
            QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No,
            QMessageBox.StandardButton.No,
        )
        return answer == QMessageBox.StandardButton.Yes

    def _open_folder(self) -> None:
        """Open the folder of the current model in the system's file manager, or that of all."""
        entry = self.models.entry()
        folder = downloads.cache_folder() if entry is None else entry.path.parent
        while not folder.is_dir() and folder != folder.parent:
            folder = folder.parent
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))


def _about(entry: ModelEntry) -> str:
    lines = [entry.title, model_text.line(entry), entry.description]
    missing = entry.missing()
    if missing:
        lines.append(breakable(sentence(missing)))
    return "\n".join(lines)


def _part(entry: ModelEntry) -> Path:
    """What is here of an unfinished download."""
    return entry.path.with_name(entry.path.name + ".part")


def _removable(entry: ModelEntry) -> bool:
    return entry.group == YOURS or (bool(entry.url) and (entry.present or _part(entry).is_file()))


def _discard(entry: ModelEntry) -> int:
    """Remove a model's files that are ours; return the bytes that are free again."""
    return library.remove(entry.name) if entry.group == YOURS else downloads.remove(entry.path)
