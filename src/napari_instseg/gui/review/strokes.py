"""Strokes of napari's brush, bucket and eraser become edits, so that all else follows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import napari.layers
import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer

from ...label_set import check_int32
from ...ops.editing.painting import KEEP, Paint
from ...ops.editing.scene import union
from ...segmenter import InputError, InstsegError
from ..task_row import notify

if TYPE_CHECKING:
    from .session import ReviewSession

#: While an edit is under way, strokes wait; ms.
LATER = 200


class Strokes(QObject):
    """Takes over what is painted on the layers of a session.

    napari remembers each stroke for its own undo. Here it is taken out of the layer again and made
    anew as an edit: so there is one order of edits, strokes among them, and one undo.

    Parameters
    ----------
    session : ReviewSession
    """

    def __init__(self, session: ReviewSession) -> None:
        super().__init__(session)
        self._session = session
        # When napari tells of a stroke, it may not be in the data yet.
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.take)
        self._layers = list(session.layers.values())
        self._listens = False
        self._connect()

    def _connect(self) -> None:
        self._listens = True
        for layer in self._layers:
            layer.events.paint.connect(self._hear)

    def rest(self) -> None:
        """Leave strokes to napari, and to its undo, from now on."""
        if self._listens:
            self.take()
            self._timer.stop()
            self._listens = False
            for layer in self._layers:
                layer.events.paint.disconnect(self._hear)

    def wake(self) -> None:
        """Take strokes over again, those of meanwhile first."""
        if not self._listens:
            self._connect()
            self.take()

    def _hear(self, event: object = None) -> None:
        self._timer.start(0)

    def take(self) -> None:
        """Make edits of the strokes that are not edits yet."""
        self._timer.stop()
        if self._session.busy:
            self._timer.start(LATER)
            return
        for layer in self._layers:
            strokes = _taken_back(layer)
            if not strokes:
                continue
            try:
                if layer is not self._session.layer:
                    layer.refresh()
                    raise InputError(
                        f"{layer.name!r} follows {self._session.layer.name!r}: paint there"
                    )
                for stroke in strokes:
                    self._paint(*stroke)
            except InstsegError as error:
                layer.refresh()
                notify(error)

    def _paint(self, start: tuple[int, ...], before: NDArray[Any], after: NDArray[Any]) -> None:
        session = self._session
        check_int32(after, session.layer.name)
        order = np.argsort(session.places.arrangement)
        old, new = (np.asarray(a, np.int32).transpose(order) for a in (before, after))
        origin = tuple(start[k] for k in order)
        stuff = session.labels.stuff["index"].to_numpy()
        taken = np.isin(new, stuff) & (new != old)
        if taken.any():
            # The number that napari offers for a new object may be that of a segment of stuff.
            new = np.where(taken, np.int32(session.editor.next_id), new)
            session.layer.selected_label = session.editor.next_id
        edit = Paint.of(origin, np.where(new == old, np.int32(KEEP), new))
        session.apply(edit.NAME, **edit.to_json())


def forget_strokes(layers: Iterable[napari.layers.Labels]) -> None:
    """Let napari's own undo begin anew."""
    for layer in layers:
        layer._reset_history()


Stroke = tuple[tuple[int, ...], NDArray[Any], NDArray[Any]]


def _taken_back(layer: napari.layers.Labels) -> list[Stroke]:
    """Undo the strokes that napari remembers, and forget them.

    Returns
    -------
    list of (start, before, after)
        In the order in which they were made: the box's first pixel, its labels before and after.
    """
    # napari has no public way to ask what was painted.
    history, found = layer._undo_history, []
    while history:
        start, stop = union([box_of(atom) for atom in history[-1]])
        where = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        after = np.array(layer.data[where])
        with layer.events.blocker_all():
            layer.undo()
        found.append((start, np.array(layer.data[where]), after))
    layer._reset_history()
    return found[::-1]


def box_of(atom: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The pixels that a step of napari's history changes: slices, or arrays of indices."""
    key: Sequence[Any] = getattr(atom, "slice_key", None) or atom[0]
    ends = [
        (part.start, part.stop)
        if isinstance(part, slice)
        else (int(np.min(part)), int(np.max(part)) + 1)
        for part in key
    ]
    return tuple(a for a, _ in ends), tuple(b for _, b in ends)
