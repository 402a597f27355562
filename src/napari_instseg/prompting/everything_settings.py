"""How to segment everything: every choice that changes the result, to and from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..checked import Check, Checked, is_share, is_whole
from ..promptable import USUAL_HABITS, Habits

EXACT, FAST = MODES = ("exact", "fast")
BOXES, MASKS = NMS_KINDS = ("boxes", "masks")
#: How far below a model's own limits masks are kept.
KEPT = 0.15


@dataclass(frozen=True, slots=True)
class EverythingSettings(Checked):
    """Choices of a run over everything.

    Parameters
    ----------
    points_per_side : int
        Points of the grid along each side of a picture.
    points_per_batch : int
        Points at a time; 0 chooses by device.
    min_predicted_iou, min_stability : float
        Masks at or below the first, or below the second, are not shown, in [0, 1].
    nms : float
        Of masks that overlap by more than this IoU only the best is shown, in [0, 1].
    nms_by : {"boxes", "masks"}
        What overlaps: boxes, as in Segment Anything, or the masks themselves.
    mode : {"fast", "exact"}
        "exact" asks at every point of the grid; "fast" leaves out points where no good mask is
        to be expected.
    levels : int, optional
        How many levels of the image to look at, the finest first; None for all, up to the one
        where the image is a single picture.
    min_area, max_area : float, optional
        Smaller and larger masks are not shown, px of the image; None: no limit.
    overlapping : bool
        Show masks that lie in one another, and background, too; else one layer of objects.
    keep_predicted_iou, keep_stability : float
        Masks down to here are kept, so that the limits can be lowered later.

    Raises
    ------
    InputError
        If a value is out of its range; the message names the field.

    Examples
    --------
    >>> EverythingSettings.from_json(EverythingSettings(nms=0.5).to_json()).nms
    0.5
    """

    points_per_side: int = USUAL_HABITS.points_per_side
    points_per_batch: int = 0
    min_predicted_iou: float = USUAL_HABITS.min_predicted_iou
    min_stability: float = USUAL_HABITS.min_stability
    nms: float = 0.7
    nms_by: str = BOXES
    mode: str = FAST
    levels: int | None = None
    min_area: float = 0
    max_area: float | None = None
    overlapping: bool = False
    keep_predicted_iou: float = USUAL_HABITS.min_predicted_iou - KEPT
    keep_stability: float = USUAL_HABITS.min_stability - KEPT

    UNKNOWN: ClassVar[str] = "everything: unknown settings {unknown}; expected some of {in_order}"
    CHECKS: ClassVar[tuple[Check, ...]] = (
        ("points_per_side", lambda s: is_whole(s.points_per_side, 1), "a whole number from 1"),
        ("points_per_batch", lambda s: is_whole(s.points_per_batch, 0), "0 (automatic) or more"),
        ("min_predicted_iou", lambda s: is_share(s.min_predicted_iou), "a number in [0, 1]"),
        ("min_stability", lambda s: is_share(s.min_stability), "a number in [0, 1]"),
        ("nms", lambda s: is_share(s.nms), "a number in [0, 1]"),
        ("nms_by", lambda s: s.nms_by in NMS_KINDS, f"one of {NMS_KINDS}"),
        ("mode", lambda s: s.mode in MODES, f"one of {MODES}"),
        (
            "levels",
            lambda s: s.levels is None or is_whole(s.levels, 1),
            "a whole number from 1, or None for all",
        ),
        ("min_area", lambda s: s.min_area >= 0, "0 px or more"),
        (
            "max_area",
            lambda s: s.max_area is None or s.max_area > 0,
            "more than 0 px, or None for no limit",
        ),
        ("overlapping", lambda s: isinstance(s.overlapping, bool), "True or False"),
        ("keep_predicted_iou", lambda s: is_share(s.keep_predicted_iou), "a number in [0, 1]"),
        ("keep_stability", lambda s: is_share(s.keep_stability), "a number in [0, 1]"),
    )

    @property
    def floors(self) -> tuple[float, float]:
        """Predicted IoU and stability that a mask needs to be kept."""
        return (
            min(self.keep_predicted_iou, self.min_predicted_iou),
            min(self.keep_stability, self.min_stability),
        )

    @classmethod
    def for_model(cls, habits: Habits, values: Mapping[str, Any]) -> EverythingSettings:
        """Choose what a model does well with, but for the values that are given.

        Raises
        ------
        InputError
            As `from_json`.
        """
        iou, stability = habits.min_predicted_iou, habits.min_stability
        own = {
            "points_per_side": habits.points_per_side,
            "min_predicted_iou": iou,
            "min_stability": stability,
            "keep_predicted_iou": max(0.0, iou - KEPT),
            "keep_stability": max(0.0, stability - KEPT),
        }
        return cls.from_json({**own, **values})
