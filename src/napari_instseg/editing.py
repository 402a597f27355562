"""Corrections of a label set: each one changes labels and table together, and can be taken back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .io.label_store import LabelStore, copy_to_memory, open_store
from .label_set import BY_HAND, LabelSet
from .ops.editing.base import Edit
from .ops.editing.categorizing import Categorize
from .ops.editing.parts import plan
from .ops.editing.patches import Patch
from .ops.editing.registry import EDIT, make_edit, read_entry
from .ops.editing.renaming import Rename
from .ops.editing.rows import Swap
from .ops.editing.scene import Box, Reader, Scene, slices, union
from .ops.editing.starting import boxes_in, in_step, prepared
from .ops.editing.tabling import Tabling
from .ops.editing.work import Work
from .ops.extents import find_extents
from .segmenter import Category, InputError
from .settings import OUTPUTS

#: Key of the log in a recipe.
EDITS = "edits"


@dataclass(frozen=True, slots=True)
class Change:
    """What an edit, or taking it back, did.

    Parameters
    ----------
    ids : frozenset of int
        Numbers of objects that came, went or changed.
    where : tuple of slice
        A box with all pixels that changed in any label image; all slices are empty if none did.
    """

    ids: frozenset[int]
    where: tuple[slice, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """What goes from one state to another; the same patches go back."""

    entry: dict[str, Any]
    patches: tuple[tuple[str, Patch], ...]
    swap: Swap
    boxes: Mapping[int, Box | None]
    categories: tuple[Category, ...]
    change: Change


class Editor:
    """Corrects the objects of a label set; undo brings back the same bytes.

    Parameters
    ----------
    label_set : LabelSet
        Left as it is, unless ``in_place``.
    in_place : bool
        Change the label images themselves, where they are: arrays that can be written to, or
        Zarr in a folder, with the coarser levels and properties of OME-Zarr. Else copies in
        memory (int32).

    Raises
    ------
    InputError
        If the label images cannot be written to, are too large to be copied, or an object has no
        row and the label set no category for it.

    Notes
    -----
    Rows of the table are sorted by ``index``, and have a column ``edited``. Of label images in
    memory they are brought in line with the pixels first. Each edit is kept as a compressed
    difference of the boxes it changed.

    Examples
    --------
    >>> editor = Editor(LabelSet.from_labels(np.array([[1, 1, 0, 2]]), "YX"))
    >>> editor.apply("merge", ids=[1, 2]).ids
    frozenset({1, 2})
    >>> editor.labels.instances
    array([[1, 1, 0, 1]], dtype=int32)
    >>> editor.edits
    ({'edit': 'merge', 'ids': [1, 2]},)
    """

    def __init__(self, label_set: LabelSet, *, in_place: bool = False) -> None:
        opened = open_store if in_place else copy_to_memory
        arrays = {name: getattr(label_set, name) for name in OUTPUTS}
        self._stores: dict[str, LabelStore] = {
            name: opened(array) for name, array in arrays.items() if array is not None
        }
        kept: dict[str, Any] = {name: store.array for name, store in self._stores.items()}
        self._base = replace(label_set, **kept)
        self._largest = min(store.largest for store in self._stores.values())
        self._categories = label_set.categories
        self._table, self._boxes = _started(self._base)
        self._done: list[_Step] = []
        self._undone: list[_Step] = []

    @property
    def labels(self) -> LabelSet:
        """The label set as it is now; its label images change with further edits."""
        recipe = dict(self._base.recipe)
        if self._done:
            recipe[EDITS] = [*recipe.get(EDITS, ()), *self.edits]
        return replace(self._base, table=self._table, categories=self._categories, recipe=recipe)

    @property
    def edits(self) -> tuple[dict[str, Any], ...]:
        """The log: what was done and not taken back, as values that JSON can hold."""
        return tuple(step.entry for step in self._done)

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is an edit that was taken back."""
        return bool(self._undone)

    @property
    def next_id(self) -> int:
        """Number that a new object gets."""
        return self._scene().next_id

    def apply(self, name: str, /, **parameters: Any) -> Change:
        """Make an edit.

        Parameters
        ----------
        name : str
            One of `ops.editing.registry.EDITS`.
        **parameters
            Those of the edit's class.

        Returns
        -------
        Change
            An edit that changes nothing is not in the log.

        Raises
        ------
        InputError
            If it cannot be done; then nothing was changed.
        """
        scene = self._scene()
        edit = make_edit(name, parameters).resolved(scene)
        step = self._made(edit, scene)
        if step.change.ids or step.patches or self._categories != scene.categories:
            self._done.append(step)
            self._undone.clear()
        return step.change

    def undo(self) -> Change | None:
        """Take the last edit back; None if there is none."""
        return self._go(self._done, self._undone)

    def redo(self) -> Change | None:
        """Make the edit again that was taken back last; None if there is none."""
        return self._go(self._undone, self._done)

    def _go(self, taken: list[_Step], given: list[_Step]) -> Change | None:
        if not taken:
            return None
        step = taken.pop()
        self._write(step.patches)
        given.append(self._set(step))
        return step.change

    def _scene(self) -> Scene:
        base = self._base
        step = base.spacing.get("X")
        sampling = tuple(base.spacing.get(a, step) / step if step else 1.0 for a in base.axes)
        return Scene(base.shape, base.axes, sampling, self._table, self._boxes, self._categories)

    def _made(self, edit: Edit, scene: Scene) -> _Step:
        """Change the pixels, then the table; return what takes both back."""
        work = Work(edit, scene, self._readers(), self._base.ground, self._largest)
        written: list[tuple[str, Patch]] = []
        try:
            pending: list[tuple[str, Patch]] = []
            for part in plan(edit, scene):
                found = work.look(part)
                if edit.LOCAL:
                    pending += found
                else:
                    written += found
                    self._write(found)
            written += pending
            self._write(pending)
            tabling = Tabling(scene, edit, self._base.spacing, BY_HAND)
            swap, boxes = tabling.make(work.objects, work.stuff, work.new_stuff, self._readers())
        except BaseException:
            self._write(written)
            raise
        ids = frozenset(boxes)
        where = [patch.box for _, patch in written] or [
            scene.boxes[i] for i in ids if i in scene.boxes
        ]
        around = slices(union(where)) if where else (slice(0, 0),) * len(scene.shape)
        entry = {EDIT: edit.NAME, **_plain(edit)}
        categories = _named(scene.categories, edit)
        return self._set(_Step(entry, tuple(written), swap, boxes, categories, Change(ids, around)))

    def _set(self, step: _Step) -> _Step:
        """Put a step's rows in the table; return the step that takes them out again."""
        self._table, swap = step.swap.applied(self._table)
        boxes = {number: self._boxes.get(number) for number in step.boxes}
        for number, box in step.boxes.items():
            if box is None:
                self._boxes.pop(number, None)
            else:
                self._boxes[number] = box
        categories, self._categories = self._categories, step.categories
        for output, store in self._stores.items():
            store.describe(self._table, self._categories, output)
        return replace(step, swap=swap, boxes=boxes, categories=categories)

    def _write(self, patches: Iterable[tuple[str, Patch]]) -> None:
        for output, patch in patches:
            store = self._stores[output]
            store.write(patch.box, patch.applied(store.read(patch.box)))

    def _readers(self) -> dict[str, Reader]:
        return {output: store.read for output, store in self._stores.items()}


