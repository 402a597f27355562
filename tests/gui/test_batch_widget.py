"""The Batch dock, by real clicks: many files, a broken one among them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pandas as pd
import pytest
from gui.clicks import LEFT, WAIT, click
from gui.fakes import FakeModel, squares
from PIL import Image as Pillow
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication

import napari_instseg
from napari_instseg.api import segment
from napari_instseg.batch.overview import overview
from napari_instseg.gui.batch_table import (
    FILE,
    OBJECTS,
    SECONDS,
    STATUS,
    TINTS,
    BatchModel,
    BatchView,
)
from napari_instseg.gui.batch_widget import BatchWidget
from napari_instseg.gui.docks import dock_of
from napari_instseg.gui.worker import ModelHolder
from napari_instseg.io.images import read_labels
from napari_instseg.segmenter import InputError

DATA = Path(napari_instseg.__file__).parent / "data"
Role = Qt.ItemDataRole
NAME = "Batch"
OpenDock = Callable[..., BatchWidget]


@pytest.fixture
def open_dock(viewer: napari.Viewer, model: FakeModel, qtbot: Any) -> Iterator[OpenDock]:
    """Opens Batch docks, and lets none run on."""
    opened: list[BatchWidget] = []

    def open_dock(models: ModelHolder | None = None) -> BatchWidget:
        viewer.window.resize(1300, 900)
        dock = BatchWidget(viewer, models or ModelHolder(model.load))
        viewer.window.add_dock_widget(dock, name=NAME, area="right")
        opened.append(dock)
        return dock

    yield open_dock
    model.gate.set()
    for dock in opened:
        if dock.worker is not None:
            dock.worker.quit()
        qtbot.waitUntil(lambda dock=dock: is_idle(dock), timeout=WAIT)


def is_idle(dock: BatchWidget) -> bool:
    return all(part.worker is None for part in (dock, dock.listing, dock.opening))


def drop(dock: BatchWidget, *paths: Path) -> None:
    """Drop files on the dock as a file manager does."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    copy, none = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
    place = dock.view.geometry().center()
    enter = QDragEnterEvent(place, copy, data, LEFT, none)
    QApplication.sendEvent(dock, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(dock, QDropEvent(QPointF(place), copy, data, LEFT, none))


def choose(qtbot: Any, dock: BatchWidget, out: Path) -> None:
    """Type the folder for the results."""
    dock.form.folder.path.clear()
    qtbot.keyClicks(dock.form.folder.path, str(out))
    listed = "status"
    dock.status.setText(listed)
    qtbot.waitUntil(lambda: dock.status.text() != listed and is_idle(dock), timeout=WAIT)


def wait_for_rows(qtbot: Any, dock: BatchWidget, count: int) -> None:
    qtbot.waitUntil(lambda: dock.table.rowCount() == count and is_idle(dock), timeout=WAIT)


def column(dock: BatchWidget, number: int) -> list[str]:
    """What is read in a column, from top to bottom."""
    shown = dock.view.model()
    return [shown.index(row, number).data() for row in range(shown.rowCount())]


def double_click(qtbot: Any, dock: BatchWidget, row: int) -> None:
    index = dock.view.model().index(row, FILE)
    dock.view.scrollTo(index)
    place = dock.view.visualRect(index).center()
    # A press first: a double click is on a row that has the focus.
    qtbot.mouseClick(dock.view.viewport(), LEFT, pos=place)
    qtbot.mouseDClick(dock.view.viewport(), LEFT, pos=place)


@pytest.fixture
def spots(tmp_path: Path) -> list[Path]:
    """Images in two folders; those of one are called like those of the other."""
    paths = []
    for folder, rows in (("one", 1), ("two", 2)):
        (tmp_path / "in" / folder).mkdir(parents=True)
        for i in (1, 2):
            np.save(path := tmp_path / "in" / folder / f"{i}.npy", squares(rows, i))
            paths.append(path)
    return paths


def test_real_pictures_with_the_real_model(
    viewer: napari.Viewer, open_dock: OpenDock, tmp_path: Path, qtbot: Any
) -> None:
    pictures = tmp_path / "plate"
    pictures.mkdir()
    for name in ("fluorescence", "histology"):
        with Pillow.open(DATA / f"{name}.png") as picture:
            picture.crop((0, 0, 128, 96)).save(pictures / f"{name}.png")
    (pictures / "broken.png").write_bytes((DATA / "histology.png").read_bytes()[:5000])
    out = tmp_path / "out"

    dock = open_dock(ModelHolder())
    drop(dock, pictures)
    wait_for_rows(qtbot, dock, 3)
    assert column(dock, FILE) == ["broken.png", "fluorescence.png", "histology.png"]
    assert dock.status.text() == "3 images."
    choose(qtbot, dock, out)
    click(qtbot, dock.run_button)
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)

    # The same as from the console.
    for name in ("fluorescence", "histology"):
        expected = segment(pictures / f"{name}.png")
        assert expected.count > 3
        np.testing.assert_array_equal(
            read_labels(out / f"{name}_instances.tif"), expected.instances
        )
    table = pd.read_csv(out / "all-segments.csv")
    counts = table.groupby("name").size()
    assert column(dock, STATUS) == ["✗ FAILED", "✓ done", "✓ done"]
    assert column(dock, OBJECTS) == ["", *map(str, counts[["fluorescence", "histology"]])]
    assert f"2 of 3 images done · 1 failed · {len(table)} objects" in dock.status.text()
    assert "broken.png: " in dock.warnings.text()
    assert dock.warnings.isVisible()

    # What has failed stands out, and what was found can be seen.
    broken, first = (dock.view.model().index(row, FILE) for row in (0, 1))
    assert "damaged" in broken.data()
    assert broken.data(Role.BackgroundRole) == TINTS["failed"]
    assert first.data(Role.BackgroundRole) is None
    icons = [index.data(Role.DecorationRole).toImage() for index in (broken, first)]
    assert icons[0].pixelColor(24, 24).alpha() == 0
    colors = {icons[1].pixelColor(x, y).name() for x in range(48) for y in range(48)}
    assert len(colors) > 50
    assert '<img src="data:image/jpeg;base64,' in first.data(Role.ToolTipRole)

    double_click(qtbot, dock, 1)
    qtbot.waitUntil(lambda: "fluorescence instances" in viewer.layers, timeout=WAIT)
    assert [(x.name, x.visible) for x in viewer.layers] == [
        ("fluorescence", True),
        ("fluorescence panoptic", False),
        ("fluorescence semantic", False),
        ("fluorescence instances", True),
    ]
    instances = viewer.layers["fluorescence instances"]
    assert instances.data.max() == len(instances.features) == counts["fluorescence"]
    assert instances.metadata["napari_instseg"]["model"]["name"] == "nuclei"
    qtbot.waitUntil(lambda: is_idle(dock), timeout=WAIT)
    double_click(qtbot, dock, 2)
    qtbot.waitUntil(lambda: "histology instances" in viewer.layers, timeout=WAIT)
    assert [x.name for x in viewer.layers if x.visible] == ["histology", "histology instances"]
    # Again: they are there already.
    qtbot.waitUntil(lambda: is_idle(dock), timeout=WAIT)
    double_click(qtbot, dock, 1)
    assert is_idle(dock)
    assert [x.name for x in viewer.layers if x.visible] == [
        *("fluorescence", "fluorescence instances")
    ]
    assert len(viewer.layers) == 8


