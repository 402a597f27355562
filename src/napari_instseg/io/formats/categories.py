"""Categories of several label sets as one list."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...label_set import LabelSet
from ...segmenter import Category, InputError
from . import checks
from .planes import categories_for


class Categories:
    """Joins the categories of label sets; ids stay where no other category has them.

    Attributes
    ----------
    all : dict of int to Category
        By the id that each has in the file.
    notes : list of str
        What got another id.
    """

    def __init__(self) -> None:
        self.all: dict[int, Category] = {}
        self.notes: list[str] = []

    def add(self, label_set: LabelSet) -> dict[int, int]:
        """Take in the categories of a label set; return the id in the file of each."""
        return {category.id: self._id(category) for category in categories_for(label_set)}

    def _id(self, category: Category) -> int:
        same = (category.name, category.is_thing)
        there = self.all.get(category.id)
        if there is None:
            self.all[category.id] = category
        elif (there.name, there.is_thing) != same:
            for number, other in self.all.items():
                if (other.name, other.is_thing) == same:
                    return number
            number = max(self.all) + 1
            self.all[number] = category
            self.notes.append(
                f"category {category.id} is {there.name} in one image and {category.name} in "
                f"another, which is {number} here"
            )
            return number
        return category.id

    def to_json(self) -> list[dict[str, Any]]:
        """List them as COCO does."""
        return [
            {
                "id": number,
                "name": one.name,
                "supercategory": "",
                "isthing": int(one.is_thing),
                "color": [round(255 * value) for value in one.color],
            }
            for number, one in sorted(self.all.items())
        ]


def read_categories(values: object) -> tuple[dict[int, Category], list[str]]:
    """Read COCO's categories.

    Returns
    -------
    categories : dict of int to Category
        By the id in the file. Id 0, which is void in our label images, becomes the next free one.
    notes : list of str
        About that.

    Raises
    ------
    InputError
        If they are none, or two have one id.
    """
    found: dict[int, Category] = {}
    for place, value in enumerate(checks.list_of(values, "categories")):
        what = f"categories[{place}]"
        one = checks.table_of(value, what)
        number = checks.whole(checks.entry(one, "id", what), f"{what}.id")
        name = checks.text_of(checks.entry(one, "name", what), f"{what}.name")
        if number in found:
            raise InputError(f"{what}.id: expected each id once, got {number} again")
        color = one.get("color")
        rgb = read_color(color) if color is not None else _color(place)
        found[number] = Category(number, name, bool(one.get("isthing", 1)), rgb)
    if 0 not in found:
        return found, []
    free, zero = max(found) + 1, found[0]
    found[0] = Category(free, zero.name, zero.is_thing, zero.color)
    return found, [f"category 0 ({zero.name}) is {free} here, since 0 is nothing"]


def read_color(value: object) -> tuple[float, float, float]:
    """Read red, green and blue from 0 to 255."""
    red, green, blue = (
        checks.whole(one, "color", 0, 255) / 255 for one in checks.list_of(value, "color")[:3]
    )
    return red, green, blue


def unknown_category(number: int, *, is_thing: bool = True) -> Category:
    """Name a category of which only the id is known."""
    return Category(number, f"category {number}", is_thing, _color(number))


def _color(number: int) -> tuple[float, float, float]:
    from ..overlay import object_colors

    red, green, blue = (object_colors(np.array([number + 1]))[0] / 255).tolist()
    return red, green, blue
