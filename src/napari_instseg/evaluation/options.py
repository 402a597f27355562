"""What is to be measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..segmenter import InputError
from .comparing import AUTO
from .errors import POOR_BELOW
from .matching import ALL_THRESHOLDS, check_thresholds


@dataclass(frozen=True, slots=True)
class Options:
    """What is to be measured, and how.

    Parameters
    ----------
    thresholds : tuple of float
        IoU, in (0, 1], kept in rising order; the lowest decides what is an error.
    categories : {"auto", "name", "one"}
        See `compare`.
    void : bool, optional
        See `compare`.
    coco : bool
        COCO's AP and AR, too; needs ``pip install "napari-instseg[evaluate]"``.
    boundary : bool
        Distances between outlines, too; a look at each pair.
    poor_below : float
        Matches below this IoU have a poor boundary, in (0, 1].
    draws, seed : int
    level : float
        See `find_intervals`.

    Raises
    ------
    InputError
        If a value is out of its range.
    """

    thresholds: tuple[float, ...] = ALL_THRESHOLDS
    categories: str = AUTO
    void: bool | None = None
    coco: bool = False
    boundary: bool = False
    poor_below: float = POOR_BELOW
    draws: int = 1000
    seed: int = 0
    level: float = 0.95

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        """Make them from some of the fields.

        Raises
        ------
        InputError
            If there is no such field, or a value is out of its range.
        """
        known = [one.name for one in fields(cls)]
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise InputError(f"expected options {', '.join(known)}, got {', '.join(unknown)}")
        return cls(**given)

    def __post_init__(self) -> None:
        object.__setattr__(self, "thresholds", check_thresholds(self.thresholds))
        if not 0 < self.poor_below <= 1:
            raise InputError(f"poor_below: expected an IoU in (0, 1], got {self.poor_below}")
        if self.draws < 0 or self.seed < 0:
            raise InputError(
                f"expected draws and seed of 0 or more, got {self.draws} and {self.seed}"
            )
        if not 0 < self.level < 1:
            raise InputError(f"level: expected a share between 0 and 1, got {self.level}")
