"""All masks of a run over everything, from which results are chosen without the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..instances import Instances, Mask
from ..ops.arrays import joined
from ..ops.masks import corners, solid
from ..ops.merging import merge_tiles
from ..ops.nesting import flatten
from ..ops.tiling import Tile
from ..segmentation import Segmentation
from .everything_levels import Level, join_levels, larger_than, seen_whole
from .everything_settings import EverythingSettings
from .picture_masks import PictureMasks
from .views import View

if TYPE_CHECKING:
    from .session import PromptSession

#: A mask with more of its picture than this, or that reaches all of the picture's edges, is
#: what lies around objects.
BACKGROUND = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class _Chosen:
    """What was chosen in a picture: masks by their index, and those of them that are shown."""

    overlapping: bool
    masks: dict[int, Mask]
    shown: Instances


@dataclass(frozen=True, slots=True, eq=False)
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
            details={**self.details, "everything": wanted.to_json()},
            warnings=self.warnings,
            complete=self.complete,
        )

    def _choose(self, wanted: EverythingSettings) -> tuple[Instances, ...]:
        by_plane: dict[tuple[int, ...], dict[int, list[PictureMasks]]] = {}
        for picture in self.pictures:
            levels = by_plane.setdefault(picture.view.plane, {})
            levels.setdefault(picture.view.level, []).append(picture)
        return tuple(
            self._choose_plane(by_plane.get(plane, {}), wanted) for plane in self.session.planes
        )

    def _choose_plane(
        self, levels: dict[int, list[PictureMasks]], wanted: EverythingSettings
    ) -> Instances:
        found = [
            self._choose_level(pictures, wanted, number > 0)
            for number, (_, pictures) in enumerate(sorted(levels.items()))
        ]
        return join_levels(found) if found else Instances.empty(self.session.plane_shape)

    def _choose_level(
        self, pictures: Sequence[PictureMasks], wanted: EverythingSettings, coarse: bool
    ) -> Level:
        """Choose in each picture of a level, and bring the pictures together."""
        plane, level = pictures[0].view.plane, pictures[0].view.level
        shape = self.session.pyramid.shape(level)
        tiles = [picture.view.tile for picture in pictures]
        parts = [self._choose_picture(picture, wanted, shape) for picture in pictures]
        merged = merge_tiles(shape, tiles, parts).instances
        whole = seen_whole(merged, tiles, shape)
        if coarse:
            large = larger_than(corners(merged.masks), self.session.settings.overlap / 2)
            merged, whole = merged.take(large), whole[large]
        frame = View(plane, level, Tile(0, 0, *shape))
        masks = self._to_plane(frame, merged.masks)
        kept = [i for i, mask in enumerate(masks) if mask.pixels.size]
        instances = Instances.create(
            self.session.plane_shape, [masks[i] for i in kept], scores=merged.scores[kept]
        )
        return Level(instances, whole[kept])

    def _choose_picture(
        self,
        picture: PictureMasks,
        wanted: EverythingSettings,
        shape: tuple[int, int],
    ) -> Instances:
        """Choose in one picture; what was chosen there last is kept, to be chosen again."""
        index = picture.choose(wanted, self.session.pyramid.px(picture.view.level))
        if not wanted.overlapping:
            index = index[~_is_background(picture, index)]
        last = self._last.get(picture.view)
        known = last.masks if last is not None and last.overlapping == wanted.overlapping else {}
        if last is not None and known is last.masks and [*known] == index.tolist():
            return last.shown
        masks = {i: known.get(i) or self._mask(picture, i, wanted) for i in index.tolist()}
        scores = np.clip(picture.predicted_iou[index], 0, 1)
        shown = Instances.create(shape, masks.values(), scores=scores)
        if not wanted.overlapping:
            shown = shown.take(flatten(shown.masks, scores))
        self._last[picture.view] = _Chosen(wanted.overlapping, masks, shown)
        return shown

    def _mask(self, picture: PictureMasks, index: int, wanted: EverythingSettings) -> Mask:
        mask = picture.mask(index)
        if self.session.prompter.habits.leaves_crumbs and not wanted.overlapping:
            return solid(mask).tight() or mask
        return mask

    def _to_plane(self, frame: View, masks: Sequence[Mask]) -> list[Mask]:
        """Move masks of a level to the plane, but those that were moved there the last time."""
        known = self._moved.get(frame, {})
        moved = {mask: known.get(mask) or self.session.to_plane(frame, [mask])[0] for mask in masks}
        self._moved[frame] = moved
        return [moved[mask] for mask in masks]


def _is_background(picture: PictureMasks, index: NDArray[np.intp]) -> NDArray[np.bool_]:
    tile = picture.view.tile
    height, width = tile.shape
    filling = picture.areas[index] > BACKGROUND * height * width
    return np.asarray(filling | (picture.bounds[index] == tile.edges).all(axis=1), np.bool_)
