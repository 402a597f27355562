"""Calls and commands as text."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

#: Longer calls have an argument a line.
WIDTH = 88
#: To cmd or PowerShell.
SPECIAL = frozenset("&|<>^(),;@'")
IMPORT = "import napari_instseg as nis\n\n"


def literal(value: Any) -> str:
    """Write a value as Python.

    Examples
    --------
    >>> literal((np.float32(0.5), Path("a"), slice(0, 4)))
    "(0.5, 'a', slice(0, 4))"
    """
    if isinstance(value, Path):
        return repr(str(value))
    if isinstance(value, slice):
        return f"slice({value.start}, {value.stop})"
    if isinstance(value, Mapping):
        inside = ", ".join(f"{literal(key)}: {literal(one)}" for key, one in value.items())
        return f"{{{inside}}}"
    if isinstance(value, tuple | list):
        inside = ", ".join(map(literal, value))
        if isinstance(value, list):
            return f"[{inside}]"
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return repr(value.item() if isinstance(value, np.generic) else value)


def call(function: str, *arguments: str, **named: Any) -> str:
    """Write a call; arguments are code, values of named ones are not.

    Examples
    --------
    >>> call("nis.segment", "image", score_threshold=0.5)
    'nis.segment(image, score_threshold=0.5)'
    """
    parts = [*arguments, *(f"{name}={literal(value)}" for name, value in named.items())]
    line = f"{function}({', '.join(parts)})"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{function}(", *(f"    {part}," for part in parts), ")"])


def shell(arguments: Sequence[object]) -> str:
    """Write a command for the shell of this system, quoted where need be.

    Examples
    --------
    >>> shell(["napari-instseg", "segment", "my cells.tif"])  # doctest: +SKIP
    "napari-instseg segment 'my cells.tif'"
    """
    words = [str(argument) for argument in arguments]
    return " ".join(map(windows_word, words)) if os.name == "nt" else shlex.join(words)


def windows_word(word: str) -> str:
    """Quote a word for cmd and PowerShell, if need be.

    Examples
    --------
    >>> windows_word("R&D.tif"), windows_word("a.tif")
    ('"R&D.tif"', 'a.tif')
    """
    quoted = subprocess.list2cmdline([word])
    if quoted.startswith('"') or SPECIAL.isdisjoint(word):
        return quoted
    # Before a closing quote, backslashes are doubled.
    end = quoted[len(quoted.rstrip("\\")) :]
    return f'"{quoted}{end}"'


def number(value: float) -> str:
    """Write a number as it is read again, without an exponent.

    Examples
    --------
    >>> number(20.0), number(1e-7), number(0.1)
    ('20', '0.0000001', '0.1')
    """
    return np.format_float_positional(value, trim="-")
