"""Fields for paths, typed or browsed for."""

from __future__ import annotations

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget


class FileField(QWidget):
    """The path of a file.

    Parameters
    ----------
    text : str
        Title of the dialog.
    kinds : str
        Which files it offers, as Qt wants it.
    hint : str
        Shown while the field is empty.
    """

    def __init__(self, text: str, kinds: str, hint: str = "") -> None:
        super().__init__()
        self.text, self._kinds = text, kinds
        self.path = QLineEdit()
        self.path.setPlaceholderText(hint)
        self.browse_button = QPushButton("Browse…")
        self.browse_button.clicked.connect(self._browse)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.path, 1)
        line.addWidget(self.browse_button)

    def value(self) -> str:
        """Return the path, "" if there is none."""
        return self.path.text().strip()

    def _browse(self) -> None:
        if path := self._ask():
            self.path.setText(path)

    def _ask(self) -> str:
        path, _ = QFileDialog.getOpenFileName(self, self.text, self.value(), self._kinds)
        return path


class FolderField(FileField):
    """The path of a folder."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text, "", hint)

    def _ask(self) -> str:
        return QFileDialog.getExistingDirectory(self, self.text, self.value())
