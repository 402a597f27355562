"""The form of the Evaluate dock: what is compared with what, and how."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import napari.layers
import napari.viewer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QVBoxLayout, QWidget

from ..evaluation import ALL_THRESHOLDS, Options, thresholds_from
from ..evaluation.comparing import AS_ONE, AUTO, BY_NAME
from ..segmenter import InputError
from .fields import Choice, LayerChoice
from .fold import Fold
from .form_rows import add_row, new_form, show_row
from .links import link_of
from .path_fields import FolderField

LAYERS, FOLDERS = "layers", "folders"
COMPARE_TIP = "Two layers of the viewer, or all label images of two folders, paired by name"
PREDICTED_TIP = "Labels that were found"
TRUTH_TIP = "Labels that are right: drawn or corrected by hand"
CATEGORIES_TIP = (
    "By name: an object is right if its category is, too; case does not matter.\n"
    "All as one: only outlines count."
)
IOU_TIP = (
    "Objects match if they share at least this much of their union: what an error is.\n"
    "Mean AP is over this threshold and those of 0.5 to 0.95 that are above it."
)
POOR_TIP = "Matched objects that share less than this are listed as poor boundaries"
VOID_TIP = (
    "Pixels without a label in the truth: background, on which an object is wrong,\n"
    "or unlabelled, where nothing counts. Automatic: unlabelled if the truth has stuff."
)
BOUNDARY_TIP = "Mean distance between the outlines of matched objects; takes a while"
COCO_TIP = "AP and AR as the COCO benchmark has them, by score; any number of objects"
WITHOUT_COCO = 'Needs a package: pip install "napari-instseg[evaluate]"'


class EvaluateForm(QWidget):
    """What is compared, and how.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    #: Something else is to be compared.
    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        labels = (napari.layers.Labels,)
        self.compare = Choice((("Two layers", LAYERS), ("Two folders", FOLDERS)))
        self.predicted = LayerChoice(viewer, labels, follow=False)
        self.truth = LayerChoice(viewer, labels, follow=False)
        self.predicted_folder = FolderField("Folder with predictions", "results of a run")
        self.truth_folder = FolderField("Folder with the truth", "labels, named alike")
        self._form = new_form()
        add_row(self._form, "Compare", self.compare, COMPARE_TIP)
        add_row(self._form, "Prediction", self.predicted, PREDICTED_TIP)
        add_row(self._form, "Truth", self.truth, TRUTH_TIP)
        add_row(self._form, "Prediction", self.predicted_folder, PREDICTED_TIP)
        add_row(self._form, "Truth", self.truth_folder, TRUTH_TIP)
        self._viewer = viewer
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self._form)
        column.addWidget(self._more())
        self.compare.currentIndexChanged.connect(lambda _: self._show_rows())
        for box in (self.predicted, self.truth):
            box.layer_changed.connect(self.changed)
        viewer.layers.events.inserted.connect(self._suggest)
        self._suggest()
        self._show_rows()

    def _more(self) -> QWidget:
        """Make what is folded at first."""
        default = Options()
        self.categories = Choice(
            (("By name, if both have some", AUTO), ("By name", BY_NAME), ("All as one", AS_ONE))
        )
        self.void = Choice((("Automatic", None), ("Background", False), ("Unlabelled", True)))
        self.iou, self.poor = _share(ALL_THRESHOLDS[0]), _share(default.poor_below)
        self.boundary = QCheckBox("Boundary distance")
        self.coco = QCheckBox("COCO AP and AR")
        there = find_spec("faster_coco_eval") is not None
        self.coco.setEnabled(there)
        content = QWidget()
        form = new_form()
        content.setLayout(form)
        add_row(form, "Category", self.categories, CATEGORIES_TIP)
        add_row(form, "Match IoU", self.iou, IOU_TIP)
        add_row(form, "Poor IoU", self.poor, POOR_TIP)
        add_row(form, "Label 0", self.void, VOID_TIP)
        add_row(form, "", self.boundary, BOUNDARY_TIP)
        add_row(form, "", self.coco, COCO_TIP if there else WITHOUT_COCO)
        self.fold = Fold("More", content)
        return self.fold

    def _show_rows(self) -> None:
        of_layers = self.compare.currentData() == LAYERS
        for field in (self.predicted, self.truth):
            show_row(self._form, field, of_layers)
        for folder in (self.predicted_folder, self.truth_folder):
            show_row(self._form, folder, not of_layers)
        self.changed.emit()

    def _suggest(self, event: object = None) -> None:
        """Choose a truth beside the prediction: one of ours is rather the latter."""
        predicted, truth = self.predicted.layer(), self.truth.layer()
        # Beside its instances, a result has layers that are nobody's truth.
        if predicted is None or (truth is not predicted and _output(truth) in (None, "instances")):
            return
        layers = [
            layer
            for layer in reversed(self._viewer.layers)
            if isinstance(layer, napari.layers.Labels) and self.truth.findData(layer.unique_id) >= 0
        ]
        ours = [layer for layer in layers if _output(layer) == "instances"]
        others = [layer for layer in layers if _output(layer) is None]
        pair = (ours[:1] + others[:1]) if ours and others else (ours or others)[:2]
        if len(pair) == 2:
            self.predicted.choose(pair[0].unique_id)
            self.truth.choose(pair[1].unique_id)

    def of_folders(self) -> bool:
        """Whether folders are compared."""
        return bool(self.compare.currentData() == FOLDERS)

    def layers(self) -> tuple[napari.layers.Labels, napari.layers.Labels]:
        """Return the layers of prediction and truth.

        Raises
        ------
        InputError
            If there are no two of them.
        """
        predicted, truth = self.predicted.layer(), self.truth.layer()
        if predicted is None or truth is None or predicted is truth:
            raise InputError(
                "expected two Labels layers: open or draw the truth, and choose it at 'Truth'"
            )
        return predicted, truth

    def folders(self) -> tuple[Path, Path]:
        """Return the folders of predictions and truth.

        Raises
        ------
        InputError
            If one is not given.
        """
        texts = self.predicted_folder.value(), self.truth_folder.value()
        if not all(texts):
            raise InputError("expected two folders: choose those of the predictions and the truth")
        return Path(texts[0]).expanduser(), Path(texts[1]).expanduser()

    def options(self) -> Options:
        """Return how to compare."""
        return Options(
            thresholds=thresholds_from(round(self.iou.value(), 2)),
            categories=self.categories.currentData(),
            void=self.void.currentData(),
            coco=self.coco.isChecked(),
            boundary=self.boundary.isChecked(),
            poor_below=round(self.poor.value(), 2),
        )

    def disconnect_viewer(self) -> None:
        """Stop following the viewer."""
        self._viewer.layers.events.inserted.disconnect(self._suggest)
        for box in (self.predicted, self.truth):
            box.disconnect_viewer()


def _output(layer: napari.layers.Layer | None) -> str | None:
    """Which output of a result a layer shows; None if it is no result of ours."""
    link = None if layer is None else link_of(layer)
    return None if link is None else link.output


def _share(value: float) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(0.05, 1)
    box.setSingleStep(0.05)
    box.setValue(value)
    return box
