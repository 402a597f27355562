"""The form of the Segment dock: what to segment, with which model, and how."""

from __future__ import annotations

from typing import Any

import napari.layers
import napari.viewer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from ..models.entry import ModelEntry
from ..ops.axes import Image
from ..settings import OUTPUTS, Settings
from .details_form import DetailsForm
from .fields import LayerChoice, OutputBoxes, share_slider
from .form_rows import add_row, new_form
from .model_picker import ModelPicker
from .model_text import DETECTRON2, task

OUTPUT_TIPS = {
    "instances": "A number for each object",
    "semantic": "A number for each class",
    "panoptic": "Objects and background classes in one layer, in the colours of their classes",
}
#: What a model of a task can give, and why not the rest; every other one gives all.
GIVES = {
    "boxes": (("instances",), "This model finds boxes, not outlines"),
    "semantic": (("semantic", "panoptic"), "This model tells classes apart, not objects"),
}


class SegmentForm(QWidget):
    """Fields that make a `Settings`; it computes nothing.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    threshold_changed = Signal(float)
    #: Another model, or its files or packages have come or gone.
    model_changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._defaults = Settings()
        self._form = new_form()
        self.more = DetailsForm()
        self._build(viewer)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self._form)
        column.addWidget(self.more)
        self.layer_choice.layer_changed.connect(self._show_layer)
        self.model.changed.connect(self._show_model)
        self._show_layer()
        self._show_model()

    def layer(self) -> napari.layers.Image | None:
        """Return the chosen image layer."""
        return self.layer_choice.layer()

    def level(self) -> int:
        """Return the level of a multiscale layer to use, 0 is the finest."""
        return self.more.level()

    def image(self) -> Image:
        """Return the chosen layer as an image.

        Raises
        ------
        InputError
            If there is no layer, or the axes do not fit.
        """
        return self.more.image()

    def entry(self) -> ModelEntry:
        """Return the chosen model."""
        return self.model.entry()

    def settings(self) -> Settings:
        """Return the form's choices.

        Raises
        ------
        InputError
            If they do not fit together.
        """
        values: dict[str, Any] = self.more.values() | self.model.settings()
        return Settings(
            outputs=self._outputs.value(),
            score_threshold=round(self.threshold.value(), 3),
            **values,
        )

    def disconnect_viewer(self) -> None:
        """Stop following the viewer: to be called before the widget is deleted."""
        self.layer_choice.disconnect_viewer()
        self.more.axes.show_layer(None)

    def _build(self, viewer: napari.viewer.Viewer) -> None:
        self.layer_choice = LayerChoice(viewer)
        add_row(self._form, "Image", self.layer_choice, "The image layer to segment")
        self._form.addRow(self.more.axes)
        self.model = ModelPicker()
        add_row(self._form, "Model", self.model, "What finds the objects; click for the list")
        self._outputs = OutputBoxes(self._defaults.outputs)
        self.outputs = self._outputs.boxes
        add_row(self._form, "Outputs", self._outputs, "Each becomes a Labels layer")
        self.threshold = share_slider(self._defaults.score_threshold)
        self.threshold.valueChanged.connect(self.threshold_changed)
        tip = (
            "Objects with a lower score are left out.\n"
            "Move it after a run, too: the result follows at once."
        )
        add_row(self._form, "Min. score", self.threshold, tip)

    def _show_layer(self) -> None:
        self.more.show_layer(self.layer())

    def _show_model(self) -> None:
        """Offer what the chosen model can do."""
        entry = self.entry()
        offer_outputs(self._outputs, entry)
        self.more.allow_as_trained(DETECTRON2 in entry.requires)
        self.model_changed.emit()


def offer_outputs(outputs: OutputBoxes, entry: ModelEntry) -> None:
    """Offer what a model can give, and say why not the rest."""
    given, reason = GIVES.get(task(entry), (OUTPUTS, ""))
    for name, box in outputs.boxes.items():
        box.setEnabled(name in given)
        box.setToolTip(OUTPUT_TIPS[name] if name in given else reason)
