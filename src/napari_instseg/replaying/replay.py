"""A recipe, run again: the same labels of the same image, or the reason why not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..api import recipe_settings
from ..editing import replay as edit_again
from ..io.records import read_recipe
from ..label_set import EDITS, LabelSet
from ..models.entry import Report
from ..ops.axes import Image
from ..parts import cut_to, part_of
from ..progress import Progress
from ..prompting.asked import AskedRun
from ..segmentation import Segmentation
from ..segmenter import InputError
from ..settings import Settings
from .checks import different, image_for, unlike, unlike_run
from .runs import begin


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
    as_found : bool
        The label set is the result's own: nothing was painted or edited since.
    """

    result: Segmentation
    labels: LabelSet
    notes: tuple[str, ...]
    as_found: bool


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
        self._notes = [*unlike(recipe), *(f"another image: {text}" for text in differences)]
        self._run = begin(recipe, image, settings, self._part, report)

    def __iter__(self) -> Iterator[Progress]:
        """Do the work, a step at a time."""
        return iter(self._run)

    def result(self) -> Replayed:
        """Return what was found, with the edits of the recipe."""
        found, drawn = self._run.result(), None
        if isinstance(self._run, AskedRun) and self._run.numbered:
            drawn = self._run.labels()
        result = cut_to(found, *self._part)
        edits = self._recipe.get(EDITS) or ()
        labels, notes = drawn or result.label_set, list(self._notes)
        if not self._other:
            notes += unlike_run(self._recipe, result.details)
        if edits and self._other:
            notes.append(f"{len(edits)} edits left out, since they are of another image")
        elif edits:
            labels = edit_again(labels, edits)
        as_found = drawn is None and EDITS not in labels.recipe
        return Replayed(result, labels, tuple(notes), as_found)


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
