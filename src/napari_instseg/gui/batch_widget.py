"""The Batch dock: many files, one after the other, and what becomes of each."""

from __future__ import annotations

import glob
from functools import partial
from pathlib import Path
from typing import Any

import napari.viewer
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSplitter, QVBoxLayout, QWidget

from ..batch.jobs import REPLACE, tally
from ..batch.record import Record
from ..batch.status import SKIPPED, WAITING
from ..io.images import is_image
from ..models.entry import ModelEntry
from ..progress import how_many
from ..segmenter import InputError, ModelError
from ..settings import Settings
from ..snippets.batch import batch_command, batch_python
from . import batch_open
from .batch_form import BatchForm
from .batch_table import BatchModel, BatchView, message
from .batch_text import listed, summary
from .batch_worker import BatchWorker, Listing, Outcome, Request, look
from .form_rows import DOCK_WIDTH, scrolling
from .run_dock import RunDock
from .task_row import TaskRow, breakable
from .tasks import Slots
from .worker import ModelHolder, RunWorker

RUN_TIP = "Segment all images that wait, and write the results into the folder"
PAUSE_TIP = "Wait after the tile under way; nothing is lost"
#: Failures that are named below the table, too.
FEW = 3
#: Height of form and table at first, px.
PARTS = (330, 420)
#: Of the dock at first, px: names of images should fit.
SIZE = QSize(420, 760)


