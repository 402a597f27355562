"""The folded part of the Segment form: intensities, sizes, tiles, device."""

from __future__ import annotations

from typing import Any

import napari.layers
import numpy as np
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QPushButton,
    QSpinBox,
    QWidget,
)

from ..ops.axes import Image
from ..ops.lapses import TIME
from ..ops.volumes import DEPTH
from ..segmenter import InputError
from ..settings import AS_TRAINED, AUTO, Settings
from .axes import layer_axes
from .axes_form import AxesForm
from .fields import Choice, RangeField
from .fold import Fold
from .form_rows import add_row, enable_option, new_form, show_row
from .layers import choose_level, image_from_layer
from .stack_form import StackForm
from .time_form import TimeForm

PERCENTILES, LAYER_LIMITS, FIXED_LIMITS = "percentiles", "layer", "fixed"
NATIVE, VALUE = "native", "value"
RGB_CHANNELS = ("Red", "Green", "Blue")
DIAMETER_TIP = (
    "What is done about the size of the objects.\n"
    "Native pixels: nothing; best if objects are as large (px) as those that the model knows.\n"
    "As trained (Detectron2): each tile is resized to the size of the pictures that the model\n"
    "was trained on, mostly 800 px on the short side; best for photographs.\n"
    "Measure, Value: the image is resized so that its objects get the size that the model knows."
)
FREE_TIP = (
    "The model of the last run is kept in memory, so that the next one starts at once.\n"
    "This frees it, on a GPU too; a later run loads the model again."
)
DEVICES = (
    ("Automatic", "auto"),
    ("CPU", "cpu"),
    ("NVIDIA GPU (CUDA)", "cuda"),
    ("Apple GPU (MPS)", "mps"),
)


