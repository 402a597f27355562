"""Where an object ends: what speaks against going on to the next plane, in words."""

from __future__ import annotations

import math

from ...instances import Mask
from ...ops.axes import Image
from ...ops.morphing import equivalent_diameter
from .guides import Answer
from .settings import PropagationSettings

TIME = "T"


class Rules:
    """What ends an object along an axis of an image.

    Parameters
    ----------
    image : Image
    axis : str
    settings : PropagationSettings
    """

    def __init__(self, image: Image, axis: str, settings: PropagationSettings) -> None:
        self._axis, self._settings = axis, settings
        self._count = image.plane_shape[image.plane_axes.index(axis)]
        spacing = image.spacing
        known = axis != TIME and {axis, "Y", "X"} <= set(spacing)
        #: Distance of two planes over the size of a pixel; 0 where that is not known.
        self._anisotropy: float = (
            spacing[axis] / math.sqrt(spacing["Y"] * spacing["X"]) if known else 0.0
        )

    def name(self, index: int) -> str:
        """Name a plane for a message."""
        return f"{self._axis.lower()} {index}"

    def step(self, largest: Mask) -> float:
        """Distance of two planes over the object's diameter; 0 where that is not known."""
        return self._anisotropy / equivalent_diameter(largest)

    def before_looking(
        self, index: int, travelled: int, extent: int, given: int, largest: Mask
    ) -> str:
        """Why a plane is not looked at, "" if it is.

        Parameters
        ----------
        index : int
        travelled : int
            Planes from the outermost given one.
        extent, given : int
            Planes from the object's first to its last, this one included; of the given ones.
        largest : Mask
            The object's largest section so far.
        """
        settings = self._settings
        if not 0 <= index < self._count:
            return "the stack ends here"
        if settings.max_planes is not None and travelled > settings.max_planes:
            return f"the limit of {settings.max_planes} planes"
        longest = settings.max_length
        step = self.step(largest)
        # An object whose given planes are farther apart is known to be longer.
        if longest is not None and extent * step > max(longest, given * step):
            return f"{self.name(index)}: it would be longer than {longest:g} times its diameter"
        return ""

    def objection(
        self, index: int, answer: Answer, iou: float, expected: Mask, largest: Mask
    ) -> str:
        """Why an answer is not taken for the object, "" if it is.

        Parameters
        ----------
        index : int
        answer : Answer
        iou : float
            Of the answer and what was expected.
        expected, largest : Mask
            The mask that was expected, and the object's largest section so far.
        """
        name, settings = self.name(index), self._settings
        least, growth = settings.limits(self.step(largest))
        if answer.mask is None:
            return f"{name}: nothing was found"
        if answer.score < settings.min_score:
            return f"{name}: predicted IoU {answer.score:.2f} is below {settings.min_score:.2f}"
        times = answer.mask.area / expected.area
        if times > growth:
            return f"{name}: {times:.1f} times as large as before, more than {growth:.1f}"
        if iou < least:
            return f"{name}: IoU {iou:.2f} with the mask before is below {least:.2f}"
        return ""
