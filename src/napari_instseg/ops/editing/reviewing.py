"""Objects are remembered as looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from ...checked import Check
from .base import Edit, are_ids
from .scene import Scene


@dataclass(frozen=True, slots=True)
class Review(Edit):
    """Remember in the table that a user has found objects to be right; no pixel changes.

    Parameters
    ----------
    ids : tuple of int
        Their numbers.
    reviewed : bool
        False forgets it.
    """

    ids: tuple[int, ...]
    reviewed: bool = True
    NAME: ClassVar[str] = "review"
    CHECKS: ClassVar[tuple[Check, ...]] = (("ids", lambda e: are_ids(e.ids), "numbers of objects"),)

    def resolved(self, scene: Scene) -> Self:
        """See `Edit.resolved`."""
        scene.known(self.ids)
        return self

    def targets(self, scene: Scene) -> tuple[int, ...]:
        """See `Edit.targets`."""
        return ()
