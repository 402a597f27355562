"""A recipe, run again: the same labels of the same image, or the reason why not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from math import inf
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from .api import recipe_settings
from .batch.prompting import DetectedRun
from .editing import EDITS
from .editing import replay as edit_again
from .inputs import as_image
from .io.results import VIEW, read_recipe
from .label_set import LabelSet
from .models import prompters
from .models.entry import Report
from .models.registry import load_for
from .ops.axes import Image
from .ortho import new_run
from .parts import Region, cut_to, part_of
from .pipeline import Run
from .progress import Progress
from .prompting import PromptSession
from .prompting.asked import AskedRun, requests_from_json
from .prompting.everything import EverythingRun
from .prompting.everything_settings import EverythingSettings
from .prompting.options import FIELDS
from .prompting.raw_masks import ASKED
from .prompting.refine import AREAS, within_areas
from .prompting.refine_settings import RefineSettings
from .provenance import versions
from .result import RECIPE_SCHEMA, describe_input
from .segmentation import Segmentation
from .segmenter import InputError, ModelError
from .settings import Settings


class Steps(Protocol):
    """A run: iterate to work, then ask for the result."""

    def __iter__(self) -> Iterator[Progress]:
        """Do the work, a step at a time."""
        ...

    def result(self) -> Segmentation:
        """Return what was found."""
        ...


@dataclass(frozen=True, eq=False)
class Replayed:
    """What a recipe gave again.

    Parameters
    ----------
    result : Segmentation
        Before the edits of the recipe.
    labels : LabelSet
        After them.
    notes : tuple of str
        What may make them differ, such as other versions.
    """

    result: Segmentation
    labels: LabelSet
    notes: tuple[str, ...]


class Replay:
    """Does again what a recipe says.

    Iterate to work, then `result`.

    Parameters
    ----------
    recipe : mapping
    image : Image
        With the axes and pixel sizes of the recipe, see `image_for`.
    other_image : bool
        Whether it may be another than that of the recipe.
    device : str, optional
        In place of that of the recipe.
    report : callable, optional
        Told of downloads, see `models.registry.load`.

    Raises
    ------
    InputError
        If it is no recipe of a run that can be done again, or the image is another one.
    ModelError
        If the model is not here, or its weights are not those of the recipe.
    """

    def __init__(
        self,
        recipe: Mapping[str, Any],
        image: Image,
        *,
        other_image: bool = False,
        device: str | None = None,
        report: Report | None = None,
    ) -> None:
        values = recipe_settings(recipe)
        if device is not None:
            values["device"] = device
        settings = Settings.from_json(values)
        differences = different(recipe, image)
        if differences and not other_image:
            raise InputError(
                f"{image.name}: expected the image of the recipe; {'; '.join(differences)}. "
                "For another image: other_image=True in Python, --other-image on the command line"
            )
        self._recipe, self._image, self._other = recipe, image, bool(differences)
        self._part = part_of(recipe, image)
        self._notes = [*_unlike(recipe), *(f"another image: {text}" for text in differences)]
        self._run = _begin(recipe, image, settings, self._part, report)

    def __iter__(self) -> Iterator[Progress]:
        """Do the work, a step at a time."""
        return iter(self._run)

    def result(self) -> Replayed:
        """Return what was found, with the edits of the recipe."""
        result = cut_to(self._run.result(), *self._part)
        edits = self._recipe.get(EDITS) or ()
        labels, notes = result.label_set, list(self._notes)
        if edits and self._other:
            notes.append(f"{len(edits)} edits left out, since they are of another image")
        elif edits:
            labels = edit_again(labels, edits)
        return Replayed(result, labels, tuple(notes))


def replay(
    recipe: Mapping[str, Any] | str | Path,
    image: Any,
    *,
    axes: str | None = None,
    other_image: bool = False,
    device: str | None = None,
    progress: bool = False,
) -> LabelSet:
    """Do again what a recipe says: the same labels, edits included.

    Parameters
    ----------
    recipe : mapping or path
        Of a result or label set, or its ``recipe.json``.
    image : array, Image, path, or napari Image layer
        The image of the recipe.
    axes : str, optional
        See `segment`; None: those of the recipe.
    other_image : bool
        Take the settings for another image; then edits are left out.
    device : str, optional
        In place of that of the recipe; results may differ in single pixels.
    progress : bool
        Show a progress bar.

    Returns
    -------
    LabelSet

    Raises
    ------
    InputError
        If it is no recipe of a run that can be done again, or the image is another one.
    ModelError
        If the model is not here, or its weights are not those of the recipe.

    Warns
    -----
    UserWarning
        What may make labels differ, such as other versions of packages.

    Examples
    --------
    >>> labels = replay("results/a_recipe.json", "a.tif")  # doctest: +SKIP
    >>> np.array_equal(labels.instances, result.instances)  # doctest: +SKIP
    True
    """
    known = recipe if isinstance(recipe, Mapping) else read_recipe(recipe)
    prepared = image_for(known, image, axes)
    again = Replay(known, prepared, other_image=other_image, device=device)
    with tqdm(disable=not progress, desc=prepared.name) as bar:
        for step in again:
            bar.total = step.total
            bar.update(step.done - bar.n)
    found = again.result()
    for note in found.notes:
        warnings.warn(note, stacklevel=2)
    return found.labels


def image_for(recipe: Mapping[str, Any], image: Any, axes: str | None = None) -> Image:
    """Read an image as a recipe has it: with its axes, if they fit, and its pixel sizes.

    Parameters
    ----------
    recipe : mapping
    image, axes
        See `replay`.
    """
    found = as_image(image, axes)
    then = recipe.get("input")
    if isinstance(image, Image) or not isinstance(then, Mapping):
        return found
    known = str(then.get("axes", ""))
    if axes is None and then.get("shape") == list(found.data.shape) and known != found.axes:
        found = replace(found, axes=known, sources={})
    sizes = then.get("spacing_um") or {}
    known_sizes = {axis: size for axis, size in sizes.items() if axis in found.axes}
    return replace(found, spacing={**found.spacing, **known_sizes})


def different(recipe: Mapping[str, Any], image: Image) -> list[str]:
    """Say in what an image differs from that of a recipe; older recipes know less of it."""
    then, now = recipe.get("input"), describe_input(image)
    if not isinstance(then, Mapping):
        return []
    found = [
        f"{key}: expected {then[key]}, got {now[key]}"
        for key in ("shape", "dtype", "axes")
        if key in then and then[key] != now[key]
    ]
    digest = then.get("sample_sha256")
    if not found and digest and digest != now["sample_sha256"]:
        short = str(digest)[:12], now["sample_sha256"][:12]
        found = [f"its pixels: expected a sample with SHA-256 {short[0]}..., got {short[1]}..."]
    return found


def check_model(then: object, now: Mapping[str, str]) -> None:
    """Check that a model is that of a recipe.

    Raises
    ------
    ModelError
        If its weights, or its config, are others; names both.
    """
    if not isinstance(then, Mapping):
        return
    for key, what in (("sha256", "weights"), ("config_sha256", "config")):
        wanted, found = then.get(key), now.get(key)
        if wanted and wanted != found:
            raise ModelError(
                f"the model {now.get('name')!r}: expected the {what} of the recipe "
                f"({then.get('file', '')}, SHA-256 {wanted[:12]}...), got others "
                f"({now.get('file', '')}, SHA-256 {(found or 'unknown')[:12]}...); run its "
                "settings with segment(recipe=...), or --recipe, if that is what you want"
            )


def _unlike(recipe: Mapping[str, Any]) -> list[str]:
    """What else may make a difference."""
    notes, then, now = [], recipe.get("versions"), versions()
    if isinstance(then, Mapping):
        others = [
            f"{name} {then[name]} (now {now.get(name, 'not there')})"
            for name in then
            if then[name] != now.get(name)
        ]
        if others:
            notes.append(f"made with other versions, so labels may differ: {', '.join(others)}")
    told = recipe.get("input")
    if not (isinstance(told, Mapping) and told.get("sample_sha256")):
        notes.append("an older recipe, which does not say by which pixels the image is known")
    if recipe.get("complete") is False:
        notes.append("the run was stopped before its end; now it is done to the end")
    return notes


def _begin(
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
        self._run = EverythingRun(session, asked, region=region, planes=planes)

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
