"""How far a run is, in words and numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: ``done`` of ``total`` steps (0: unknown), and what it is about to do."""

    done: int
    total: int
    message: str


#: Hears how far something is; raises to stop it.
Listener = Callable[[Progress], None]


def ignore(progress: Progress) -> None:
    """Hear, and do nothing."""


def how_many(count: int, noun: str) -> str:
    """Number and noun, such as "1 object" or "1,024 objects"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
