"""What a file of objects says of the image that they are of, where its format has room for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...label_set import LabelSet
from ...segmenter import Category, InputError
from .checks import list_of, positive, table_of, text_of, whole
from .planes import categories_for

#: Under this name.
KEY = "napari_instseg"
VERSION = 1


@dataclass(frozen=True, slots=True)
class About:
    """An image, without its pixels.

    Parameters
    ----------
    name : str
    axes : str
        One letter a dimension, the last two Y and X.
    shape : tuple of int
        Empty if it is not known.
    spacing : mapping of str to float
        µm per pixel by axis letter, where known.
    categories : tuple of Category
        Known ones.
    """

    name: str
    axes: str = "YX"
    shape: tuple[int, ...] = ()
    spacing: Mapping[str, float] = field(default_factory=dict)
    categories: tuple[Category, ...] = ()

    def of_shape(self, shape: str | Sequence[object]) -> About:
        """The same image with another shape; three numbers are planes of Z if no axes are known.

        Raises
        ------
        InputError
            If the shape is none, see `read_shape`.
        """
        size = read_shape(shape)
        axes = "ZYX" if len(size) == 3 and self.axes == "YX" else self.axes
        return replace(self, axes=axes, shape=size)


def to_json(label_set: LabelSet) -> dict[str, Any]:
    """Describe a label set's image: one entry, `KEY`, with values that JSON can hold."""
    categories = [
        {"id": c.id, "name": c.name, "is_thing": c.is_thing, "color": list(c.color)}
        for c in categories_for(label_set)
    ]
    return {KEY: {**without_categories(label_set), "categories": categories}}


def without_categories(label_set: LabelSet) -> dict[str, Any]:
    """Describe a label set's image, for files that list categories elsewhere."""
    return {
        "version": VERSION,
        "name": label_set.name,
        "axes": label_set.axes,
        "shape": list(label_set.shape),
        "spacing_um": dict(label_set.spacing),
    }


def from_json(value: object) -> About | None:
    """Read what `to_json` made, among other entries; None if there is none.

    Raises
    ------
    InputError
        If it is something else.
    """
    if not isinstance(value, dict) or KEY not in value:
        return None
    table = table_of(value[KEY], KEY)
    axes = text_of(table.get("axes"), f"{KEY}: axes")
    shape = read_shape(list_of(table.get("shape"), f"{KEY}: shape"))
    if not axes.endswith("YX") or len(set(axes)) != len(axes) or len(axes) != len(shape):
        raise InputError(f"{KEY}: expected axes of shape {shape}, got {axes!r:.40}")
    spacing = table_of(table.get("spacing_um"), f"{KEY}: spacing_um")
    categories = list_of(table.get("categories", []), f"{KEY}: categories")
    return About(
        text_of(table.get("name"), f"{KEY}: name"),
        axes,
        shape,
        {axis: positive(size, f"{KEY}: spacing_um") for axis, size in spacing.items()},
        tuple(_category(table_of(one, f"{KEY}: category")) for one in categories),
    )


def read_shape(value: str | Sequence[object]) -> tuple[int, ...]:
    """Read a shape: numbers of pixels, or a text such as "30x512x512".

    Raises
    ------
    InputError
        If it is none.
    """
    parts = value.lower().split("x") if isinstance(value, str) else value
    numbers = [int(p) if isinstance(p, str) and p.strip().isdecimal() else p for p in parts]
    if len(numbers) < 2:
        raise InputError(f"shape: expected two numbers or more, such as 512x512, got {value!r}")
    return tuple(whole(number, "shape") for number in numbers)


def _category(entry: Mapping[str, Any]) -> Category:
    color = [_number(part, 0, 1) for part in list_of(entry.get("color"), f"{KEY}: color")]
    if len(color) != 3:
        raise InputError(f"{KEY}: expected a color of 3 numbers, got {len(color)}")
    return Category(
        whole(entry.get("id"), f"{KEY}: category", 1),
        text_of(entry.get("name"), f"{KEY}: category"),
        entry.get("is_thing") is not False,
        (color[0], color[1], color[2]),
    )


def _number(value: object, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(f"{KEY}: expected a number from {low} to {high}, got {value!r:.40}")
    return float(value)