def replay(
    label_set: LabelSet, edits: Iterable[Mapping[str, Any]], *, in_place: bool = False
) -> LabelSet:
    """Make the edits of a log again.

    Parameters
    ----------
    label_set : LabelSet
        As it was before them.
    edits : iterable of dict
        As `Editor.edits` has them, or ``recipe["edits"]``.
    in_place : bool
        See `Editor`.

    Returns
    -------
    LabelSet
        With the same labels as when they were made.

    Raises
    ------
    InputError
        If one is malformed or does not fit; then nothing was changed. The message has its place.
    """
    editor = Editor(label_set, in_place=in_place)
    for place, entry in enumerate(edits, start=1):
        try:
            name, parameters = read_entry(entry)
            editor.apply(name, **parameters)
        except InputError as error:
            while editor.undo():
                pass
            raise InputError(f"edit {place} of the log: {error}") from error
    return editor.labels


def _started(base: LabelSet) -> tuple[Any, dict[int, Box]]:
    """Table and boxes to begin with."""
    table = prepared(base.table)
    boxes = None if isinstance(base.instances, np.ndarray) else boxes_in(table, base.axes)
    if boxes is not None:
        return table, boxes
    found = find_extents(base.instances, base.axes)
    category = next((c for c in base.categories if c.is_thing), None)
    boxes = boxes_in(found.assign(is_thing=True), base.axes)
    return in_step(table, found, category, BY_HAND), boxes or {}


def _plain(edit: Edit) -> dict[str, Any]:
    """Parameters as JSON has them, but those that say nothing."""
    given = {name: value for name, value in edit.to_json().items() if value is not None}
    plain: dict[str, Any] = json.loads(json.dumps(given))
    return plain


def _named(categories: tuple[Category, ...], edit: Edit) -> tuple[Category, ...]:
    if isinstance(edit, Categorize) and all(c.id != edit.category_id for c in categories):
        return (*categories, Category(edit.category_id, edit.name or ""))
    if isinstance(edit, Rename):
        return tuple(
            replace(c, name=edit.name) if c.id == edit.category_id else c for c in categories
        )
    return categories
