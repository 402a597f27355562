"""Categories of a Detectron2 model: names, things and stuff, colours."""

from __future__ import annotations

import colorsys
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...segmenter import Category, ModelError
from . import bridges

Color: TypeAlias = tuple[float, float, float]
#: Bytes of a file with names: COCO's annotations, from which only the categories are taken.
LARGEST = 1_000_000_000
#: Turns of the hue from one colour to the next: neighbours differ, and none comes again.
GOLDEN = 0.618034
#: What Detectron2 calls the semantic class of everything that its instances cover.
THINGS = "things"


@dataclass(frozen=True, slots=True, eq=False)
class Categories:
    """What a model can find, and what its own class numbers mean.

    Parameters
    ----------
    categories : tuple of Category
        Things with the ids 1 to T, then stuff.
    thing_ids : (n,) int64
        Category id by the class number of an instance.
    stuff_ids : (m,) int64
        Category id by the class number of a pixel; 0 is void.

    Notes
    -----
    Panoptic-DeepLab numbers things and stuff together: there both arrays have one length, and
    ``thing_ids`` is 0 where a class is stuff.
    """

    categories: tuple[Category, ...]
    thing_ids: NDArray[np.int64]
    stuff_ids: NDArray[np.int64]

    @property
    def thing_classes(self) -> tuple[int, ...]:
        """The class numbers of instances that are things."""
        return tuple(int(number) for number in np.flatnonzero(self.thing_ids))


