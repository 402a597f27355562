"""napari's own save dialog: its file types are ours, too, and what it writes is read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox, QDialogButtonBox, QFileDialog, QLineEdit

import napari_instseg as nis

SHAPE = (40, 50)
#: Clicks on Save, 0.2 s apart.
TRIES = 50


def save_selected(viewer: napari.Viewer, kind: str, path: Path) -> None:
    """File > Save Selected Layers: choose a file type by keys, type a name, click Save."""
    failed: list[str] = []

    def use() -> None:
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, QFileDialog):
            QTimer.singleShot(100, use)
            return
        types = dialog.findChild(QComboBox, "fileTypeCombo")
        names = [types.itemText(i) for i in range(types.count())]
        (number, *_) = [i for i, name in enumerate(names) if kind in name] or [-1]
        if number < 0:
            failed.append(f"no {kind} among {names}")
            dialog.close()
            return
        types.setFocus()
        QTest.keyClick(types, Qt.Key.Key_Home)
        for _ in range(number):
            QTest.keyClick(types, Qt.Key.Key_Down)
        accept(dialog, TRIES)

    def accept(dialog: QFileDialog, tries: int) -> None:
        """Type the name and click; while Qt still lists the folder it takes names for folders."""
        name = dialog.findChild(QLineEdit, "fileNameEdit")
        name.setFocus()
        name.selectAll()
        QTest.keyClicks(name, str(path))
        # The list of names that go on like this lies over the button.
        name.completer().popup().hide()
        box = dialog.findChild(QDialogButtonBox)
        role = QDialogButtonBox.ButtonRole.AcceptRole
        (button,) = (b for b in box.buttons() if box.buttonRole(b) == role)
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        if not dialog.isVisible():
            return
        if tries:
            QTimer.singleShot(200, lambda: accept(dialog, tries - 1))
        else:
            failed.append("the dialog does not close")
            dialog.close()

    QTimer.singleShot(100, use)
    actions = viewer.window.file_menu.actions()
    (save,) = (a for a in actions if a.text().replace("&", "").startswith("Save Selected Layers"))
    save.trigger()
    assert not failed


@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [
        ("COCO instances", "cells.json", {}),
        ("GeoJSON (QuPath)", "cells.geojson", {"shape": SHAPE}),
        ("ImageJ ROIs", "cells.zip", {"shape": SHAPE}),
        ("OME-Zarr labels", "cells.zarr", {}),
    ],
)
def test_labels_are_saved_and_read_again(
    viewer: napari.Viewer, tmp_path: Path, kind: str, name: str, options: dict[str, Any]
) -> None:
    labels = np.zeros(SHAPE, np.int32)
    labels[3:9, 4:12], labels[20:30, 20:30] = 1, 2
    layer = viewer.add_labels(labels, name="cells")
    viewer.layers.selection = {layer}
    save_selected(viewer, kind, tmp_path / name)
    found = nis.read_labels(tmp_path / name, **options)
    np.testing.assert_array_equal(found.read("instances"), labels)
