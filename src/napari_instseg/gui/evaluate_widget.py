"""The Evaluate dock: labels held against the truth, and each error to look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import napari.layers
import napari.viewer
import pandas as pd
from qtpy.QtCore import QEvent, QSize
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ..evaluation import Options, Report, assess, evaluate_folders
from ..evaluation.errors import OF
from ..label_set import COLUMNS, LabelSet
from ..models.entry import Report as Tell
from ..progress import Listener, Progress
from ..segmenter import InputError
from ..snippets.evaluate import Side, evaluate_command, evaluate_python
from .copying import CopyButton, copy
from .docks import is_taken_away
from .error_layers import paint_errors, remove_errors, show_errors
from .error_list import NUMBERS, ErrorList
from .evaluate_form import EvaluateForm
from .form_rows import DOCK_WIDTH
from .label_layers import label_set_of
from .review.highlight import Highlight
from .review.places import Places, as_box, extents
from .score_view import ScoreView
from .task_row import TaskRow, breakable

RUN_TIP = "Compare the prediction with the truth"
KINDS_OF_FILES = "JSON (*.json);;CSV (*.csv)"
#: Of the dock at first, px.
SIZE = QSize(380, 760)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a comparison gives: the report, and, of layers, an image of the errors."""

    report: Report
    painted: Any = None