def test_pause_cancel_and_go_on(
    open_dock: OpenDock, model: FakeModel, spots: list[Path], tmp_path: Path, qtbot: Any
) -> None:
    dock, out = open_dock(), tmp_path / "out"
    drop(dock, tmp_path / "in")
    wait_for_rows(qtbot, dock, 4)
    assert column(dock, FILE) == ["one/1.npy", "one/2.npy", "two/1.npy", "two/2.npy"]
    choose(qtbot, dock, out)
    assert not dock.pause_button.isEnabled()

    # Pause while the model works on the first: it ends, and no other begins.
    model.gate.clear()
    click(qtbot, dock.run_button)
    qtbot.waitUntil(model.entered.is_set, timeout=WAIT)
    assert dock.run_button.text() == "Cancel"
    assert not dock.form.isEnabled()
    qtbot.waitUntil(lambda: "● working" in column(dock, STATUS), timeout=WAIT)
    click(qtbot, dock.pause_button)
    assert dock.pause_button.text() == "Resume"
    assert dock.status.text().startswith("Paused")
    model.entered.clear()
    model.gate.set()
    qtbot.wait(300)
    assert not model.entered.is_set()
    assert model.tiles == 1
    click(qtbot, dock.pause_button)
    assert dock.pause_button.text() == "Pause"
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    assert column(dock, STATUS) == ["✓ done"] * 4
    assert column(dock, OBJECTS) == ["1", "1", "1", "2"]

    # All again, cancelled amid the first; then on from there.
    dock.form.existing_choice.setCurrentIndex(1)
    qtbot.waitUntil(lambda: column(dock, STATUS) == ["waiting"] * 4, timeout=WAIT)
    qtbot.waitUntil(lambda: is_idle(dock), timeout=WAIT)
    model.gate.clear()
    model.entered.clear()
    tiles = model.tiles
    click(qtbot, dock.run_button)
    qtbot.waitUntil(model.entered.is_set, timeout=WAIT)
    click(qtbot, dock.run_button)
    assert not dock.run_button.isEnabled()
    assert dock.status.text() == "Cancelling after this tile…"
    model.gate.set()
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    assert model.tiles == tiles + 1
    assert dock.status.text().startswith("Cancelled: 0 of 4 images done")
    assert column(dock, STATUS) == ["waiting"] * 4
    (out / "two_2_recipe.json").unlink()
    dock.form.existing_choice.setCurrentIndex(0)
    qtbot.waitUntil(lambda: column(dock, STATUS).count("✓ before") == 3, timeout=WAIT)
    qtbot.waitUntil(lambda: is_idle(dock), timeout=WAIT)
    assert "3 of them finished in this folder: Go on does the other 1" in dock.status.text()
    assert dock.run_button.text() == "Go on"
    click(qtbot, dock.run_button)
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    assert model.tiles == tiles + 2
    assert column(dock, STATUS) == ["✓ before"] * 3 + ["✓ done"]
    assert len(pd.read_csv(out / "all-segments.csv")) == 5
    assert len(model.loads) == 1

    # Rows can be left out.
    dock.view.selectRow(0)
    qtbot.keyClick(dock.view, Qt.Key.Key_Delete)
    wait_for_rows(qtbot, dock, 3)
    click(qtbot, dock.form.clear_button)
    wait_for_rows(qtbot, dock, 0)


