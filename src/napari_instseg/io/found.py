"""What a reader finds in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..ops.axes import ArrayLike
from ..ops.axis_names import NamedAxes


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """An image in a file.

    Parameters
    ----------
    data : array
        At full resolution.
    axes : NamedAxes or None
        None if nothing is known of them.
    spacing : mapping of str to float
        µm per pixel by axis letter, where known.
    coarse : array, optional
        The lowest of several resolutions.
    """

    data: ArrayLike
    axes: NamedAxes | None
    spacing: Mapping[str, float] = field(default_factory=dict)
    coarse: ArrayLike | None = None
