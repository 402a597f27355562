"""What tells the model where the object is on the next plane."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from ...instances import Mask
from ...models.tracks import Track, VideoPrompter
from ...ops.masks import mask_iou, union
from ...ops.morphing import centroid, interior_points
from ...segmenter import InputError
from .settings import AUTO, BOX, MASK, MEMORY, POINTS, PropagationSettings

if TYPE_CHECKING:
    from ..session import PromptSession
    from ..views import Region, View

#: Index of a plane along all plane axes, from that along one of them.
PlaneOf: TypeAlias = Callable[[int], tuple[int, ...]]
#: Points inside a mask that stand for it.
POINT_COUNT = 3
#: The box is larger than the mask by this on each side at least, px.
LEAST_MARGIN = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What the model says of a plane: a mask (None: nothing there) and its predicted IoU."""

    mask: Mask | None
    score: float


class Guide(Protocol):
    """Finds the object on a plane, given what is expected there."""

    def look(self, index: int, expected: Mask, toward: int) -> Answer:
        """Find the object.

        Parameters
        ----------
        index : int
            Of the plane, along the axis.
        expected : Mask
            Where it should be, inside the plane.
        toward : {1, -1}
            Whether the planes are gone through forward or backward.
        """
        ...


class PromptGuide:
    """Asks with prompts made of the expected mask.

    Parameters
    ----------
    session : PromptSession
    plane_of : callable
        Index of a plane along all plane axes, from that along the axis.
    kind : {"mask", "box", "points"}
    box_margin : float
        As in `PropagationSettings`.
    """

    def __init__(
        self,
        session: PromptSession,
        plane_of: PlaneOf,
        kind: str,
        box_margin: float,
    ) -> None:
        self._session, self._plane_of = session, plane_of
        self._kind, self._margin = kind, box_margin

    def look(self, index: int, expected: Mask, toward: int) -> Answer:
        """Find the object; the direction makes no difference."""
        prompt: dict[str, Any] = {}
        if self._kind in (MASK, BOX):
            prompt["box"] = self._box(expected)
        if self._kind == MASK:
            prompt["mask"] = expected
        if self._kind in (MASK, POINTS):
            prompt["points"] = interior_points(expected, POINT_COUNT)
        found = self._session.segment(**prompt, plane=self._plane_of(index), candidates=True)
        answers = [
            Answer(mask.tight(), float(score))
            for mask, score in zip(found.masks, found.scores, strict=True)
        ]
        # Of the model's three answers, the one that goes on with the object.
        return max(answers, key=lambda a: _fit(a, expected), default=Answer(None, 0.0))

    def _box(self, expected: Mask) -> Region:
        high, wide = (max(LEAST_MARGIN, self._margin * n) for n in expected.pixels.shape)
        return _around(expected, high, wide, self._session.plane_shape)


def _around(mask: Mask, high: float, wide: float, shape: tuple[int, int]) -> Region:
    """The box of a mask with a margin, inside a plane of ``shape``."""
    (rows, cols), (height, width) = mask.slices, shape
    return (
        max(0.0, rows.start - high),
        max(0.0, cols.start - wide),
        min(float(height), rows.stop + high),
        min(float(width), cols.stop + wide),
    )


def _fit(answer: Answer, expected: Mask) -> float:
    return 0.0 if answer.mask is None else answer.score * mask_iou(answer.mask, expected)


