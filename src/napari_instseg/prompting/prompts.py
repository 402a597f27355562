"""What is asked about objects of a plane, and what is answered, in px of the plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..instances import Mask
from ..promptable import OFF, ON
from ..segmenter import InputError
from .views import Region, View

#: A mask without pixels.
NO_PIXELS = Mask((0, 0), np.zeros((0, 0), np.bool_))


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One answer to a prompt.

    Parameters
    ----------
    mask : Mask
        In px of the plane; (0, 0) in size if nothing was found.
    predicted_iou : float
        What the model thinks of it; about [0, 1], not clipped.
    stability : float
        See `promptable.Candidates`.
    output : int
        0 the answer to a clear prompt, 1 to 3 those to an ambiguous one.
    view : View
        Where it was found.
    logits : (h, w) float32
        On the model's own grid over the view's picture; for the next corrective click.
    is_cut : bool
        Whether it reaches an edge of the view's tile beyond which the plane goes on.
    asked : Asked, optional
        What it answers; None: no model gave it.
    """

    mask: Mask
    predicted_iou: float
    stability: float
    output: int
    view: View
    logits: NDArray[np.float32]
    is_cut: bool
    asked: Asked | None = None

    @property
    def score(self) -> float:
        """The predicted IoU, clipped to [0, 1]."""
        return float(np.clip(self.predicted_iou, 0, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """By what question a candidate is had again.

    Parameters
    ----------
    prompt : Prompt
    multimask, reach
        See `PromptSession.candidates`.
    place : int
        Among the answers, the best first.
    """

    prompt: Prompt
    multimask: bool | None
    reach: int | None
    place: int


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """What is asked about one object; coordinates are continuous px of the plane.

    Parameters
    ----------
    points : tuple of (row, col)
        Pixel (r, c) covers r to r + 1 and c to c + 1.
    labels : tuple of int
        1: on the object, 0: not; for each point. Empty means all are on it.
    box : (row_min, col_min, row_max, col_max), optional
    mask : Mask, optional
        About where the object is.
    previous : Candidate, optional
        The answer that further points correct.

    Raises
    ------
    InputError
        If nothing is asked, numbers and labels do not fit, or a number is not finite.
    """

    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    box: Region | None = None
    mask: Mask | None = None
    previous: Candidate | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.labels and self.points:
            object.__setattr__(self, "labels", (ON,) * len(self.points))
        if len(self.labels) != len(self.points):
            raise InputError(
                f"labels: expected one for each of {len(self.points)} points, got "
                f"{len(self.labels)}"
            )
        if not set(self.labels) <= {ON, OFF}:
            raise InputError(
                f"labels: expected 1 (on the object) or 0 (not), got {tuple(self.labels)}"
            )
        if not np.isfinite([*np.ravel(self.points), *(self.box or ())]).all():
            raise InputError("points, box: expected finite numbers, got NaN or infinity")
        if self.box is not None and not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise InputError(
                "box: expected row_min, col_min, row_max, col_max with min < max, got "
                f"{tuple(self.box)}"
            )
        if self.mask is not None and not self.mask.pixels.any():
            raise InputError("mask: expected some pixels inside, got an empty mask")
        if not self.points and self.box is None and self.mask is None:
            raise InputError("expected points, a box or a mask; got none of these")

    @property
    def is_ambiguous(self) -> bool:
        """Whether it may mean a part as well as a whole: one click and nothing else."""
        others = self.box, self.mask, self.previous
        return len(self.points) == 1 and all(other is None for other in others)

    @property
    def region(self) -> Region:
        """What the points, the box and the mask span."""
        corners = [*self.points]
        if self.box is not None:
            corners += [self.box[:2], self.box[2:]]
        for mask in (self.mask, None if self.previous is None else self.previous.mask):
            if mask is not None and mask.pixels.size:
                rows, cols = mask.slices
                corners += [(rows.start, cols.start), (rows.stop, cols.stop)]
        low, high = np.min(corners, axis=0), np.max(corners, axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    def within(self, shape: tuple[int, int]) -> Prompt:
        """Check that it lies in a plane of ``shape``; clip a box that sticks out of it.

        Raises
        ------
        InputError
            If a point, a mask or all of a box lies outside.
        """
        height, width = shape
        size = f"the plane of {height} x {width} px"
        for row, col in self.points:
            if not (0 <= row <= height and 0 <= col <= width):
                raise InputError(
                    f"points: expected (row, col) inside {size}, got ({row:g}, {col:g})"
                )
        if self.mask is not None:
            rows, cols = self.mask.slices
            if rows.start < 0 or cols.start < 0 or rows.stop > height or cols.stop > width:
                raise InputError(f"mask: expected it inside {size}, got one that sticks out of it")
        if self.box is None:
            return self
        top, left = max(self.box[0], 0), max(self.box[1], 0)
        bottom, right = min(self.box[2], height), min(self.box[3], width)
        if not (top < bottom and left < right):
            raise InputError(
                f"box: expected row_min, col_min, row_max, col_max inside {size}, got "
                f"{tuple(self.box)}"
            )
        box = float(top), float(left), float(bottom), float(right)
        return Prompt(self.points, self.labels, box, self.mask, self.previous)


def read_prompts(
    points: Any = None, labels: Any = None, box: Any = None, mask: Any = None
) -> tuple[Prompt, ...]:
    """Turn what a user gives into prompts.

    Parameters
    ----------
    points : sequence of (row, col), or of such sequences
        Of one object, or of several; an object without points has an empty sequence.
    labels : sequence of int, or of such sequences
        As the points.
    box : (4,) or (N, 4) numbers
    mask : (H, W) bool array or Mask, or a sequence of these

    Returns
    -------
    tuple of Prompt
        One object, or those of the longer form.

    Raises
    ------
    InputError
        If one object's form is mixed with several's, lengths differ, or see `Prompt`.
    """
    given = {
        "points": None if points is None else _split(points, 2, "points"),
        "labels": None if labels is None else _split(labels, 1, "labels"),
        "box": None if box is None else _split(box, 1, "box"),
        "mask": None if mask is None else _split_masks(mask),
    }
    counts = {name: len(values) for name, values in given.items() if values is not None}
    if len(set(counts.values())) > 1:
        text = ", ".join(f"{name} for {count}" for name, count in counts.items())
        raise InputError(f"expected prompts for the same number of objects, got {text}")
    if "labels" in counts and "points" not in counts:
        raise InputError("labels: expected points that they belong to, got none")
    if not counts:
        raise InputError("expected points, a box or a mask; got none of these")
    rows = [values or [None] * max(counts.values()) for values in given.values()]
    return tuple(_prompt(*row) for row in zip(*rows, strict=True))


def _prompt(points: Any, labels: Any, box: Any, mask: Mask | None) -> Prompt:
    where = _numbers(points if points is not None else (), "points").reshape(-1, 2)
    marks = _numbers(labels if labels is not None else (), "labels").ravel()
    edges = None if box is None else _numbers(box, "box").ravel()
    if edges is not None and edges.shape != (4,):
        raise InputError(
            f"box: expected row_min, col_min, row_max, col_max, got {len(edges)} numbers"
        )
    if len(marks) != len(where) and labels is not None:
        raise InputError(f"labels: expected one for each of {len(where)} points, got {len(marks)}")
    return Prompt(
        tuple((float(row), float(col)) for row, col in where),
        tuple(int(mark) if mark == int(mark) else -1 for mark in marks),
        None if edges is None else (edges[0], edges[1], edges[2], edges[3]),
        mask,
    )


def _numbers(values: Any, name: str) -> NDArray[np.float64]:
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected numbers, got {values!r}") from error
    if name == "points" and found.size and found.shape[-1] != 2:
        raise InputError(f"points: expected (row, col) each, got shape {found.shape}")
    return found


def _split(values: Any, depth: int, name: str) -> list[Any] | None:
    """One entry an object; ``depth`` is how deeply one object's values are nested."""
    if not _is_nested(values):
        raise InputError(f"{name}: expected a sequence of numbers, got {values!r}")
    level, inner = 0, values
    while _is_nested(inner):
        level += 1
        # An object without points says nothing of how deep the others are.
        inner = next((v for v in inner if v is not None and not _is_empty(v)), None)
    if len(values) == 0:
        return None
    if level == depth:
        return [values]
    if level == depth + 1 or inner is None:
        return list(values)
    raise InputError(
        f"{name}: expected those of one object (nested {depth} deep) or of several "
        f"({depth + 1} deep), got {level} deep"
    )


def _is_nested(values: Any) -> bool:
    return isinstance(values, (Sequence, np.ndarray)) and not isinstance(values, str)


def _is_empty(values: Any) -> bool:
    return _is_nested(values) and len(values) == 0


def _split_masks(values: Any) -> list[Mask | None]:
    if isinstance(values, Mask):
        return [values]
    if isinstance(values, np.ndarray) and values.ndim == 2:
        return [_mask(values)]
    if not isinstance(values, (Sequence, np.ndarray)):
        raise InputError(f"mask: expected a bool array (H, W), a Mask, or several, got {values!r}")
    return [None if value is None else _mask(value) for value in values]


def _mask(value: Any) -> Mask:
    if isinstance(value, Mask):
        return value
    pixels = np.asarray(value)
    if pixels.ndim != 2 or pixels.dtype != np.bool_:
        raise InputError(
            f"mask: expected a bool array (H, W), got shape {pixels.shape} of {pixels.dtype}"
        )
    tight = Mask((0, 0), pixels.copy()).tight()
    return NO_PIXELS if tight is None else tight
