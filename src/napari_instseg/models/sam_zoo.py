"""Segment Anything's models: what there is, by name; nothing of it is here until downloaded."""

from __future__ import annotations

import difflib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..segmenter import ModelError
from . import downloads
from .entry import PROMPTS, SAM, SAM2, SEGMENT_ANYTHING, ModelEntry

LIST = Path(__file__).parent / "data" / "sam_models.json"
LOADERS = {"SAM": SAM, "SAM 2": SAM2}
REQUIRES = ("torch",)
#: Letters that a part of a name must have to be looked for in all names.
PART = 4


def entries() -> tuple[ModelEntry, ...]:
    """List the promptable models that can be downloaded; reads one small file, once."""
    return _entries(downloads.cache_folder())


def knows(name: str) -> bool:
    """Whether a name, in any case, stands for one of these models."""
    return any(entry.name == _plain(name) for entry in entries())


def find(name: str) -> ModelEntry:
    """Find a model by its name; letters' case, and "_" in place of "-", do not matter.

    Raises
    ------
    ModelError
        If there is none.
    """
    for entry in entries():
        if entry.name == _plain(name):
            return entry
    near = suggest(name)
    hint = f"did you mean {' or '.join(near)}?" if near else "'napari-instseg models' lists them"
    raise ModelError(f"there is no promptable model {name!r}: {hint}")


def suggest(name: str, count: int = 3) -> list[str]:
    """Names of models that are called nearly so, or that have it in their names.

    Examples
    --------
    micro-sam's own names are found.

    >>> suggest("vit_b_lm")[0]
    'micro-sam-vit-b-lm'
    """
    wanted = _plain(name)
    names = [entry.name for entry in entries()]
    within = [other for other in names if wanted in other] if len(wanted) >= PART else []
    near = difflib.get_close_matches(wanted, names, n=count, cutoff=0.7)
    return list(dict.fromkeys([*within, *near]))[:count]


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


@lru_cache(maxsize=4)
def _entries(folder: Path) -> tuple[ModelEntry, ...]:
    content: dict[str, Any] = json.loads(LIST.read_text("utf-8"))
    return tuple(_entry(model, folder) for model in content["models"])


def _entry(model: dict[str, Any], folder: Path) -> ModelEntry:
    return ModelEntry(
        name=model["name"],
        title=model["title"],
        description=model["description"],
        loader=LOADERS[model["family"]],
        # Several files have the same name.
        path=folder / "sam" / model["name"] / model["file"],
        sha256=model["sha256"],
        license=model["license"],
        requires=REQUIRES,
        group=SEGMENT_ANYTHING,
        outputs=(PROMPTS,),
        dataset=model["dataset"],
        size=model["bytes"],
        url=model["url"],
    )
