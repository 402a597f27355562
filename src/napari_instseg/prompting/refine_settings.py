"""How objects become prompts, and when an answer is taken: to and from JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..segmenter import InputError

BOX, BOX_AND_POINT, MASK = PROMPTS = ("box", "box and point", "mask")


@dataclass(frozen=True, slots=True)
class RefineSettings:
    """Choices of a run that refines objects.

    Parameters
    ----------
    prompt : {"box", "box and point", "mask"}
        What of an object the model is shown: its box, its box and the point deepest inside
        it, or its mask and box. Boxes and points that are given as such are shown as they are.
    min_predicted_iou : float
        An answer below it is not taken, in [0, 1].
    min_iou : float
        Nor is one that shares less with the object's old mask (IoU), in [0, 1].
    min_score : float, optional
        Objects below it stay as they are; None takes the score threshold of the segmentation.

    Raises
    ------
    InputError
        If a value is out of its range; the message names the field.
    """

    prompt: str = BOX
    min_predicted_iou: float = 0.5
    min_iou: float = 0.5
    min_score: float | None = None

    def __post_init__(self) -> None:
        for name, is_good, expected in _CHECKS:
            value = getattr(self, name)
            try:
                good = is_good(value)
            except TypeError:
                good = False  # Of another kind than the check can look at.
            if not good:
                raise InputError(f"{name}: expected {expected}, got {value!r}")

    def to_json(self) -> dict[str, Any]:
        """Return values that `json` can write."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RefineSettings:
        """Rebuild from `to_json`'s values.

        Raises
        ------
        InputError
            If there is a field that this version does not know, or a bad value.
        """
        known = [f.name for f in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise InputError(f"refine: unknown settings {unknown}; expected some of {known}")
        return cls(**values)


def _share(value: Any) -> bool:
    return bool(0 <= value <= 1)


#: Field, whether its value is good, and what was expected.
_CHECKS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("prompt", lambda v: v in PROMPTS, f"one of {PROMPTS}"),
    ("min_predicted_iou", _share, "a number in [0, 1]"),
    ("min_iou", _share, "a number in [0, 1]"),
    ("min_score", lambda v: v is None or _share(v), "a number in [0, 1], or None"),
)
