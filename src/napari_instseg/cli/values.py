"""Option values that are more than a number or a word."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from typing import Any

from ..settings import AS_TRAINED, AUTO, OUTPUTS, TRACK_FORMATS


def outputs(text: str) -> tuple[str, ...]:
    """Read a comma-separated list of outputs.

    Examples
    --------
    >>> outputs("instances,semantic")
    ('instances', 'semantic')
    """
    return _some_of(OUTPUTS, text)


def track_formats(text: str) -> tuple[str, ...]:
    """Read a comma-separated list of formats for tracks.

    Examples
    --------
    >>> track_formats("csv,CTC")
    ('csv', 'ctc')
    """
    return _some_of(TRACK_FORMATS, text)


def _some_of(known: Sequence[str], text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",")))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"expected some of {','.join(known)}, got {', '.join(map(repr, unknown))}"
        )
    return names


def channels(text: str) -> tuple[int, ...]:
    """Read channel numbers, which count from 0.

    Examples
    --------
    >>> channels("0,2")
    (0, 2)
    """
    if not re.fullmatch(r"\s*\d+(\s*,\s*\d+)*\s*", text):
        raise argparse.ArgumentTypeError(f"expected numbers from 0 such as 0 or 0,2, got {text!r}")
    return tuple(int(part) for part in text.split(","))


def pair(text: str) -> tuple[float, float]:
    """Read two ascending numbers.

    Examples
    --------
    >>> pair("-5,1e3")
    (-5.0, 1000.0)
    """
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low, high = 0.0, 0.0
    if not low < high:
        raise argparse.ArgumentTypeError(f"expected LOW,HIGH such as 100,4000, got {text!r}")
    return low, high


def diameter(text: str) -> tuple[float | str | None, str]:
    """Read an object size: its number (or "auto", "as trained", None for native) and its unit.

    Examples
    --------
    >>> diameter("12um"), diameter("30"), diameter("native")
    ((12.0, 'um'), (30.0, 'px'), (None, 'px'))
    """
    text = text.strip().lower()
    words = {"native": None, "auto": AUTO, "as-trained": AS_TRAINED, AS_TRAINED: AS_TRAINED}
    if text in words:
        return words[text], "px"
    return _length(text, "auto, native, as-trained, or a size such as 30, 30px or 12um")


def distance(text: str) -> tuple[float, str]:
    """Read a distance: its number and its unit.

    Examples
    --------
    >>> distance("4.5um"), distance("15")
    ((4.5, 'um'), (15.0, 'px'))
    """
    return _length(text.strip().lower(), "a distance such as 15, 15px or 4um")


def _length(text: str, expected: str) -> tuple[float, str]:
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*(px|um|µm|μm)?", text)
    if not match or float(match[1]) <= 0:
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return float(match[1]), "px" if match[2] in (None, "px") else "um"


def option(text: str) -> tuple[str, Any]:
    """Read the name and value of an option; numbers, true and false are what they look like.

    Examples
    --------
    >>> option("divisor=1000"), option("hidden=true"), option("masks=rle")
    (('divisor', 1000), ('hidden', True), ('masks', 'rle'))
    """
    key, sign, value = text.partition("=")
    if not sign or not key.isidentifier():
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, got {text!r}")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def positive(text: str) -> float:
    """Read a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return number


def whole(text: str) -> int:
    """Read a whole number from 1."""
    if not re.fullmatch(r"\d+", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)
