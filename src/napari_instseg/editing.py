"""Corrections of a label set: each one changes labels and table together, and can be taken back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from .io.journal import Journal, settle
from .io.label_record import LabelRecord
from .io.label_store import LabelStore, ZarrStore, copy_to_memory, home_of, open_store
from .label_set import BY_HAND, EDITS, LabelSet
from .ops.editing.base import Edit
from .ops.editing.parts import plan
from .ops.editing.patches import Patch
from .ops.editing.registry import make_edit, read_entry, write_entry
from .ops.editing.rows import Swap
from .ops.editing.scene import Box, Reader, Scene, slices, union
from .ops.editing.starting import started, with_unnamed
from .ops.editing.tabling import Tabling
from .ops.editing.work import Work
from .progress import Listener, Progress, ignore
from .segmenter import Category, InputError, WritingError
from .settings import OUTPUTS


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
        Zarr in a folder, with the coarser levels and properties of OME-Zarr, and the other files
        of a saved result: its other label images, table and recipe. Else copies in memory (int32).

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
    >>> import numpy as np
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
        self._record = LabelRecord.of(label_set.instances) if in_place else None
        home = home_of(label_set.instances) if in_place else None
        self._journal = None if home is None else Journal.of(home)
        settled = home is not None and settle(home)
        if self._record is not None:
            known = {name: array for name, array in arrays.items() if array is not None}
            arrays = self._record.arrays(label_set.shape) | known
            recipe = self._record.recipe() or label_set.recipe
            there = self._record.table()
            # Rows that were read before other edits are no longer those of the pixels.
            late = [*recipe.get(EDITS, ())] != [*label_set.recipe.get(EDITS, ())]
            if there is not None and (settled or late):
                label_set = replace(label_set, table=there)
            table = self._record.completed(label_set.table)
            categories = with_unnamed(label_set.categories, table)
            label_set = replace(label_set, table=table, recipe=recipe, categories=categories)
        self._stores: dict[str, LabelStore] = {
            name: opened(array) for name, array in arrays.items() if array is not None
        }
        #: The log on disk, as this editor left it.
        self._log = None if self._record is None else self._record.log()
        #: Outputs of which the journal keeps files; others may lie elsewhere.
        self._kept = set[str]()
        for name, store in self._stores.items():
            if self._journal is None or not isinstance(store, ZarrStore):
                continue
            if self._journal.holds(store.folder / "0"):
                store.keep = self._journal.keep
                self._kept.add(name)
        kept: dict[str, Any] = {name: store.array for name, store in self._stores.items()}
        self._base = replace(label_set, **kept)
        self._largest = min(store.largest for store in self._stores.values())
        self._categories = label_set.categories
        self._table, self._boxes = started(
            label_set.table, self._base.instances, label_set.axes, label_set.categories, BY_HAND
        )
        self._done: list[_Step] = []
        self._undone: list[_Step] = []
        #: What an edit under way has changed of the others.
        self._written: list[tuple[str, Patch]] = []

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

    def apply(self, name: str, report: Listener = ignore, /, **parameters: Any) -> Change:
        """Make an edit.

        Parameters
        ----------
        name : str
            One of `ops.editing.registry.EDITS`.
        report : callable
            Hears of each part before it is looked at; if it raises, nothing was changed.
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
        WritingError
            If files cannot be written; then nothing was changed, either.
        """
        scene = self._scene()
        edit = make_edit(name, parameters).resolved(scene)
        with self._as_a_whole():
            step = self._made(edit, scene, report)
            if step.change.ids or step.patches or self._categories != scene.categories:
                self._done.append(step)
                self._undone.clear()
                self._keep_record()
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
        step = taken[-1]
        with self._as_a_whole():
            self._write(step.patches)
            taken.pop()
            given.append(self._set(step))
            self._keep_record()
        return step.change

    @contextmanager
    def _as_a_whole(self) -> Iterator[None]:
        """Let all that the body changes stay, in memory and on disk, or nothing if it fails."""
        done, undone = [*self._done], [*self._undone]
        before = self._table, {**self._boxes}, self._categories
        self._written = []
        try:
            with nullcontext() if self._journal is None else self._journal.changing():
                self._check_log()
                yield
                log = None if self._record is None else self._record.log()
            self._log = log
        except BaseException as error:
            for output, patch in reversed(self._written):
                store = self._stores[output]
                store.write(patch.box, patch.applied(store.read(patch.box)))
            self._done[:], self._undone[:] = done, undone
            self._table, self._boxes, self._categories = before
            if isinstance(error, WritingError):
                raise
            if isinstance(error, OSError) and self._journal is not None:
                raise self._unwritten(self._journal, error) from error
            raise

    def _check_log(self) -> None:
        """Rows and numbers are as this editor knows them, or an edit would mix two states."""
        if self._record is not None and self._record.log() != self._log:
            raise WritingError(
                f"{self._record.folder}: the labels were changed elsewhere since they were opened "
                "here; nothing is changed now. Open them again"
            )

    @staticmethod
    def _unwritten(journal: Journal, error: OSError) -> WritingError:
        became = (
            "what it had written is taken back when the labels are opened again"
            if journal.path.exists()
            else "labels, table and log are as before"
        )
        return WritingError(
            f"{journal.folder}: the edit cannot be written ({error}); {became}. Make room on the "
            "disk, or see that the folder can be written to"
        )

    def _keep_record(self) -> None:
        """Write the table and the log that lie beside labels on disk."""
        if self._record is not None and self._journal is not None:
            self._record.write(self._table, self.labels.recipe, self._journal.keep)

    def _scene(self) -> Scene:
        base = self._base
        step = base.spacing.get("X")
        sampling = tuple(base.spacing.get(a, step) / step if step else 1.0 for a in base.axes)
        return Scene(base.shape, base.axes, sampling, self._table, self._boxes, self._categories)

    def _made(self, edit: Edit, scene: Scene, report: Listener) -> _Step:
        """Change the pixels, then the table; return what takes both back."""
        work = Work(edit, scene, self._readers(), self._base.ground, self._largest)
        written: list[tuple[str, Patch]] = []
        pending: list[tuple[str, Patch]] = []
        parts = list(plan(edit, scene))
        for done, part in enumerate(parts):
            report(Progress(done, len(parts), edit.NAME.replace("_", " ")))
            pending += work.look(part)
            if not edit.LOCAL:
                self._write(pending)
                written, pending = written + pending, []
        self._write(pending)
        written += pending
        tabling = Tabling(scene, edit, self._base.spacing, BY_HAND)
        made = tabling.make(work.objects, work.stuff, work.new_stuff, self._readers())
        return self._set(self._step(edit, scene, tuple(written), *made))

    def _step(
        self,
        edit: Edit,
        scene: Scene,
        written: tuple[tuple[str, Patch], ...],
        swap: Swap,
        boxes: dict[int, Box | None],
    ) -> _Step:
        ids = frozenset(boxes)
        where = [patch.box for _, patch in written] or [
            scene.boxes[i] for i in ids if i in scene.boxes
        ]
        around = slices(union(where)) if where else (slice(0, 0),) * len(scene.shape)
        entry = write_entry(edit)
        categories = edit.categories(scene.categories)
        return _Step(entry, written, swap, boxes, categories, Change(ids, around))

    def _set(self, step: _Step) -> _Step:
        """Put a step's rows in the table; return the step that takes them out again."""
        table, swap = step.swap.applied(self._table)
        for output, store in self._stores.items():
            store.describe(table, step.categories, output)
        self._table = table
        boxes = {number: self._boxes.get(number) for number in step.boxes}
        for number, box in step.boxes.items():
            if box is None:
                self._boxes.pop(number, None)
            else:
                self._boxes[number] = box
        categories, self._categories = self._categories, step.categories
        return replace(step, swap=swap, boxes=boxes, categories=categories)

    def _write(self, patches: Sequence[tuple[str, Patch]]) -> None:
        """Make changes of pixels; those that are made already are taken back."""
        for output, patch in patches:
            store = self._stores[output]
            before = store.read(patch.box)
            try:
                store.write(patch.box, patch.applied(before))
            except BaseException:
                if output not in self._kept:
                    store.write(patch.box, before)
                raise
            if output not in self._kept:
                self._written.append((output, patch))

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
