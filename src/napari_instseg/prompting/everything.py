"""Segment everything: ask a promptable model all over an image, and keep what it answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..ops.tiling import tile_of
from ..progress import Progress
from ..promptable import Candidates, Embedding, Prompts
from ..segmentation import Segmentation
from ..segmenter import InputError
from .batches import in_batches, join
from .everything_levels import larger_than
from .everything_points import (
    AdaptiveSearch,
    GridSearch,
    Search,
    features_at,
    grid,
    strides_of,
)
from .everything_settings import EXACT, EverythingSettings
from .picture_masks import PictureMasks, side_by_side
from .raw_masks import RawMasks
from .views import View

if TYPE_CHECKING:
    from .session import PromptSession

#: In a recipe, where the points were: rows and columns, and planes.
PLACE = "place"
#: The masks of so many pictures are kept in one piece of memory.
TOGETHER = 32


class EverythingRun:
    """One run, step by step.

    Iterate to work; leave the loop at any step to cancel; `raw` and `result` give what is
    done.

    Parameters
    ----------
    session : PromptSession
        The image and the model.
    settings : EverythingSettings, optional
        What the model does well with, if not given.
    region : (slice, slice), optional
        Rows and columns (half-open, px) to ask in; objects may reach out of it.
    planes : sequence of tuple of int, optional
        Index of the planes to look at; None takes all.

    Raises
    ------
    InputError
        If a plane or the region does not fit the image.

    Examples
    --------
    >>> run = EverythingRun(session)  # doctest: +SKIP
    >>> for progress in run:  # doctest: +SKIP
    ...     print(progress.done, progress.total)
    >>> run.raw().filter(min_predicted_iou=0.8).count  # doctest: +SKIP
    """

    def __init__(
        self,
        session: PromptSession,
        settings: EverythingSettings | None = None,
        *,
        region: tuple[slice, slice] | None = None,
        planes: Sequence[tuple[int, ...]] | None = None,
    ) -> None:
        self.session = session
        self.settings = settings or EverythingSettings.for_model(session.prompter.habits, {})
        self._region = None if region is None else tile_of(region, session.plane_shape)
        known = _known(planes, session.planes)
        self._place = {
            "region": None if self._region is None else list(self._region.edges),
            "planes": None if planes is None else [[int(i) for i in plane] for plane in known],
        }
        self._views = self._plan(known)
        self._batch = self.settings.points_per_batch or session.prompter.batch_size
        self._pictures: list[PictureMasks] = []
        self._current: tuple[View, list[PictureMasks]] | None = None
        self._asked = 0
        self._notes: list[str] = []
        self._complete = False

    def __iter__(self) -> Iterator[Progress]:
        """Do the work, one batch of points a step."""
        count = len(self._views)
        # Counted, not kept: a large image has many pictures.
        total, base = sum(len(self._points(view)[0]) for view in self._views), 0
        for number, view in enumerate(self._views, start=1):
            where, strides = self._points(view)
            yield Progress(base, total, f"encoding picture {number} of {count}")
            # Of many pictures each is needed once; memory must not grow with the image.
            embedding = self.session.embedding(view, keep=count == 1)
            search = self._search(where, strides, embedding)
            parts: list[PictureMasks] = []
            self._current = view, parts
            while self._ask(view, embedding, search, parts):
                done = base + search.done
                yield Progress(done, total, f"picture {number} of {count}: {self._asked} points")
            self._store()
            base += len(where)
        yield Progress(total, total, f"{self._asked} points in {count} pictures")
        self._complete = True

    def raw(self) -> RawMasks:
        """Return all masks found so far."""
        pictures = list(self._pictures)
        if self._current is not None:
            pictures.append(self._join(*self._current))
        return RawMasks(
            self.session,
            self.settings,
            tuple(pictures),
            warnings=tuple(self._notes),
            complete=self._complete,
            details=self._details,
        )

    def result(self) -> Segmentation:
        """Return what the settings choose of the masks found so far."""
        return self.raw().filter()

    @property
    def _details(self) -> dict[str, Any]:
        told: dict[str, Any] = {"points": self._asked, "pictures": len(self._views)}
        whole = all(part is None for part in self._place.values())
        return told if whole else {**told, PLACE: self._place}

    def _plan(self, planes: Sequence[tuple[int, ...]]) -> list[View]:
        """The pictures to ask in, level by level, the finest first."""
        session = self.session
        first, last = 0, session.levels
        if self._region is not None:
            # A level where the region fits in one picture is the last one.
            last = session.view_for(planes[0], self._region.edges).level + 1 if planes else 1
        if self.settings.levels is not None:
            last = min(last, first + self.settings.levels)
        views = [
            view
            for plane in planes
            for level in range(first, last)
            for view in session.views(plane, level)
        ]
        return [view for view in views if self._shows(view)]

    def _shows(self, view: View) -> bool:
        region = self._region
        return region is None or self.session.region(view).intersection(region) is not None

    def _points(self, view: View) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """A picture's points, and when it is whose turn."""
        side = self.settings.points_per_side
        points, strides = grid(side, view.tile.shape), strides_of(side)
        if self._region is not None:
            corners = np.reshape(self._region.edges, (2, 2))
            first, last = self.session.to_picture(view, corners)
            inside = ((points >= first) & (points < last)).all(axis=1)
            points, strides = points[inside], strides[inside]
        return points, strides

    def _search(
        self, points: NDArray[np.float64], strides: NDArray[np.int64], embedding: Embedding
    ) -> Search:
        if self.settings.mode == EXACT:
            return GridSearch(points)
        stretches = self.session.prompter.habits.stretches
        return AdaptiveSearch(points, strides, features_at(points, embedding, stretches))

    def _ask(
        self, view: View, embedding: Embedding, search: Search, parts: list[PictureMasks]
    ) -> bool:
        """Ask at the next points; False if there are none."""
        points = search.next(self._batch)
        if not len(points):
            return False
        found = self._decode(embedding, points)
        self._asked += len(points)
        good = found.predicted_iou > self.settings.min_predicted_iou
        good &= found.stability >= self.settings.min_stability
        search.tell(found.take(good))
        masks = PictureMasks.of(view, found)
        if view.level > self._views[0].level:
            # What a finer level sees whole is not wanted from this one.
            large = larger_than(masks.bounds, self.session.settings.overlap / 2)
            masks = masks.take(np.flatnonzero(large))
        parts.append(masks)
        return True

    def _decode(self, embedding: Embedding, points: NDArray[np.float32]) -> Candidates:
        """Ask at some points; fewer at a time from here on if memory runs out."""
        min_iou, min_stability = self.settings.floors
        decode = partial(
            self.session.prompter.decode,
            embedding,
            min_predicted_iou=min_iou,
            min_stability=min_stability,
        )
        prompts = Prompts.create(points[:, np.newaxis])
        return join([*in_batches(decode, prompts, self._batch, self._shrink)])

    def _shrink(self, size: int) -> None:
        self._batch = size
        self._notes.append(
            f"{self.session.prompter.device} ran out of memory: {size} points at a time"
        )

    def _store(self) -> None:
        """Move the picture under way to those that are done."""
        if self._current is not None:
            self._pictures.append(self._join(*self._current))
            self._current = None
            if len(self._pictures) % TOGETHER == 0:
                self._pictures[-TOGETHER:] = side_by_side(self._pictures[-TOGETHER:])

    def _join(self, view: View, parts: Sequence[PictureMasks]) -> PictureMasks:
        px = self.session.pyramid.px(view.level)
        return PictureMasks.join(view, parts).pruned(self.settings, px)


def everything(
    session: PromptSession,
    *,
    region: tuple[slice, slice] | None = None,
    planes: Sequence[tuple[int, ...]] | None = None,
    **settings: Any,
) -> Segmentation:
    """Segment everything in an image, in one go.

    Parameters
    ----------
    session : PromptSession
    region, planes
        See `EverythingRun`.
    **settings
        Fields of `EverythingSettings`, such as ``mode="exact"``; others are what the model does
        well with.

    Raises
    ------
    InputError
        If a setting, a plane or the region cannot be used.
    """
    chosen = EverythingSettings.for_model(session.prompter.habits, settings)
    run = EverythingRun(session, chosen, region=region, planes=planes)
    for _ in run:
        pass
    return run.result()


def _known(
    planes: Sequence[tuple[int, ...]] | None, known: Sequence[tuple[int, ...]]
) -> list[tuple[int, ...]]:
    chosen = list(known) if planes is None else [tuple(plane) for plane in planes]
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        raise InputError(f"planes: expected some of {list(known)[:4]}..., got {unknown[0]}")
    return chosen
