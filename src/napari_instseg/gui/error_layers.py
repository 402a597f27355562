"""The layer that shows where a prediction is wrong."""

from __future__ import annotations

import math
from typing import Any

import dask.array as da
import napari.layers
import napari.viewer
import numpy as np
import pandas as pd

from ..evaluation import Assessment
from ..evaluation.errors import KINDS, MEANINGS
from ..ops.extents import WINDOW, windows
from ..progress import Listener, Progress
from .label_colors import direct_colors
from .links import add_temporary, is_temporary
from .review.places import Places

NAME = "errors"
OPACITY = 0.75
#: Up to here, px, all of an image is painted at once.
IN_MEMORY = 1 << 28
#: Of each kind, RGB in [0, 1]; told apart with any kind of colour vision, on dark and on light.
COLORS = dict(
    zip(
        KINDS,
        (
            *((0.90, 0.16, 0.16), (0.20, 0.55, 1.00), (0.13, 0.80, 0.45)),
            *((0.85, 0.25, 0.85), (1.00, 0.85, 0.10), (1.00, 0.55, 0.10)),
        ),
        strict=True,
    )
)
#: What a layer over another one takes from it.
TRANSFORMS = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


def paint_errors(assessment: Assessment, report: Listener) -> Any:
    """Paint the errors of all of an image, window by window; of a large one, where it is seen.

    Parameters
    ----------
    assessment : Assessment
    report : callable
        Hears of each window; may raise to stop.

    Returns
    -------
    uint8 array
        Numbers of `KINDS`; of the truth's axes. NumPy, or dask if it would not be small.
    """
    labels = assessment.error_labels
    if math.prod(labels.shape) > IN_MEMORY:
        chunks = (*(1 for _ in labels.shape[:-2]), WINDOW, WINDOW)
        return da.from_array(labels, chunks, meta=np.empty(0, labels.dtype)).astype(np.uint8)
    painted = np.zeros(labels.shape, np.uint8)
    for number, where in enumerate(windows(labels.shape)):
        report(Progress(number, 0, "painting errors"))
        painted[where] = labels[where]
    return painted


def show_errors(
    viewer: napari.viewer.Viewer,
    truth: napari.layers.Labels,
    axes: str,
    painted: Any,
) -> napari.layers.Labels:
    """Show errors over the truth, in place of those that are shown.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    truth : napari.layers.Labels
    axes : str
        Of ``painted``.
    painted : uint8 array
        As of `paint_errors`.

    Returns
    -------
    napari.layers.Labels
    """
    remove_errors(viewer)
    layer = napari.layers.Labels(
        painted.transpose(Places(viewer, truth, axes).arrangement),
        name=NAME,
        opacity=OPACITY,
        colormap=direct_colors((kind, (*color, 1.0)) for kind, color in COLORS.items()),
        features=_meanings(),
        **{name: getattr(truth, name) for name in TRANSFORMS},
    )
    add_temporary(viewer, layer)
    return layer


def remove_errors(viewer: napari.viewer.Viewer) -> None:
    """Take the layer of errors away, if it is there."""
    for layer in list(viewer.layers):
        if is_temporary(layer) and layer.name == NAME:
            viewer.layers.remove(layer)


def _meanings() -> pd.DataFrame:
    """What is said of a pixel under the mouse."""
    rows: dict[str, Any] = {
        "index": list(KINDS),
        "kind": list(KINDS.values()),
        "meaning": list(MEANINGS.values()),
    }
    return pd.DataFrame(rows)
