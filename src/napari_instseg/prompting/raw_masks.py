"""All masks of a run over everything, from which results are chosen without the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..instances import Instances, Mask
from ..ops.arrays import joined
from ..ops.masks import corners, solid
from ..ops.nesting import flatten
from ..ops.remerging import TileMerger
from ..ops.tiling import Tile
from ..segmentation import Segmentation
from .choosing import Choosing
from .everything_levels import Level, join_levels, larger_than, seen_whole
from .everything_settings import EverythingSettings
from .picture_masks import PictureMasks
from .views import View

if TYPE_CHECKING:
    from .session import PromptSession


#: In a recipe, the settings of the run, where masks are shown with other ones.
ASKED = "everything_asked"


@dataclass(frozen=True, slots=True, eq=False)
class _Chosen:
    """What was chosen in a picture: masks by their index, and those of them that are shown."""

    overlapping: bool
    index: NDArray[np.intp]
    masks: tuple[Mask, ...]
    shown: Instances


@dataclass(frozen=True, eq=False)
class RawMasks:
    """What a model answered everywhere; sliders choose from it in milliseconds.

    Parameters
    ----------
    session : PromptSession
        Where the masks are from.
    settings : EverythingSettings
        Of the run: what holds where `filter` is not told otherwise.
    pictures : tuple of PictureMasks
    warnings : tuple of str
    complete : bool
        False if the run was cancelled.
    """

    session: PromptSession
    settings: EverythingSettings
    pictures: tuple[PictureMasks, ...]
    warnings: tuple[str, ...] = ()
    complete: bool = True
    details: dict[str, Any] = field(default_factory=dict)
    #: What was chosen last, by picture; and masks that were moved to the plane, by level.
    _last: dict[View, _Chosen] = field(default_factory=dict, repr=False)
    _moved: dict[View, dict[Mask, Mask]] = field(default_factory=dict, repr=False)
    _mergers: dict[View, TileMerger] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return sum(len(picture) for picture in self.pictures)

    @property
    def predicted_iou(self) -> NDArray[np.float32]:
        """Of each mask, for a histogram."""
        return joined((p.predicted_iou for p in self.pictures), np.float32)

    @property
    def stability(self) -> NDArray[np.float32]:
        """Of each mask, in [0, 1]."""
        return joined((p.stability for p in self.pictures), np.float32)

    @property
    def areas(self) -> NDArray[np.float32]:
        """Of each mask, px of the image."""
        return joined(
            (p.areas * self.session.pyramid.px(p.view.level) for p in self.pictures), np.float32
        )

    @property
    def instances(self) -> tuple[Instances, ...]:
        """The masks that the run's own settings choose, one entry a plane, best first.

        Nested ones and background are among them, as with Segment Anything; where the plane
        was cut into tiles, only those that better ones do not hide.
        """
        return self._choose(self.settings.replace(overlapping=True))

    def filter(
        self,
        min_predicted_iou: float | None = None,
        min_stability: float | None = None,
        min_area: float | None = None,
        max_area: float | None = None,
        nms: float | None = None,
        *,
        nms_by: str | None = None,
        overlapping: bool | None = None,
    ) -> Segmentation:
        """Choose masks by other limits; the model is not asked.

        Parameters
        ----------
        min_predicted_iou, min_stability, min_area, max_area, nms, nms_by, overlapping
            See `EverythingSettings`; None takes the run's. Limits below the run's
            ``keep_predicted_iou`` and ``keep_stability`` bring no more masks. To lift the run's
            ``max_area``, pass infinity.

        Returns
        -------
        Segmentation
            Scores are predicted IoU.

        Raises
        ------
        InputError
            If a value is out of its range.
        """
        given = {
            "min_predicted_iou": min_predicted_iou,
            "min_stability": min_stability,
            "min_area": min_area,
            "max_area": max_area,
            "nms": nms,
            "nms_by": nms_by,
            "overlapping": overlapping,
        }
        wanted = self.settings.replace(**{k: v for k, v in given.items() if v is not None})
        found = dict(zip(self.session.planes, self._choose(wanted), strict=True))
        return self.session.segmentation(
            found,
            details=self._told(wanted),
            warnings=self.warnings,
            complete=self.complete,
        )

    def _told(self, wanted: EverythingSettings) -> dict[str, Any]:
        """What the recipe says: with which limits masks are shown, and were asked for before."""
        told = {**self.details, "everything": wanted.to_json()}
        return told if wanted == self.settings else {**told, ASKED: self.settings.to_json()}

    @cached_property
    def _choosing(self) -> Choosing:
        px = self.session.pyramid.px
        return Choosing(self.pictures, [px(picture.view.level) for picture in self.pictures])

    @cached_property
    def _levels(self) -> dict[tuple[int, ...], dict[int, list[int]]]:
        """Numbers of the pictures of each plane and level, the finest first."""
        found: dict[tuple[int, ...], dict[int, list[int]]] = {}
        for number, view in sorted(
            enumerate(p.view for p in self.pictures), key=lambda entry: entry[1].level
        ):
            found.setdefault(view.plane, {}).setdefault(view.level, []).append(number)
        return found

    def _choose(self, wanted: EverythingSettings) -> tuple[Instances, ...]:
        chosen = self._choosing(wanted)
        return tuple(
            self._choose_plane(self._levels.get(plane, {}), chosen, wanted)
            for plane in self.session.planes
        )

    def _choose_plane(
        self,
        levels: dict[int, list[int]],
        chosen: Sequence[NDArray[np.intp]],
        wanted: EverythingSettings,
    ) -> Instances:
        found = []
        for coarse, numbers in enumerate(levels.values()):
            frame = self._frame(self.pictures[numbers[0]].view)
            parts = [
                self._choose_picture(self.pictures[n], chosen[n], wanted, frame.tile.shape)
                for n in numbers
            ]
            found.append(self._join_pictures(frame, numbers, parts, coarse > 0))
        return join_levels(found) if found else Instances.empty(self.session.plane_shape)

    def _frame(self, view: View) -> View:
        """All of a picture's level."""
        shape = self.session.pyramid.shape(view.level)
        return View(view.plane, view.level, Tile(0, 0, *shape))

    def _join_pictures(
        self, frame: View, numbers: Sequence[int], parts: Sequence[Instances], coarse: bool
    ) -> Level:
        """Bring the pictures of a level together."""
        shape = frame.tile.shape
        tiles = [self.pictures[n].view.tile for n in numbers]
        merger = self._mergers.get(frame) or TileMerger(shape, tiles)
        self._mergers[frame] = merger
        merged = merger(parts).instances
        whole = seen_whole(merged, tiles, shape)
        if coarse:
            large = larger_than(corners(merged.masks), self.session.settings.overlap / 2)
            merged, whole = merged.take(large), whole[large]
        masks = self._to_plane(frame, merged.masks)
        kept = [i for i, mask in enumerate(masks) if mask.pixels.size]
        instances = Instances.create(
            self.session.plane_shape, [masks[i] for i in kept], scores=merged.scores[kept]
        )
        return Level(instances, whole[kept])

    def _choose_picture(
        self,
        picture: PictureMasks,
        index: NDArray[np.intp],
        wanted: EverythingSettings,
        shape: tuple[int, int],
    ) -> Instances:
        """Show what is chosen in one picture; what was shown there last is kept."""
        known: dict[int, Mask] = {}
        last = self._last.get(picture.view)
        if last is not None and last.overlapping == wanted.overlapping:
            if np.array_equal(last.index, index):
                return last.shown
            known = dict(zip(last.index.tolist(), last.masks, strict=True))
        new = [i for i in index.tolist() if i not in known]
        known |= dict(zip(new, self._unpacked(picture, new, wanted), strict=True))
        masks = tuple(known[i] for i in index.tolist())
        scores = np.clip(picture.predicted_iou[index], 0, 1)
        shown = Instances.create(shape, masks, scores=scores)
        if not wanted.overlapping:
            shown = shown.take(flatten(masks, scores))
        self._last[picture.view] = _Chosen(wanted.overlapping, index, masks, shown)
        return shown

    def _unpacked(
        self, picture: PictureMasks, which: Sequence[int], wanted: EverythingSettings
    ) -> list[Mask]:
        masks = list(picture.masks(which))
        if not self.session.prompter.habits.leaves_crumbs or wanted.overlapping:
            return masks
        cleaned = zip(masks, solid(masks), strict=True)
        return [one.tight() or mask for mask, one in cleaned]

    def _to_plane(self, frame: View, masks: Sequence[Mask]) -> list[Mask]:
        """Move masks of a level to the plane, but those that were moved there the last time."""
        known = self._moved.get(frame, {})
        moved = {mask: known.get(mask) or self.session.to_plane(frame, [mask])[0] for mask in masks}
        self._moved[frame] = moved
        return [moved[mask] for mask in masks]
