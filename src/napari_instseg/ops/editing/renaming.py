"""A category gets another name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from ...checked import Check, is_whole
from ...segmenter import InputError
from .base import Edit
from .scene import Scene


@dataclass(frozen=True, slots=True)
class Rename(Edit):
    """Give a category another name; no pixel changes, and its id stays.

    Parameters
    ----------
    category_id : int
    name : str
    """

    category_id: int
    name: str
    NAME: ClassVar[str] = "rename"
    CHECKS: ClassVar[tuple[Check, ...]] = (
        ("category_id", lambda e: is_whole(e.category_id, 1), "a category's id, 1 or more"),
        ("name", lambda e: isinstance(e.name, str) and bool(e.name.strip()), "a name"),
    )

    def resolved(self, scene: Scene) -> Self:
        """See `Edit.resolved`."""
        known = {category.id: category.name for category in scene.categories}
        if self.category_id not in known:
            named = ", ".join(f"{number} ({name})" for number, name in known.items())
            raise InputError(f"category_id: expected one of {named}, got {self.category_id}")
        return self

    def targets(self, scene: Scene) -> tuple[int, ...]:
        """See `Edit.targets`."""
        return ()
