"""How the objects of a layer came about: what was asked for each, and what was painted by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import napari.layers
import numpy as np
from numpy.typing import NDArray

from ...label_set import EDITS
from ...ops.editing.painting import KEEP, Paint
from ...ops.editing.registry import write_entry
from ...ops.editing.scene import Box
from ...prompting import Candidate, PromptSession
from ...prompting.painting import Accepted, repaint
from ...prompting.requests import Request, requests_to_json
from ...segmenter import Category
from ..links import RECIPE_KEY
from .ground import ALL, Ground

#: Where the layer's metadata keep what was accepted, and the recipe that says it.
LOG_KEY = "napari_instseg_prompted"
#: Key of the recipe.
PROMPTS = "prompts"


@dataclass(frozen=True, slots=True, eq=False)
class Act:
    """Objects that were accepted in one go; see `Objects.accept`."""

    plane: tuple[int, ...]
    accepted: tuple[Accepted, ...]
    category: Category
    overwrite: bool


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What a layer keeps for the next session: what was accepted, and the recipe that says it."""

    acts: tuple[Act, ...]
    head: Mapping[str, Any]
    recipe: Mapping[str, Any]


class Log:
    """Knows how a layer's labels are made again, and writes that into its metadata as a recipe.

    What is there and was not prompted for (a brush, napari's undo, propagation, what was in the
    layer before) becomes edits, as if it was painted by hand. A recipe that another tool wrote
    stays: then all that came since are edits.

    Parameters
    ----------
    layer : napari.layers.Labels
    ground : Ground
    session : PromptSession
    is_new : bool
        The layer is empty.
    """

    def __init__(
        self, layer: napari.layers.Labels, ground: Ground, session: PromptSession, *, is_new: bool
    ) -> None:
        self._layer, self._ground = layer, ground
        self._acts: tuple[Act, ...] = ()
        #: The recipe without prompts and later edits, and the labels that it gives; None: none.
        self._head: Mapping[str, Any] = session.segmentation({}).recipe
        self._base: NDArray[Any] | None = None
        #: Planes that may have labels; those that may have others than when they were looked at.
        self._planes: set[tuple[int, ...]] = set()
        self._stale: set[tuple[int, ...]] = set()
        #: What is left to be painted on each plane, as an edit of the recipe.
        self._painted: dict[tuple[int, ...], dict[str, Any]] = {}
        self._written: Mapping[str, Any] = layer.metadata.get(RECIPE_KEY, {})
        if is_new:
            return
        planes = product(*map(range, ground.image.plane_shape))
        self._planes = {plane for plane in planes if self._view(layer.data, plane).any()}
        self._stale = set(self._planes)
        kept = layer.metadata.get(LOG_KEY)
        if isinstance(kept, Kept) and (kept.recipe, kept.head) == (self._written, self._head):
            self._acts = kept.acts
        elif self._written:
            self._go_on_from(self._written)

    def add(self, act: Act) -> None:
        """Objects were accepted."""
        lean = tuple(replace(one, answer=_lean(one.answer)) for one in act.accepted)
        self._acts = (*self._acts, replace(act, accepted=lean))
        self._look_at({act.plane})

    def look_at(self, boxes: Iterable[Box]) -> None:
        """Something was painted within these boxes of the layer's data."""
        letters, axes = self._ground.letters, self._ground.image.plane_axes
        for start, stop in boxes:
            at = {a: range(*ends) for a, *ends in zip(letters, start, stop, strict=True)}
            self._look_at(product(*(at.get(axis, range(1)) for axis in axes)))

    def look_everywhere(self) -> None:
        """Something may have been written into the layer's data that nobody told of."""
        self._look_at(self._planes)

    def write(self, categories: Mapping[int, Category]) -> None:
        """Write the recipe, if it is another one; the categories are as they are called now."""
        known = self._layer.metadata.get(RECIPE_KEY, {})
        if known and known != self._written:
            # Another tool has corrected the layer, and has logged all that it met.
            self._go_on_from(known)
        recipe = self._recipe(categories)
        if recipe == self._written or not (self._written or self._planes):
            return
        self._written = recipe
        kept = Kept(self._acts, self._head, recipe)
        self._layer.metadata = {**self._layer.metadata, RECIPE_KEY: recipe, LOG_KEY: kept}

    def _look_at(self, planes: Iterable[tuple[int, ...]]) -> None:
        self._stale.update(planes)
        self._planes |= self._stale

    def _go_on_from(self, recipe: Mapping[str, Any]) -> None:
        self._acts, self._written, self._head = (), recipe, recipe
        self._base = np.array(self._layer.data)
        self.look_everywhere()

    def _recipe(self, categories: Mapping[int, Category]) -> dict[str, Any]:
        recipe = dict(self._head)
        acts: list[Act] = []
        if self._base is None:
            acts = [self._left(act) for act in self._acts]
            named = {**{act.category.id: act.category for act in acts}, **categories}
            asked = [request for act in acts for request in _requests(act)]
            recipe[PROMPTS] = requests_to_json(asked, tuple(named.values()))
        edits = self._edits(acts)
        return {**recipe, EDITS: [*recipe.get(EDITS, ()), *edits]} if edits else recipe

    def _left(self, act: Act) -> Act:
        """Leave out objects without pixels: they were undone, erased or painted over."""
        here = self._view(self._layer.data, act.plane)
        left = [one for one in act.accepted if (here[one.mask.slices] == one.number).any()]
        return replace(act, accepted=tuple(left))

    def _edits(self, acts: Iterable[Act]) -> list[dict[str, Any]]:
        """What is left to be painted, plane by plane; only those that may differ are read."""
        of = {plane: [act for act in acts if act.plane == plane] for plane in self._stale}
        for plane, here in of.items():
            self._painted.pop(plane, None)
            if paint := self._left_to_paint(plane, here):
                self._painted[plane] = write_entry(paint)
        self._stale.clear()
        return [entry for _, entry in sorted(self._painted.items())]

    def _left_to_paint(self, plane: tuple[int, ...], acts: Iterable[Act]) -> Paint | None:
        labels = self._view(self._layer.data, plane)
        canvas = np.zeros(labels.shape, labels.dtype)
        if self._base is not None:
            canvas = self._view(self._base, plane)
        repaint(canvas, [(act.accepted, act.overwrite) for act in acts])
        differ = canvas != labels
        if not differ.any():
            return None
        ends = (np.flatnonzero(differ.any(axis=1 - axis))[[0, -1]] for axis in (0, 1))
        rows, cols = (slice(int(first), int(last) + 1) for first, last in ends)
        # Layers of uint8 have no -1.
        painted_here = labels[rows, cols].astype(np.int32)
        values = np.where(differ[rows, cols], painted_here, KEEP)
        start = (*plane, rows.start, cols.start)
        return Paint.of(start, values.reshape((1,) * len(plane) + values.shape))

    def _view(self, data: NDArray[Any], plane: tuple[int, ...]) -> NDArray[Any]:
        return self._ground.view(data, plane, ALL, ALL)


def _lean(answer: Candidate) -> Candidate:
    """An answer without the network's numbers and others' pixels: there may be thousands."""
    asked = answer.asked
    if asked is not None and asked.prompt.previous is not None:
        before = _lean(asked.prompt.previous)
        asked = replace(asked, prompt=replace(asked.prompt, previous=before))
    mask = replace(answer.mask, pixels=answer.mask.pixels.copy())
    return replace(answer, mask=mask, logits=np.zeros((0, 0), np.float32), asked=asked)


def _requests(act: Act) -> Iterator[Request]:
    for place, one in enumerate(act.accepted):
        yield replace(
            Request.of(one.answer, act.plane, act.category.id),
            index=one.number,
            overwrite=act.overwrite,
            replaces=one.replaces,
            together=place > 0,
        )
