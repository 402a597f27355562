"""What can be seen in a Detectron2 config without reading it as YAML: bases, and what it gives.

Listing and copying models needs no more; `detectron2.config` is what reads a config.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..segmenter import ModelError
from . import zoo

INSTEAD = "write it into one file (Detectron2's cfg.dump())"
#: What an architecture gives, whatever else the config says.
GIVES = {
    "RetinaNet": ("boxes",),
    "SemanticSegmentor": ("semantic",),
    "PanopticFPN": ("instances", "semantic", "panoptic"),
    "PanopticDeepLab": ("instances", "semantic", "panoptic"),
}


def bases_of(path: Path) -> list[Path]:
    """List the files beside a config that it builds on, and those that they build on.

    Files of Detectron2's zoo are not among them: they are found wherever the config is.

    Raises
    ------
    ModelError
        If it builds on a file that copying would lose.
    """
    found: list[Path] = []
    todo = [path]
    while todo:
        current = todo.pop()
        for base in _named(current):
            target = (current.parent / base).absolute()
            inside = ".." not in Path(base).parts and not Path(base).is_absolute()
            if inside and target.is_file():
                if target != path and target not in found:
                    found.append(target)
                    todo.append(target)
            elif target.is_file() or not (inside or base.startswith("../")):
                raise ModelError(
                    f"{current} builds on {base}, outside of its folder, which a copy would lose: "
                    f"{INSTEAD}, or leave the files where they are (--link, copy=False)"
                )
    return found


def outputs_of(config: Path | str) -> tuple[str, ...]:
    """Tell what a model gives from its config: a file, or a name in Detectron2's zoo."""
    architecture, masks = "", ""
    todo = [config]
    seen: set[Path] = set()
    while todo:
        current = todo.pop(0)
        if isinstance(current, str):
            return _of_zoo(current)
        if current in seen:
            continue
        seen.add(current)
        text = _text(current)
        architecture = architecture or _value(text, "META_ARCHITECTURE")
        masks = masks or _value(text, "MASK_ON").lower()
        if architecture in GIVES:
            return GIVES[architecture]
        for base in _named(current):
            target = (current.parent / base).absolute()
            todo.append(target if target.is_file() else re.sub(r"^(\.\./)+", "", base))
        if masks:
            break
    return ("instances",) if masks in ("true", "yes", "on") else ("boxes",)


def _of_zoo(config: str) -> tuple[str, ...]:
    """What a model of the zoo gives; those without weights, and bases, are told by their names."""
    for entry in zoo.entries():
        if entry.config == config:
            return entry.outputs
    for word, architecture in (
        ("panoptic", "PanopticFPN"),
        ("semantic", "SemanticSegmentor"),
        ("retinanet", "RetinaNet"),
    ):
        if word in config.lower():
            return GIVES[architecture]
    return ("instances",) if "mask" in config.lower() else ("boxes",)


def _named(path: Path) -> list[str]:
    """Bases that a config names, as they are written."""
    text = _text(path)
    if "_BASE_" not in re.sub(r"(?m)^\s*#.*$", "", text):
        return []
    match = re.search(r"(?m)^_BASE_\s*:[ \t]*([^#\r\n]+)", text)
    words = match[1].strip() if match else ""
    names = words.removeprefix("[").removesuffix("]").split(",") if words else []
    bases = [name.strip().strip("\"'") for name in names]
    if not bases or not all(bases) or any("://" in base for base in bases):
        raise ModelError(f"{path}: its _BASE_ is not a plain file name: {INSTEAD}")
    return bases


def _value(text: str, key: str) -> str:
    match = re.search(rf"(?m)^\s*{key}\s*:\s*[\"']?(\w+)", text)
    return match[1] if match else ""


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read as a YAML config: {error}") from error
