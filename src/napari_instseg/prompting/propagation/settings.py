"""How an object is followed through a stack: frozen, to and from JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...checked import Check, Checked, is_share, is_whole

BOTH, FORWARD, BACKWARD = DIRECTIONS = ("both", "forward", "backward")
MASK, BOX, POINTS, MEMORY = GUIDES = ("mask", "box", "points", "memory")
STILL, STEADY, PICTURE = MOTIONS = ("none", "steady", "picture")
AUTO = "auto"
#: The IoU limit falls to this share of itself at most, however far planes are apart.
LOWEST_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class PropagationSettings(Checked):
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

    UNKNOWN: ClassVar[str] = "propagation: unknown fields {unknown}; expected some of {known}"
    CHECKS: ClassVar[tuple[Check, ...]] = (
        ("direction", lambda s: s.direction in DIRECTIONS, f"one of {DIRECTIONS}"),
        ("guide", lambda s: s.guide in (AUTO, *GUIDES), f"one of {(AUTO, *GUIDES)}"),
        ("motion", lambda s: s.motion in (AUTO, *MOTIONS), f"one of {(AUTO, *MOTIONS)}"),
        ("min_score", lambda s: is_share(s.min_score), "a number in [0, 1]"),
        ("min_iou", lambda s: is_share(s.min_iou), "a number in [0, 1]"),
        ("max_growth", lambda s: s.max_growth > 1, "a number above 1"),
        (
            "max_length",
            lambda s: s.max_length is None or s.max_length > 0,
            "a number above 0, or None",
        ),
        (
            "max_planes",
            lambda s: s.max_planes is None or is_whole(s.max_planes, 1),
            "a whole number from 1, or None",
        ),
        ("patience", lambda s: is_whole(s.patience, 0), "a whole number from 0"),
        ("box_margin", lambda s: is_share(s.box_margin), "a number in [0, 1]"),
    )

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
