"""The form of the Segment dock: what to segment, with which model, and how."""

from __future__ import annotations

import napari.layers
import napari.viewer
import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible, QLabeledDoubleSlider

from ..ops.axes import Image
from ..segmenter import InputError
from ..settings import OUTPUTS, Settings
from .fields import Choice, LayerChoice, ModelChoice, RangeField
from .layers import choose_level, image_from_layer, layer_axes

LABEL_WIDTH = 74
PERCENTILES, LAYER_LIMITS, FIXED_LIMITS = "percentiles", "layer", "fixed"
NATIVE, AUTO, VALUE = "native", "auto", "value"
RGB_CHANNELS = ("Red", "Green", "Blue")
OUTPUT_TIPS = {
    "instances": "A number for each object",
    "semantic": "A number for each class",
    "panoptic": "Objects and background classes in one layer, in the colours of their classes",
}


class SegmentForm(QWidget):
    """Fields that make a `Settings`; it computes nothing.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    threshold_changed = Signal(float)

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._defaults = Settings()
        self._build_main(viewer)
        self._build_more()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self._main)
        column.addWidget(self.more)
        self.layer_choice.layer_changed.connect(self._show_layer)
        self._show_layer()

    def layer(self) -> napari.layers.Image | None:
        """Return the chosen image layer."""
        return self.layer_choice.layer()

    def level(self) -> int:
        """Return the level of a multiscale layer to use, 0 is the finest."""
        layer, chosen = self.layer(), self.level_choice.currentData()
        if layer is None or not layer.multiscale:
            return 0
        return choose_level(layer, layer_axes(layer)) if chosen is None else int(chosen)

    def image(self) -> Image:
        """Return the chosen layer as an image.

        Raises
        ------
        InputError
            If there is no layer, or the axes do not fit.
        """
        layer = self.layer()
        if layer is None:
            raise InputError(
                "expected an image layer: open an image, or a sample from the File menu"
            )
        return image_from_layer(layer, axes=self.axes.text() or None, level=self.level())

    def settings(self) -> Settings:
        """Return the form's choices.

        Raises
        ------
        InputError
            If they do not fit together.
        """
        channel = self.channel.currentData()
        mode = self.intensity.currentData()
        percentiles, limits = self._defaults.percentiles, None
        if mode == PERCENTILES:
            percentiles = self.percentiles.value()
        else:
            limits = (self._layer_limits() if mode == LAYER_LIMITS else self.limits.value(),)
        diameter = {NATIVE: None, AUTO: AUTO, VALUE: self.diameter_value.value()}
        return Settings(
            model=self.model.name(),
            outputs=tuple(name for name in OUTPUTS if self.outputs[name].isChecked()),
            score_threshold=round(self.threshold.value(), 3),
            channels=None if channel is None else (int(channel),),
            percentiles=percentiles,
            limits=limits,
            invert=self.invert.isChecked(),
            diameter=diameter[self.diameter.currentData()],
            diameter_unit=str(self.diameter_unit.currentData()),
            tile_size=self.tile_size.value(),
            overlap=self.overlap.value(),
            device=str(self.device.currentData()),
        )

    def show_device(self, name: str) -> None:
        """Say which device "automatic" turned out to be."""
        if self.device.currentData() == "auto":
            self.device.setItemText(0, f"Automatic ({name})")

    def _build_main(self, viewer: napari.viewer.Viewer) -> None:
        self._main = _form()
        self.layer_choice = LayerChoice(viewer)
        _row(self._main, "Image", self.layer_choice, "The image layer to segment")
        self.model = ModelChoice()
        _row(self._main, "Model", self.model, "What finds the objects; point at one to read more")
        boxes = QWidget()
        # One below the other: side by side they would not fit a dock of 320 px.
        stack = QVBoxLayout(boxes)
        stack.setContentsMargins(0, 2, 0, 2)
        stack.setSpacing(3)
        self.outputs = {name: QCheckBox(name.capitalize()) for name in OUTPUTS}
        for name, box in self.outputs.items():
            box.setChecked(name in self._defaults.outputs)
            box.setToolTip(OUTPUT_TIPS[name])
            stack.addWidget(box)
        _row(self._main, "Outputs", boxes, "Each becomes a Labels layer")
        self.threshold = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.threshold.setRange(0, 1)
        # The annotations say int, for the slider of whole numbers.
        self.threshold.setSingleStep(0.01)  # type: ignore[arg-type]
        self.threshold.setPageStep(0.05)  # type: ignore[arg-type]
        self.threshold.setDecimals(2)
        self.threshold.setValue(self._defaults.score_threshold)
        self.threshold.valueChanged.connect(self.threshold_changed)
        tip = (
            "Objects with a lower score are left out.\n"
            "Move it after a run, too: the result follows at once."
        )
        _row(self._main, "Min. score", self.threshold, tip)

    def _build_more(self) -> None:
        # The arrow is text: an icon would be drawn in Qt's colour, black on napari's dark.
        self.more = QCollapsible("▸ More", expandedIcon=QIcon(), collapsedIcon=QIcon())
        self.more.toggled.connect(lambda open_: self.more.setText("▾ More" if open_ else "▸ More"))
        self.more.setDuration(0)
        # napari paints checked buttons in its highlight colour; this one is a heading.
        self.more.toggleButton().setStyleSheet(
            "text-align: left; border: none; background: transparent; padding: 2px 0px;"
        )
        holder = QWidget()
        self._details = _form()
        holder.setLayout(self._details)
        self.more.addWidget(holder)
        outer = self.more.layout()
        if outer is not None:
            outer.setContentsMargins(0, 0, 0, 0)
        content = self.more.content().layout()
        if content is not None:
            content.setContentsMargins(0, 0, 0, 0)
        self._build_image_fields()
        self._build_intensity()
        self._build_diameter()
        self._build_tiles()
        devices = (
            ("Automatic", "auto"),
            ("CPU", "cpu"),
            ("NVIDIA GPU (CUDA)", "cuda"),
            ("Apple GPU (MPS)", "mps"),
        )
        self.device = Choice(devices)
        tip = "Automatic takes a GPU if there is one; the one in use is named after a run"
        _row(self._details, "Device", self.device, tip)

    def _build_image_fields(self) -> None:
        self.axes = QLineEdit()
        tip = (
            "One letter for each dimension: Y and X, Z for depth, T for time, C for channels.\n"
            "Empty: as the layer's axis labels say, or the usual order."
        )
        _row(self._details, "Axes", self.axes, tip)
        self.axes.textChanged.connect(lambda _: self._show_channels())
        self.level_choice = Choice()
        tip = "Resolution of a multiscale image"
        _row(self._details, "Level", self.level_choice, tip)
        self.channel = Choice()
        _row(self._details, "Channel", self.channel, "Show the model all channels, or one")

    def _build_intensity(self) -> None:
        modes = (
            ("Percentiles (%)", PERCENTILES),
            ("Layer's contrast limits", LAYER_LIMITS),
            ("Fixed limits", FIXED_LIMITS),
        )
        self.intensity = Choice(modes)
        tip = (
            "Which pixel values the model sees as black and as white.\n"
            "It is the same for the whole image, never per tile."
        )
        _row(self._details, "Intensity", self.intensity, tip)
        self.percentiles = RangeField(*self._defaults.percentiles, (0, 100), 1)
        _row(self._details, "", self.percentiles, "Share of the pixels at or below black and white")
        self.limits = RangeField(0, 255, (-1e9, 1e9), 3)
        _row(self._details, "", self.limits, "Pixel values shown as black and as white")
        self.invert = QCheckBox("Invert")
        _row(self._details, "", self.invert, "Swap dark and light before the model sees them")
        self.intensity.currentIndexChanged.connect(lambda _: self._show_intensity())
        self._show_intensity()

    def _build_diameter(self) -> None:
        modes = (("Native pixels", NATIVE), ("Measure (extra pass)", AUTO), ("Value", VALUE))
        self.diameter = Choice(modes)
        tip = (
            "Typical diameter of the objects. The image is resized to the size the model knows.\n"
            "Native leaves the pixels as they are."
        )
        _row(self._details, "Diameter", self.diameter, tip)
        self.diameter_row = QWidget()
        line = QHBoxLayout(self.diameter_row)
        line.setContentsMargins(0, 0, 0, 0)
        self.diameter_value = QDoubleSpinBox()
        self.diameter_value.setRange(0.01, 10_000)
        self.diameter_value.setValue(20)
        self.diameter_unit = Choice((("px", "px"), ("µm", "um")))
        self.diameter_unit.setMinimumContentsLength(3)
        line.addWidget(self.diameter_value, 2)
        line.addWidget(self.diameter_unit, 1)
        _row(self._details, "", self.diameter_row, "µm needs a layer with scale and units")
        self.diameter.currentIndexChanged.connect(lambda _: self._show_diameter())
        self._show_diameter()

    def _build_tiles(self) -> None:
        self.tile_size, self.overlap = QSpinBox(), QSpinBox()
        self.tile_size.setRange(64, 8192)
        self.tile_size.setSingleStep(128)
        self.tile_size.setValue(self._defaults.tile_size)
        self.overlap.setRange(0, self._defaults.tile_size // 2)
        self.overlap.setSingleStep(16)
        self.overlap.setValue(self._defaults.overlap)
        for box in (self.tile_size, self.overlap):
            box.setSuffix(" px")
        self.tile_size.valueChanged.connect(lambda size: self.overlap.setMaximum(size // 2))
        tip = "Large images are cut into tiles of this size; smaller ones need less memory"
        _row(self._details, "Tile size", self.tile_size, tip)
        tip = "What neighbouring tiles share: at least the size of the largest objects"
        _row(self._details, "Overlap", self.overlap, tip)

    def _show_layer(self) -> None:
        """Offer what the chosen layer has: axes, levels, channels, contrast limits."""
        layer = self.layer()
        self.axes.clear()
        levels: list[tuple[str, object]] = [("Automatic", None)]
        if layer is not None:
            self.limits.set_value(*(float(value) for value in layer.contrast_limits))
            try:
                self.axes.setPlaceholderText(layer_axes(layer))
            except InputError:
                self.axes.setPlaceholderText("name them, such as TCZYX")
            if layer.multiscale:
                shapes = [" × ".join(map(str, level.shape)) for level in layer.data]
                levels += [(f"{i}: {shape}", i) for i, shape in enumerate(shapes)]
        self.level_choice.set_options(levels)
        _set_row_visible(self._details, self.level_choice, len(levels) > 1)
        self._show_channels()

    def _show_channels(self) -> None:
        options: list[tuple[str, object]] = [("All", None)]
        try:
            image = self.image()
        except InputError:
            pass
        else:
            names = RGB_CHANNELS if image.is_rgb else map(str, range(image.channel_count))
            if image.channel_count > 1:
                options += [(name, i) for i, name in enumerate(names)]
        self.channel.set_options(options)
        _set_row_visible(self._details, self.channel, len(options) > 1)

    def _show_intensity(self) -> None:
        mode = self.intensity.currentData()
        _set_row_visible(self._details, self.percentiles, mode == PERCENTILES)
        _set_row_visible(self._details, self.limits, mode == FIXED_LIMITS)

    def _show_diameter(self) -> None:
        shown = self.diameter.currentData() == VALUE
        _set_row_visible(self._details, self.diameter_row, shown)

    def _layer_limits(self) -> tuple[float, float]:
        layer = self.layer()
        if layer is None:
            raise InputError("expected an image layer to take contrast limits from")
        if layer.rgb:
            raise InputError(
                f"{layer.name!r} is a colour picture without contrast limits: choose percentiles "
                "or fixed limits"
            )
        low, high = (float(value) for value in np.asarray(layer.contrast_limits))
        return low, high


def _form() -> QFormLayout:
    form = QFormLayout()
    form.setContentsMargins(0, 0, 0, 0)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    form.setHorizontalSpacing(8)
    form.setVerticalSpacing(6)
    return form


def _row(form: QFormLayout, text: str, field: QWidget, tip: str) -> None:
    # All labels have one width, so that the two forms of the dock line up.
    label = QLabel(text)
    label.setFixedWidth(LABEL_WIDTH)
    for widget in (label, field):
        widget.setToolTip(tip)
    form.addRow(label, field)


def _set_row_visible(form: QFormLayout, field: QWidget, visible: bool) -> None:
    label = form.labelForField(field)
    if label is not None:
        label.setVisible(visible)
    field.setVisible(visible)
