"""Where tiles met, as rectangles over the picture."""

from __future__ import annotations

from collections.abc import Sequence

import napari
import numpy as np
from helpers import ComponentSegmenter

from napari_instseg.gui.seams import COLORS, MOST, add_seams
from napari_instseg.instances import Instances
from napari_instseg.ops.axes import Image
from napari_instseg.pipeline import Run, run_to_end
from napari_instseg.segmentation import Segmentation
from napari_instseg.segmenter import RGB, Prediction
from napari_instseg.settings import Settings


class Forgetful(ComponentSegmenter):
    """Misses what begins in the first 20 columns of a tile, but in the first tile of a row."""

    def segment(self, tiles: Sequence[RGB]) -> list[Prediction]:
        found = super().segment(tiles)
        return [
            Prediction(self._some(p.instances, tile)) for p, tile in zip(found, tiles, strict=True)
        ]

    @staticmethod
    def _some(found: Instances, tile: RGB) -> Instances:
        if tile[0, 0, 0] == 0:
            return found
        return found.take([i for i, m in enumerate(found.masks) if m.origin[1] >= 20])


def picture() -> np.ndarray:
    """Two bars across the edge of the tiles; the corner of the second tile is grey."""
    data = np.zeros((64, 100), np.float32)
    data[10:20, 30:70] = 0.7
    data[40:50, 44:60] = 0.9
    data[0, 32:] = 0.3
    return data


def run(data: np.ndarray, segmenter: ComponentSegmenter, axes: str = "YX") -> Segmentation:
    settings = Settings(limits=((0.0, 1.0),), tile_size=64, overlap=32)
    return run_to_end(Run(Image(data, axes, name="bars"), segmenter, settings))


def test_joined_places_are_marked_on_the_layer(viewer: napari.Viewer) -> None:
    data = np.stack([np.zeros((64, 100), np.float32), picture()])
    image = viewer.add_image(data, name="bars", scale=(2, 0.5, 0.5), rotate=(0, 0, 20))
    result = run(data, ComponentSegmenter(), "ZYX")
    # Three tiles: the long bar is in all, the short one in two of them.
    assert list(result.seams["kind"]) == ["joined"] * 3
    assert list(result.seams["z"]) == [1] * 3
    assert (result.seams["iou"] == 1).all()
    layer = result.add_seams_to(viewer)
    np.testing.assert_allclose(layer.scale, image.scale)
    np.testing.assert_allclose(layer.rotate, image.rotate)
    edges = {tuple(np.concatenate([r.min(0), r.max(0)]).tolist()) for r in layer.data}
    assert (1.0, 39.5, 43.5, 1.0, 49.5, 59.5) in edges
    # Of the long one what both tiles see.
    assert (1.0, 9.5, 31.5, 1.0, 19.5, 63.5) in edges
    assert all(box[0] == box[3] == 1.0 for box in edges)
    assert list(layer.features["iou"]) == [1] * 3
    again = add_seams(viewer, result, image)
    assert [lay.name for lay in viewer.layers] == ["bars", again.name]


def test_loose_ends_and_what_is_open_come_first(viewer: napari.Viewer) -> None:
    result = run(picture(), Forgetful())
    kinds = list(result.seams["kind"])
    assert "loose" in kinds
    layer = result.add_seams_to(viewer)
    assert layer.features["kind"].iloc[0] == "loose"
    assert layer.features["iou"].is_monotonic_increasing
    colors = {tuple(np.round(color, 3)) for color in layer.edge_color}
    assert len(colors) == len(set(kinds))
    assert len(COLORS) == 3
    assert len(layer.data) == len(result.seams) <= MOST


def test_a_picture_of_one_tile_has_no_seams(viewer: napari.Viewer) -> None:
    result = run(picture()[:, :60], ComponentSegmenter())
    assert len(result.seams) == 0
    assert len(result.add_seams_to(viewer).data) == 0