@dataclass(frozen=True, slots=True)
class _Class:
    """A class by name; ``is_thing`` and ``color`` are None where nothing says so."""

    name: str
    is_thing: bool | None = None
    color: Color | None = None


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a model numbers its classes."""

    #: Classes of instances, and of pixels without the one for "things".
    things: int
    stuff: int
    #: Whether pixels have a first class that stands for all things.
    void: bool = False
    #: Whether things and stuff are numbered together: then ``stuff`` counts both.
    joint: bool = False


def categories_of(cfg: Any, names: Path | None = None) -> Categories:
    """Find the categories of a config's model.

    Parameters
    ----------
    cfg : detectron2.config.CfgNode
    names : Path, optional
        JSON: a list of names; ``{"things": [...], "stuff": [...]}``; or COCO annotations, whose
        categories count in the order of their ids. Else text, one name a line. A list has
        things first, then stuff. Without it the names come from the data set that the config
        names, if Detectron2 knows that one and its classes are as many; else they are numbers.

    Raises
    ------
    ModelError
        If the file cannot be read, or has not one name for each class.
    """
    layout = _layout(cfg)
    if names is None:
        things, stuff = _known(cfg, layout)
    else:
        things, stuff = _split(_read(names), layout, names)
    return _numbered(things, stuff, layout)


def _layout(cfg: Any) -> _Layout:
    model, architecture = cfg.MODEL, cfg.MODEL.META_ARCHITECTURE
    pixels = int(model.SEM_SEG_HEAD.NUM_CLASSES)
    if architecture == "RetinaNet":
        return _Layout(int(model.RETINANET.NUM_CLASSES), 0)
    if architecture == "SemanticSegmentor":
        return _Layout(0, pixels)
    if architecture == "PanopticDeepLab":
        return _Layout(0, pixels, joint=True)
    if architecture == "PanopticFPN":
        # Its own panoptic result leaves class 0 out, whatever the data set calls it.
        return _Layout(int(model.ROI_HEADS.NUM_CLASSES), pixels - 1, void=True)
    return _Layout(int(model.ROI_HEADS.NUM_CLASSES), 0)


def _numbered(things: list[_Class], stuff: list[_Class], layout: _Layout) -> Categories:
    """Give ids, things first; ``stuff`` holds all classes where they are numbered together."""
    if layout.joint:
        things = [c for c in stuff if c.is_thing]
    rest = [c for c in stuff if not (layout.joint and c.is_thing)]
    made = [
        Category(i, c.name, i <= len(things), c.color or distinct_color(i - 1))
        for i, c in enumerate((*things, *rest), start=1)
    ]
    thing_ids = np.arange(1, len(things) + 1, dtype=np.int64)
    stuff_ids = np.arange(len(things) + 1, len(made) + 1, dtype=np.int64)
    if layout.void:
        stuff_ids = np.concatenate([[0], stuff_ids]).astype(np.int64)
    if layout.joint:
        is_thing = np.array([bool(c.is_thing) for c in stuff])
        both = np.empty(len(stuff), np.int64)
        both[is_thing], both[~is_thing] = thing_ids, stuff_ids
        thing_ids, stuff_ids = np.where(is_thing, both, 0), both
    return Categories(tuple(made), thing_ids, stuff_ids)


def distinct_color(number: int) -> Color:
    """Give the n-th colour of a palette without end: RGB in [0, 1]; neighbours differ."""
    saturation, value = ((0.65, 0.95), (0.9, 0.8), (0.45, 0.85))[number % 3]
    return colorsys.hsv_to_rgb(0.08 + number * GOLDEN, saturation, value)


def _known(cfg: Any, layout: _Layout) -> tuple[list[_Class], list[_Class]]:
    """Take names from the data set of the config, else numbers."""
    bridges.load()
    from detectron2.data import MetadataCatalog

    things: list[_Class] | None = None
    stuff: list[_Class] | None = None
    for dataset in (*cfg.DATASETS.TEST[:1], *cfg.DATASETS.TRAIN[:1]):
        # get() would make an entry for any name.
        if dataset not in MetadataCatalog.list():
            continue
        meta = MetadataCatalog.get(dataset)
        if things is None:
            things = _of_metadata(meta, "thing", layout.things)
        if stuff is None:
            stuff = _of_metadata(meta, "stuff", layout.stuff + layout.void)
            if stuff is not None and layout.joint:
                known = set(meta.get("thing_dataset_id_to_contiguous_id", {}).values())
                stuff = [replace(c, is_thing=i in known) for i, c in enumerate(stuff)]
    if stuff is None and layout.joint:
        raise ModelError(
            "nothing says which classes of this Panoptic-DeepLab are things: give a file with "
            f"{layout.stuff} categories, JSON as COCO's with 'name' and 'isthing'"
        )
    if stuff is None:
        stuff = [_Class(f"stuff {i}") for i in range(1, layout.stuff + 1)]
    elif layout.void:
        stuff = stuff[1:]
    return things or [_Class(f"class {i}") for i in range(1, layout.things + 1)], stuff


def _of_metadata(meta: Any, kind: str, count: int) -> list[_Class] | None:
    names = meta.get(f"{kind}_classes", None)
    if names is None or len(names) != count or not count:
        return None
    colors = meta.get(f"{kind}_colors", None)
    if colors is None or len(colors) != count:
        colors = [None] * count
    return [_Class(str(n).strip(), None, _color(c)) for n, c in zip(names, colors, strict=True)]


def _color(value: Any) -> Color | None:
    """RGB of 0 to 255, if it is one."""
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        return None
    if not all(isinstance(v, (int, float)) and 0 <= v <= 255 for v in value):
        return None
    red, green, blue = (float(v) / 255 for v in value)
    return red, green, blue


def _split(classes: list[_Class], layout: _Layout, path: Path) -> tuple[list[_Class], list[_Class]]:
    """Divide the classes of a file into things and stuff, as many as the model has."""
    flagged = all(c.is_thing is not None for c in classes)
    if layout.joint:
        if not flagged:
            raise ModelError(
                f"{path} does not say which classes are things: expected JSON as COCO's, with "
                "'name' and 'isthing', in the order of the model's classes"
            )
        things, stuff = list[_Class](), classes
    elif not layout.things:
        only_stuff = [c for c in classes if not c.is_thing]
        things, stuff = [], classes if len(classes) == layout.stuff else only_stuff
    elif flagged:
        things = [c for c in classes if c.is_thing]
        stuff = [c for c in classes if not c.is_thing] if layout.stuff else []
    else:
        split = layout.things if layout.stuff else len(classes)
        things, stuff = classes[:split], classes[split:]
    if layout.void and len(stuff) == layout.stuff + 1:
        stuff = stuff[1:]
    if (len(things), len(stuff)) != (layout.things, layout.stuff):
        raise ModelError(
            f"{path} does not fit the model: expected {_counts(layout.things, layout.stuff)}, "
            f"got {_counts(len(things), len(stuff))}"
        )
    return things, stuff


def _counts(things: int, stuff: int) -> str:
    both = [f"{n} names of {kind}" for n, kind in ((things, "things"), (stuff, "stuff")) if n]
    return " and ".join(both) or "no names"


def _read(path: Path) -> list[_Class]:
    """Classes of a file in its order."""
    try:
        if path.stat().st_size > LARGEST:
            raise ModelError(
                f"{path} is too large for a file with names: expected at most {LARGEST} bytes, "
                "such as the 'categories' of COCO annotations alone"
            )
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            return _of_json(json.loads(text), path)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read as a file with names: {error}") from error
    return [_Class(line.strip()) for line in text.splitlines() if line.strip()]


def _of_json(content: Any, path: Path) -> list[_Class]:
    if isinstance(content, dict) and isinstance(content.get("categories"), list):
        content = content["categories"]
    listed: list[tuple[Any, bool | None, Color | None]] = []
    if isinstance(content, dict):
        kinds = [k for k in content if k in ("things", "stuff") and isinstance(content[k], list)]
        listed = [(name, kind == "things", None) for kind in kinds for name in content[kind]]
    elif isinstance(content, list) and all(isinstance(c, dict) for c in content):
        ordered = sorted(content, key=lambda c: int(c["id"])) if _have(content, "id") else content
        flagged = _have(content, "isthing")
        listed = [
            (c.get("name"), bool(c["isthing"]) if flagged else None, _color(c.get("color")))
            for c in ordered
        ]
    elif isinstance(content, list):
        listed = [(name, None, None) for name in content]
    if not listed or not all(isinstance(name, str) and name.strip() for name, _, _ in listed):
        raise ModelError(
            f"{path} has no names of categories: expected a JSON list of names, "
            '{"things": [...], "stuff": [...]}, or COCO annotations with categories'
        )
    return [_Class(name.strip(), is_thing, color) for name, is_thing, color in listed]


def _have(entries: list[dict[str, Any]], key: str) -> bool:
    return all(isinstance(entry.get(key), (int, bool)) for entry in entries)
