"""How objects become prompts, and when an answer is taken: to and from JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..checked import Check, Checked, is_share

BOX, BOX_AND_POINT, MASK = PROMPTS = ("box", "box and point", "mask")


@dataclass(frozen=True, slots=True)
class RefineSettings(Checked):
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

    UNKNOWN: ClassVar[str] = "refine: unknown settings {unknown}; expected some of {in_order}"
    CHECKS: ClassVar[tuple[Check, ...]] = (
        ("prompt", lambda s: s.prompt in PROMPTS, f"one of {PROMPTS}"),
        ("min_predicted_iou", lambda s: is_share(s.min_predicted_iou), "a number in [0, 1]"),
        ("min_iou", lambda s: is_share(s.min_iou), "a number in [0, 1]"),
        (
            "min_score",
            lambda s: s.min_score is None or is_share(s.min_score),
            "a number in [0, 1], or None",
        ),
    )
