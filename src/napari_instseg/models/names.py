"""Names that a user may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

#: Letters that a part of a name must have to be looked for in all names.
PART = 4


def near(wanted: str, names: Iterable[str], count: int) -> list[str]:
    """Names that are written nearly so, the nearest first."""
    return difflib.get_close_matches(wanted, list(names), n=count, cutoff=0.7)


def within(wanted: str, names: Iterable[str]) -> list[str]:
    """Names that have it in them, in their order."""
    return [name for name in names if wanted in name] if len(wanted) >= PART else []


def did_you_mean(names: Sequence[str]) -> str:
    """Ask for one of a few names; "" if there is none."""
    return f"did you mean {' or '.join(names)}?" if names else ""
