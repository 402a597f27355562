"""Detectron2's zoo: what there is, by name; nothing of it is here until it is downloaded.

The list is made by ``scripts/zoo_list.py`` from Detectron2's own configs.
"""

from __future__ import annotations

import json
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from ..segmenter import ModelError
from . import downloads
from .entry import DETECTRON2, DETECTRON2_REQUIRES, ZOO, ModelEntry
from .names import did_you_mean, near, within

LIST = Path(__file__).parent / "data" / "detectron2_zoo.json"
SUFFIX = ".yaml"
#: Said in the list of models for which only the config is published.
NO_WEIGHTS = "no trained weights are published"


def entries() -> tuple[ModelEntry, ...]:
    """List the zoo's models; reads one small file, once."""
    return _entries(downloads.cache_folder())


def short_names() -> dict[str, tuple[str, ...]]:
    """Full names by the short one, which lacks the folder; most short names have just one."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in entries():
        short = entry.name.rpartition("/")[2]
        found[short] = (*found.get(short, ()), entry.name)
    return found


def configs() -> frozenset[str]:
    """Names of the zoo's configs, such as "COCO-Detection/retinanet_R_50_FPN_1x.yaml".

    Notes
    -----
    With those that have no published weights: a user may have trained one.
    """
    left_out = _list()["left_out"]
    bare = {name + SUFFIX for name, reason in left_out.items() if reason == NO_WEIGHTS}
    return frozenset({entry.config for entry in entries()} | bare)


def knows(name: str) -> bool:
    """Whether a name, full or short, with or without ".yaml", stands for a model of the zoo."""
    return bool(_matches(name))


def find(name: str) -> ModelEntry:
    """Find a model by its name, full or short, with or without ".yaml".

    Raises
    ------
    ModelError
        If there is none, or a short name stands for several; says which there are.
    """
    matches = _matches(name)
    if len(matches) == 1:
        return next(entry for entry in entries() if entry.name == matches[0])
    if matches:
        raise ModelError(
            f"{name!r} stands for several models of Detectron2's zoo: expected one of "
            f"{', '.join(matches)}"
        )
    reason = _list()["left_out"].get(name.removesuffix(SUFFIX))
    if reason:
        raise ModelError(f"{name!r} of Detectron2's zoo cannot be used: {reason}")
    hint = did_you_mean(suggest(name)) or "'napari-instseg models' lists them"
    raise ModelError(f"there is no model {name!r} in Detectron2's zoo: {hint}")


def suggest(name: str, count: int = 3) -> list[str]:
    """Full names of models that are called nearly so, or that have it in their names."""
    wanted = name.removesuffix(SUFFIX).lower()
    full = {entry.name.lower(): (entry.name,) for entry in entries()}
    short = {key.lower(): names for key, names in short_names().items()}
    pool = full if "/" in wanted else {**short, **full}
    keys = near(wanted, pool, count) + within(wanted, full)
    return list(dict.fromkeys(found for key in keys for found in pool[key]))[:count]


def _matches(name: str) -> tuple[str, ...]:
    bare = name.removesuffix(SUFFIX)
    if "/" in bare:
        return (bare,) if any(entry.name == bare for entry in entries()) else ()
    return short_names().get(bare, ())


@cache
def _list() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(LIST.read_text("utf-8"))
    return content


@lru_cache(maxsize=4)
def _entries(folder: Path) -> tuple[ModelEntry, ...]:
    content = _list()
    return tuple(_entry(model, folder, content["license"]) for model in content["models"])


def _entry(model: dict[str, Any], folder: Path, license_: str) -> ModelEntry:
    name = model["config"].removesuffix(SUFFIX)
    what = ", ".join(model["outputs"])
    return ModelEntry(
        name=name,
        title=model["title"],
        description=f"{what.capitalize()} of {model['categories']} categories ({model['dataset']})",
        loader=DETECTRON2,
        path=folder / "detectron2" / name / model["url"].rpartition("/")[2],
        license=license_,
        requires=DETECTRON2_REQUIRES,
        group=ZOO,
        outputs=tuple(model["outputs"]),
        dataset=model["dataset"],
        size=model["bytes"],
        url=model["url"],
        config=model["config"],
    )