def test_taken_away_while_it_runs_and_taken_up_by_another(
    viewer: napari.Viewer,
    open_dock: OpenDock,
    model: FakeModel,
    spots: list[Path],
    tmp_path: Path,
    qtbot: Any,
) -> None:
    dock, out = open_dock(), tmp_path / "out"
    drop(dock, *spots)
    wait_for_rows(qtbot, dock, 4)
    choose(qtbot, dock, out)
    dock.form.threshold.setValue(0.9)
    dock.form.output_boxes["panoptic"].setChecked(False)
    wait_for_rows(qtbot, dock, 4)
    find, calls = model._one, []

    def one(tile: Any) -> Any:
        calls.append(tile.shape)
        if len(calls) == 2:
            model.gate.clear()
            model.entered.clear()
        return find(tile)

    model._one = one  # type: ignore[method-assign]
    click(qtbot, dock.run_button)
    qtbot.waitUntil(lambda: len(calls) == 2 and model.entered.is_set(), timeout=WAIT)
    # napari's x: it takes the widget out of its dock.
    dock_of(dock).destroyOnClose()
    model.gate.set()
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    assert len(calls) == 3
    statuses = {p.name: json.loads(p.read_text("utf-8"))["status"] for p in out.glob("*_status*")}
    assert statuses == {"one_1_status.json": "done", "one_2_status.json": "done"}
    # What was found in the third is kept.
    assert [path.name for path in out.glob(".*")] == [".two_1.run"]

    again = open_dock()
    choose(qtbot, again, out)
    qtbot.waitUntil(lambda: again.go_on_button.isVisible(), timeout=WAIT)
    assert again.go_on_button.text() == "Go on with the 4 images begun in this folder"
    click(qtbot, again.go_on_button)
    wait_for_rows(qtbot, again, 4)
    qtbot.waitUntil(lambda: not again.go_on_button.isVisible(), timeout=WAIT)
    assert sorted(column(again, STATUS)) == ["waiting"] * 2 + ["✓ before"] * 2
    assert again.form.settings().score_threshold == 0.9
    assert again.form.settings().outputs == ("instances", "semantic")
    assert not again.form.threshold.isVisible()
    click(qtbot, again.run_button)
    qtbot.waitUntil(lambda: again.worker is None, timeout=WAIT)
    assert len(calls) == 4
    recipes = [json.loads(p.read_text("utf-8")) for p in out.glob("*_recipe.json")]
    assert [r["settings"]["score_threshold"] for r in recipes] == [0.9] * 4
    assert not list(out.glob("*panoptic*"))


