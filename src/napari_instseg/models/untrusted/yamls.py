"""YAML: plain values come back; tags that would make Python objects are refused."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from ...segmenter import ModelError
from .files import check_is_file

#: Bytes, and values with every alias written out; the largest configs have 20 KB.
BYTES = 1_000_000
NODES = 20_000
#: Values in values.
DEPTH = 64
PLAIN = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("bool", "float", "int", "map", "null", "python/tuple", "seq", "str")
)


def read_yaml(source: Path | str, known: Mapping[tuple[str, ...], Any] | None = None) -> Any:
    """Read one YAML document as dicts, lists, str, int, float, bool and None.

    Parameters
    ----------
    source : Path or str
        A file, or the text itself.
    known : mapping, optional
        Tagged lists of strings that have a meaning: (tag, item, ...) to the value that stands
        for them. Nothing is evaluated.

    Raises
    ------
    ModelError
        If the file is missing, too large or not YAML, nests or repeats itself too much, sets a
        key twice, or holds a tag such as ``!!python/object/apply``; the message names the line.
    """
    name = "the text" if isinstance(source, str) else str(source)
    text = source if isinstance(source, str) else _text(source)
    if len(text) > BYTES:
        raise ModelError(f"{name} has {len(text)} characters: expected a config of at most {BYTES}")
    try:
        return _Loader(text, known or {}).get_single_data()
    except (yaml.YAMLError, ValueError, ArithmeticError, LookupError) as error:
        raise ModelError(f"{name} cannot be read as YAML: {_says(error)}") from error


def _text(path: Path) -> str:
    check_is_file(path)
    try:
        with path.open("rb") as file:
            content = file.read(BYTES + 1)
        return content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path} cannot be read as YAML: expected text in UTF-8 ({error})"
        ) from error


def _says(error: Exception) -> str:
    """Say it in one line, with the line in the file."""
    mark = getattr(error, "problem_mark", None)
    text = getattr(error, "problem", None) or str(error)
    return f"{text} (line {mark.line + 1})" if mark else re.sub(r"\s+", " ", text)


class _Loader(yaml.SafeLoader):
    """A safe loader that knows no more than plain values, and counts before it builds."""

    def __init__(self, text: str, known: Mapping[tuple[str, ...], Any]) -> None:
        super().__init__(text)
        self._known = known
        self._depth = 0
        self._count = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        self._count += 1
        if self._depth > DEPTH or self._count > NODES:
            self._refuse(
                f"more than {NODES} values, or {DEPTH} in each other",
                self.peek_event(),  # type: ignore[no-untyped-call]
            )
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None:
            self._size(node, {})
        return node

    def _size(self, node: Any, sizes: dict[int, int]) -> int:
        """Count the values under a node with every alias written out."""
        if id(node) in sizes:
            if sizes[id(node)] == 0:
                self._refuse("a value that contains itself", node)
            return sizes[id(node)]
        sizes[id(node)] = 0
        children = node.value if not isinstance(node, yaml.ScalarNode) else ()
        if isinstance(node, yaml.MappingNode):
            self._check_keys(node)
            children = [child for pair in children for child in pair]
        size = 1 + sum(self._size(child, sizes) for child in children)
        if size > NODES:
            self._refuse(f"aliases that stand for more than {NODES} values", node)
        sizes[id(node)] = size
        return size

    def _check_keys(self, node: Any) -> None:
        """YAML forbids a key twice; PyYAML would take the last one."""
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    self._refuse(f"the key {key.value!r} comes twice", key)
                seen.add((key.tag, key.value))

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        if node.tag in PLAIN:
            return super().construct_object(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            value = self._known.get((node.tag, *(str(child.value) for child in node.value)))
            if value is not None:
                return copy.deepcopy(value)
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        if "python/" in tag:
            self._refuse(f"{tag} would run Python code; nothing was run", node)
        return self._refuse(f"the tag {tag}: expected plain values", node)

    def _refuse(self, reason: str, at: Any) -> Any:
        raise yaml.constructor.ConstructorError(None, None, reason, at.start_mark)


_Loader.add_constructor(
    "tag:yaml.org,2002:python/tuple",
    lambda loader, node: tuple(loader.construct_sequence(cast(yaml.SequenceNode, node), deep=True)),
)
