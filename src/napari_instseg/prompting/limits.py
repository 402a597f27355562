"""Limits of the intensity mapping that a single pixel does not move."""

from __future__ import annotations

import math
from dataclasses import replace

from ..ops.intensity import IntensityMapping
from ..settings import Settings

#: Measured limits become multiples of a step that divides their range into at least so many.
STEPS = 256


def steady(mapping: IntensityMapping, settings: Settings) -> IntensityMapping:
    """Round measured limits, so that a changed pixel does not change all other tiles' pictures.

    Examples
    --------
    >>> steady(IntensityMapping(((101.3, 1103.9),)), Settings()).limits
    ((102.0, 1104.0),)
    """
    if settings.limits is not None:
        return mapping
    return replace(mapping, limits=tuple(_round(low, high) for low, high in mapping.limits))


def _round(low: float, high: float) -> tuple[float, float]:
    span = high - low
    if not 0 < span < math.inf:
        return low, high
    step = 2.0 ** math.floor(math.log2(span / STEPS))
    return round(low / step) * step, round(high / step) * step
