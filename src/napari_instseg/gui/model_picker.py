"""The choice of a model: a field that opens the list, and a line on what was chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from qtpy.QtCore import QPoint, QSignalBlocker, Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ..models import prompters, registry
from ..models.config_text import outputs_of
from ..models.entry import YOURS, ModelEntry
from ..segmenter import InstsegError
from . import model_text
from .model_files import PROMPTER_WEIGHTS, WEIGHTS, ModelFiles, add, ask_config, ask_weights
from .model_tree import ModelTree
from .task_row import TaskRow, notify

POPUP = 620, 460
OPEN_WEIGHTS, OPEN_CONFIG = "weights", "config"
MORE = (("Open weights file…", OPEN_WEIGHTS), ("Open Detectron2 config…", OPEN_CONFIG))
MORE_PROMPTERS = (("Open checkpoint…", OPEN_WEIGHTS),)


class ModelPicker(QWidget):
    """Shows the chosen model; opens the list of all.

    Parameters
    ----------
    list_models : callable, optional
        Returns the models; by default those that find objects by themselves.
    find : callable, optional
        Describes the model in a file, by its path; by default the registry's.
    actions : sequence of (str, str)
        Text and key of what the group "More" of the list offers.
    kinds : str
        Which weights files can be opened, for the system's file dialog.
    """

    #: Another model was chosen, or the chosen one has come or gone.
    changed = Signal()

    def __init__(
        self,
        list_models: Callable[[], tuple[ModelEntry, ...]] | None = None,
        find: Callable[[str], ModelEntry] | None = None,
        actions: Sequence[tuple[str, str]] = MORE,
        kinds: str = WEIGHTS,
    ) -> None:
        super().__init__()
        self._list = list_models or registry.segmenters
        self._find = find or registry.find
        self._kinds = kinds
        #: Models from files, opened in this session.
        self._opened: dict[str, ModelEntry] = {}
        self._entry: ModelEntry = self._list()[0]
        self.field = _Field()
        self.field.asked.connect(self.open)
        self.info = QLabel()
        self.info.setWordWrap(True)
        self.keep_button = QPushButton("Keep it")
        self.keep_button.setToolTip("Add this model to yours: it is in the list from now on")
        self.keep_button.clicked.connect(self.keep)
        self.popup = _Popup(self, actions)
        self.popup.models.chosen.connect(self._take)
        self.task = TaskRow()
        self.task.ended.connect(lambda: self.keep_button.setEnabled(True))
        line = QHBoxLayout()
        line.addWidget(self.info, 1)
        line.addWidget(self.keep_button, 0, Qt.AlignmentFlag.AlignVCenter)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addWidget(self.field)
        column.addLayout(line)
        column.addWidget(self.task)
        self._show()

    def entry(self) -> ModelEntry:
        """Return the chosen model."""
        return self._entry

    def settings(self) -> dict[str, str | None]:
        """Return the fields of `Settings` that name the chosen model."""
        entry = self._entry
        if entry.name not in self._opened or not entry.config:
            return {"model": entry.name, "weights": None, "categories": None}
        names = None if entry.categories is None else str(entry.categories)
        return {"model": entry.config, "weights": str(entry.path), "categories": names}

    def choose(self, name: str) -> None:
        """Choose a model by its name.

        Raises
        ------
        ModelError
            If there is none of that name.
        """
        found = [e for e in self._all() if e.name == name]
        self._set(found[0] if found else self._find(name))

    def open_weights(self, path: str) -> None:
        """Choose a weights file of ours, or a checkpoint of a promptable model."""
        self._set_opened(self._find(path))

    def open_config(self, config: str, weights: str, categories: str | None = None) -> None:
        """Choose a Detectron2 model by its files.

        Raises
        ------
        ModelError
            If they cannot be such a model.
        """
        found = registry.find(config, weights, categories)
        # One config may go with several checkpoints.
        title = f"{Path(config).stem} · {Path(weights).name}"
        name = f"{config} {weights}"
        self._set_opened(replace(found, name=name, title=title, outputs=outputs_of(Path(config))))

    def open(self) -> None:
        """Show the list below the field."""
        models = self.popup.models
        models.search.clear()
        models.fill(self._all(), self._entry.name)
        self.popup.show_below(self.field)

    def keep(self) -> None:
        """Add the chosen model from files to the user's own."""
        entry = self._entry
        names = None if entry.categories is None else str(entry.categories)
        name, accepted = QInputDialog.getText(
            self, "Keep this model", "Name", text=Path(entry.config or entry.path).stem
        )
        if not accepted:
            return
        files = ModelFiles(str(entry.path), entry.config or None, names, name.strip())
        self.keep_button.setEnabled(False)

        def keep(kept: ModelEntry) -> None:
            self._opened.pop(entry.name, None)
            self._set(kept)

        # Copies the files, which may be large.
        self.task.start(f"adding {files.name}", lambda _: add(files), keep)

    def refresh(self) -> None:
        """Look again at what is here: files and packages come and go."""
        before = self._state
        self._show()
        if self._state != before:
            self.changed.emit()

    def _all(self) -> tuple[ModelEntry, ...]:
        return (*self._list(), *self._opened.values())

    def _take(self, choice: ModelEntry | str) -> None:
        self.popup.hide()
        try:
            if isinstance(choice, ModelEntry):
                self._set(choice)
            elif choice == OPEN_WEIGHTS:
                if path := ask_weights(self, self._kinds):
                    self.open_weights(path)
            elif files := ask_config(self):
                self.open_config(str(files.config), files.weights, files.categories)
        except InstsegError as error:
            notify(error)

    def _set_opened(self, entry: ModelEntry) -> None:
        entry = replace(entry, group=YOURS)
        self._opened[entry.name] = entry
        self._set(entry)

    def _set(self, entry: ModelEntry) -> None:
        self._entry = entry
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        entry = self._entry
        self._state = entry, entry.present, entry.missing()
        self.field.show_text(entry.title)
        self.field.setToolTip(model_text.tooltip(entry))
        self.info.setText(model_text.line(entry))
        self.info.setToolTip(model_text.tooltip(entry))
        self.keep_button.setVisible(entry.name in self._opened)


