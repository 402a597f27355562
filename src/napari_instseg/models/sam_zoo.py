"""Segment Anything's models: what there is, by name; nothing of it is here until downloaded."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..segmenter import ModelError
from . import downloads
from .entry import FAMILIES, PROMPTS, SEGMENT_ANYTHING, ModelEntry
from .names import did_you_mean, near, within

LIST = Path(__file__).parent / "data" / "sam_models.json"
REQUIRES = ("torch",)


def entries() -> tuple[ModelEntry, ...]:
    """List the promptable models that can be downloaded; reads one small file, once."""
    return _entries(downloads.cache_folder())


def knows(name: str) -> bool:
    """Whether a name, in any case, stands for one of these models."""
    return _known(name) is not None


def find(name: str) -> ModelEntry:
    """Find a model by its name; letters' case, and "_" in place of "-", do not matter.

    Raises
    ------
    ModelError
        If there is none.
    """
    entry = _known(name)
    if entry is not None:
        return entry
    hint = did_you_mean(suggest(name)) or "'napari-instseg models' lists them"
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
    found = within(wanted, names) + near(wanted, names, count)
    return list(dict.fromkeys(found))[:count]


def _known(name: str) -> ModelEntry | None:
    plain = _plain(name)
    return next((entry for entry in entries() if entry.name == plain), None)


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
        loader=FAMILIES[model["family"]],
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
