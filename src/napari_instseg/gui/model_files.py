"""Dialogs for the user's own models: which files, which name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ..models import library, sam_files
from ..models.entry import ModelEntry
from .path_fields import FileField

WEIGHTS = "Weights (*.safetensors)"
#: Some promptable models are published without a suffix.
PROMPTER_WEIGHTS = "Segment Anything checkpoint (*.pth *.pt *.safetensors);;All files (*)"
CONFIG = "Detectron2 config (*.yaml *.yml)"
CHECKPOINT = "Checkpoint (*.pth *.pkl)"
ANY_WEIGHTS = "Weights (*.pth *.pt *.pkl *.safetensors);;All files (*)"
NAMES = "Category names (*.txt *.json)"
#: What Detectron2 calls the checkpoint of a finished training.
USUAL = "model_final.pth"
SAFETY = (
    "Files from strangers are read with care: a checkpoint or a config that would run code is "
    "refused."
)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """What an own model consists of; without a config, weights of this program's own kind."""

    weights: str
    config: str | None = None
    categories: str | None = None
    name: str = ""


def ask_weights(parent: QWidget, kinds: str = WEIGHTS) -> str:
    """Ask for a weights file; return "" if the user thinks better of it."""
    path, _ = QFileDialog.getOpenFileName(parent, "Open weights file", "", kinds)
    return path


def ask_config(parent: QWidget) -> ModelFiles | None:
    """Ask for a Detectron2 config, then for what belongs to it."""
    path, _ = QFileDialog.getOpenFileName(parent, "Open Detectron2 config", "", CONFIG)
    if not path:
        return None
    return FilesDialog(parent, config=path).ask()


def ask_new(parent: QWidget) -> ModelFiles | None:
    """Ask for the name and the files of a model to add to the user's own."""
    return FilesDialog(parent, named=True).ask()


def add(files: ModelFiles) -> ModelEntry:
    """Add a model to the user's own.

    Raises
    ------
    ModelError
        If it cannot be one, or the name is taken.
    """
    return library.add(
        files.name,
        Path(files.weights),
        config=files.config,
        categories=None if files.categories is None else Path(files.categories),
    )


class FilesDialog(QDialog):
    """Asks for the files of a model.

    Parameters
    ----------
    parent : QWidget
    config : str
        A Detectron2 config that is known already; what lies beside it is suggested.
    named : bool
        Ask for a name, too, and allow weights of this program's own kind.
    """

    def __init__(self, parent: QWidget, config: str = "", *, named: bool = False) -> None:
        super().__init__(parent)
        self.setWindowTitle("Add a model" if named else "Open a Detectron2 model")
        self._named = named
        self.name = QLineEdit()
        self.name.setPlaceholderText("such as my-cells")
        self.config = FileField("Config", CONFIG)
        self.weights = FileField("Weights", ANY_WEIGHTS if named else CHECKPOINT, ".pth or .pkl")
        self.names = FileField("Category names", NAMES, "optional: .txt, .json or a COCO file")
        if named:
            self.config.path.setPlaceholderText("of a Detectron2 model: .yaml")
            self.weights.path.setPlaceholderText(".pth, .pkl, .pt or .safetensors")
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        if named:
            form.addRow("Name", self.name)
        for field in (self.config, self.weights, self.names):
            form.addRow(field.text, field)
        buttons = QDialogButtonBox()
        accept = QDialogButtonBox.ButtonRole.AcceptRole
        self.ok_button = QPushButton("Add" if named else "Open")
        self.cancel_button = QPushButton("Cancel")
        buttons.addButton(self.ok_button, accept)
        buttons.addButton(self.cancel_button, QDialogButtonBox.ButtonRole.RejectRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        note = QLabel(SAFETY)
        note.setWordWrap(True)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(note)
        column.addWidget(buttons)
        self.setMinimumWidth(520)
        self.config.path.textChanged.connect(self._suggest)
        for line in (self.name, self.config.path, self.weights.path, self.names.path):
            line.textChanged.connect(lambda _: self._check())
        self.config.path.setText(config)
        self._check()

    def ask(self) -> ModelFiles | None:
        """Wait for the answer; None if the user thinks better of it."""
        accepted = self.exec() == int(QDialog.DialogCode.Accepted)
        return self.files() if accepted else None

    def files(self) -> ModelFiles:
        """Return what the fields say."""
        return ModelFiles(
            weights=self.weights.value(),
            config=self.config.value() or None,
            categories=self.names.value() or None,
            name=self.name.text().strip(),
        )

    def _suggest(self, config: str) -> None:
        """Suggest the checkpoint that lies beside a config, if it is clear which one."""
        folder = Path(config).parent
        if self.weights.value() or not Path(config).is_file():
            return
        beside = sorted(p for p in folder.iterdir() if p.suffix in (".pth", ".pkl"))
        usual = [p for p in beside if p.name == USUAL] or beside
        if len(usual) == 1:
            self.weights.path.setText(str(usual[0]))

    def _check(self) -> None:
        files = self.files()
        kind = Path(files.weights).suffix.lower()
        fits = (
            _describes_itself(files.weights)
            if files.config is None
            else kind in library.CHECKPOINTS
        )
        given = [files.weights, files.config, files.categories]
        there = all(Path(path).is_file() for path in given if path)
        named = bool(files.name) or not self._named
        self.ok_button.setEnabled(bool(files.weights) and fits and there and named)


def _describes_itself(weights: str) -> bool:
    """Whether a file needs no config: weights of this program, or of Segment Anything."""
    path = Path(weights)
    return path.suffix.lower() == ".safetensors" or sam_files.family_of(path) is not None