class MemoryGuide:
    """Asks a model that remembers earlier planes, the given ones among them.

    All planes are seen through one window; when the object comes to the window's edge, the
    model starts afresh with another one around it.

    Parameters
    ----------
    session : PromptSession
    prompter : VideoPrompter
        The session's model.
    plane_of : callable
        Index of a plane along all plane axes, from that along the axis.
    given : mapping of int to Mask
        By index along the axis.
    count : int
        Number of planes along the axis.
    """

    def __init__(
        self,
        session: PromptSession,
        prompter: VideoPrompter,
        plane_of: PlaneOf,
        given: Mapping[int, Mask],
        count: int,
    ) -> None:
        self._session, self._prompter = session, prompter
        self._plane_of, self._given, self._count = plane_of, given, count
        # By direction: what is remembered on the way up is of no use on the way down.
        self._tracks: dict[int, tuple[Track, View]] = {}
        self._last: dict[int, tuple[int, Mask]] = {}

    def look(self, index: int, expected: Mask, toward: int) -> Answer:
        """Find the object; what is expected only says through which window to look."""
        session = self._session
        if toward not in self._tracks or not self._shows(self._tracks[toward][1], expected):
            self._begin(index, expected, toward)
        track, view = self._tracks[toward]
        here = replace(view, plane=self._plane_of(index))
        found = track.step(index, session.embedding(here), reverse=toward < 0)
        mask = session.to_plane(here, [found.mask])[0].tight()
        if mask is not None:
            self._last[toward] = index, mask
        return Answer(mask, min(1.0, max(0.0, found.predicted_iou)))

    def _begin(self, index: int, expected: Mask, toward: int) -> None:
        """Start a memory with the given masks that a window around the object shows whole."""
        near = min(self._given, key=lambda k: abs(k - index))
        known = {**self._given, **dict([self._last[toward]] if toward in self._last else [])}
        last = self._last.get(toward, (near, self._given[near]))[1]
        both = union([expected, last])
        high, wide = (length // 2 for length in both.pixels.shape)
        region = _around(both, high, wide, self._session.plane_shape)
        view = self._session.view_for(self._plane_of(index), region)
        track = self._prompter.start_track(self._count)
        for k, mask in known.items():
            if self._shows(view, mask):
                here = replace(view, plane=self._plane_of(k))
                track.add(k, self._session.embedding(here), in_picture(self._session, here, mask))
        self._tracks[toward] = track, view

    def _shows(self, view: View, mask: Mask) -> bool:
        """Whether a window shows a mask whole, and free of the window's edges."""
        region, (rows, cols) = self._session.region(view), mask.slices
        height, width = self._session.plane_shape
        return (
            (rows.start > region.top or region.top == 0)
            and (cols.start > region.left or region.left == 0)
            and (rows.stop < region.bottom or region.bottom == height)
            and (cols.stop < region.right or region.right == width)
        )


def in_picture(session: PromptSession, view: View, mask: Mask) -> Mask:
    """Return a mask of a plane in px of a view's picture, with at least one pixel."""
    tile = view.tile
    (top, left), (bottom, right) = session.to_picture(view, [(0.0, 0.0), (1.0, 1.0)]).tolist()
    rows, cols = (
        np.floor((np.arange(size) + 0.5 - start) / (stop - start)).astype(int) - origin
        for size, start, stop, origin in zip(
            tile.shape, (top, left), (bottom, right), mask.origin, strict=True
        )
    )
    height, width = mask.pixels.shape
    inside = ((rows >= 0) & (rows < height))[:, np.newaxis] & ((cols >= 0) & (cols < width))
    pixels = inside.copy()
    pixels[inside] = mask.pixels[np.ix_(np.clip(rows, 0, height - 1), np.clip(cols, 0, width - 1))][
        inside
    ]
    if not pixels.any():
        row, col = session.to_picture(view, [centroid(mask)])[0]
        pixels[int(np.clip(row, 0, tile.shape[0] - 1)), int(np.clip(col, 0, tile.shape[1] - 1))] = (
            True
        )
    return Mask((0, 0), pixels).tight() or Mask((0, 0), pixels)


def guide_for(
    session: PromptSession,
    plane_of: PlaneOf,
    given: Mapping[int, Mask],
    count: int,
    settings: PropagationSettings,
) -> Guide:
    """Choose what settings ask for.

    Raises
    ------
    InputError
        If that is a memory, and the model has none.
    """
    prompter = session.prompter
    if settings.guide in (AUTO, MEMORY) and isinstance(prompter, VideoPrompter):
        return MemoryGuide(session, prompter, plane_of, given, count)
    if settings.guide == MEMORY:
        raise InputError(
            f"guide: the model {session.loaded.name!r} has no memory of planes; expected 'mask', "
            "'box' or 'points', or a SAM 2 model"
        )
    kind = MASK if settings.guide == AUTO else settings.guide
    return PromptGuide(session, plane_of, kind, settings.box_margin)
