"""The run: one object from plane to plane."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...instances import Mask
from ...ops.intensity import used_channels
from ...ops.masks import mask_iou
from ...ops.morphing import between, centroid, clip
from ...ops.tiling import Tile
from ...progress import Progress
from .guides import Guide, guide_for
from .inputs import axis_of, masks_of, plane_of
from .motion import displacement
from .result import BETWEEN, FOUND, GIVEN, Propagated, Section, plane_index
from .rules import TIME, Rules
from .settings import (
    AUTO,
    BACKWARD,
    BOTH,
    FORWARD,
    PICTURE,
    STEADY,
    STILL,
    PropagationSettings,
)

if TYPE_CHECKING:
    from ..session import PromptSession


@dataclass(slots=True, eq=False)
class _Front:
    """One end of what is known, on its way through the planes."""

    toward: int
    seed: int
    #: The plane that was looked at last, and the one on which the object was seen last.
    index: int
    seen: int
    mask: Mask
    #: Rows and columns from plane to plane, px.
    speed: NDArray[np.float64]
    #: Why the object was not found on the planes since.
    objections: list[str] = field(default_factory=list)


class PropagationRun:
    """Follows an object from plane to plane.

    Iterate to work, a plane a step; leave the loop at any step to cancel; `result` gives what
    is done. Gaps between given planes are filled first, from both ends toward the middle, then
    both outer ends go on in turn until something says that the object ends.

    Parameters
    ----------
    session : PromptSession
    seeds : mapping of int to Mask or (H, W) bool array
        The object, in px of the plane, by index along the axis.
    axis : str, optional
        Letter of a plane axis of the image; None takes the only one, or Z.
    plane : tuple of int
        Index along each of the other plane axes.
    settings : PropagationSettings

    Raises
    ------
    InputError
        If there is no such axis or plane, or no mask inside it.

    Examples
    --------
    >>> run = PropagationRun(session, {7: mask}, "Z")  # doctest: +SKIP
    >>> for progress in run:  # doctest: +SKIP
    ...     print(progress.message)
    >>> run.result().paint(labels, 3)  # doctest: +SKIP
    """

    def __init__(
        self,
        session: PromptSession,
        seeds: Mapping[int, Mask | NDArray[np.bool_]],
        axis: str | None = None,
        plane: tuple[int, ...] = (),
        settings: PropagationSettings | None = None,
    ) -> None:
        image = session.image
        self.session, self.image = session, image
        self.settings = settings = settings or PropagationSettings()
        self.axis = axis = axis_of(image, axis)
        self.plane = plane = plane_of(image, axis, plane)
        self._rules = Rules(image, axis, settings)
        self.count = image.plane_shape[image.plane_axes.index(axis)]
        given = masks_of(image, axis, seeds)
        self._sections = {k: Section(mask, 1.0, 1.0, k, GIVEN) for k, mask in sorted(given.items())}
        self._largest = max((given[k] for k in sorted(given)), key=lambda mask: mask.area)
        self._shape = (image.label_shape[-2], image.label_shape[-1])
        self._channels = used_channels(image, session.settings)
        self._given = tuple(sorted(given))
        self._guide: Guide = guide_for(session, self._plane_of, given, self.count, settings)
        motion = PICTURE if axis == TIME else STILL
        self._motion = motion if settings.motion == AUTO else settings.motion
        self._why = dict.fromkeys((-1, 1), "not asked for")
        self._fronts: list[_Front] = []
        self._complete = False
        self._done = 0

    def __iter__(self) -> Iterator[Progress]:
        """Do the work, one plane a step."""
        ways = ((-1, self._given[0], BACKWARD), (1, self._given[-1], FORWARD))
        self._fronts = [
            self._front(seed, toward)
            for toward, seed, direction in ways
            if self.settings.direction in (BOTH, direction)
        ]
        self._why |= {front.toward: "cancelled" for front in self._fronts}
        yield self._progress("starting")
        for a, b in zip(self._given, self._given[1:], strict=False):
            yield from self._fill(a, b)
        while self._fronts:
            for front in tuple(self._fronts):
                yield from self._go_on(front)
        self._complete = True

    def result(self) -> Propagated:
        """Return what has been found so far; `complete` says whether that is all."""
        return Propagated(
            self.image,
            self.axis,
            self.plane,
            dict(sorted(self._sections.items())),
            self._why[-1],
            self._why[1],
            self.settings,
            self._complete,
        )

    def _plane_of(self, index: int) -> tuple[int, ...]:
        return plane_index(self.image, self.axis, self.plane, index)

    def _front(self, seed: int, toward: int) -> _Front:
        return _Front(
            toward, seed, seed, seed, self._sections[seed].mask, self._speed(seed, toward)
        )

    def _speed(self, index: int, toward: int) -> NDArray[np.float64]:
        """How the object has moved from the plane before to this one, px."""
        before = self._sections.get(index - toward)
        if before is None:
            return np.zeros(2)
        return np.subtract(centroid(self._sections[index].mask), centroid(before.mask))

    def _fill(self, a: int, b: int) -> Iterator[Progress]:
        """Find the object between two planes where it is known, from both ends in turn."""
        low, high = self._front(a, 1), self._front(b, -1)
        while high.index - low.index > 1:
            for front, other in ((low, high), (high, low)):
                distance = abs(other.index - front.index)
                if distance < 2:
                    break
                front.index += front.toward
                expected = clip(between(front.mask, other.mask, 1 / distance), self._shape)
                # Between two masks inside the plane there is always one.
                expected = expected or front.mask
                answer = self._guide.look(front.index, expected, front.toward)
                iou = _iou(answer.mask, expected)
                mask, kind = answer.mask, FOUND
                said = self._rules.objection(front.index, answer, iou, expected, self._largest)
                if mask is None or said:
                    mask, kind = expected, BETWEEN
                front.mask, front.seen = mask, front.index
                section = Section(mask, answer.score, iou, front.seed, kind)
                self._keep(front.index, section)
                self._done += 1
                yield self._progress(f"{self._rules.name(front.index)}: IoU {iou:.2f}")

    def _go_on(self, front: _Front) -> Iterator[Progress]:
        """Look at the next plane, unless the object ends before it."""
        reason = self._before_looking(front)
        if reason:
            self._end(front, reason)
            return
        front.index += front.toward
        self._done += 1
        expected = clip(front.mask.shift(*self._move(front)), self._shape)
        if expected is None:
            self._end(front, f"{self._rules.name(front.index)}: it has left the picture")
            return
        answer = self._guide.look(front.index, expected, front.toward)
        iou = _iou(answer.mask, expected)
        objection = self._rules.objection(front.index, answer, iou, expected, self._largest)
        if answer.mask is None or objection:
            front.objections.append(objection)
            if len(front.objections) > self.settings.patience:
                self._end(front, front.objections[0])
            yield self._progress(f"{self._rules.name(front.index)}: not found")
            return
        section = Section(answer.mask, answer.score, iou, front.seed, FOUND)
        self._pass_over(front, section)
        self._keep(front.index, section)
        front.mask, front.seen = answer.mask, front.index
        front.speed = self._speed(front.index, front.toward)
        front.objections.clear()
        yield self._progress(f"{self._rules.name(front.index)}: IoU {iou:.2f}")

    def _before_looking(self, front: _Front) -> str:
        index = front.index + front.toward
        known = (*self._sections, index)
        return self._rules.before_looking(
            index,
            abs(index - front.seed),
            max(known) - min(known) + 1,
            self._given[-1] - self._given[0] + 1,
            self._largest,
        )

    def _keep(self, index: int, section: Section) -> None:
        self._sections[index] = section
        if section.mask.area > self._largest.area:
            self._largest = section.mask

    def _end(self, front: _Front, reason: str) -> None:
        self._why[front.toward] = front.objections[0] if front.objections else reason
        self._fronts.remove(front)

    def _pass_over(self, front: _Front, section: Section) -> None:
        """Fill the planes that the object was not seen on, now that it is there again."""
        distance = abs(front.index - front.seen)
        for step in range(1, distance):
            mask = clip(between(front.mask, section.mask, step / distance), self._shape)
            where = front.seen + step * front.toward
            self._keep(where, Section(mask or front.mask, 0.0, 0.0, front.seed, BETWEEN))

    def _move(self, front: _Front) -> tuple[int, int]:
        """How far the mask is to be moved for the next plane, px."""
        if self._motion == STEADY:
            rows, cols = np.rint(front.speed * abs(front.index - front.seen))
            return int(rows), int(cols)
        if self._motion == PICTURE:
            return displacement(self._read, self._shape, front.mask, front.seen, front.index)
        return 0, 0

    def _read(self, index: int, tile: Tile, thin: int) -> NDArray[np.float32]:
        pixels = self.image.read(
            self._plane_of(index),
            slice(tile.top, tile.bottom, thin),
            slice(tile.left, tile.right, thin),
            self._channels,
        )
        gray: NDArray[np.float32] = self.session.mapping.apply(pixels).mean(axis=2)
        return gray

    def _progress(self, message: str) -> Progress:
        first, last = self._given[0], self._given[-1]
        left = sum(k not in self._sections for k in range(first, last))
        left += sum(f.index if f.toward < 0 else self.count - 1 - f.index for f in self._fronts)
        return Progress(self._done, self._done + left, message)


def propagate(
    session: PromptSession,
    seeds: Mapping[int, Mask | NDArray[np.bool_]],
    axis: str | None = None,
    plane: tuple[int, ...] = (),
    **settings: Any,
) -> Propagated:
    """Follow an object through a stack to its end; see `PropagationRun`.

    Parameters
    ----------
    session, seeds, axis, plane
        As for `PropagationRun`.
    **settings
        Fields of `PropagationSettings`.

    Raises
    ------
    InputError
        If there is no such axis, plane or setting, or no mask inside the plane.
    """
    run = PropagationRun(session, seeds, axis, plane, PropagationSettings.from_json(settings))
    for _ in run:
        pass
    return run.result()


def _iou(mask: Mask | None, expected: Mask) -> float:
    return 0.0 if mask is None else mask_iou(mask, expected)
