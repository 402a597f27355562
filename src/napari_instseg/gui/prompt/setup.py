"""What a session is started with: image, model, the layer that objects go into, and details."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import napari.layers
import napari.viewer
from qtpy.QtWidgets import QVBoxLayout, QWidget

from ...models.entry import ModelEntry, Report
from ...ops.axes import Image
from ...prompting import PromptSession
from ...segmenter import InputError
from ...settings import Settings
from ..fields import Choice, LayerChoice, choosable
from ..form_rows import add_row, new_form
from ..holder import PrompterHolder
from ..model_picker import ModelPicker, prompter_picker
from ..prompt_details import PromptDetails
from .ground import Ground


@dataclass(frozen=True, eq=False)
class Start:
    """What a session is to be opened on.

    Parameters
    ----------
    layer : napari.layers.Image
    image : Image
    level : int
        Of a multiscale layer.
    settings : dict
        Fields of `Settings`, the model's name among them.
    plane : tuple of int
        Shown now.
    center : (float, float)
        Row and column in the middle of what is shown, px.
    """

    layer: napari.layers.Image
    image: Image
    level: int
    settings: dict[str, Any]
    plane: tuple[int, ...]
    center: tuple[float, float]


class SetupForm(QWidget):
    """Fields that say what to prompt in; folded away while a session runs.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._form = new_form()
        #: The layer of objects that each image layer was prompted with last.
        self._targets: dict[Hashable, Hashable] = {}
        self.layer_choice = LayerChoice(viewer)
        add_row(self._form, "Image", self.layer_choice, "The image layer to prompt in")
        self.more = PromptDetails()
        self._form.addRow(self.more.axes)
        self.model: ModelPicker = prompter_picker()
        tip = "The promptable model (Segment Anything and its kin); click for the list"
        add_row(self._form, "Model", self.model, tip)
        self.target = Choice()
        tip = (
            "The Labels layer that accepted objects are painted into.\n"
            "Offered are layers with the pixels of the image, in the same place."
        )
        add_row(self._form, "Objects in", self.target, tip)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(self._form)
        column.addWidget(self.more)
        self.layer_choice.layer_changed.connect(self._show_layer)
        self._events = (viewer.layers.events.inserted, viewer.layers.events.removed)
        for event in self._events:
            event.connect(self._show_targets)
        self.more.axes.changed.connect(self._show_targets)
        self._show_layer()

    def disconnect_viewer(self) -> None:
        """Stop following the viewer: to be called before the widget is deleted."""
        self.layer_choice.disconnect_viewer()
        self.more.axes.show_layer(None)
        for event in self._events:
            event.disconnect(self._show_targets)

    def layer(self) -> napari.layers.Image | None:
        """Return the chosen image layer."""
        return self.layer_choice.layer()

    def entry(self) -> ModelEntry:
        """Return the chosen model."""
        return self.model.entry()

    def start(self) -> Start:
        """Read the form.

        Raises
        ------
        InputError
            If there is no layer, it is not in view, or values do not fit together.
        """
        layer, image = self.layer(), self.more.image()
        if layer is None:
            raise InputError("expected an image layer")
        level = self.more.level()
        ground = Ground(self._viewer, layer, image, level)
        plane, region = ground.plane(), ground.region()
        if plane is None or region is None:
            raise InputError(
                f"nothing of {layer.name!r} is in view: show its rows and columns in 2-D, and "
                "move canvas or sliders to it"
            )
        center = (region[0] + region[2]) / 2, (region[1] + region[3]) / 2
        settings = {**self.more.values(), "model": self.entry().name}
        return Start(layer, image, level, settings, plane, center)

    def target_layer(self, ground: Ground) -> napari.layers.Labels | None:
        """Return the chosen layer for objects; None: a new one."""
        found = self.chosen_target()
        return found if found is not None and ground.fits(found) else None

    def chosen_target(self) -> napari.layers.Labels | None:
        """Return the layer for objects as it is chosen now; None: a new one."""
        key = self.target.currentData()
        return next((layer for layer in self._viewer.layers if layer.unique_id == key), None)

    def choose_target(self, labels: napari.layers.Labels) -> None:
        """Go on in a layer the next time, too."""
        layer = self.layer()
        if layer is not None:
            self._targets[layer.unique_id] = labels.unique_id
        self._show_targets()
        self.target.choose(labels.unique_id)

    def _show_layer(self) -> None:
        layer = self.layer()
        self.more.show_layer(layer)
        self._show_targets()
        # The layer of another image may fit, but is seldom meant.
        self.target.choose(None if layer is None else self._targets.get(layer.unique_id))

    def _show_targets(self, event: object = None) -> None:
        options: list[tuple[str, object]] = [("New layer", None)]
        layer = self.layer()
        if layer is not None:
            try:
                ground = Ground(self._viewer, layer, self.more.image(), self.more.level())
            except InputError:
                pass
            else:
                options += [
                    (x.name, x.unique_id)
                    for x in choosable(self._viewer, (napari.layers.Labels,))
                    if ground.fits(x)
                ]
        self.target.set_options(options)


def open_session(holder: PrompterHolder, start: Start, report: Report) -> PromptSession:
    """Load the model, measure the image, and encode the middle of the view; for a worker.

    Raises
    ------
    InputError, ModelError
        See `PromptSession`.
    """
    named = {name: start.settings[name] for name in ("model", "device", "precision")}
    settings = Settings(**named)
    if not holder.holds(settings):
        report(0, 0, "loading model")
    loaded = holder.get(settings, report)
    report(0, 0, "measuring intensities")
    others = {name: value for name, value in start.settings.items() if name != "model"}
    session = PromptSession(start.image, loaded, **others)
    # For the recipe; read once.
    _ = session.image.sample_sha256
    report(0, 0, "encoding what is in view")
    session.embedding(session.view_for(start.plane, (*start.center, *start.center)))
    return session