class DetailsForm(Fold):
    """Fields with defaults that mostly do; folded at first.

    Attributes
    ----------
    axes : AxesForm
        What the layer's dimensions are: to be placed where it is seen.
    """

    def __init__(self) -> None:
        holder, form = QWidget(), new_form()
        holder.setLayout(form)
        super().__init__("More", holder)
        self._form = form
        self._defaults = Settings()
        self._layer: napari.layers.Image | None = None
        self._build_image_fields()
        self._build_intensity()
        self._build_diameter()
        self._build_tiles()
        self._build_device()

    def level(self) -> int:
        """Return the level of a multiscale layer to use, 0 is the finest."""
        layer, chosen = self._layer, self.level_choice.currentData()
        if layer is None or not layer.multiscale:
            return 0
        return choose_level(layer, layer_axes(layer).letters) if chosen is None else int(chosen)

    def image(self) -> Image:
        """Return the layer as an image.

        Raises
        ------
        InputError
            If there is no layer, or the axes do not fit.
        """
        if self._layer is None:
            raise InputError(
                "expected an image layer: open an image, or a sample from the File menu"
            )
        return image_from_layer(self._layer, level=self.level())

    def values(self) -> dict[str, Any]:
        """Return the fields of `Settings` that are chosen here.

        Raises
        ------
        InputError
            If they do not fit the layer.
        """
        channel = self.channel.currentData()
        mode = self.intensity.currentData()
        percentiles, limits = self._defaults.percentiles, None
        if mode == PERCENTILES:
            percentiles = self.percentiles.value()
        else:
            limits = (self._layer_limits() if mode == LAYER_LIMITS else self.limits.value(),)
        diameter = self.diameter.currentData()
        sizes = {NATIVE: None, VALUE: self.diameter_value.value()}
        return {
            "channels": None if channel is None else (int(channel),),
            "percentiles": percentiles,
            "limits": limits,
            "invert": self.invert.isChecked(),
            "diameter": sizes.get(diameter, diameter),
            "diameter_unit": str(self.diameter_unit.currentData()),
            "tile_size": self.tile_size.value(),
            "overlap": self.overlap.value(),
            "device": str(self.device.currentData()),
            "precision": str(self.precision.currentData()),
            **self.stack.values(),
            **self.time.values(),
        }

    def show_device(self, name: str) -> None:
        """Say which device "automatic" turned out to be."""
        if self.device.currentData() == "auto":
            self.device.setItemText(0, f"Automatic ({name})")

    def allow_freeing(self, allowed: bool) -> None:
        """Offer to free the memory of the model that is kept, if there is one."""
        self.free_button.setEnabled(allowed)

    def allow_as_trained(self, allowed: bool) -> None:
        """Offer "As trained" for models that know the pictures of their training."""
        enable_option(self.diameter, AS_TRAINED, allowed)
        if not allowed and self.diameter.currentData() == AS_TRAINED:
            self.diameter.choose(NATIVE)

    def show_layer(self, layer: napari.layers.Image | None) -> None:
        """Offer what a layer has: axes, levels, channels, contrast limits."""
        self._layer = layer
        self.axes.show_layer(layer)
        levels: list[tuple[str, object]] = [("Automatic", None)]
        if layer is not None:
            self.limits.set_value(*(float(value) for value in layer.contrast_limits))
            if layer.multiscale:
                shapes = [" × ".join(map(str, level.shape)) for level in layer.data]
                levels += [(f"{i}: {shape}", i) for i, shape in enumerate(shapes)]
        self.level_choice.set_options(levels)
        show_row(self._form, self.level_choice, len(levels) > 1)
        self._show_image()

    def _build_image_fields(self) -> None:
        self.axes = AxesForm()
        self.axes.changed.connect(self._show_image)
        self.level_choice = Choice()
        tip = "Resolution of a multiscale image"
        add_row(self._form, "Level", self.level_choice, tip)
        self.channel = Choice()
        add_row(self._form, "Channel", self.channel, "Show the model all channels, or one")
        self.stack = StackForm()
        self._form.addRow(self.stack)
        self.time = TimeForm()
        self._form.addRow(self.time)

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
        add_row(self._form, "Intensity", self.intensity, tip)
        self.percentiles = RangeField(*self._defaults.percentiles, (0, 100), 1)
        add_row(self._form, "", self.percentiles, "Share of the pixels at or below black and white")
        self.limits = RangeField(0, 255, (-1e9, 1e9), 3)
        add_row(self._form, "", self.limits, "Pixel values shown as black and as white")
        self.invert = QCheckBox("Invert")
        add_row(self._form, "", self.invert, "Swap dark and light before the model sees them")
        self.intensity.currentIndexChanged.connect(lambda _: self._show_intensity())
        self._show_intensity()

    def _build_diameter(self) -> None:
        modes = (
            ("Native pixels", NATIVE),
            ("As trained", AS_TRAINED),
            ("Measure (extra pass)", AUTO),
            ("Value", VALUE),
        )
        self.diameter = Choice(modes)
        add_row(self._form, "Diameter", self.diameter, DIAMETER_TIP)
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
        add_row(self._form, "", self.diameter_row, "µm needs a layer with scale and units")
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
        add_row(self._form, "Tile size", self.tile_size, tip)
        tip = "What neighbouring tiles share: at least the size of the largest objects"
        add_row(self._form, "Overlap", self.overlap, tip)

    def _build_device(self) -> None:
        self.device = Choice(DEVICES)
        tip = "Automatic takes a GPU if there is one; the one in use is named after a run"
        add_row(self._form, "Device", self.device, tip)
        self.precision = Choice((("Automatic", "auto"), ("Full (float32)", "float32")))
        tip = (
            "Numbers that the model computes with. Automatic takes half precision on NVIDIA GPUs\n"
            "that are faster with it; full is a little more exact, and the same on every device."
        )
        add_row(self._form, "Precision", self.precision, tip)
        self.free_button = QPushButton("Free memory")
        self.free_button.setEnabled(False)
        add_row(self._form, "", self.free_button, FREE_TIP)

    def _show_image(self) -> None:
        """Offer the channels of the image, and to link its planes along Z and T."""
        options: list[tuple[str, object]] = [("All", None)]
        axes = ""
        try:
            image = self.image()
        except InputError:
            pass
        else:
            axes = image.plane_axes
            names = RGB_CHANNELS if image.is_rgb else map(str, range(image.channel_count))
            if image.channel_count > 1:
                options += [(name, i) for i, name in enumerate(names)]
        self.channel.set_options(options)
        show_row(self._form, self.channel, len(options) > 1)
        self.stack.allow(DEPTH in axes)
        self.time.allow(TIME in axes)

    def _show_intensity(self) -> None:
        mode = self.intensity.currentData()
        show_row(self._form, self.percentiles, mode == PERCENTILES)
        show_row(self._form, self.limits, mode == FIXED_LIMITS)

    def _show_diameter(self) -> None:
        shown = self.diameter.currentData() == VALUE
        show_row(self._form, self.diameter_row, shown)

    def _layer_limits(self) -> tuple[float, float]:
        layer = self._layer
        if layer is None:
            raise InputError("expected an image layer to take contrast limits from")
        if layer.rgb:
            raise InputError(
                f"{layer.name!r} is a colour picture without contrast limits: choose percentiles "
                "or fixed limits"
            )
        low, high = (float(value) for value in np.asarray(layer.contrast_limits))
        return low, high
