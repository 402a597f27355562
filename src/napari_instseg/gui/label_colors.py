"""Colours of label images: by class, and given to new labels at the cost of these alone."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from napari.utils.colormaps import CyclicLabelColormap, DirectLabelColormap
from numpy.typing import ArrayLike, NDArray
from pydantic import PrivateAttr

from ..segmenter import Category

#: Shades of a category's colour, so that neighbouring objects can be told apart.
SHADES = 24
CLEAR = (0.0, 0.0, 0.0, 0.0)
#: Of labels up to this, one table says what becomes of each; above, known ones are looked up.
DENSE = 1 << 24
#: A table has room for so many more labels than there are, as a part of these and at least.
ROOM, LEAST_ROOM = 0.25, 1024


class GivenColors(DirectLabelColormap):  # type: ignore[misc]
    """Colours given label by label, to more labels later, too.

    napari's own is made anew for each change, and without numba fails at labels above 65,536.
    """

    #: Known labels, or None for all from 0; and what becomes of each in the texture.
    _texture: tuple[NDArray[np.int64] | None, NDArray[Any]] | None = PrivateAttr(default=None)

    def give(self, colors: Iterable[tuple[int, Any]]) -> None:
        """Give labels colours, RGBA in [0, 1]; whoever shows the colour map has to be told."""
        values, known = self._label_mapping_and_color_dict
        of = {tuple(color): value for value, color in known.items() if value}
        new = {}
        for label, given in colors:
            color = np.asarray(given, np.float32)
            new[label] = values[label] = of.setdefault(tuple(color), len(known))
            known[new[label]] = self.color_dict[label] = color
        self._cache_mapping.clear()
        self._cache_other.clear()
        keys, table = self._texture or (None, np.zeros(0, np.uint8))
        fits = keys is None and max(new, default=0) < len(table) and table.dtype == self._dtype
        if fits:
            table[[*new]] = [*new.values()]
        else:
            self._texture = None

    @property
    def _num_unique_colors(self) -> int:
        # Of the others' colour and all others: napari would compare those of all labels.
        return len(self._label_mapping_and_color_dict[1])

    @property
    def _dtype(self) -> np.dtype[Any]:
        # As napari has it: one value more for clear, and one for other labels.
        count = self._num_unique_colors + 2
        return np.dtype(np.uint8 if count < 1 << 8 else np.uint16 if count < 1 << 16 else "f4")

    def map(self, values: Any) -> NDArray[Any]:
        """Colours of labels, RGBA in [0, 1]."""
        if isinstance(values, np.ndarray) and values.dtype.kind in "iu" and values.itemsize > 2:
            return np.asarray(self._map_precast(self._looked_up(values), apply_selection=True))
        return np.asarray(super().map(values))

    def _data_to_texture(self, values: Any) -> Any:
        if np.ndim(values) and values.dtype.itemsize > 2:
            return self._looked_up(values)
        return super()._data_to_texture(values)

    def _looked_up(self, labels: NDArray[Any]) -> NDArray[Any]:
        if self.use_selection:
            return np.asarray(labels == self.selection, np.uint8)
        if self._texture is None:
            self._texture = self._listed()
        keys, table = self._texture
        if keys is None:
            # Beyond the table is what has no colour.
            return np.take(table, labels, mode="clip")
        at = np.minimum(np.searchsorted(keys, labels), len(keys) - 1)
        return np.where(keys[at] == labels, table[at], table.dtype.type(0))

    def _listed(self) -> tuple[NDArray[np.int64] | None, NDArray[Any]]:
        values = {k: v for k, v in self._label_mapping_and_color_dict[0].items() if k is not None}
        keys, found = np.array([*values], np.int64), np.array([*values.values()], self._dtype)
        largest = int(keys.max(initial=0))
        if largest > DENSE:
            order = np.argsort(keys)
            return keys[order], found[order]
        table = np.zeros(largest + max(LEAST_ROOM, int(ROOM * largest)), self._dtype)
        table[keys] = found
        return None, table


LabelColors: TypeAlias = CyclicLabelColormap | GivenColors


def direct_colors(
    colors: Iterable[tuple[int, Any]], others: Sequence[float] = CLEAR
) -> GivenColors:
    """Make a colour map with a colour for each label, clear for 0, and one for all others."""
    # Without a color for None, napari warns.
    known: dict[int | None, Any] = {None: others, 0: CLEAR, **dict(colors)}
    return GivenColors(
        color_dict={index: np.asarray(color, np.float32) for index, color in known.items()}
    )


def class_colors(
    index: ArrayLike, category_ids: ArrayLike, categories: Sequence[Category], output: str
) -> LabelColors | None:
    """Make the colour map of an output; None leaves napari's own, one for each object.

    Parameters
    ----------
    index, category_ids : (N,) integer array
        Labels of all segments, and their classes.
    categories : sequence of Category
    output : {"instances", "semantic", "panoptic"}
    """
    if output == "instances":
        return None
    if output == "panoptic" and len(categories) == 1 and categories[0].is_thing:
        # One rule for all numbers: a colour for each of 100,000 objects would take seconds.
        return CyclicLabelColormap(
            colors=np.vstack([np.zeros(4), shades(categories[0])]), background_value=0
        )
    return direct_colors(colors_of(index, category_ids, categories, output))


def colors_of(
    index: ArrayLike, category_ids: ArrayLike, categories: Sequence[Category], output: str
) -> Iterable[tuple[int, Any]]:
    """Colours of an output's labels: of semantic the classes', else shades of these for objects.

    Parameters
    ----------
    index, category_ids, categories, output
        See `class_colors`.
    """
    if output == "semantic":
        return [(category.id, (*category.color, 1.0)) for category in categories]
    of = {c.id: shades(c) if c.is_thing else np.array([(*c.color, 1.0)]) for c in categories}
    pairs = zip(np.asarray(index).tolist(), np.asarray(category_ids).tolist(), strict=True)
    return [(i, of[category][i % len(of[category])]) for i, category in pairs if category in of]


def shades(category: Category) -> NDArray[np.float32]:
    """Colours around a category's own, (SHADES, 4) float32 in [0, 1], far apart in sequence."""
    hue, saturation, value = colorsys.rgb_to_hsv(*category.color)
    found = []
    for i in range(SHADES):
        # Multiples of the golden ratio fill the range evenly, without neighbours alike.
        step = (i * 0.618034) % 1
        other = (i * 0.381966 + 0.5) % 1
        rgb = colorsys.hsv_to_rgb(
            (hue + 0.16 * (step - 0.5)) % 1,
            min(1.0, saturation * (0.6 + 0.5 * other)),
            min(1.0, max(0.35, value) * (0.6 + 0.45 * (1 - step))),
        )
        found.append((*rgb, 1.0))
    return np.array(found, np.float32)


def same_colors(old: Any, new: Any) -> bool:
    """Whether two colour maps give the same colours; setting one redraws the layer."""
    if type(old) is not type(new):
        return False
    if isinstance(new, DirectLabelColormap):
        a, b = old.color_dict, new.color_dict
        return set(a) == set(b) and all(np.allclose(a[k], b[k]) for k in b)
    return old.colors.shape == new.colors.shape and bool(np.allclose(old.colors, new.colors))