class BatchWidget(RunDock):
    """Segments many files.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    models : ModelHolder, optional
        Where models are kept between runs.
    """

    form: BatchForm
    worker: BatchWorker | None

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, models: ModelHolder | None = None
    ) -> None:
        form, models = BatchForm(), models or ModelHolder()
        super().__init__(napari_viewer, form, (models,), step="tile", tip=RUN_TIP, live_pixels=0)
        self.models = models
        self.table = BatchModel()
        self.view = BatchView(self.table)
        self.view.opened.connect(self._open)
        self.view.removed.connect(self._remove)
        self.pause_button = QPushButton("Pause")
        self.pause_button.setToolTip(PAUSE_TIP)
        self.pause_button.clicked.connect(self._pause_or_resume)
        self.go_on_button = QPushButton()
        self.go_on_button.clicked.connect(self._go_on)
        self.listing, self.opening = TaskRow(), TaskRow()
        self.listing.ended.connect(self._after_look)
        self._record: Record | None = None
        self._stale = False
        self._build()
        self.setAcceptDrops(True)
        form.changed.connect(self._look)
        form.model_changed.connect(self._show_state)
        self._show_state()

    def _build(self) -> None:
        top, bottom, buttons = QWidget(), QWidget(), QWidget()
        line = QHBoxLayout(buttons)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.run_button, 1)
        line.addWidget(self.pause_button, 1)
        line.addWidget(self.copy_button)
        above, below = QVBoxLayout(top), QVBoxLayout(bottom)
        for column in (above, below):
            column.setContentsMargins(8, 8, 8, 8)
            column.setSpacing(8)
        above.addWidget(self.form)
        above.addWidget(self.install)
        above.addStretch(1)
        below.addWidget(self.view, 1)
        rows = (self.listing, self.opening, self.go_on_button, buttons)
        for part in (*rows, self.progress, self.status, self.warnings):
            below.addWidget(part)
        parts = QSplitter(Qt.Orientation.Vertical)
        parts.addWidget(scrolling(top))
        parts.addWidget(bottom)
        parts.setChildrenCollapsible(False)
        parts.setSizes(list(PARTS))
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(parts)
        self.setMinimumWidth(DOCK_WIDTH)
        self.go_on_button.hide()
        self.warnings.hide()

    # Which images.

    def _look(self) -> None:
        """List the images, and what is done already, in a thread of its own."""
        if self.worker is not None:
            return
        self._stale = self.listing.worker is not None
        if self._stale:
            return
        form = self.form
        try:
            outputs = form.outputs()
        except InputError as error:
            self.status.setText(breakable(str(error)))
            return
        texts = [_with_folders(text) for text in form.texts()]
        work = partial(look, texts, form.output(), outputs, form.format(), form.existing())
        self.listing.start("looking for images", work, self._show_listing)
        self._show_state()

    def _after_look(self) -> None:
        if self._stale:
            self._look()
        self._show_state()

    def _show_listing(self, listing: Listing) -> None:
        self.table.set_jobs(listing.jobs)
        self.form.show_sample(listing.sample)
        self._record = None if self.form.texts() else listing.record
        self.status.setText(listed(listing))
        if self._record is not None:
            count = how_many(len(self._record.paths), "image")
            self.go_on_button.setText(f"Go on with the {count} begun in this folder")
        self._warn([])

    def _go_on(self) -> None:
        if self._record is not None:
            self.form.go_on_with(self._record)

    def _remove(self, rows: list[int]) -> None:
        """Leave out images."""
        if self.worker is None and self.listing.worker is None:
            jobs = self.table.jobs()
            kept = [str(job.path) for row, job in enumerate(jobs) if row not in rows]
            self.form.set_texts(kept)

    # Running.

    def _entries(self) -> tuple[ModelEntry, ...]:
        return self.form.entries()

    def _refresh(self) -> None:
        self.form.model.refresh()

    def _show_state(self) -> None:
        """Offer what can be done now."""
        super()._show_state()
        worker = self.worker
        if worker is None:
            count = tally(self.table.jobs())
            self.run_button.setText("Go on" if count(SKIPPED) and count(WAITING) else "Run")
            if self.listing.worker is not None:
                self.run_button.setEnabled(False)
        self.form.setEnabled(worker is None)
        self.pause_button.setEnabled(worker is not None and not worker.cancelled())
        self.pause_button.setText("Resume" if worker is not None and worker.paused else "Pause")
        self.go_on_button.setVisible(worker is None and self._record is not None)

    def _to_do(self) -> tuple[dict[str, Path], Path, Settings]:
        """Images by the name that their results get, the folder for these, and the settings."""
        form, jobs = self.form, self.table.jobs()
        output = form.output()
        if not jobs:
            raise InputError("expected images: add files or a folder, or drop them on the dock")
        if output is None:
            raise InputError("expected a folder for the results: choose one at 'Results in'")
        return {job.name: job.path for job in jobs}, output, form.settings()

    def _python(self) -> str:
        form, (images, output, settings) = self.form, self._to_do()
        anew = form.existing() == REPLACE
        return batch_python(
            {name: path.absolute() for name, path in images.items()},
            *(output.absolute(), settings),
            axes=form.axes(),
            format=form.format(),
            anew=anew,
        )

    def _command(self) -> str:
        form, (_, output, settings) = self.form, self._to_do()
        texts = [_with_folders(str(Path(text).expanduser().absolute())) for text in form.texts()]
        return batch_command(
            *(texts, output.absolute(), settings),
            axes=form.axes(),
            format=form.format(),
            recipe=form.recipe.value(),
            anew=form.existing() == REPLACE,
        )

    def _start(self) -> None:
        if missing := self._missing():
            raise ModelError(missing)
        form = self.form
        _, output, settings = self._to_do()
        paths = tuple(job.path for job in self.table.jobs())
        if not self.models.holds(settings):
            # Two models may not fit a device; see `ModelHolder.release` on threads.
            self.models.release()
        record = Record(paths, form.axes(), form.format())
        request = Request(record, output, settings, form.existing())
        self._launch(BatchWorker, request, self.models)

    def _slots(self, worker: RunWorker) -> Slots:
        return [
            *super()._slots(worker),
            (worker.planned, self.table.set_jobs),
            (worker.told, self.table.tell),
            (worker.pictured, self.table.set_picture),
        ]

    def _pause_or_resume(self) -> None:
        worker = self.worker
        if worker is None:
            return
        if worker.paused:
            worker.resume()
            self.status.setText("Going on…")
        else:
            worker.pause()
            self.status.setText("Paused after the tile under way.")
        self._show_state()

    def _cancel(self) -> None:
        super()._cancel()
        self._show_state()
        if self.worker is not None:
            # Until it has ended, it cannot be cancelled again.
            self.run_button.setEnabled(False)

    def _report(self, done: int, total: int, message: str) -> None:
        worker = self.worker
        if worker is not None and not worker.paused:
            super()._report(done, total, message)

    def _show(self, result: Outcome) -> None:
        self.table.set_jobs(result.jobs)
        if result.device:
            self.form.more.show_device(result.device)
        self.status.setText(breakable(summary(result)))
        failures = [f"{job.path.name}: {message(job)}" for job in result.jobs if job.error]
        if len(failures) > FEW:
            failures[FEW:] = [f"{len(failures) - FEW} more failed: see the table"]
        self._warn([*failures, *filter(None, [result.problem])])

    def _show_partial(self, result: Outcome | None) -> None:
        if result is None:
            self.status.setText("Cancelled before anything was done.")
            return
        self._show(result)
        self.status.setText(f"Cancelled: {self.status.text()}")

    def _warn(self, notes: list[str]) -> None:
        self.warnings.setText("\n".join(f"⚠ {breakable(note)}" for note in notes))
        self.warnings.setVisible(bool(notes))

    # Looking at results.

    def _open(self, row: int) -> None:
        """Open an image and its results in the viewer."""
        job = self.table.job(row)
        if self.opening.worker is not None or batch_open.is_open(self.viewer, job):
            return
        load = partial(batch_open.load, job, self.form.axes())
        add: Any = partial(batch_open.add_layers, self.viewer)
        self.opening.start(f"opening {job.path.name}", lambda report: load(), add)

    # Qt's own.

    def sizeHint(self) -> QSize:  # noqa: N802
        """Size at first."""
        return SIZE

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        """Take files and folders, unless it runs."""
        if event is not None and self.worker is None and _dropped(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        """Add files and folders."""
        if event is not None and self.worker is None:
            self.form.add(_dropped(event))
            event.acceptProposedAction()


def _dropped(event: QDropEvent) -> list[str]:
    """Paths of what is dropped."""
    data = event.mimeData()
    urls = [] if data is None else data.urls()
    return [url.toLocalFile() for url in urls if url.isLocalFile()]


def _with_folders(text: str) -> str:
    """Turn a folder into the pattern for all that is in it, and in the folders in it."""
    path = Path(text)
    return str(Path(glob.escape(text)) / "**") if path.is_dir() and not is_image(path) else text
