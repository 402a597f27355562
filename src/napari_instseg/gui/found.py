"""What a run over everything has found, from which limits choose without the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..instances import Instances
from ..prompting.everything_settings import EverythingSettings
from ..prompting.raw_masks import RawMasks
from ..prompting.refine import RefineRun, within_areas
from ..prompting.refine_settings import RefineSettings
from ..segmentation import Segmentation

_GRID, _REFINE = EverythingSettings(), RefineSettings()


@dataclass(frozen=True, slots=True)
class Limits:
    """Which masks are shown; those that do not apply to a kind of prompts count for nothing.

    Parameters
    ----------
    predicted_iou, stability, score : float
        Least values, in [0, 1].
    nms : float
        Of masks that overlap by more than this IoU, only the best is shown.
    min_area, max_area : float
        px.
    """

    predicted_iou: float = _GRID.min_predicted_iou
    stability: float = _GRID.min_stability
    nms: float = _GRID.nms
    score: float = 0.0
    min_area: float = 0.0
    max_area: float = inf


#: What limits are at first where objects of a detector or a layer are drawn anew.
OF_OBJECTS = Limits(predicted_iou=_REFINE.min_predicted_iou, score=0.5)


class Found(Protocol):
    """What was found."""

    @property
    def areas(self) -> NDArray[np.float32]:
        """Of each mask that limits choose from, px."""
        ...

    def choose(self, limits: Limits) -> Segmentation:
        """Choose masks; the model is not asked."""
        ...

    def short_of(self, limits: Limits) -> str:
        """Say which of the limits are lower than what was kept, "" if none is."""
        ...


class FoundEverywhere:
    """The masks that a grid of points gave."""

    def __init__(self, raw: RawMasks) -> None:
        self._raw = raw

    @property
    def areas(self) -> NDArray[np.float32]:
        """See `Found`."""
        return self._raw.areas

    def choose(self, limits: Limits) -> Segmentation:
        """See `Found`."""
        return self._raw.filter(
            limits.predicted_iou,
            limits.stability,
            limits.min_area,
            None if limits.max_area == inf else limits.max_area,
            limits.nms,
        )

    def short_of(self, limits: Limits) -> str:
        """See `Found`."""
        least_iou, least_stability = self._raw.settings.floors
        names = (
            ("predicted IoU", limits.predicted_iou, least_iou),
            ("stability", limits.stability, least_stability),
        )
        low = [f"{name} below {least:.2f}" for name, value, least in names if value < least]
        return f"masks with a {' or '.join(low)} were not kept" if low else ""


class FoundObjects:
    """Objects of a detector or a layer, drawn anew.

    Parameters
    ----------
    run : RefineRun
    scored : bool
        Objects have scores of their own; else predicted IoU takes their place.
    """

    def __init__(self, run: RefineRun, *, scored: bool) -> None:
        self._run, self._scored = run, scored
        masks = [mask for plane in run.result().raw for mask in plane.masks]
        self.areas = np.array([mask.area for mask in masks], np.float32)

    def choose(self, limits: Limits) -> Segmentation:
        """See `Found`."""
        run = self._run
        run.settings = replace(run.settings, min_predicted_iou=limits.predicted_iou)
        result = run.result()
        raw = tuple(
            self._with_scores(plane, iou)
            for plane, iou in zip(result.raw, run.predicted_iou(), strict=True)
        )
        threshold = limits.score if self._scored else 0.0
        settings = result.settings.replace(score_threshold=threshold)
        scored = replace(result, raw=raw, settings=settings)
        return within_areas(scored, limits.min_area, limits.max_area)

    def short_of(self, limits: Limits) -> str:
        """See `Found`."""
        return ""

    def _with_scores(self, plane: Instances, predicted_iou: tuple[float, ...]) -> Instances:
        if self._scored:
            return plane
        scores = np.nan_to_num(np.array(predicted_iou, np.float32), nan=1.0).clip(0, 1)
        return Instances.create(
            plane.image_shape,
            plane.masks,
            scores=scores,
            category_ids=plane.category_ids,
            boxes=plane.boxes,
        )
