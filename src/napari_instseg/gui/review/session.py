"""What is reviewed: the objects of one result, the layers that show them, and their editor."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import napari.layers
import napari.viewer
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal
from superqt.utils import qdebounced

from ...editing import Change, Editor
from ...label_set import LabelSet
from ...ops.editing.categorizing import Categorize
from ...ops.editing.registry import EDIT
from ...ops.editing.renaming import Rename
from ...ops.editing.reviewing import Review
from ...ops.rendering import rows_of
from ...progress import Listener
from ...segmenter import InputError
from ..label_layers import outputs_of
from ..links import RECIPE_KEY, link_of, set_link
from .hiding import Hider
from .highlight import Highlight
from .open_editor import open_editor, read_anew
from .places import Places, as_box, extents
from .recoloring import Recoloring
from .strokes import Strokes

#: Edits after which all objects have the pixels that they had.
OF_THE_TABLE = (Categorize.NAME, Rename.NAME, Review.NAME)


class ReviewSession(QObject):
    """Owns the editor of one result, and keeps its Labels layers as the editor has them.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    layer : napari.layers.Labels
        With the instances.
    labels : LabelSet
        As `label_set_of` read it.
    editor : Editor, optional
        Of them; None: it is made for the first edit.

    Attributes
    ----------
    layers : dict of str to napari.layers.Labels
        By output.
    measured : DataFrame
        What was measured of the objects, by ``index``; no columns but that at first.
    measured_in : collection of str
        Unique ids of the image layers whose grey values were.
    """

    #: An edit was made, taken back or made again: a `Change`.
    changed = Signal(object)
    #: Other objects are chosen: a tuple of their labels; the first is the current one.
    selected = Signal(object)
    #: Columns were measured.
    measured_changed = Signal()
    #: The layer's labels or table were replaced from outside: this session is out of date.
    outdated = Signal(object)

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        layer: napari.layers.Labels,
        labels: LabelSet,
        editor: Editor | None = None,
    ) -> None:
        super().__init__()
        self.viewer, self.layer = viewer, layer
        self._labels, self._editor = labels, editor
        self.layers = outputs_of(viewer, layer)
        self.places = Places(viewer, layer, labels.axes)
        self.measured = pd.DataFrame({"index": pd.Series(dtype=np.int64)})
        self.measured_in: Collection[str] = ()
        self._chosen: tuple[int, ...] = ()
        self._highlight = Highlight(viewer, layer, self.places)
        self._hidden: NDArray[np.int64] = np.zeros(0, np.int64)
        self._hiders = [
            Hider(self.layers[o]) for o in ("instances", "panoptic") if o in self.layers
        ]
        self._recolorings = [Recoloring(one, o, labels) for o, one in self.layers.items()]
        self._writing = self._busy = self._closed = False
        self._events = (layer.events.data, layer.events.features)
        for event in self._events:
            event.connect(self._hear)
        self._strokes = Strokes(self)
        self._dims = (viewer.dims.events.current_step, viewer.dims.events.ndisplay)
        for event in self._dims:
            event.connect(self._follow)
        events = layer.events
        self._moves = (events.scale, events.translate, events.rotate, events.shear, events.affine)
        for event in self._moves:
            event.connect(self._move)

    # ------------------------------------------------------------------------- what there is

    @property
    def labels(self) -> LabelSet:
        """Label images and table, as they are now."""
        return self._labels if self._editor is None else self._editor.labels

    @property
    def editor(self) -> Editor:
        """What makes edits, takes them back, and lists them.

        Raises
        ------
        InputError
            If the labels can only be read.
        """
        if self._editor is None:
            self._editor = open_editor(self._labels, self.layers)
        return self._editor

    @property
    def table(self) -> pd.DataFrame:
        """Rows of the segments, as they are now, with what was measured of them."""
        table = self.labels.table
        if self.measured.shape[1] < 2:
            return table
        return table.merge(self.measured, on="index", how="left", suffixes=("", " (measured)"))

    @property
    def chosen(self) -> tuple[int, ...]:
        """Labels of the chosen objects; the first is the current one."""
        return self._chosen

    # --------------------------------------------------------------------------------- edits

    def apply(self, name: str, /, **parameters: Any) -> Change:
        """Make an edit; see `Editor.apply`."""
        if self._busy:
            raise InputError("another edit is under way: wait for its end, or cancel it")
        self._strokes.take()
        change = self.editor.apply(name, **parameters)
        self._take(change, name)
        return change

    @property
    def busy(self) -> bool:
        """Whether an edit is made in another thread: no other one can be."""
        return self._busy

    def begin(self, name: str, **parameters: Any) -> Callable[[Listener], Change]:
        """Prepare an edit that takes long.

        Returns
        -------
        callable
            Makes it, in any thread. `end` is to be called with what it returns, or None.
        """
        self._strokes.take()
        self._set_busy(True)
        # Sliders must leave the pixels alone meanwhile.
        self._keep_from_runs()
        return lambda report: self.editor.apply(name, report, **parameters)

    def end(self, name: str, change: Change | None) -> None:
        """Show what an edit did that was begun; None: it was not made."""
        self._set_busy(False)
        if not self._closed:
            self._take(change, name)

    def _set_busy(self, busy: bool) -> None:
        self._busy = busy
        for layer in self.layers.values():
            if isinstance(layer.data, np.ndarray):
                layer.editable = not busy

    def take_strokes(self) -> None:
        """Make edits of what was painted until now."""
        self._strokes.take()

    def rest(self) -> None:
        """Leave to napari what is painted: nobody sees this session."""
        self._strokes.rest()

    def wake(self) -> None:
        """Make edits of what is painted again, and of what was painted meanwhile."""
        self._strokes.wake()

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return self._editor is not None and not self._busy and self._editor.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is an edit that was taken back."""
        return self._editor is not None and not self._busy and self._editor.can_redo

    def undo(self) -> None:
        """Take the last edit back, if there is one."""
        self._strokes.take()
        if self._editor is not None and self.can_undo:
            name = str(self._editor.edits[-1][EDIT])
            self._take(self._editor.undo(), name)

    def redo(self) -> None:
        """Make the edit again that was taken back last, if there is one."""
        self._strokes.take()
        if self._editor is not None and self.can_redo:
            change = self._editor.redo()
            self._take(change, str(self._editor.edits[-1][EDIT]))

    def _take(self, change: Change | None, name: str) -> None:
        """Bring layers, measurements and selection in line with the editor."""
        if change is None:
            return
        self._writing = True
        try:
            self._recolor()
            for output, layer in self.layers.items():
                if layer in self.viewer.layers:
                    self._write(output, layer, change)
            self._keep_from_runs()
        finally:
            self._writing = False
        if name not in OF_THE_TABLE:
            stale = self.measured["index"].isin(list(change.ids))
            self.measured = self.measured[~stale]
        present = set(self.labels.table["index"].tolist())
        kept = tuple(label for label in self._chosen if label in present)
        if kept != self._chosen:
            self._chosen = kept
            self.selected.emit(kept)
        self._highlight.show(self.labels, self._chosen)
        self.changed.emit(change)

    def _recolor(self) -> None:
        """Give colours to what is new."""
        for recoloring in self._recolorings:
            recoloring.follow(self.labels)
        if len(self._hidden):
            # There may be larger labels, which are seen.
            self.hide(self._hidden)

    def _write(self, output: str, layer: napari.layers.Labels, change: Change) -> None:
        """Show the pixels that changed, the table, and the log."""
        if any(part.start < part.stop for part in change.where):
            if isinstance(layer.data, np.ndarray):
                layer.refresh(extent=False)
            else:
                read_anew(layer)
        layer.features = rows_of(self.labels.table, output)
        layer.metadata = {**layer.metadata, RECIPE_KEY: dict(self.labels.recipe)}

    def _keep_from_runs(self) -> None:
        """Say that the layers are no longer as a run wrote them, even if no pixel changed."""
        for layer in self.layers.values():
            link = link_of(layer)
            if link is not None and link.written is not None:
                set_link(layer, replace(link, written=None))

    # ----------------------------------------------------------------------------- selection

    def select(self, labels: Collection[int], *, look: bool = False) -> None:
        """Choose objects.

        Parameters
        ----------
        labels : collection of int
            The first is the current one.
        look : bool
            Move camera and sliders to that one.
        """
        chosen = tuple(int(label) for label in labels)
        if chosen and look:
            self.look_at(chosen[0])
        if chosen == self._chosen:
            return
        self._chosen = chosen
        if chosen:
            self.layer.selected_label = chosen[0]
        self._highlight.show(self.labels, chosen)
        self.selected.emit(chosen)

    def look_at(self, label: int) -> None:
        """Move camera and sliders to an object; nothing if there is none with this label."""
        rows = self.labels.table
        found = rows[rows["index"] == label]
        if len(found):
            self.places.look_at(as_box(extents(self.labels, found)[0]))

    @property
    def hidden(self) -> NDArray[np.int64]:
        """Labels that are hidden."""
        return self._hidden

    def hide(self, hidden: NDArray[np.int64]) -> None:
        """Hide these objects in the layers, and show all others; nothing is deleted."""
        self._hidden = np.asarray(hidden, np.int64)
        largest = int(self.labels.table["index"].max()) if len(self.labels.table) else 0
        for hider in self._hiders:
            hider.hide(self._hidden, largest)

    def show_all(self) -> None:
        """Hide nothing."""
        self.hide(np.zeros(0, np.int64))

    # ------------------------------------------------------------------------------- the rest

    def set_measured(self, measured: pd.DataFrame, images: Collection[str]) -> None:
        """Take what was measured, a row an object with its ``index``, in layers with these ids."""
        self.measured, self.measured_in = measured, images
        self.measured_changed.emit()

    @qdebounced(timeout=30)
    def _follow(self, event: object = None) -> None:
        """Another plane is in view."""
        if self.layer in self.viewer.layers and self._chosen:
            self._highlight.show(self.labels, self._chosen)

    @qdebounced(timeout=30)
    def _move(self, event: object = None) -> None:
        """The layer lies elsewhere: so does the outline, which is made anew."""
        self._highlight.remove()
        if self.layer in self.viewer.layers:
            self._highlight.show(self.labels, self._chosen)

    def _hear(self, event: object = None) -> None:
        if not self._writing:
            self.outdated.emit(self)

    def close(self) -> None:
        """Show all objects, and let go of the layers."""
        self._closed = True
        self._strokes.rest()
        for event in self._events:
            event.disconnect(self._hear)
        for event in self._dims:
            event.disconnect(self._follow)
        for event in self._moves:
            event.disconnect(self._move)
        self._follow.cancel()
        self._move.cancel()
        self._highlight.remove()
        for hider in self._hiders:
            hider.close()
