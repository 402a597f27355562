"""Values from files of unknown origin: what they are to be is checked before they are used."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...segmenter import InputError

#: Labels and ids of categories are int32.
LARGEST_LABEL = 2**31 - 1
#: Label images that are read into memory have no more pixels than this (4 GiB as int32).
LARGEST_IMAGE = 2**30
#: Nor more planes: each takes its time, whatever is in it.
MOST_PLANES = 100_000
#: Nor do all masks of an image together.
LARGEST_MASKS = 2**32


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises
    ------
    InputError
        If it is not JSON, nested too deeply, or has numbers that are none (NaN, Infinity).
    """
    try:
        return json.loads(path.read_bytes(), parse_constant=_refuse)
    except RecursionError as error:
        raise InputError("expected JSON, got brackets nested too deeply") from error
    except ValueError as error:
        raise InputError(f"expected JSON, whole and without NaN ({error})") from error


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number in JSON")


def table_of(value: object, what: str) -> dict[str, Any]:
    """Check that a value is a JSON object."""
    if not isinstance(value, dict):
        raise InputError(f"{what}: expected {{...}}, got {_short(value)}")
    return value


def list_of(value: object, what: str) -> list[Any]:
    """Check that a value is a JSON list."""
    if not isinstance(value, list):
        raise InputError(f"{what}: expected [...], got {_short(value)}")
    return value


def entry(table: dict[str, Any], key: str, what: str) -> Any:
    """Return an entry that must be there."""
    if key not in table:
        raise InputError(f"{what}: expected {key!r}, got {_short(sorted(map(str, table)))}")
    return table[key]


def whole(value: object, what: str, low: int = 0, high: int = LARGEST_LABEL) -> int:
    """Check that a value is a whole number in a range; 3.0 is one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not low <= value <= high:
        raise InputError(
            f"{what}: expected a whole number from {low} to {high}, got {_short(value)}"
        )
    return value


def share(value: object, what: str) -> float:
    """Check that a value is a number in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(f"{what}: expected a number from 0 to 1, got {_short(value)}")
    return float(value)


def positive(value: object, what: str) -> float:
    """Check that a value is a number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InputError(f"{what}: expected a number above 0, got {_short(value)}")
    return float(value)


def text_of(value: object, what: str) -> str:
    """Check that a value is a text."""
    if not isinstance(value, str):
        raise InputError(f"{what}: expected a text, got {_short(value)}")
    return value


def check_size(shape: Sequence[int]) -> None:
    """Check that a label image of this shape may be made.

    Raises
    ------
    InputError
        If it has more than `LARGEST_IMAGE` pixels, or more than `MOST_PLANES` planes.
    """
    if math.prod(shape) > LARGEST_IMAGE:
        raise InputError(
            f"expected an image of at most 2^30 pixels, got {' x '.join(map(str, shape))}"
        )

    if math.prod(shape[:-2]) > MOST_PLANES:
        raise InputError(
            f"expected an image of at most {MOST_PLANES} planes, got {' x '.join(map(str, shape))}"
        )


def _short(value: object) -> str:
    return reprlib.repr(value)
