"""The sessions of a Review dock: one for each layer that was chosen, with its own edits."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import napari.layers
import napari.viewer
from qtpy.QtCore import QObject, Signal
from superqt.utils import qdebounced

from ...editing import Editor
from ...label_set import LabelSet
from ...segmenter import InstsegError
from ..fields import LayerChoice
from ..label_layers import label_set_of, outputs_of
from ..links import PROMPTED
from ..task_row import TaskRow, notify
from .open_editor import is_quick, read_layer
from .session import ReviewSession
from .strokes import forget_strokes


class Sessions(QObject):
    """Begins and ends sessions as layers are chosen, replaced and removed.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    choice : LayerChoice
        Of Labels layers.
    listing : TaskRow
        Where large layers are read.

    Attributes
    ----------
    current : ReviewSession or None
        That of the chosen layer.
    """

    #: Another one is the current one: a `ReviewSession`, or None.
    switched = Signal(object)

    def __init__(self, viewer: napari.viewer.Viewer, choice: LayerChoice, listing: TaskRow) -> None:
        super().__init__()
        self.current: ReviewSession | None = None
        self._viewer, self._choice, self._listing = viewer, choice, listing
        self._by_layer: dict[Hashable, ReviewSession] = {}
        #: Until the dock is seen.
        self._rests = True
        choice.layer_changed.connect(self.choose)
        viewer.layers.events.removed.connect(self._forget)
        PROMPTED.events.items_changed.connect(self._prompted)

    def choose(self) -> None:
        """Take the chosen layer; of a semantic or panoptic one, its instances.

        One that objects are prompted in has none until that is over: an undo of each is enough.
        """
        if self._rests:
            return
        chosen = self._choice.layer()
        layer = None
        if chosen is not None:
            layer = outputs_of(self._viewer, chosen).get("instances", chosen)
        if layer is not None and layer.unique_id in PROMPTED:
            layer = None
        if self.current is not None and self.current.layer is layer:
            return
        if self._listing.worker is not None:
            self._listing.cancel()
        self._put_aside()
        self._prune()
        if layer is None:
            self._switch(None)
        elif layer.unique_id in self._by_layer:
            self._switch(self._by_layer[layer.unique_id])
        else:
            self._open(layer)

    def rest(self) -> None:
        """Leave the layers to napari, its undo and other docks: nobody sees this one."""
        self._rests = True
        if self.current is not None:
            self.current.rest()

    def wake(self) -> None:
        """Go on, with what has become of the layers meanwhile."""
        self._rests, before = False, self.current
        self.choose()
        if before is not None and before is self.current:
            before.wake()

    def _prompted(self, added: object, removed: object) -> None:
        self.choose()

    def _switch(self, session: ReviewSession | None) -> None:
        self.current = session
        if session is not None:
            (session.rest if self._rests else session.wake)()
        self.switched.emit(session)

    def _open(self, layer: napari.layers.Labels) -> None:
        """Read a layer; what takes long, in a thread of its own."""
        viewer = self._viewer
        if is_quick(viewer, layer):
            try:
                self._begin(layer, (label_set_of(viewer, layer), None))
            except InstsegError as error:
                notify(error)
                self._switch(None)
            return
        self._switch(None)
        self._listing.start(
            f"listing the objects of {layer.name}",
            lambda report: read_layer(viewer, layer),
            lambda read: self._begin(layer, read),
            wait=False,
        )

    def _begin(self, layer: napari.layers.Labels, read: tuple[LabelSet, Editor | None]) -> None:
        if layer not in self._viewer.layers:
            return
        # By now it may be known that others are parts of this one's result.
        self._prune()
        # What was painted before is in the labels that were read: it is no edit of this session.
        forget_strokes(outputs_of(self._viewer, layer).values())
        session = ReviewSession(self._viewer, layer, *read)
        session.setParent(self)
        session.outdated.connect(self._hear)
        self._by_layer[layer.unique_id] = session
        self._switch(session)

    def _put_aside(self) -> None:
        """Show all of the objects whose turn is over."""
        if self.current is not None and self.current.layer in self._viewer.layers:
            self.current.select(())
            self.current.show_all()
            self.current.rest()

    def _prune(self) -> None:
        """End the session of a layer that turned out to be a part of a result.

        A run adds panoptic first: for a moment it looks like a result of its own.
        """
        for session in list(self._by_layer.values()):
            outputs = outputs_of(self._viewer, session.layer)
            if outputs.get("instances", session.layer) is not session.layer:
                self._end(session)

    def _hear(self, session: ReviewSession) -> None:
        """Read a layer again once no more is done to it, and somebody sees it."""
        if session is self.current and not self._rests:
            self._reload()
            return
        self._end(session)
        if session is self.current:
            self._switch(None)

    @qdebounced(timeout=100)
    def _reload(self) -> None:
        """Read the layer again: somebody has replaced its labels or its table."""
        session = self.current
        if session is None or session.layer not in self._viewer.layers:
            return
        self._end(session)
        self._open(session.layer)

    def _forget(self, event: Any) -> None:
        """A layer was removed."""
        session = self._by_layer.get(event.value.unique_id)
        if session is not None:
            self._end(session)
            if session is self.current:
                self._switch(None)
                self.choose()

    def _end(self, session: ReviewSession) -> None:
        session.outdated.disconnect(self._hear)
        session.close()
        self._by_layer.pop(session.layer.unique_id, None)
        session.setParent(None)

    def end_all(self) -> None:
        """Let go of all layers; they are as they were, but for edits."""
        self._reload.cancel()
        self._listing.cancel()
        for session in list(self._by_layer.values()):
            self._end(session)
        if self.current is not None:
            self._switch(None)

    def disconnect_viewer(self) -> None:
        """Stop following the viewer."""
        PROMPTED.events.items_changed.disconnect(self._prompted)
        self._viewer.layers.events.removed.disconnect(self._forget)
