"""The YAML files that a config is made of: where they may lie, and how they are laid together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...segmenter import ModelError
from ..untrusted import read_yaml

#: What Base-RetinaNet.yaml wants evaluated, word for word, and what that gives.
_RETINANET_ANCHORS = (
    "tag:yaml.org,2002:python/object/apply:eval",
    "[[x, x * 2**(1.0/3), x * 2**(2.0/3) ] for x in [32, 64, 128, 256, 512 ]]",
)
_KNOWN: dict[tuple[str, ...], Any] = {
    _RETINANET_ANCHORS: [
        [x, x * 2 ** (1.0 / 3), x * 2 ** (2.0 / 3)] for x in (32, 64, 128, 256, 512)
    ]
}
#: Bases of bases, and files in all.
DEPTH, FILES = 8, 32
#: Characters in a value: each is tried as a Python literal.
VALUE = 5_000
BASE = "_BASE_"


def zoo_folder() -> Path:
    """Folder of the configs that come with Detectron2."""
    from detectron2 import model_zoo

    return (Path(str(model_zoo.__file__)).parent / "configs").resolve()


class ConfigFiles:
    """The files that a config is made of, all inside its folder or Detectron2's zoo."""

    def __init__(self, folder: Path) -> None:
        self._folders = (folder, zoo_folder())
        self._count = 0

    def read(self, path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
        """Read a file and those it builds on; its own values win."""
        self._count += 1
        if path in above:
            raise ModelError(f"{path} builds on itself through {BASE}")
        if len(above) >= DEPTH or self._count > FILES:
            raise ModelError(
                f"{path} builds on too many files: expected at most {DEPTH} in a row and {FILES} "
                "in all"
            )
        own = _own_values(path)
        bases = own.pop(BASE, [])
        merged: dict[str, Any] = {}
        for base in bases if isinstance(bases, list) else [bases]:
            values = self.read(self._base(base, path), (*above, path))
            merged = _overlaid(merged, values, path)
        return _overlaid(merged, own, path)

    def _base(self, base: Any, path: Path) -> Path:
        text = str(base)
        if not isinstance(base, str) or re.match(r"[/\\~]|[A-Za-z]:|.*://", text):
            raise ModelError(
                f"{path} builds on {text!r}: expected a relative path inside its folder; "
                "nothing was read from there"
            )
        target = (path.parent / text).resolve()
        inside = any(target.is_relative_to(folder) for folder in self._folders)
        if inside and target.is_file():
            return target
        # A config from a checkout of Detectron2 says "../Base-RCNN-FPN.yaml".
        zoo = self._folders[1]
        ours = (zoo / re.sub(r"^(\.\./)+", "", text)).resolve()
        if ours.is_relative_to(zoo) and ours.is_file() and _same_or_none(target, ours):
            return ours
        if inside:
            raise ModelError(f"{path} builds on {target}, which is not there")
        raise ModelError(
            f"{path} builds on {text!r}, which leaves its folder {self._folders[0]}: put the "
            f"files in one folder, or write them into one file; nothing was read from there"
        )


def _same_or_none(target: Path, ours: Path) -> bool:
    if not target.exists():
        return True
    size = ours.stat().st_size
    return (
        target.is_file()
        and target.stat().st_size == size
        and target.read_bytes() == ours.read_bytes()
    )


def _own_values(path: Path) -> dict[str, Any]:
    """Values of one file: a mapping of text to plain values."""
    if path.suffix == ".py":
        raise ModelError(
            f"{path} is a LazyConfig, which is a program: reading it would run it. Expected a "
            "YAML config, as 'cfg.dump()' of a trained model's config writes it"
        )
    values = read_yaml(path, _KNOWN)
    if not isinstance(values, dict):
        raise ModelError(
            f"{path} is no Detectron2 config: expected keys such as MODEL, got "
            f"{type(values).__name__}"
        )
    for key, value in _walk(values, path):
        name = key.rpartition(".")[2]
        if name == "_target_":
            raise ModelError(
                f"{path} is a LazyConfig: its {key} names a function to call. Expected a config "
                "of keys such as MODEL.META_ARCHITECTURE"
            )
        if isinstance(value, str) and len(value) > VALUE:
            raise ModelError(f"{path}: {key} has {len(value)} characters: expected <= {VALUE}")
    return values


def _walk(values: Any, path: Path, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every key with its value, lists by their positions."""
    pairs = values.items() if isinstance(values, dict) else enumerate(values)
    for name, value in pairs:
        if isinstance(values, dict) and not isinstance(name, str):
            raise ModelError(f"{path} has the key {name!r} in {key or 'its top'}: expected text")
        full = f"{key}.{name}" if key else str(name)
        yield full, value
        if isinstance(value, (dict, list, tuple)):
            yield from _walk(value, path, full)


def _overlaid(below: Mapping[str, Any], above: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Merge mappings, key by key."""
    merged = dict(below)
    for key, value in above.items():
        if isinstance(value, dict) and key in merged:
            if not isinstance(merged[key], dict):
                raise ModelError(f"{path}: {key} has keys here and none in the file it builds on")
            merged[key] = _overlaid(merged[key], value, path)
        else:
            merged[key] = value
    return merged
