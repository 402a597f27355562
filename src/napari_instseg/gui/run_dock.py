"""What docks with a Run button share: one worker at a time, and layers that follow sliders."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import napari.layers
import napari.viewer
from qtpy.QtCore import QEvent
from qtpy.QtGui import QCloseEvent, QEnterEvent
from qtpy.QtWidgets import QPushButton, QWidget
from superqt.utils import qdebounced, qthrottled

from ..models.entry import ModelEntry
from ..result import Result
from ..segmenter import DeviceMemoryError, InstsegError
from .copying import CopyButton, copy_as
from .details_form import DetailsForm
from .docks import is_taken_away
from .form_rows import text_label
from .holder import Holder
from .install_box import InstallBox
from .model_text import DETECTRON2
from .progress import RunProgress
from .result_text import device, level_note
from .results import names
from .shown import ShownResults
from .task_row import breakable, notify, sentence
from .tasks import Slots, let_go, new_worker
from .worker import RunWorker


class RunForm(Protocol):
    """What a dock asks of its form."""

    @property
    def more(self) -> DetailsForm:
        """Its folded part."""
        ...

    def layer(self) -> napari.layers.Image | None:
        """Return the chosen image layer."""
        ...

    def disconnect_viewer(self) -> None:
        """Stop following the viewer."""
        ...


class RunDock(QWidget):
    """A dock with a form, a button that runs and cancels, and what is said of the run.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    form : RunForm
    holders : sequence of Holder
        Keep the models that runs load.
    step : str
        What a cancelled run still finishes.
    tip : str
        What the button does.
    live_pixels : int
        Of larger label images, the layers follow the sliders when these rest, not while they
        move.
    """

    form: RunForm

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        form: RunForm,
        holders: Sequence[Holder[Any]],
        *,
        step: str,
        tip: str,
        live_pixels: int,
    ) -> None:
        super().__init__()
        self.viewer, self.form, self._holders = viewer, form, holders
        form.more.free_button.clicked.connect(self.free_memory)
        self.worker: RunWorker | None = None
        self.shown = ShownResults(viewer)
        self._step, self._tip, self._live_pixels = step, tip, live_pixels
        self._short_of_memory = False
        #: Why the chosen models cannot run.
        self._reason = ""
        self.install = InstallBox()
        self.install.installed.connect(self._refresh)
        self.run_button = QPushButton("Run")
        self.run_button.clicked.connect(self._run_or_cancel)
        self.copy_button = CopyButton()
        self.copy_button.python.connect(lambda: copy_as("Python", self._python, self.status))
        self.copy_button.command.connect(lambda: copy_as("a command", self._command, self.status))
        self.progress = RunProgress()
        self.status = text_label()
        self.warnings = text_label()

    def free_memory(self) -> None:
        """Let go of the models that are kept for the next run."""
        self._release()
        self._show_state()

    # What a dock has of its own.

    def _entries(self) -> tuple[ModelEntry, ...]:
        """Return the models that a run needs."""
        raise NotImplementedError

    def _start(self) -> None:
        """Read the form and run."""
        raise NotImplementedError

    def _show(self, result: Any) -> None:
        """Show the result of a run."""
        raise NotImplementedError

    def _show_partial(self, result: Any) -> None:
        """Show what a cancelled run has found, None for nothing."""
        raise NotImplementedError

    def _say(self, result: Result) -> None:
        """Say what is shown."""
        raise NotImplementedError

    def _exchange(self, layer: napari.layers.Image, *, hidden: bool) -> list[napari.layers.Layer]:
        """Show the last result of a layer as the sliders say; return what a user has edited."""
        raise NotImplementedError

    def _refresh(self) -> None:
        """Look again at what is here: models come and go."""
        raise NotImplementedError

    def _python(self) -> str:
        """Return what Run would do as Python."""
        raise NotImplementedError

    def _command(self) -> str:
        """Return what Run would do as a command."""
        raise NotImplementedError

    # Running.

    def _release(self) -> None:
        """Let go of loaded models."""
        for holder in self._holders:
            holder.release()

    def _missing(self) -> str:
        """Say what the chosen models lack, "" if they can run."""
        lacking = ((entry, entry.missing()) for entry in self._entries())
        return next((f"the model {e.title!r} {text}" for e, text in lacking if text), "")

    def _show_state(self) -> None:
        """Offer what can be done now: run or cancel, install what is missing, free memory."""
        running, reason = self.worker is not None, breakable(self._missing())
        absent = any(DETECTRON2 in entry.absent_modules() for entry in self._entries())
        self.install.setVisible(self.install.busy or absent)
        self.run_button.setText("Cancel" if running else "Run")
        self.run_button.setEnabled(running or not reason)
        self.run_button.setToolTip(sentence(reason) or self._tip)
        held = any(holder.name for holder in self._holders)
        self.form.more.allow_freeing(held and not running)
        if reason != self._reason:
            self._reason = reason
            self.status.setText("" if self.install.isVisibleTo(self) else sentence(reason))

    def _launch(self, kind: type[RunWorker], job: object, *others: object) -> None:
        """Start a worker, made as ``kind(job, *others)``."""
        self.worker = worker = new_worker(kind, self._slots, job, *others)
        self._show_state()
        self.warnings.hide()
        self.progress.start(str(job), self._cancel)
        worker.start()

    def _run_or_cancel(self) -> None:
        if self.worker is not None:
            self._cancel()
            return
        self._try_to_start(self._start)

    def _try_to_start(self, start: Callable[[], None]) -> None:
        try:
            start()
        except InstsegError as error:
            self._fail(error)

    def _cancel(self) -> None:
        worker = self.worker
        if worker is None:
            return
        worker.quit()
        if worker.loading:
            # A network that stalls may keep it for half a minute: nobody needs to wait for that.
            let_go(self._slots(worker))
            self._show_partial(None)
            self._restore()
        else:
            self.run_button.setEnabled(False)
            self.status.setText(f"Cancelling after this {self._step}…")

    def _slots(self, worker: RunWorker) -> Slots:
        return [
            (worker.progress, self._report),
            (worker.returned, self._show),
            (worker.aborted, self._show_partial),
            (worker.errored, self._fail),
            (worker.finished, self._restore),
        ]

    def _report(self, done: int, total: int, message: str) -> None:
        if self.run_button.isEnabled():
            self.status.setText(sentence(message))
        # Last: napari's bars let other events in, the end of this run among them.
        self.progress.update_to(done, total)

    def _report_on(self, result: Result, level: int) -> None:
        """Say what a run has found on a level of the layer, on which device, and what to know."""
        self.form.more.show_device(device(result))
        self._say(result)
        notes = [*result.warnings, *level_note(result, level)]
        self.warnings.setText("\n".join(f"⚠ {note}" for note in notes))
        self.warnings.setVisible(bool(notes))

    def _fail(self, error: Exception) -> None:
        """Say that the run has failed, and why."""
        self.status.setText("Failed: see the notification.")
        notify(error)
        self._short_of_memory = isinstance(error, (DeviceMemoryError, MemoryError))

    def _restore(self) -> None:
        self.worker = None
        self.progress.stop()
        if self._short_of_memory:
            self._short_of_memory = False
            self._release()
        self._refresh()
        self._show_state()

    # Layers that follow the sliders.

    def _follow(self) -> None:
        """Show the last result of the chosen layer as the sliders say."""
        shown = self.shown.get(self.form.layer())
        if shown is None:
            return
        if math.prod(shown.segmentation.image.label_shape) <= self._live_pixels:
            self._repaint_live()
        self._settle()

    @qthrottled(timeout=40)
    def _repaint_live(self) -> None:
        self._repaint(hidden=False)

    @qdebounced(timeout=250)
    def _settle(self) -> None:
        """When the slider rests, bring hidden layers, tables, colours and recipes along."""
        self._repaint(hidden=True)
        layer = self.form.layer()
        if layer is not None and self.shown.get(layer) is not None:
            self.shown.describe(layer)

    def _repaint(self, *, hidden: bool) -> None:
        layer = self.form.layer()
        if layer is None or self.shown.get(layer) is None:
            return
        kept = self._exchange(layer, hidden=hidden)
        shown = self.shown.get(layer)
        if shown is not None:
            self._say(shown.segmentation)
        if kept:
            self.status.setText(
                f"{self.status.text()}\n{names(kept)}: edited by hand, left as it is. "
                "Run again for a new layer."
            )

    # Qt's own.

    def enterEvent(self, event: QEnterEvent | None) -> None:  # noqa: N802
        """Look again at what is here: another dock may have brought or removed models."""
        super().enterEvent(event)
        self._refresh()

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Stop the run when the dock is taken away."""
        super().changeEvent(event)
        if is_taken_away(self, event):
            self._cancel()

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """Stop the run and let go of the viewer."""
        self._cancel()
        self.progress.stop()
        super().closeEvent(event)
        self.form.disconnect_viewer()
