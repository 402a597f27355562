"""Several results in one viewer."""

from __future__ import annotations

import numpy as np
from gui.fakes import result_of, squares
from napari.components import ViewerModel

from napari_instseg.gui.show import fill_viewer
from napari_instseg.ops.axes import Image


def test_results_stand_side_by_side() -> None:
    grey = squares()
    color = np.repeat(grey[..., np.newaxis], 3, axis=-1)
    labels = (grey > 0).astype(np.int32)
    results = [
        result_of(Image(grey, "YX", name="one"), labels),
        result_of(Image(color, "YXS", name="two"), labels),
    ]
    viewer = ViewerModel()
    fill_viewer(viewer, results, gap=5)
    left = {layer.name: layer.translate[1] for layer in viewer.layers}
    step = grey.shape[1] + 5
    assert left == {
        f"{name}{output}": step * i
        for i, name in enumerate(("one", "two"))
        for output in ("", " instances", " semantic", " panoptic")
    }
    visible = {layer.name for layer in viewer.layers if layer.visible}
    assert visible == {"one", "two", "one instances", "two instances"}