def test_what_is_missing_is_said(
    open_dock: OpenDock, spots: list[Path], tmp_path: Path, qtbot: Any
) -> None:
    dock = open_dock()
    with pytest.raises(InputError, match="expected images: add files"):
        dock._start()
    drop(dock, spots[0])
    wait_for_rows(qtbot, dock, 1)
    with pytest.raises(InputError, match="expected a folder for the results"):
        dock._start()
    qtbot.keyClicks(dock.form.recipe.path, str(tmp_path / "no.json"))
    assert "no such file" in dock.form.recipe_text.text()
    dock.form.recipe.path.clear()
    # A stack offers what images like it have.
    np.save(stack := tmp_path / "stack.npy", np.stack([squares()] * 3))
    click(qtbot, dock.form.clear_button)
    drop(dock, stack)
    wait_for_rows(qtbot, dock, 1)
    assert not dock.form.more.stack.isHidden()
    dock.form.axes_text.setText("CYX")
    assert dock.form.more.stack.isHidden()
    assert dock.form.more.channel.count() == 4
    assert dock.form.axes() == "CYX"


def test_the_overview_shows_the_plane_with_most_objects() -> None:
    image = np.stack([squares(1, 1), squares(1, 1)])
    image = np.pad(image, ((0, 0), (0, 384), (0, 384)))
    image[1, :64, :80] = squares()
    found = segment(image, FakeModel().load(napari_instseg.Settings()), axes="ZYX")
    picture = overview(found, edge=100)
    assert picture.shape == (100, 100, 3)
    grey = (picture == picture[..., :1]).all(axis=-1)
    # Every fourth pixel: of each square of 8 px, 2 × 2, all of it outline.
    assert np.count_nonzero(~grey[:16, :20]) == 4 * int(found.count - 1)
    assert not picture[16:].any()


def test_a_narrow_table_leaves_room_for_names(qtbot: Any) -> None:
    view = BatchView(BatchModel())
    qtbot.addWidget(view)
    view.show()
    for width, hidden in ((300, True), (420, False)):
        view.resize(width, 200)
        assert view.isColumnHidden(SECONDS) == hidden
        assert view.columnWidth(FILE) > 140
