"""All edits by their names in the log."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from ...segmenter import InputError
from .base import Edit, made
from .categorizing import Categorize
from .cutting import Cut
from .deleting import Delete, Filter, RemoveEdge
from .filling import FillHoles
from .growing import Grow, Shrink
from .merging import Merge
from .numbering import Renumber
from .painting import Paint
from .renaming import Rename
from .reviewing import Review
from .smoothing import Smooth
from .splitting import SplitLine, SplitPoints

EDITS: dict[str, type[Edit]] = {
    kind.NAME: kind
    for kind in (
        *(Delete, Merge, SplitLine, SplitPoints, FillHoles, Smooth, Grow, Shrink, Cut),
        *(RemoveEdge, Filter, Categorize, Paint, Rename, Renumber, Review),
    )
}
#: Key of an edit's name in an entry of the log.
EDIT = "edit"


def make_edit(name: str, parameters: Mapping[str, Any]) -> Edit:
    """Make an edit.

    Raises
    ------
    InputError
        If there is no such edit, or a parameter is not as expected.
    """
    if name not in EDITS:
        raise InputError(f"edit: expected one of {', '.join(EDITS)}, got {name!r}")
    plain = {key: sorted(v) if isinstance(v, Set) else v for key, v in parameters.items()}
    return made(EDITS[name], plain)


def read_entry(entry: object) -> tuple[str, dict[str, Any]]:
    """Split an entry of a log into name and parameters.

    Raises
    ------
    InputError
        If it is none.
    """
    if not isinstance(entry, Mapping) or not isinstance(entry.get(EDIT), str):
        raise InputError(f"expected an edit as {{'edit': name, ...}}, got {entry!r:.200}")
    return entry[EDIT], {key: value for key, value in entry.items() if key != EDIT}
