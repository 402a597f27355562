"""What made the objects of a session, corrections included, as text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import napari.layers
import numpy as np

from ...editing import replay
from ...exporting import read_labels
from ...label_set import EDITS, LabelSet
from ...segmenter import InputError
from ...snippets.measuring import measure_command, measure_python
from ...snippets.options import comments
from ...snippets.recipe import labels_python, recipe_command, recipe_python
from ...snippets.source import Source
from ..copying import file_of, recipe_text, source_of
from ..fields import choosable
from ..layers import image_from_layer
from .open_editor import QUICK_PIXELS
from .session import ReviewSession

TIP = (
    "What makes these objects again, corrections included, as text: lines of Python\n"
    "for a notebook or napari's console, or a command for a terminal"
)
NO_LABELS = "Nothing to copy: choose labels."
NOT_MADE = (
    "No run made these labels, and they are in no file that is still as it was:\n"
    "there is nothing to begin with. Save them (File > Save Selected Layers)."
)
NO_COMMAND = (
    "No run made these labels, and no command makes edits: copy it as Python,\n"
    "or save the labels (File > Save Selected Layers)."
)


def why_not(session: ReviewSession | None) -> tuple[str, str]:
    """Say why a session cannot be copied as Python, and as a command; "" if it can."""
    if session is None:
        return NO_LABELS, NO_LABELS
    if "settings" in session.labels.recipe:
        return "", ""
    in_memory = isinstance(session.layer.data, np.ndarray)
    return ("", NO_COMMAND) if in_memory and file_of(session.layer) else (NOT_MADE, NOT_MADE)


def python_of(session: ReviewSession) -> str:
    """Write Python that makes the labels of a session.

    Raises
    ------
    InputError
        If that is not known; says what to do.
    """
    session.take_strokes()
    if "settings" in session.labels.recipe:
        text = recipe_text(session.viewer, session.layer, recipe_python)
    else:
        text = _python_of_file(session)
    return text + _measuring(session, measure_python)


def _python_of_file(session: ReviewSession) -> str:
    labels, file = session.labels, file_of(session.layer)
    if file is None:
        raise InputError(NOT_MADE)
    edits = labels.recipe.get(EDITS, ())
    text = labels_python(file.resolve(), edits)
    found = read_labels(file)
    if math.prod(labels.shape) > QUICK_PIXELS:
        return text
    if isinstance(found, LabelSet) and found.shape == labels.shape:
        again = replay(found, edits)
        if np.array_equal(again.read("instances"), labels.read("instances")):
            return text
    raise InputError(
        f"{session.layer.name!r} is not {file} with these edits: the file is another one by now, "
        "or the layer was changed before it was chosen here; save it"
    )


def command_of(session: ReviewSession) -> str:
    """Write a command that does so; see `python_of`."""
    session.take_strokes()
    text = recipe_text(session.viewer, session.layer, recipe_command)
    return text + _measuring(session, measure_command)


def _measuring(
    session: ReviewSession, write: Callable[[Sequence[Source], Mapping[str, float]], str]
) -> str:
    """Write what measures the objects again, if they are measured; "" if not."""
    if session.measured.shape[1] < 2:
        return ""
    layers = [
        layer
        for layer in choosable(session.viewer, (napari.layers.Image,))
        if layer.unique_id in session.measured_in
    ]
    images = [source_of(layer, image_from_layer(layer, level=0), 0) for layer in layers]
    gone = len(layers) < len(session.measured_in)
    notes = ["not measured: images that are not in the viewer any more"] if gone else []
    return comments(notes) + write(images, session.labels.spacing)