class EvaluateWidget(QWidget):
    """Compares labels with the truth.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.form = EvaluateForm(napari_viewer)
        self.run_button = QPushButton("Evaluate")
        self.run_button.setToolTip(RUN_TIP)
        self.run_button.clicked.connect(self._run)
        self.save_button = QPushButton("Save…")
        self.save_button.setToolTip("Write the report as JSON or CSV")
        self.save_button.clicked.connect(self._save)
        self.copy_button = CopyButton()
        self.copy_button.python.connect(lambda: self._copy("Python", evaluate_python))
        self.copy_button.command.connect(lambda: self._copy("a command", evaluate_command))
        self.task = TaskRow()
        self.task.ended.connect(self._show_state)
        self.scores, self.errors = ScoreView(), ErrorList()
        self.errors.chosen.connect(self._look_at)
        self._report: Report | None = None
        #: Prediction and truth that the errors are of; none of folders.
        self._sides: list[tuple[napari.layers.Labels, LabelSet]] = []
        #: Those of the run under way.
        self._pending = self._sides
        self._highlight: Highlight | None = None
        #: Of the camera, the user's, and the one that an error asked for.
        self._zoom = (0.0, 0.0)
        self._build()
        self._show_state()

    def _build(self) -> None:
        line = QHBoxLayout()
        line.addWidget(self.run_button, 1)
        line.addWidget(self.copy_button)
        line.addWidget(self.save_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(8)
        column.addWidget(self.form)
        column.addLayout(line)
        column.addWidget(self.task)
        column.addWidget(self.scores, 1)
        column.addWidget(self.errors, 4)
        column.addStretch()
        self.setMinimumWidth(DOCK_WIDTH)
        self.scores.hide()

    def _show_state(self) -> None:
        free = self.task.worker is None
        self.run_button.setEnabled(free)
        self.form.setEnabled(free)
        self.save_button.setEnabled(free and self._report is not None)

    # Comparing.

    def _run(self) -> None:
        try:
            work = self._work()
        except InputError as error:
            self._say(str(error))
            return
        self.task.start("comparing", work, self._show)
        self._show_state()

    def _work(self) -> Callable[[Tell], Outcome]:
        """Take down what is to be done in another thread."""
        options = self.form.options()
        if self.form.of_folders():
            predicted, truth = self.form.folders()
            self._pending = []
            return lambda tell: Outcome(
                evaluate_folders(predicted, truth, options=options, report=_listener(tell))
            )
        layers = self.form.layers()
        sets = [label_set_of(self.viewer, layer, listed=False) for layer in layers]
        self._pending = list(zip(layers, sets, strict=True))
        return lambda tell: compare_sets(sets[0], sets[1], options, _listener(tell))

    def _show(self, outcome: Outcome) -> None:
        self._report, self._sides = outcome.report, self._pending
        self.scores.show_report(outcome.report, alone=outcome.painted is None)
        self.scores.show()
        self.errors.hide()
        if outcome.painted is not None and self._there():
            truth, labels = self._sides[1]
            self._unmark()
            show_errors(self.viewer, truth, labels.axes, outcome.painted)
            self.errors.show_errors(outcome.report.errors)
        unused = outcome.report.unused
        if unused:
            self.task.say(f"{len(unused)} predicted files have no truth: {', '.join(unused[:3])}")

    # Looking at errors.

    def _look_at(self, error: pd.Series) -> None:
        """Move camera and sliders to an error, and outline it."""
        if not self._there():
            return
        side = "truth" if NUMBERS[error["kind"]] in OF["truth"] else "predicted"
        layer, labels = self._sides[side == "truth"]
        places = Places(self.viewer, layer, labels.axes)
        row = pd.DataFrame([error]).assign(index=error[side], is_thing=True)
        camera = self.viewer.scene.camera
        # Where a small error asked for another zoom, go back to the user's for the next.
        before, ours = self._zoom
        before = before if camera.zoom == ours else camera.zoom
        camera.zoom = before
        places.look_at(as_box(extents(labels, row)[0]))
        self._zoom = before, camera.zoom
        self._unmark()
        self._highlight = Highlight(self.viewer, layer, places)
        rest = {name: 0 for name in COLUMNS if name not in row}
        self._highlight.show(replace(labels, table=row.assign(**rest)), [int(error[side])])

    def _there(self) -> bool:
        return bool(self._sides) and all(layer in self.viewer.layers for layer, _ in self._sides)

    def _unmark(self) -> None:
        if self._highlight is not None:
            self._highlight.remove()
            self._highlight = None

    # Copying and saving.

    def _say(self, text: str) -> None:
        """Say something while nothing is under way."""
        self.task.bar.hide()
        self.task.cancel_button.hide()
        self.task.say(breakable(text))

    def _copy(self, what: str, write: Callable[[Side, Side, Options], str]) -> None:
        form = self.form
        try:
            if form.of_folders():
                copy(write(*form.folders(), form.options()))
            else:
                predicted, truth = form.layers()
                copy(write(predicted.name, truth.name, form.options()))
        except InputError as error:
            self._say(str(error))
        else:
            self._say(f"Copied as {what}.")

    def _save(self) -> None:
        if self._report is None:
            return
        path, kind = QFileDialog.getSaveFileName(self, "Save report", "report", KINDS_OF_FILES)
        if not path:
            return
        if not Path(path).suffix:
            path += ".csv" if "csv" in kind else ".json"
        try:
            self._report.save(path)
        except OSError as error:
            self._say(f"{path}: cannot be written ({error})")
        else:
            self._say(f"Saved {path}")

    # Qt's own.

    def sizeHint(self) -> QSize:  # noqa: N802
        """Size at first."""
        return SIZE

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Stop when the dock is taken away."""
        super().changeEvent(event)
        if is_taken_away(self, event):
            self._leave()

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """Stop, and let go of the viewer."""
        self._leave()
        super().closeEvent(event)
        self.form.disconnect_viewer()

    def _leave(self) -> None:
        self.task.cancel()
        self._unmark()
        remove_errors(self.viewer)


def compare_sets(
    predicted: LabelSet, truth: LabelSet, options: Options, report: Listener
) -> Outcome:
    """Compare two label sets, and paint the errors."""
    assessment = assess(predicted, truth, options, report=report)
    return Outcome(Report.of([assessment], options), paint_errors(assessment, report))


def _listener(tell: Tell) -> Listener:
    """Pass on how far it is; `tell` raises once it is cancelled."""

    def hear(progress: Progress) -> None:
        share = f": {progress.done} of {progress.total}" if progress.total else ""
        tell(0, 0, f"{progress.message}{share}")

    return hear
