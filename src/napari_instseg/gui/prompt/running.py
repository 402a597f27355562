"""A session that runs: what ties it to the viewer and to the panel of its dock."""

from __future__ import annotations

from typing import Any

import napari.layers
import napari.viewer
import numpy as np
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget
from superqt.utils import qdebounced

from ...prompting import PromptSession
from ...prompting.propagation import Propagated
from ...segmenter import InputError
from ..links import PROMPTED
from ..review.strokes import box_of
from .bindings import Bindings
from .colors import ClassColors
from .controller import Prompting
from .ground import Ground
from .objects import Objects, categories_of
from .panel import PromptPanel
from .setup import Start

#: Of the layer of objects, so that the picture shows through.
OPACITY = 0.5


class Running(QObject):
    """Prompts in one image layer until it ends.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    panel : PromptPanel
    start : Start
    session : PromptSession
    target : napari.layers.Labels, optional
        Takes the accepted objects; None: a new one is added.
    ground : Ground
        Of the image layer.
    """

    #: What is under way is another, or what can be done.
    changed = Signal()
    #: Objects were accepted, or undone.
    painted = Signal()
    #: It cannot go on; why.
    over = Signal(str)
    failed = Signal(object)

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        panel: PromptPanel,
        start: Start,
        session: PromptSession,
        target: napari.layers.Labels | None,
        ground: Ground,
    ) -> None:
        super().__init__()
        self._viewer, self._panel = viewer, panel
        is_new = target is None
        target = target or new_layer(viewer, ground, start)
        self.session, self.ground, self.labels = session, ground, target
        self.objects = Objects(target, ground, session, is_new=is_new)
        self.prompting = Prompting(viewer, session, ground, self.objects)
        self._colors = ClassColors(target)
        self._bindings = Bindings(viewer, self.prompting, panel.classes.press, self.changed.emit)
        self._connect()
        if known := categories_of(target):
            panel.classes.set_classes(known)
        viewer.layers.selection.active = target
        target.mode = "pan_zoom"
        self.prompting.choose_tool(panel.tool())
        self.read_panel()
        self.name_classes()
        self.prompting.asking.look()

    def _connect(self) -> None:
        prompting, camera = self.prompting, self._viewer.scene.camera.events
        prompting.changed.connect(self.changed)
        prompting.failed.connect(self.failed)
        prompting.accepted.connect(self._show_painted)
        prompting.picked.connect(self._panel.classes.choose)
        self._events: list[tuple[Any, Any]] = [
            (self._viewer.layers.events.removed, self._layer_removed),
            (self._viewer.dims.events.current_step, self._moved),
            (camera.zoom, self._zoomed),
            (camera.center, self._moved),
            (self.ground.layer.events.data, self._image_changed),
            (self.labels.events.set_data, self._pixels_changed),
            (self.labels.events.paint, self._by_hand),
        ]
        for event, slot in self._events:
            event.connect(slot)

    def end(self) -> None:
        """Leave the viewer as it was; the accepted objects stay."""
        for event, slot in self._events:
            event.disconnect(slot)
        self._events = []
        self._bindings.detach()
        self.prompting.end()
        if self.labels in self._viewer.layers:
            self.write_recipe()
        PROMPTED.discard(self.labels.unique_id)

    @property
    def works(self) -> bool:
        """Whether mouse and keys are for prompts now."""
        return self._bindings.work

    def attach(self, window: QWidget | None) -> None:
        """Take mouse and keys."""
        PROMPTED.add(self.labels.unique_id)
        self._bindings.attach(window)

    def rest(self) -> None:
        """Give mouse and keys back, and leave nothing to see but the accepted objects."""
        self._bindings.detach()
        self.prompting.clear()
        self.prompting.overlay.remove()
        self.write_recipe()
        PROMPTED.discard(self.labels.unique_id)

    # -------------------------------------------------------------------------- from the panel

    def read_panel(self) -> None:
        """Prompt as the panel says."""
        panel, prompting = self._panel, self.prompting
        prompting.overwrite = panel.overwrite.isChecked()
        prompting.previews = panel.preview.isChecked()
        prompting.current.moves_on = panel.moves_on.isChecked()
        prompting.source = panel.source_layer()
        self.changed.emit()

    def choose_class(self) -> None:
        """Accept objects with the chosen class."""
        self.prompting.set_category(self._panel.classes.current())
        self._color()

    def name_classes(self) -> None:
        """Take the classes as they are called and coloured now."""
        self.objects.name_categories(self._panel.classes.classes())
        self.choose_class()

    def take_propagated(self, found: Propagated, number: int) -> None:
        """Note where an object was propagated to."""
        for index, section in found.sections.items():
            self.objects.note(number, found.plane_index(index), section.mask)
        self._show_painted()

    # ------------------------------------------------------------------------- from the viewer

    def _layer_removed(self, event: Any) -> None:
        if event.value in (self.ground.layer, self.labels):
            self.over.emit(f"“{event.value.name}” was removed: the session is over.")

    def _image_changed(self, event: object) -> None:
        self.over.emit("The image has other pixels now: start again.")

    def _zoomed(self, event: object) -> None:
        self._redraw()
        self._look()

    def _moved(self, event: object) -> None:
        self._look()

    @qdebounced(timeout=60)
    def _redraw(self) -> None:
        if self._events:
            self.prompting.redraw()

    @qdebounced(timeout=300)
    def _look(self) -> None:
        if self._events:
            self.prompting.asking.look()

    def _pixels_changed(self, event: object) -> None:
        # napari tells nobody what it undid or did again: the last item of one of these.
        for history in (self.labels._undo_history, self.labels._redo_history):
            if history:
                self.objects.log.look_at([box_of(atom) for atom in history[-1]])
        self._sync()

    @qdebounced(timeout=200)
    def _sync(self) -> None:
        """Undo, redo and brushes change objects, too."""
        if self._events:
            self._show_painted()

    def _by_hand(self, event: Any) -> None:
        self.objects.log.look_at([box_of(atom) for atom in event.value])
        self._sync()

    def write_recipe(self) -> None:
        """Say in the layer how its objects came about, whatever wrote into it."""
        self._later.cancel()
        self.objects.log.look_everywhere()
        self.objects.write_recipe()

    @qdebounced(timeout=400)
    def _later(self) -> None:
        if self._events:
            self.objects.write_recipe()

    def _show_painted(self) -> None:
        self.objects.sync()
        self._later()
        self._color()
        self.painted.emit()
        self.changed.emit()

    def _color(self) -> None:
        classes = self._panel.classes
        self._colors.update(
            classes.classes(),
            classes.current(),
            self.objects.numbers(),
            self.objects.next_number(),
        )


def new_layer(viewer: napari.viewer.Viewer, ground: Ground, start: Start) -> napari.layers.Labels:
    """Add an empty layer for objects of an image.

    Raises
    ------
    InputError
        If there is not enough memory for one as large as the image.
    """
    try:
        pixels = np.zeros(ground.shape, np.int32)
    except MemoryError as error:
        raise InputError(
            f"there is not enough memory for labels as large as {start.layer.name!r} "
            f"({' × '.join(map(str, ground.shape))} px): crop it, or choose a coarser level"
        ) from error
    return viewer.add_labels(
        pixels, name=f"{start.layer.name} objects", opacity=OPACITY, **ground.transforms()
    )
