"""How an object is followed through a stack: frozen, to and from JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from numbers import Integral
from typing import Any

from ...segmenter import InputError

BOTH, FORWARD, BACKWARD = DIRECTIONS = ("both", "forward", "backward")
MASK, BOX, POINTS, MEMORY = GUIDES = ("mask", "box", "points", "memory")
STILL, STEADY, PICTURE = MOTIONS = ("none", "steady", "picture")
AUTO = "auto"
#: The IoU limit falls to this share of itself at most, however far planes are apart.
LOWEST_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class PropagationSettings:
    """Choices of a propagation.

    Parameters
    ----------
    direction : {"both", "forward", "backward"}
        Where to go from the outermost given planes; gaps between given planes are always
        filled.
    guide : {"auto", "mask", "box", "points", "memory"}
        What the model is told of the object on the next plane: the last mask with a box around
        it and points inside, the box alone, or the points alone. "memory" leaves it to the
        model's own memory of earlier planes (SAM 2); "auto" takes that where the model has one,
        else "mask".
    motion : {"auto", "none", "steady", "picture"}
        How the mask moves to the next plane before it is a prompt: not at all, on as it moved
        before, or as the picture around it moved. "auto": "picture" along T, else "none".
    min_score : float
        Stop where the model's predicted IoU is below it; in [0, 1].
    min_iou : float
        Stop where the IoU with the last mask (moved) is below it; in [0, 1].
    max_growth : float
        Stop where the mask is so many times larger than the last one; above 1.
    max_length : float, optional
        Stop where the object would be longer than so many times its diameter; needs a known
        spacing, and does not count along T. None never stops.
    max_planes : int, optional
        Planes to go from the outermost given plane, at most.
    patience : int
        Planes without the object that are passed over, if it is there again after them.
    box_margin : float
        The box is larger by this share of its size on each side, since objects grow.

    Raises
    ------
    InputError
        If a value is out of its range; the message names the field.

    Notes
    -----
    Where planes are far apart, sections of one object differ more: the limits of IoU and growth
    widen with the plane's distance over the object's diameter (see `limits`), while
    ``max_length`` ends the object after fewer planes.

    Examples
    --------
    >>> PropagationSettings.from_json(PropagationSettings(min_iou=0.3).to_json()).min_iou
    0.3
    """

    direction: str = BOTH
    guide: str = AUTO
    motion: str = AUTO
    min_score: float = 0.6
    min_iou: float = 0.5
    max_growth: float = 2.0
    max_length: float | None = 5.0
    max_planes: int | None = None
    patience: int = 0
    box_margin: float = 0.1

    def __post_init__(self) -> None:
        for name, is_good, expected in _CHECKS:
            try:
                good = is_good(getattr(self, name))
            except TypeError:
                good = False  # Of another kind than the check can look at.
            if not good:
                raise InputError(f"{name}: expected {expected}, got {getattr(self, name)!r}")

    def limits(self, step: float) -> tuple[float, float]:
        """Return the least IoU and the greatest growth from one plane to the next.

        Parameters
        ----------
        step : float
            Distance of the planes over the object's diameter; 0 where that is not known.
        """
        return (
            self.min_iou * max(LOWEST_SHARE, 1 - step),
            1 + (self.max_growth - 1) * (1 + step),
        )

    def to_json(self) -> dict[str, Any]:
        """Return values that `json` can write."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> PropagationSettings:
        """Rebuild from `to_json`'s values.

        Raises
        ------
        InputError
            If there is a field that this version does not know, or a bad value.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise InputError(
                f"propagation: unknown fields {unknown}; expected some of {sorted(known)}"
            )
        return cls(**values)

    def replace(self, **changes: Any) -> PropagationSettings:
        """Return a copy with some fields changed."""
        return replace(self, **changes)


def _is_count(value: Any, lowest: int) -> bool:
    return isinstance(value, Integral) and int(value) >= lowest


#: Field, whether its value is good, and what was expected.
_CHECKS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("direction", lambda v: v in DIRECTIONS, f"one of {DIRECTIONS}"),
    ("guide", lambda v: v in (AUTO, *GUIDES), f"one of {(AUTO, *GUIDES)}"),
    ("motion", lambda v: v in (AUTO, *MOTIONS), f"one of {(AUTO, *MOTIONS)}"),
    ("min_score", lambda v: 0 <= v <= 1, "a number in [0, 1]"),
    ("min_iou", lambda v: 0 <= v <= 1, "a number in [0, 1]"),
    ("max_growth", lambda v: v > 1, "a number above 1"),
    ("max_length", lambda v: v is None or v > 0, "a number above 0, or None"),
    ("max_planes", lambda v: v is None or _is_count(v, 1), "a whole number from 1, or None"),
    ("patience", lambda v: _is_count(v, 0), "a whole number from 0"),
    ("box_margin", lambda v: 0 <= v <= 1, "a number in [0, 1]"),
)
