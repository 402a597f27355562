"""The form of the Batch dock: which images, with which model and settings, and where to."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import napari.layers
import numpy as np
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget
from superqt.utils import qdebounced

from ..api import recipe_settings
from ..batch.jobs import REPLACE, SKIP
from ..batch.record import RECORD, Record
from ..io.images import IMAGE_SUFFIXES
from ..io.records import read_recipe
from ..models.entry import ModelEntry
from ..models.registry import find
from ..ops.axes import Image
from ..segmenter import InputError, ModelError
from ..settings import TIFF, ZARR, Settings
from .details_form import LAYER_LIMITS, DetailsForm
from .fields import Choice, OutputBoxes, share_slider
from .form_rows import add_row, enable_option, new_form, show_row, text_label
from .model_picker import ModelPicker
from .model_text import DETECTRON2
from .path_fields import FileField, FolderField
from .results import world_of
from .segment_form import offer_outputs

KINDS = f"Images ({' '.join('*' + suffix for suffix in IMAGE_SUFFIXES)});;All files (*)"
RECIPES = "Recipes (*.json);;All files (*)"
RECIPE_TIP = (
    "The recipe.json of an earlier run: model and all settings are taken from it.\n"
    "Empty: as chosen here."
)
OUTPUT_TIP = (
    "Gets label images, table, recipe and status of each image, and all-segments.csv with the\n"
    "objects of all images"
)
#: Of the layer that stands for an image, px: what counts are its axes.
SAMPLE_SIZE = 8
AXES_TIP = (
    "One letter for each dimension of the images, such as ZYX, TCYX or YXS (S: RGB samples);\n"
    "empty: what each file says, else a guess"
)
EXISTING_TIP = "What is done about images that have results in the folder"


class BatchForm(QWidget):
    """Fields that say what is to be done; it computes nothing."""

    #: Other images, or another folder, outputs or format.
    changed = Signal()
    #: Another model, or its files or packages have come or gone.
    model_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._texts: list[str] = []
        self._defaults = Settings()
        self._form = new_form()
        self.more = DetailsForm()
        #: An image like those that are to be segmented.
        self._sample: Image | None = None
        # Each image has its own: there is no layer whose limits would do for all.
        enable_option(self.more.intensity, LAYER_LIMITS, False)
        self._build_images()
        self._build_how()
        self._build_where()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self._form)
        column.addWidget(self.more)
        self.model.changed.connect(self._show_model)
        self._show_model()
        self._show_recipe()

    # What it says.

    def texts(self) -> list[str]:
        """Return files, folders and patterns, as `expand` takes them."""
        return list(self._texts)

    def output(self) -> Path | None:
        """Return the folder for the results, None if it is not chosen yet."""
        text = self.folder.value()
        return Path(text).expanduser() if text else None

    def outputs(self) -> tuple[str, ...]:
        """Return what becomes a label image of each image.

        Raises
        ------
        InputError
            If the recipe cannot be used.
        """
        return self.settings().outputs if self._recipe() else self._outputs.value()

    def format(self) -> str | None:
        """Return the format of label images, None for what suits each image."""
        chosen = self.format_choice.currentData()
        return None if chosen is None else str(chosen)

    def existing(self) -> str:
        """Return what is done about results that are there: see `plan`."""
        return str(self.existing_choice.currentData())

    def axes(self) -> str | None:
        """Return the axes of all images, None for what their files say."""
        return self.axes_text.text().strip().upper() or None

    def settings(self) -> Settings:
        """Return the choices, or those of the recipe.

        Raises
        ------
        InputError
            If they do not fit together, or the recipe cannot be used.
        """
        if recipe := self._recipe():
            return Settings.from_json(recipe_settings(read_recipe(recipe)))
        values: dict[str, Any] = self.more.values() | self.model.settings()
        score = round(self.threshold.value(), 3)
        return Settings(outputs=self._outputs.value(), score_threshold=score, **values)

    def entries(self) -> tuple[ModelEntry, ...]:
        """Return the chosen model, if it is known."""
        if not self._recipe():
            return (self.model.entry(),)
        try:
            settings = self.settings()
            return (find(settings.model, settings.weights, settings.categories),)
        except (InputError, ModelError):
            return ()

    def layer(self) -> None:
        """Return no layer: images come from files."""

    def disconnect_viewer(self) -> None:
        """Nothing here follows the viewer."""

    # What it is told.

    def add(self, texts: Sequence[str]) -> None:
        """Add files, folders (with all folders in them) and patterns."""
        new = [text for text in texts if text not in self._texts]
        if new:
            self.set_texts([*self._texts, *new])

    def set_texts(self, texts: Sequence[str]) -> None:
        """Have these files, folders and patterns."""
        self._texts = list(texts)
        self.clear_button.setEnabled(bool(texts))
        self.changed.emit()

    def go_on_with(self, record: Record) -> None:
        """Take up what was begun in the output folder, with the same settings."""
        output = self.output()
        if output is None:
            return
        with QSignalBlocker(self):
            self.recipe.path.setText(str(output / RECORD))
            self.axes_text.setText(record.axes or "")
            self.format_choice.choose(record.format)
            self.existing_choice.choose(SKIP)
        self.set_texts([str(path) for path in record.paths])

    def _show_axes(self) -> None:
        if self._sample is not None:
            axes = self.axes() or self._sample.axes
            with suppress(InputError):
                self._offer(replace(self._sample, axes=axes))
        self._tell_soon()

    def show_sample(self, image: Image | None) -> None:
        """Offer what images like this one have: channels, planes along Z, axes."""
        self._sample = image
        self._offer(image)

    def _offer(self, image: Image | None) -> None:
        if image is None:
            self.more.show_layer(None)
            self.more.axes.hide()
            return
        # The form asks layers; this one has few pixels, all alike, and is never shown.
        dtype = np.dtype(image.data.dtype)
        shape = [
            size if axis in "CS" else min(size, SAMPLE_SIZE)
            for axis, size in zip(image.axes, image.data.shape, strict=True)
        ]
        top = float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0
        layer = napari.layers.Image(
            np.zeros(shape, dtype),
            rgb=image.is_rgb,
            contrast_limits=(0.0, top),
            **world_of(image.axes.replace("S", ""), image.spacing),
        )
        self.more.show_layer(layer)
        self.more.axes.hide()

    # How it is made.

    def _build_images(self) -> None:
        self.files_button = QPushButton("Files…")
        self.files_button.clicked.connect(self._ask_files)
        self.folder_button = QPushButton("Folder…")
        self.folder_button.clicked.connect(self._ask_folder)
        self.clear_button = QPushButton("Clear")
        self.clear_button.clicked.connect(lambda: self.set_texts([]))
        self.clear_button.setEnabled(False)
        buttons = QWidget()
        line = QHBoxLayout(buttons)
        line.setContentsMargins(0, 0, 0, 0)
        for button in (self.files_button, self.folder_button, self.clear_button):
            line.addWidget(button, 1)
        tip = "What to segment; a folder with all folders in it. Or drop files and folders here"
        add_row(self._form, "Images", buttons, tip)
        self.axes_text = QLineEdit()
        self.axes_text.setPlaceholderText("as the files say")
        self.axes_text.textChanged.connect(lambda _: self._show_axes())
        add_row(self._form, "Axes", self.axes_text, AXES_TIP)

    def _build_how(self) -> None:
        self.recipe = FileField("Open recipe", RECIPES, "none: as chosen here")
        add_row(self._form, "Recipe", self.recipe, RECIPE_TIP)
        self.recipe_text = text_label()
        add_row(self._form, "", self.recipe_text, RECIPE_TIP)
        self.recipe.path.textChanged.connect(lambda _: self._show_recipe())
        self.model = ModelPicker()
        add_row(self._form, "Model", self.model, "What finds the objects; click for the list")
        self._outputs = OutputBoxes(self._defaults.outputs)
        self.output_boxes = self._outputs.boxes
        for box in self.output_boxes.values():
            box.toggled.connect(lambda _: self.changed.emit())
        add_row(self._form, "Outputs", self._outputs, "Each becomes a label image")
        self.threshold = share_slider(self._defaults.score_threshold)
        add_row(self._form, "Min. score", self.threshold, "Objects with less are left out")

    def _build_where(self) -> None:
        self.folder = FolderField("Folder for the results", "folder")
        self.folder.path.textChanged.connect(lambda _: self._tell_soon())
        add_row(self._form, "Results in", self.folder, OUTPUT_TIP)
        formats = (("As the image", None), ("TIFF", TIFF), ("OME-Zarr", ZARR))
        self.format_choice = Choice(formats)
        add_row(self._form, "Format", self.format_choice, "Of label images")
        ways = (("Keep them, do the rest", SKIP), ("Do all again", REPLACE))
        self.existing_choice = Choice(ways)
        add_row(self._form, "If there", self.existing_choice, EXISTING_TIP)
        for choice in (self.format_choice, self.existing_choice):
            choice.currentIndexChanged.connect(lambda _: self.changed.emit())

    def _recipe(self) -> str:
        return self.recipe.value()

    def _show_recipe(self) -> None:
        """With a recipe, there is nothing else to choose."""
        given = bool(self._recipe())
        for field in (self.model, self._outputs, self.threshold):
            show_row(self._form, field, not given)
        self.more.setVisible(not given)
        show_row(self._form, self.recipe_text, given)
        if given:
            self.recipe_text.setText(self._describe_recipe())
        self.model_changed.emit()
        self._tell_soon()

    @qdebounced(timeout=250)
    def _tell_soon(self) -> None:
        """Wait until a path is typed to its end."""
        self.changed.emit()

    def _describe_recipe(self) -> str:
        try:
            settings = self.settings()
        except InputError as error:
            return f"⚠ {error}"
        return f"{settings.model}, min. score {settings.score_threshold:g}: all as in the recipe"

    def _show_model(self) -> None:
        """Offer what the chosen model can do."""
        entry = self.model.entry()
        offer_outputs(self._outputs, entry)
        self.more.allow_as_trained(DETECTRON2 in entry.requires)
        self.model_changed.emit()

    def _ask_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Add images", "", KINDS)
        self.add(paths)

    def _ask_folder(self) -> None:
        if path := QFileDialog.getExistingDirectory(self, "Add a folder"):
            self.add([path])