def prompter_picker() -> ModelPicker:
    """Make a picker of promptable models."""
    return ModelPicker(prompters.entries, prompters.find, MORE_PROMPTERS, PROMPTER_WEIGHTS)


class _Field(QComboBox):
    """Looks like a combo box; what it opens is ours."""

    asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        self.addItem("")

    def show_text(self, text: str) -> None:
        """Show the name of what was chosen."""
        with QSignalBlocker(self):
            self.setItemText(0, text)

    def showPopup(self) -> None:  # noqa: N802
        """Ask for the list instead of opening a menu."""
        self.asked.emit()

    def wheelEvent(self, event: object) -> None:  # noqa: N802
        """Nothing to scroll through."""

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Open the list with the keys that open combo boxes, and with a letter to search for."""
        if event is None:
            return
        opens = (Qt.Key.Key_Down, Qt.Key.Key_Up, Qt.Key.Key_F4, Qt.Key.Key_Space)
        enters = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if event.key() in (*opens, *enters):
            self.asked.emit()
        else:
            super().keyPressEvent(event)


class _Popup(QFrame):
    """The list, in a window that closes when one clicks elsewhere."""

    def __init__(self, parent: QWidget, actions: Sequence[tuple[str, str]]) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.models = ModelTree(actions=actions)
        self.hint = QLabel("Enter takes the marked model, Esc keeps the old one.")
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.addWidget(self.models, 1)
        column.addWidget(self.hint)
        # Dark on dark and light on light need an edge; this grey is one on both.
        self.setObjectName("popup")
        self.setStyleSheet("#popup { border: 1px solid rgb(128, 128, 128); }")

    def show_below(self, field: QWidget) -> None:
        """Open near a field, all of it on its screen."""
        on = field.screen()
        if on is None:
            return
        screen = on.availableGeometry()
        width, height = min(POPUP[0], screen.width()), min(POPUP[1], screen.height())
        corner = field.mapToGlobal(QPoint(field.width() - width, field.height()))
        left = max(screen.left(), min(corner.x(), screen.right() - width))
        top = corner.y()
        if top + height > screen.bottom():
            top = max(screen.top(), corner.y() - field.height() - height)
        self.setGeometry(left, top, width, height)
        self.show()
        self.models.search.setFocus()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Esc closes it."""
        if event is not None and event.key() == Qt.Key.Key_Escape:
            self.hide()
        else:
            super().keyPressEvent(event)
