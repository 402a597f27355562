"""Objects of a Labels layer hidden by its colours: its data are not touched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import napari.layers
import numpy as np
from napari.utils.colormaps import CyclicLabelColormap, DirectLabelColormap
from napari.utils.colormaps.colormap import LabelColormapBase
from numpy.typing import NDArray
from pydantic import PrivateAttr

from ..label_colors import DENSE, GivenColors, LabelColors


class _Hiding(LabelColormapBase):  # type: ignore[misc]
    """What both kinds of colour map need to leave objects out.

    A texture's value is looked up for each pixel instead of computed; that takes less time than
    napari's own way, which divides.
    """

    _hidden: NDArray[np.int64] = PrivateAttr(default_factory=lambda: np.zeros(0, np.int64))
    _largest: int = PrivateAttr(default=0)
    _lookups: dict[Any, NDArray[Any]] = PrivateAttr(default_factory=dict)

    def hide(self, hidden: NDArray[np.int64], largest: int) -> None:
        """Leave out labels; ``largest`` is the largest of all that there are."""
        self._hidden, self._largest = np.sort(hidden), largest
        self._lookups = {}

    def _data_to_texture(self, values: Any) -> Any:
        if not len(self._hidden):
            return super()._data_to_texture(values)
        if self._largest > DENSE:
            return super()._data_to_texture(
                np.where(self._is_hidden(values), values.dtype.type(0), values)
            )
        # A user may have chosen to see the selected label only.
        key = values.dtype, self.use_selection and self.selection
        if key not in self._lookups:
            self._lookups[key] = self._lookup(values.dtype)
        # Labels above all known ones, newly painted, are seen, too.
        return np.take(self._lookups[key], values, mode="clip")

    def _lookup(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        count = min(self._largest + 2, int(np.iinfo(dtype).max) + 1)
        labels = np.arange(count).astype(dtype)
        labels[self._hidden[self._hidden < count]] = 0
        table: NDArray[Any] = np.asarray(super()._data_to_texture(labels))
        return table

    def _is_hidden(self, values: Any) -> Any:
        hidden = self._hidden
        at = np.minimum(np.searchsorted(hidden, values), len(hidden) - 1)
        return hidden[at] == values


class HidingCyclic(_Hiding, CyclicLabelColormap):  # type: ignore[misc]
    """As napari's own colours."""


class HidingDirect(_Hiding, GivenColors):
    """As colours that were given."""

    def give(self, colors: Iterable[tuple[int, Any]]) -> None:
        """See `GivenColors.give`."""
        super().give(colors)
        self._lookups = {}


class Hider:
    """Hides objects of a Labels layer, and shows them again.

    Parameters
    ----------
    layer : napari.layers.Labels
        Its data may be lazy: they are read as napari reads them.

    Notes
    -----
    napari still tells the label of a hidden object under the mouse, as it does with "show
    selected": the data are what they were, for whatever reads or saves the layer meanwhile.
    """

    def __init__(self, layer: napari.layers.Labels) -> None:
        self._layer = layer
        self._hidden, self._largest = np.zeros(0, np.int64), 0
        layer.events.colormap.connect(self._take_up)

    def hide(self, hidden: NDArray[np.int64], largest: int) -> None:
        """Hide these labels and show all others; ``largest`` of all that there are."""
        if np.array_equal(hidden, self._hidden) and largest == self._largest:
            return
        self._hidden, self._largest = hidden, largest
        colors = self._layer.colormap
        if not len(hidden) and not isinstance(colors, _Hiding):
            return
        if not isinstance(colors, _Hiding):
            # Calls `_take_up`.
            self._layer.colormap = _hiding(colors)
            return
        colors.hide(hidden, largest)
        self._layer.refresh(extent=False, thumbnail=False)

    def _take_up(self, event: object = None) -> None:
        """Go on with other colours, which somebody has given to the layer."""
        colors = self._layer.colormap
        if isinstance(colors, _Hiding):
            colors.hide(self._hidden, self._largest)
        elif len(self._hidden):
            self._layer.colormap = _hiding(colors)

    def close(self) -> None:
        """Show all, with colours of napari's own kind."""
        self._layer.events.colormap.disconnect(self._take_up)
        colors = self._layer.colormap
        if isinstance(colors, _Hiding):
            self._layer.colormap = _plain(colors)


def _hiding(colors: LabelColors) -> LabelColors:
    kind = HidingDirect if isinstance(colors, DirectLabelColormap) else HidingCyclic
    made: LabelColors = kind(**colors.model_dump())
    return made


def _plain(colors: LabelColors) -> LabelColors:
    direct = isinstance(colors, DirectLabelColormap)
    made: LabelColors = (GivenColors if direct else CyclicLabelColormap)(**colors.model_dump())
    return made
