"""Measuring shapes and intensities, in a thread of its own; the values become columns."""

from __future__ import annotations

from collections.abc import Callable

import napari.layers
import napari.viewer
import pandas as pd
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QListWidget, QListWidgetItem, QPushButton, QVBoxLayout, QWidget

from ...editing import Change
from ...label_set import LabelSet
from ...models.entry import Report
from ...ops.axes import Image
from ...progress import Progress
from ...segmenter import InstsegError
from ..fields import choosable
from ..form_rows import text_label
from ..layers import image_from_layer
from ..links import link_of
from ..task_row import TaskRow, notify
from .session import ReviewSession

HINT = "Shapes are measured of the labels; intensities in the images that are ticked."
TIP = "Area, shape and intensity of each object, as new columns of the table"
HEIGHT = 110


class MeasurePanel(QWidget):
    """A list of images to tick, and a button.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = viewer
        self.session: ReviewSession | None = None
        self.images = QListWidget()
        self.images.setFrameShape(QFrame.Shape.NoFrame)
        self.images.setMaximumHeight(HEIGHT)
        self.button = QPushButton("Measure")
        self.button.setToolTip(TIP)
        self.button.clicked.connect(self.measure)
        self.task = TaskRow()
        self.task.ended.connect(self._show_state)
        hint = text_label()
        hint.setText(HINT)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(6)
        for part in (hint, self.images, self.button, self.task):
            column.addWidget(part)
        column.addStretch(1)
        events = viewer.layers.events
        self._events = (events.inserted, events.removed, events.reordered, events.renamed)
        for event in self._events:
            event.connect(self._list_images)
        self._list_images()

    def set_session(self, session: ReviewSession | None) -> None:
        """Measure the objects of another session; its own image is ticked."""
        self.session = session
        if session is not None:
            link = link_of(session.layer)
            for item in self._items():
                source = link is not None and item.data(Qt.ItemDataRole.UserRole) == link.source
                _tick(item, source)
        self._show_state()

    def disconnect_viewer(self) -> None:
        """Stop following the viewer."""
        for event in self._events:
            event.disconnect(self._list_images)

    def _items(self) -> list[QListWidgetItem]:
        items = (self.images.item(place) for place in range(self.images.count()))
        return [item for item in items if item is not None]

    def _list_images(self, event: object = None) -> None:
        """Show the image layers that there are; ticks stay."""
        ticked = {i.data(Qt.ItemDataRole.UserRole) for i in self._items() if _is_ticked(i)}
        self.images.clear()
        for layer in choosable(self.viewer, (napari.layers.Image,)):
            item = QListWidgetItem(layer.name)
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
            item.setData(Qt.ItemDataRole.UserRole, layer.unique_id)
            _tick(item, layer.unique_id in ticked)
            self.images.addItem(item)

    def chosen(self) -> list[napari.layers.Image]:
        """Image layers that are ticked."""
        ticked = {i.data(Qt.ItemDataRole.UserRole) for i in self._items() if _is_ticked(i)}
        layers = choosable(self.viewer, (napari.layers.Image,))
        return [layer for layer in layers if layer.unique_id in ticked]

    def measure(self) -> None:
        """Measure what is chosen."""
        session = self.session
        if session is None or self.task.worker is not None:
            return
        try:
            layers = self.chosen()
            images = [image_from_layer(layer, level=0) for layer in layers]
        except InstsegError as error:
            notify(error)
            return
        work, changed = _work(session.labels, images), set[int]()

        def note(change: Change) -> None:
            changed.update(change.ids)

        def end() -> None:
            self.task.ended.disconnect(end)
            session.changed.disconnect(note)

        def take(found: pd.DataFrame) -> None:
            # What was corrected meanwhile has other pixels now.
            kept = found[~found["index"].isin(changed)]
            table = one_row_each(kept, session.labels.table)
            session.set_measured(table, [layer.unique_id for layer in layers])
            self.task.say("\n".join(found.attrs.get("notes", ())))

        session.changed.connect(note)
        self.task.ended.connect(end)
        self.task.start("measuring", work, take)
        self._show_state()

    def _show_state(self) -> None:
        self.button.setEnabled(self.session is not None and self.task.worker is None)


def _work(labels: LabelSet, images: list[Image]) -> Callable[[Report], pd.DataFrame]:
    def work(report: Report) -> pd.DataFrame:
        def tell(step: Progress) -> None:
            # How many of how many is in its message; raises if the user has cancelled.
            report(step.done, 0, step.message)

        return labels.measure(images, report=tell)

    return work


def one_row_each(measured: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Bring measurements into the form of columns for a table of segments.

    Parameters
    ----------
    measured : DataFrame
        One row an object, or, of those in several planes or frames, one for each.
    table : DataFrame
        See `LabelSet`; what it has already is left out.

    Returns
    -------
    DataFrame
        One row an object: ``index``, and the mean of what was measured more than once.
    """
    known = set(table.columns) - {"index"}
    new = [name for name in measured.columns if name not in known]
    numbers = measured[new].select_dtypes("number")
    return numbers.groupby("index", as_index=False).mean()


def _is_ticked(item: QListWidgetItem) -> bool:
    return item.checkState() == Qt.CheckState.Checked


def _tick(item: QListWidgetItem, ticked: bool) -> None:
    item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
