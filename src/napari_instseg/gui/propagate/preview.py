"""What a propagation has found, over the image until it is accepted."""

from __future__ import annotations

import napari.layers
import napari.viewer
import numpy as np
from numpy.typing import NDArray

from ...ops.masks import span
from ...prompting.propagation import Propagated
from ..label_colors import direct_colors
from ..links import add_temporary
from ..prompt.ground import Ground

PREVIEW = "propagation preview"
#: Values in the preview: what the model found, and what is interpolated.
FOUND, BETWEEN = 1, 2
COLORS = {FOUND: (0.95, 0.69, 0.2, 1.0), BETWEEN: (1.0, 0.42, 0.37, 1.0)}
OPACITY = 0.55


class Preview:
    """A Labels layer as large as the object; given planes are left out, since they are there.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._viewer = viewer
        self.layer: napari.layers.Labels | None = None

    def show(self, found: Propagated, ground: Ground) -> None:
        """Show what was found instead of what was shown before."""
        data, start = _voxels(found, ground)
        plane, row, col = start
        layer = napari.layers.Labels(
            data,
            name=PREVIEW,
            colormap=direct_colors(COLORS.items()),
            opacity=OPACITY,
            **ground.crop_transforms(plane, row, col),
        )
        self.remove()
        add_temporary(self._viewer, layer)
        self.layer = layer

    def remove(self) -> None:
        """Take the layer away."""
        layer, self.layer = self.layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)


def _voxels(
    found: Propagated, ground: Ground
) -> tuple[NDArray[np.uint8], tuple[tuple[int, ...], int, int]]:
    """The object's pixels in the dimensions of the layer of objects, and where they begin."""
    spans = [section.mask.slices for section in found.sections.values()]
    rows, cols = (span([s[i] for s in spans]) for i in (0, 1))
    sizes = {"Y": rows.stop - rows.start, "X": cols.stop - cols.start}
    sizes[found.axis] = found.last - found.first + 1
    data = np.zeros([sizes.get(letter, 1) for letter in ground.letters], np.uint8)
    # The crop's planes are counted from the object's first one, and from 0 along other axes.
    axes = found.image.plane_axes
    for index, section in found.sections.items():
        if section.kind == "given":
            continue
        where = tuple(index - found.first if letter == found.axis else 0 for letter in axes)
        mask = section.mask.shift(-rows.start, -cols.start)
        value = BETWEEN if section.kind == "between" else FOUND
        ground.view(data, where, *mask.slices)[mask.pixels] = value
    return data, (found.plane_index(found.first), rows.start, cols.start)
