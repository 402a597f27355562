"""The folded part of the forms for promptable models."""

from __future__ import annotations

from typing import Any

from ..settings import AUTO
from .details_form import NATIVE, VALUE, DetailsForm

#: The lowest value of a box, which Qt shows as a text.
TILE, OVERLAP = 0, 0
AUTOMATIC = "Automatic"
DIAMETER_TIP = (
    "What is done about the size of the objects.\n"
    "Automatic: where the model knows a size, the objects are measured in a few places first.\n"
    "Native pixels: nothing; objects that are too large for one picture are looked for at a\n"
    "coarser resolution.\n"
    "Value: the image is resized so that its objects get the size that the model knows."
)
TILE_TIP = (
    "Large images are cut into tiles of this size.\n"
    "Automatic takes the size of the pictures that the model was trained on."
)
OVERLAP_TIP = "What neighbouring tiles share; automatic is a quarter of the tile"


class PromptDetails(DetailsForm):
    """Fields with defaults that mostly do; tiles have the size that the model likes best."""

    def __init__(self) -> None:
        super().__init__()
        self.diameter.set_options([(AUTOMATIC, AUTO), ("Native pixels", NATIVE), ("Value", VALUE)])
        self.diameter.setToolTip(DIAMETER_TIP)
        for box, lowest, tip in (
            (self.tile_size, TILE, TILE_TIP),
            (self.overlap, OVERLAP, OVERLAP_TIP),
        ):
            box.setMinimum(lowest)
            box.setSpecialValueText(AUTOMATIC)
            box.setValue(lowest)
            box.setToolTip(tip)
        self.tile_size.valueChanged.connect(lambda _: self._show_overlap())
        self._show_overlap()

    def values(self) -> dict[str, Any]:
        """Return the fields of `Settings` that are chosen here; automatic ones are left out."""
        values = super().values()
        if values["tile_size"] == TILE:
            del values["tile_size"], values["overlap"]
        elif values["overlap"] == OVERLAP:
            values["overlap"] = values["tile_size"] // 4
        if values["diameter"] == AUTO:
            del values["diameter"]
        return values

    def _show_overlap(self) -> None:
        automatic = self.tile_size.value() == TILE
        self.overlap.setEnabled(not automatic)
        if automatic:
            self.overlap.setValue(OVERLAP)
