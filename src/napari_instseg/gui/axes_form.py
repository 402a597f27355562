"""Fields that say what the dimensions of an image are, and show how that is known."""

from __future__ import annotations

import napari.layers
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ..ops.axis_names import GUESSED, MEANINGS, NamedAxes, free_letter, meaning
from .axes import choose_axis, layer_axes
from .fields import Choice
from .form_rows import LABEL_WIDTH, add_row, new_form, show_row, text_label
from .geometry import level_shape

AXIS_TIP = (
    "What this dimension of the image is.\n"
    "z-stack: planes of one volume, whose objects can be linked to 3-D ones.\n"
    "time-lapse, separate images: planes of their own.\n"
    "channels: seen together, or one of them: see “Channel” under “More”.\n"
    "It is remembered for this layer."
)


class AxesForm(QWidget):
    """A choice for each dimension of a layer but rows and columns; hidden if there is none."""

    #: A dimension means something else.
    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._layer: napari.layers.Image | None = None
        self._named = NamedAxes("")
        self._form, self.source = new_form(), text_label()
        self.source.setIndent(LABEL_WIDTH + self._form.horizontalSpacing())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(self._form)
        column.addWidget(self.source)
        #: What each dimension is; those of rows and columns are hidden.
        self.choices: list[Choice] = []
        self._sizes: list[QLabel] = []
        self._rows: list[QWidget] = []
        self.show_layer(None)

    def show_layer(self, layer: napari.layers.Image | None) -> None:
        """Show what the dimensions of a layer are, and follow what is said of them elsewhere."""
        if self._layer is not None:
            for event in (self._layer.events.metadata, self._layer.events.axis_labels):
                event.disconnect(self._follow)
        self._layer = layer
        if layer is not None:
            for event in (layer.events.metadata, layer.events.axis_labels):
                event.connect(self._follow)
        self._show()

    def _follow(self, event: object = None) -> None:
        before = self._named
        self._show()
        if self._named != before:
            self.changed.emit()

    def _choose(self, dimension: int) -> None:
        """Remember what the user chose; the layer tells all that follow it."""
        if self._layer is not None:
            choose_axis(self._layer, dimension, str(self.choices[dimension].currentData()))

    def _show(self) -> None:
        layer = self._layer
        self._named = NamedAxes("") if layer is None else layer_axes(layer)
        letters = self._named.letters.removesuffix("S")
        for _ in range(len(self._rows), len(letters)):
            self._add()
        sizes = () if layer is None else level_shape(layer, 0)
        for i, row in enumerate(self._rows):
            shown = i < len(letters) and letters[i] not in "YX"
            show_row(self._form, row, shown)
            if shown:
                self._sizes[i].setText(f"× {sizes[i]}")
                self.choices[i].set_options(self._options(letters[i]))
                self.choices[i].choose(letters[i])
        planes = [letter for letter in letters if letter not in "YX"]
        self.source.setText(_known_from(self._named, planes))
        self.setVisible(bool(planes))

    def _add(self) -> None:
        dimension = len(self._rows)
        choice, size, row = Choice(), QLabel(), QWidget()
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(choice, 1)
        line.addWidget(size)
        # What is shown already counts, too, if the user picks it: then it is no guess any more.
        choice.activated.connect(lambda _: self._choose(dimension))
        add_row(self._form, f"Axis {dimension}", row, AXIS_TIP)
        self.choices.append(choice)
        self._sizes.append(size)
        self._rows.append(row)

    def _options(self, letter: str) -> list[tuple[str, object]]:
        taken = self._named.letters
        separate = letter if letter not in MEANINGS else free_letter(taken)
        offered = [a for a in MEANINGS if not (a == "C" and taken.endswith("S"))]
        offered.insert(len(offered) - 2, separate)
        return [(f"{meaning(a)} ({a})", a) for a in offered]


def _known_from(named: NamedAxes, letters: list[str]) -> str:
    """Say what some letters are known from; the same words only once."""
    by_source: dict[str, list[str]] = {}
    for letter in letters:
        by_source.setdefault(named.sources[letter], []).append(letter)
    alone = len(by_source) == 1
    return "\n".join(
        ("⚠ " if source == GUESSED else "")
        + ("" if alone else f"{', '.join(those)}: ")
        + source
        + ("; choose if that is not right" if source == GUESSED else "")
        for source, those in by_source.items()
    )
