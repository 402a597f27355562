"""Results of several images in one window, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import napari
import napari.viewer
import numpy as np

from ..segmentation import Segmentation
from .layers import add_segmentation


def show(results: Sequence[Segmentation]) -> None:
    """Open napari on the results, side by side; return when it is closed."""
    viewer = napari.Viewer(title="napari-instseg demo")
    fill_viewer(viewer, results)
    napari.run()


def fill_viewer(
    viewer: napari.viewer.Viewer, results: Sequence[Segmentation], gap: int = 20
) -> None:
    """Add each result's image and label layers to a napari viewer, from left to right.

    Parameters
    ----------
    viewer : napari.Viewer
    results : sequence of Segmentation
        Of 2-D images.
    gap : int
        Between the images, px.
    """
    left = 0
    for result in results:
        image = result.image
        options = {"rgb": image.is_rgb, "name": image.name, "translate": (0, left)}
        layer = viewer.add_image(np.asarray(image.data), **options)
        add_segmentation(viewer, result, layer)
        left += image.label_shape[-1] + gap
    viewer.reset_view()
