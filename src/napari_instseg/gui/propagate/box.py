"""The part of a dock that follows an object through a stack: run, look, cut, accept."""

from __future__ import annotations

from typing import Any

import napari.viewer
import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from ...ops.morphing import centroid
from ...progress import how_many
from ...prompting.propagation import Propagated
from ...segmenter import InputError, InstsegError
from ..form_rows import text_label
from ..progress import RunProgress
from ..prompt.ground import Ground
from ..task_row import breakable, notify, sentence
from ..tasks import Slots, new_worker
from .form import PropagateForm
from .planes import FoundPlanes
from .preview import Preview
from .worker import Job, PropagateHost, PropagateWorker

TIP = (
    "Follow the selected object to the planes before and after, and fill the gaps between\n"
    "planes that have it. Nothing is painted until you accept."
)
NO_SESSION, NO_STACK = "Press Start first.", "The image has a single plane."


class PropagateBox(QWidget):
    """Propagates the selected object of a Labels layer along an axis of the image.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    host : PropagateHost
    """

    #: What was painted (`Propagated`), and as which number.
    accepted = Signal(object, int)

    def __init__(self, viewer: napari.viewer.Viewer, host: PropagateHost) -> None:
        super().__init__()
        self.viewer, self.host = viewer, host
        self.worker: PropagateWorker | None = None
        self.preview = Preview(viewer)
        self._job: Job | None = None
        self.form = PropagateForm()
        self.run_button = QPushButton("Propagate")
        self.run_button.clicked.connect(self._run_or_cancel)
        self.progress = RunProgress()
        self.status = text_label()
        self.planes = FoundPlanes()
        self.planes.range_changed.connect(self._show_part)
        self.planes.plane_chosen.connect(self.show_plane)
        self.planes.accepted.connect(self.accept)
        self.planes.discarded.connect(self.discard)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        for part in (self.form, self.run_button, self.progress, self.planes, self.status):
            column.addWidget(part)
        viewer.dims.events.current_step.connect(self._follow_viewer)
        self.refresh()

    @property
    def busy(self) -> bool:
        """Whether a run is going on."""
        return self.worker is not None

    def refresh(self) -> None:
        """Look again at session and layer, and offer what can be done now."""
        session = self.host.session()
        if self._job is not None and session is not self._job.session:
            self._end_job()
        axes = session.image.plane_axes if session is not None else ""
        self.form.set_axes(axes)
        self.form.setEnabled(not self.busy)
        reason = NO_SESSION if session is None else "" if axes else NO_STACK
        self.run_button.setText("Cancel" if self.busy else "Propagate")
        self.run_button.setEnabled(self.busy or not reason)
        self.run_button.setToolTip(reason or TIP)

    # -------------------------------------------------------------------------------------- run

    def _run_or_cancel(self) -> None:
        if self.busy:
            self.cancel()
            return
        self.discard()
        try:
            self._job = job = self._prepare()
        except InstsegError as error:
            self._fail(error)
            return
        self.worker = worker = new_worker(PropagateWorker, self._slots, job)
        self.refresh()
        self.progress.start(str(job), self.cancel)
        worker.start()

    def _slots(self, worker: PropagateWorker) -> Slots:
        return [
            (worker.progress, self._report),
            (worker.returned, self._show),
            (worker.aborted, self._show),
            (worker.errored, self._fail),
            (worker.finished, self._restore),
        ]

    def cancel(self) -> None:
        """Stop the run after this plane; what is done is shown."""
        if self.worker is not None:
            self.worker.quit()
            self.run_button.setEnabled(False)
            self.status.setText("Cancelling after this plane…")

    def _prepare(self) -> Job:
        session, labels, ground = self.host.session(), self.host.labels(), self.host.ground()
        if session is None or labels is None or ground is None:
            raise InputError("propagation: expected an object: accept one on a plane first")
        plane = ground.plane()
        if plane is None:
            raise InputError(
                "propagation: expected the 2-D view of rows and columns (Y, X), with the image "
                "in it: switch the viewer to it"
            )
        number = int(labels.selected_label)
        if number == 0:
            raise InputError(
                "propagation: expected an object, got label 0 (nothing): choose its number in "
                "the layer's controls"
            )
        axis, alone = self.form.axis.currentData(), self.form.alone
        settings = self.form.settings()
        return Job(session, ground, labels.data, number, axis, plane, alone, settings)

    def _report(self, done: int, total: int, message: str) -> None:
        if self.run_button.isEnabled():
            self.status.setText(sentence(message))
        # Last: napari's bars let other events in, the end of this run among them.
        self.progress.update_to(done, total)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, InputError):
            self.status.setText(breakable(sentence(str(error))))
        else:
            self.status.setText("Failed: see the notification.")
            notify(error)

    def _restore(self) -> None:
        self.worker = None
        self.progress.stop()
        self.refresh()

    # ----------------------------------------------------------------------------------- result

    def _show(self, found: Propagated) -> None:
        """Show what was found, to be cut, accepted or discarded."""
        if self._job is None:
            return
        if all(section.kind == "given" for section in found.sections.values()):
            self.status.setText(f"Not found on any other plane.\n{_ends(found)}")
            return
        self.planes.put(found)
        self._follow_viewer()

    def _show_part(self) -> None:
        part, job = self.planes.part(), self._job
        if part is None or job is None:
            return
        self.preview.show(part, job.ground)
        planes = f"{part.axis.lower()} {part.first} to {part.last}"
        text = f"{planes}: {how_many(part.voxels, 'pixel')}"
        if not part.complete:
            text = f"Cancelled: {text} until then"
        self.status.setText(f"{text}\n{_ends(part)}")

    def accept(self) -> None:
        """Paint what is kept, as one step that undo takes back; other objects stay."""
        part, job, labels = self.planes.part(), self._job, self.host.labels()
        if part is None or job is None:
            return
        if labels is None or labels.data.shape != job.data.shape:
            self._fail(InputError("propagation: the object's layer is gone: run again"))
            return
        index = _pixels(part, job.ground)
        old = np.asarray(labels.data[index])
        hidden = int(np.count_nonzero((old != 0) & (old != job.number)))
        labels.data_setitem(tuple(axis[old == 0] for axis in index), job.number)
        self.discard()
        text = f"Object {job.number} is on {part.axis.lower()} {part.first} to {part.last}."
        if hidden:
            belong = "belongs to another object" if hidden == 1 else "belong to other objects"
            text += f" {how_many(hidden, 'pixel')} {belong} and stayed there."
        self.status.setText(text)
        self.accepted.emit(part, job.number)

    def discard(self) -> None:
        """Forget what was found."""
        self.preview.remove()
        self.planes.put(None)
        self.status.setText("")

    def _end_job(self) -> None:
        """Stop the run and forget what was found, also what comes later."""
        self.cancel()
        self._job = None
        self.discard()

    # ----------------------------------------------------------------------------------- viewer

    def show_plane(self, index: int) -> None:
        """Move the viewer's sliders to the object on a plane."""
        found, job, labels = self.planes.found, self._job, self.host.labels()
        if found is None or job is None or labels is None:
            return
        spot = centroid(found.sections[index].mask)
        world = labels.data_to_world(job.ground.points(found.plane_index(index), [spot])[0])
        dims = self.viewer.dims
        offset = dims.ndim - len(world)
        hidden = [d for d in dims.not_displayed if d >= offset]
        dims.set_point(hidden, [world[d - offset] for d in hidden])

    def _follow_viewer(self, event: object = None) -> None:
        job = self._job
        if self.planes.found is None or job is None:
            return
        plane = job.ground.plane()
        place = job.session.image.plane_axes.index(job.axis)
        self.planes.strip.set_shown(None if plane is None else plane[place])

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """Stop the run, take the preview away and let go of the viewer."""
        self._end_job()
        self.progress.stop()
        self.viewer.dims.events.current_step.disconnect(self._follow_viewer)
        super().closeEvent(event)


def _ends(found: Propagated) -> str:
    """Why the object ends where it does, on two lines."""
    return f"Before: {found.before}.\nAfter: {found.after}."


def _pixels(part: Propagated, ground: Ground) -> tuple[Any, ...]:
    """Index of the object's pixels in the layer of objects."""
    found = []
    for index, section in part.sections.items():
        rows, cols = np.nonzero(section.mask.pixels)
        top, left = section.mask.origin
        found.append(ground.index(part.plane_index(index), rows + top, cols + left))
    return tuple(np.concatenate(axis) for axis in zip(*found, strict=True))
