"""Choices that are checked when they are made: frozen, to and from JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from numbers import Integral
from typing import Any, ClassVar, Self, TypeAlias

from .segmenter import InputError

#: Field, whether its value is good (given all of them), and what was expected.
Check: TypeAlias = tuple[str, Callable[[Any], bool], str]


@dataclass(frozen=True, slots=True)
class Checked:
    """Base of settings: frozen dataclasses with slots.

    Raises
    ------
    InputError
        If a check fails; the message names the field.
    """

    #: In the order in which they are made; what a check cannot look at is not good.
    CHECKS: ClassVar[tuple[Check, ...]] = ()
    #: What is said of fields that there are not: ``unknown``, ``known`` and ``in_order``.
    UNKNOWN: ClassVar[str] = "unknown fields {unknown}; expected some of {known}"

    def __post_init__(self) -> None:
        for name, is_good, expected in self.CHECKS:
            try:
                good = is_good(self)
            except (TypeError, ValueError):
                good = False  # Of another kind than the check can look at.
            if not good:
                raise InputError(f"{name}: expected {expected}, got {getattr(self, name)!r}")

    def to_json(self) -> dict[str, Any]:
        """Return values that `json` can write."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild from `to_json`'s values, after a round trip through JSON.

        Raises
        ------
        InputError
            If there is a field that this version does not know, or a bad value.
        """
        in_order = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(in_order))
        if unknown:
            known = sorted(in_order)
            raise InputError(cls.UNKNOWN.format(unknown=unknown, known=known, in_order=in_order))
        return cls(**{name: _tuples(value) for name, value in values.items()})

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return replace(self, **changes)


def is_share(value: Any) -> bool:
    """Whether it is a number in [0, 1]."""
    return bool(0 <= value <= 1)


def is_whole(value: Any, lowest: int, highest: float = math.inf) -> bool:
    """Whether it is a whole number within limits."""
    return isinstance(value, Integral) and lowest <= int(value) <= highest


def _tuples(value: Any) -> Any:
    """Lists to tuples, and what NumPy has to plain numbers."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(_tuples(v) for v in value) if isinstance(value, (list, tuple)) else value
