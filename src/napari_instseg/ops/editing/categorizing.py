"""Objects get another category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from ...checked import Check, is_whole
from ...segmenter import Category, color_of
from .base import Edit, are_ids
from .scene import Scene


@dataclass(frozen=True, slots=True)
class Categorize(Edit):
    """Give objects another category.

    Parameters
    ----------
    ids : tuple of int
        Their numbers.
    category_id : int
        One of the categories' of things.
    name : str, optional
        Of a new category, where there is none with this id.
    """

    ids: tuple[int, ...]
    category_id: int
    name: str | None = None
    NAME: ClassVar[str] = "categorize"
    CHECKS: ClassVar[tuple[Check, ...]] = (
        ("ids", lambda e: are_ids(e.ids), "numbers of objects"),
        ("category_id", lambda e: is_whole(e.category_id, 1), "a category's id, 1 or more"),
        ("name", lambda e: e.name is None or bool(e.name.strip()), "a name"),
    )

    def resolved(self, scene: Scene) -> Self:
        """See `Edit.resolved`."""
        scene.known(self.ids)
        taken = {category.id for category in scene.categories}
        if self.name is None or self.category_id in taken:
            scene.category(self.category_id)
        return self

    def targets(self, scene: Scene) -> tuple[int, ...]:
        """See `Edit.targets`."""
        return self.ids

    def categories(self, categories: tuple[Category, ...]) -> tuple[Category, ...]:
        """See `Edit.categories`."""
        if any(category.id == self.category_id for category in categories):
            return categories
        color = color_of(len(categories))
        return (*categories, Category(self.category_id, self.name or "", color=color))
