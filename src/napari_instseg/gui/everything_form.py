"""The form of the Segment everything dock: what to segment, with which model, asked where."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import napari.layers
import napari.viewer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QSpinBox, QVBoxLayout, QWidget

from ..models import registry
from ..models.entry import ModelEntry
from ..ops.axes import Image
from ..prompting.everything_settings import EXACT, FAST, KEPT, EverythingSettings
from ..prompting.refine_settings import BOX, BOX_AND_POINT, MASK, RefineSettings
from ..segmenter import InputError
from ..settings import Settings
from .everything_worker import Detector, Source
from .fields import Choice, LayerChoice, OutputBoxes
from .form_rows import add_row, new_form, show_row
from .layers import current_plane, visible_part
from .limits_form import DETECTOR, GRID, LAYER, LimitsForm
from .links import link_of
from .model_picker import ModelPicker, prompter_picker
from .prompt_details import PromptDetails
from .prompt_layers import KINDS, Part, read_layer, rectangle

PLANE, ALL, VIEW = "plane", "all", "view"
SOURCES = (("Grid of points", GRID), ("Detector's boxes", DETECTOR), ("Layer", LAYER))
SOURCE_TIP = (
    "Where the model is asked.\n"
    "Grid of points: all over, for every object that there is.\n"
    "Detector's boxes: another model finds the objects, this one draws their outlines; they keep\n"
    "class and score.\n"
    "Layer: the objects of a Labels, Points or Shapes layer are drawn anew."
)
MODE_TIP = (
    "Fast asks at few points first, then only where no good mask lies yet.\n"
    "Exact asks at every point of the grid, as Segment Anything does."
)
POINTS_TIP = "Points of the grid along each side of a picture: more find smaller objects"
LAYER_TIP = "The objects to draw anew: labels, points (one each), or boxes around shapes"
ASK_TIP = (
    "What of an object the model is shown: its box, its box and the point deepest inside it, or\n"
    "its mask."
)
REGION_TIP = "The part of the image to segment; a shape in a Shapes layer can mark it, too"


class EverythingForm(QWidget):
    """Fields that say what a run is to do; it computes nothing.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    #: Another model, or its files or packages have come or gone.
    model_changed = Signal()
    #: Another image layer.
    layer_changed = Signal()
    #: Prompts come from elsewhere.
    source_changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._form = new_form()
        self.more = PromptDetails()
        self.limits = LimitsForm()
        self._build()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self._form)
        column.addWidget(self.more)
        self.layer_choice.layer_changed.connect(self._show_layer)
        events = viewer.layers.events
        self._events = (events.inserted, events.removed, events.renamed)
        for event in self._events:
            event.connect(self._show_regions)
        self.more.axes.changed.connect(self._show_regions)
        self.source.currentIndexChanged.connect(lambda _: self._show_source())
        for picker in (self.model, self.detector):
            picker.changed.connect(self.model_changed)
        self.model.changed.connect(self._show_limits)
        self._preselect()
        self._show_layer()
        self._show_limits()
        self._show_source()

    def layer(self) -> napari.layers.Image | None:
        """Return the chosen image layer."""
        return self.layer_choice.layer()

    def image(self) -> Image:
        """Return the chosen layer as an image.

        Raises
        ------
        InputError
            If there is no layer, or the axes do not fit.
        """
        return self.more.image()

    def entries(self) -> tuple[ModelEntry, ...]:
        """Return the models that a run needs."""
        own = self.model.entry()
        return (self.detector.entry(), own) if self.kind() == DETECTOR else (own,)

    def kind(self) -> str:
        """Where prompts come from: "grid", "detector" or "layer"."""
        return str(self.source.currentData())

    def part(self, image: Image) -> tuple[tuple[int, ...] | None, tuple[slice, slice] | None]:
        """Return the plane to segment, None for all, and the region, None for all.

        Raises
        ------
        InputError
            If there is nothing to see there.
        """
        layer, region = self.layer(), self.region.currentData()
        if layer is None:
            raise InputError("expected an image layer")
        if region == VIEW:
            return visible_part(self._viewer, layer, image)
        if region == PLANE:
            return current_plane(self._viewer, layer, image), None
        if region == ALL:
            return None, None
        shapes = next(x for x in self._viewer.layers if x.unique_id == region)
        return rectangle(self._viewer, layer, image, shapes)

    def settings(self) -> Settings:
        """Return what names the promptable model, and the outputs.

        Raises
        ------
        InputError
            If choices do not fit together.
        """
        name, outputs = self.model.settings()["model"], self.outputs.value()
        return Settings(model=str(name), outputs=outputs, **self.more.values())

    def prompts(
        self,
        image: Image,
        plane: tuple[int, ...] | None,
        region: tuple[slice, slice] | None,
    ) -> Source:
        """Return where the prompts come from.

        Raises
        ------
        InputError
            If choices do not fit together, or the layer has nothing there.
        """
        if self.kind() == GRID:
            limits = self.limits.value()
            return EverythingSettings(
                points_per_side=self.points.value(),
                mode=str(self.mode.currentData()),
                min_predicted_iou=limits.predicted_iou,
                min_stability=limits.stability,
                keep_predicted_iou=max(0.0, limits.predicted_iou - KEPT),
                keep_stability=max(0.0, limits.stability - KEPT),
                nms=limits.nms,
            )
        if self.kind() == DETECTOR:
            values = self.more.values() | self.detector.settings()
            score = self.limits.value().score
            return Detector(Settings(score_threshold=score, **_for_detector(values)))
        layer = self.layer()
        if layer is None:
            raise InputError("expected an image layer")
        height, width = image.label_shape[-2:]
        part = Part(
            tuple(image.planes()) if plane is None else (plane,),
            region or (slice(0, height), slice(0, width)),
        )
        return read_layer(self._viewer, layer, image, self.objects.layer(), part)

    def refine_settings(self) -> RefineSettings:
        """Return how objects become prompts."""
        return RefineSettings(
            prompt=str(self.ask.currentData()),
            min_predicted_iou=self.limits.value().predicted_iou,
        )

    def disconnect_viewer(self) -> None:
        """Stop following the viewer: to be called before the widget is deleted."""
        for choice in (self.layer_choice, self.objects):
            choice.disconnect_viewer()
        self.more.axes.show_layer(None)
        for event in self._events:
            event.disconnect(self._show_regions)

    def _build(self) -> None:
        form, viewer = self._form, self._viewer
        defaults = EverythingSettings()
        self.layer_choice = LayerChoice(viewer)
        add_row(form, "Image", self.layer_choice, "The image layer to segment")
        form.addRow(self.more.axes)
        self.model = prompter_picker()
        add_row(form, "Model", self.model, "What draws the objects; click for the list")
        self.source = Choice(SOURCES)
        add_row(form, "Prompts", self.source, SOURCE_TIP)
        self.mode = Choice((("Fast", FAST), ("Exact", EXACT)))
        self.mode.choose(defaults.mode)
        add_row(form, "Mode", self.mode, MODE_TIP)
        self.points = QSpinBox()
        self.points.setRange(1, 256)
        self.points.setValue(defaults.points_per_side)
        self.points.setSuffix(" a side")
        add_row(form, "Points", self.points, POINTS_TIP)
        self.detector = ModelPicker(_detectors)
        add_row(form, "Detector", self.detector, "What finds the objects; click for the list")
        self.objects = LayerChoice(viewer, KINDS)
        add_row(form, "Layer", self.objects, LAYER_TIP)
        self.ask = Choice((("Box", BOX), ("Box and point", BOX_AND_POINT), ("Mask", MASK)))
        add_row(form, "Ask with", self.ask, ASK_TIP)
        self.region = Choice()
        add_row(form, "Region", self.region, REGION_TIP)
        self.outputs = OutputBoxes(("instances",))
        add_row(form, "Outputs", self.outputs, "Each becomes a Labels layer")

    def _preselect(self) -> None:
        """Offer to refine the result that is selected, if one is."""
        active = self._viewer.layers.selection.active
        link = None if active is None else link_of(active)
        if link is not None and isinstance(active, KINDS):
            self.layer_choice.choose(link.source)
            self.source.choose(LAYER)

    def _show_layer(self) -> None:
        self.more.show_layer(self.layer())
        self._show_regions()
        self.layer_changed.emit()

    def _show_regions(self, event: object = None) -> None:
        """Offer what the image has: planes, the view, and shapes drawn by the user."""
        try:
            stack = bool(self.image().plane_axes)
        except InputError:
            stack = False
        options: list[tuple[str, Hashable]] = [("Whole image", PLANE)]
        if stack:
            options = [("This plane", PLANE), ("All planes", ALL)]
        options.append(("View", VIEW))
        options += [
            (f"Shape in “{layer.name}”", layer.unique_id)
            for layer in reversed(self._viewer.layers)
            if isinstance(layer, napari.layers.Shapes) and link_of(layer) is None
        ]
        self.region.set_options(options)

    def _show_limits(self) -> None:
        habits = self.model.entry().habits
        self.limits.show_model(habits)
        self.points.setValue(habits.points_per_side)

    def _show_source(self) -> None:
        kind = self.kind()
        for field, shown in (
            (self.mode, kind == GRID),
            (self.points, kind == GRID),
            (self.detector, kind == DETECTOR),
            (self.objects, kind == LAYER),
            (self.ask, kind != GRID),
        ):
            show_row(self._form, field, shown)
        self.limits.show_source(kind)
        self.source_changed.emit()
        self.model_changed.emit()


def _detectors() -> tuple[ModelEntry, ...]:
    """Models that find objects, with outlines or without."""
    return tuple(e for e in registry.segmenters() if {"instances", "boxes"} & set(e.outputs))


def _for_detector(values: dict[str, Any]) -> dict[str, Any]:
    """Tiles are the detector's own: those of the promptable model are often too small for it."""
    return {k: v for k, v in values.items() if k not in ("tile_size", "overlap")}
