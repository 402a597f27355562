"""The kinds of runs that recipes are of, begun again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from math import inf
from typing import Any, Protocol

from ..api import recipe_settings
from ..batch.prompting import DetectedRun
from ..io.records import VIEW
from ..models import prompters
from ..models.entry import Report
from ..models.registry import load_for
from ..ops.axes import Image
from ..ortho import new_run
from ..parts import Region
from ..pipeline import Run
from ..progress import Progress
from ..prompting import PromptSession
from ..prompting.asked import AskedRun
from ..prompting.everything import PLACE, EverythingRun
from ..prompting.everything_settings import EverythingSettings
from ..prompting.options import FIELDS
from ..prompting.raw_masks import ASKED
from ..prompting.refine import AREAS, within_areas
from ..prompting.refine_settings import RefineSettings
from ..prompting.requests import requests_from_json
from ..result import RECIPE_SCHEMA
from ..segmentation import Segmentation
from ..segmenter import InputError
from ..settings import Settings
from .checks import check_model


class Steps(Protocol):
    """A run: iterate to work, then ask for the result."""

    def __iter__(self) -> Iterator[Progress]:
        """Do the work, a step at a time."""
        ...

    def result(self) -> Segmentation:
        """Return what was found."""
        ...


def begin(
    recipe: Mapping[str, Any],
    image: Image,
    settings: Settings,
    part: tuple[tuple[int, ...] | None, Region | None],
    report: Report | None,
) -> Steps:
    """Load what the recipe needs, and begin its kind of run."""
    plane, region = part
    planes = None if plane is None else [plane]
    if {"prompts", "everything", "refine"} & set(recipe):
        return _begin_prompting(recipe, image, settings, planes, region, report)
    loaded = load_for(settings, report)
    check_model(recipe.get("model"), loaded.identity)
    if VIEW not in recipe:
        return new_run(image, loaded.segmenter, settings, model=loaded.identity)
    return Run(
        *(image, loaded.segmenter, settings),
        model=loaded.identity,
        region=region,
        planes=planes,
    )


def _begin_prompting(
    recipe: Mapping[str, Any],
    image: Image,
    settings: Settings,
    planes: list[tuple[int, ...]] | None,
    region: Region | None,
    report: Report | None,
) -> Steps:
    """Begin a run of a promptable model."""
    detector = recipe.get("detector")
    if "refine" in recipe and not isinstance(detector, Mapping):
        raise InputError(
            "recipe: the objects that were drawn anew came from a layer or a file, which the "
            "recipe does not hold; expected a run over a grid of points, a detector's, or prompts"
        )
    loaded = prompters.load(
        settings.model, settings.device, precision=settings.precision, report=report
    )
    check_model(recipe.get("model"), loaded.identity)
    session = PromptSession(image, loaded, **{name: getattr(settings, name) for name in FIELDS})
    if "prompts" in recipe:
        return AskedRun(session, *requests_from_json(recipe["prompts"]))
    if not isinstance(detector, Mapping):
        return _Everywhere(session, recipe, region, planes)
    values = recipe_settings({**detector, "schema": RECIPE_SCHEMA})
    found = Settings.from_json({**values, "device": settings.device})
    model = load_for(found, report)
    check_model(detector.get("model"), model.identity)
    detection = Run(
        *(image, model.segmenter, found), model=model.identity, region=region, planes=planes
    )
    return _Detected(session, detection, recipe, settings.score_threshold)


def _table(recipe: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    values = recipe[name]
    if not isinstance(values, Mapping):
        raise InputError(f"recipe: expected settings as {name!r}, got {values!r}")
    return values


def _place_of(
    recipe: Mapping[str, Any],
) -> tuple[Region | None, list[tuple[int, ...]] | None]:
    """Where a recipe had its grid of points, if not everywhere."""
    if PLACE not in recipe:
        return None, None
    place = _table(recipe, PLACE)
    edges, planes = place.get("region"), place.get("planes")
    try:
        if edges is not None:
            top, left, bottom, right = (int(edge) for edge in edges)
            edges = slice(top, bottom), slice(left, right)
        if planes is not None:
            planes = [tuple(int(i) for i in plane) for plane in planes]
    except (TypeError, ValueError) as error:
        raise InputError(
            f"recipe: expected a region and planes as {PLACE!r}, got {place}"
        ) from error
    return edges, planes


class _Everywhere:
    """A grid of points again: asked as it was, and shown as it was."""

    def __init__(
        self,
        session: PromptSession,
        recipe: Mapping[str, Any],
        region: Region | None,
        planes: list[tuple[int, ...]] | None,
    ) -> None:
        shown = _table(recipe, "everything")
        self._shown = EverythingSettings.from_json(shown)
        asked = EverythingSettings.from_json(_table(recipe, ASKED) if ASKED in recipe else shown)
        region_then, planes_then = _place_of(recipe)
        self._run = EverythingRun(
            session, asked, region=region or region_then, planes=planes or planes_then
        )

    def __iter__(self) -> Iterator[Progress]:
        return iter(self._run)

    def result(self) -> Segmentation:
        shown = self._shown
        return self._run.raw().filter(
            *(shown.min_predicted_iou, shown.min_stability, shown.min_area),
            inf if shown.max_area is None else shown.max_area,
            shown.nms,
            nms_by=shown.nms_by,
            overlapping=shown.overlapping,
        )


class _Detected:
    """A detector's objects, drawn anew again, within the limits of the recipe."""

    def __init__(
        self, session: PromptSession, detection: Run, recipe: Mapping[str, Any], threshold: float
    ) -> None:
        names = {field.name for field in fields(RefineSettings)}
        then = {k: v for k, v in _table(recipe, "refine").items() if k in names}
        self._run = DetectedRun(session, detection, RefineSettings.from_json(then))
        self._areas, self._threshold = recipe.get(AREAS, (0, None)), threshold

    def __iter__(self) -> Iterator[Progress]:
        return iter(self._run)

    def result(self) -> Segmentation:
        smallest, largest = self._areas
        found = self._run.result().with_score_threshold(self._threshold)
        return within_areas(found, smallest, inf if largest is None else largest)
