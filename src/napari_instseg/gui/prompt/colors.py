"""Colours of the layer of objects: by class as soon as there are several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import napari.layers
from napari.utils.colormaps import label_colormap

from ...segmenter import Category
from ..label_colors import direct_colors, shades

#: So many numbers that are not given yet get the current class's colours beforehand: a new
#: colour map for each object would take 50 ms.
BEFOREHAND = 128
#: Numbers of no class, such as those painted by hand.
GREY = (0.6, 0.6, 0.6, 1.0)


class ClassColors:
    """Colours a layer by the classes of its objects.

    Parameters
    ----------
    layer : napari.layers.Labels
    """

    def __init__(self, layer: napari.layers.Labels) -> None:
        self._layer = layer
        self._classes: tuple[Category, ...] = ()
        #: Class of each number that has a colour.
        self._shown: dict[int, int] = {}

    def update(
        self,
        classes: Sequence[Category],
        current: Category,
        numbers: Mapping[int, int],
        following: int,
    ) -> None:
        """Show each object in a shade of its class's colour.

        Parameters
        ----------
        classes : sequence of Category
            All there are; a single one leaves napari's own colours, one for each object.
        current : Category
            That of objects to come.
        numbers : mapping of int to int
            Class of each object, by its number.
        following : int
            Number of the next object.
        """
        if len(classes) < 2:
            if self._shown:
                self._layer.colormap = label_colormap()
                self._shown = {}
            return
        wanted = {**numbers, following: current.id}
        same = all(self._shown.get(number) == one for number, one in wanted.items())
        if same and tuple(classes) == self._classes:
            return
        self._classes = tuple(classes)
        ahead = range(following, following + BEFOREHAND)
        self._shown = {**dict.fromkeys(ahead, current.id), **numbers}
        of = {one.id: shades(one) for one in classes}
        known = ((number, of[one]) for number, one in self._shown.items() if one in of)
        self._layer.colormap = direct_colors(
            ((number, colors[number % len(colors)]) for number, colors in known), GREY
        )
