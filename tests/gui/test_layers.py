from __future__ import annotations

import dask.array as da
import napari.layers
import numpy as np
import pytest

from napari_instseg.gui import layers as gui_layers
from napari_instseg.gui.layers import choose_level, image_from_layer, one_plane
from napari_instseg.ops.axes import Image
from napari_instseg.segmenter import InputError


def image_layer(*shape: int, **options: object) -> napari.layers.Image:
    return napari.layers.Image(np.zeros(shape, np.uint8), **options)


def test_axes_that_are_given_win_and_are_checked() -> None:
    layer = image_layer(3, 8, 9, name="cells")
    assert image_from_layer(layer, axes="cyx").axes == "CYX"
    with pytest.raises(InputError, match=r"3 dimensions of 'cells'.*got 'YX'"):
        image_from_layer(layer, axes="YX")
    rgb = image_layer(8, 9, 3, rgb=True)
    assert image_from_layer(rgb, axes="YX").axes == "YXS"


def test_dask_stays_lazy() -> None:
    def fail(block: np.ndarray) -> np.ndarray:
        raise AssertionError("computed")

    zeros = da.zeros((4, 32, 32), chunks=(1, 32, 32), dtype=np.uint8)
    layer = napari.layers.Image(zeros, contrast_limits=(0, 1))
    layer._data = lazy = zeros.map_blocks(fail, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8))
    image = image_from_layer(layer)
    assert image.data is lazy
    assert isinstance(one_plane(image, (2,)).data, da.Array)


def test_pixel_sizes_are_micrometres_where_units_are_lengths() -> None:
    layer = image_layer(
        2, 5, 8, 9, scale=(10, 2, 500, 0.65), units=("s", "um", "nm", "um"),
        axis_labels=("t", "z", "y", "x"),
    )  # fmt: skip
    assert image_from_layer(layer).spacing == pytest.approx({"Z": 2, "Y": 0.5, "X": 0.65})
    assert image_from_layer(image_layer(8, 9, scale=(2, 2))).spacing == {}


def test_the_finest_level_of_reasonable_size_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    pyramid = [np.zeros((64, 48), np.uint8), np.zeros((32, 24), np.uint8), np.zeros((16, 12))]
    layer = napari.layers.Image(pyramid, multiscale=True, scale=(1, 1), units=("um", "um"))
    assert choose_level(layer, "YX") == 0
    monkeypatch.setattr(gui_layers, "MAX_PLANE_PIXELS", 1000)
    image = image_from_layer(layer)
    assert image.data.shape == (32, 24)
    assert image.spacing == pytest.approx({"Y": 2, "X": 2})
    monkeypatch.setattr(gui_layers, "MAX_PLANE_PIXELS", 10)
    assert choose_level(layer, "YX") == 2
    assert image_from_layer(layer).coarse is None
    # The coarsest one tells where there is something to see.
    assert image.coarse.shape == (16, 12)
    assert image_from_layer(layer, level=0).data.shape == (64, 48)


def test_other_layers_are_refused_by_name() -> None:
    with pytest.raises(InputError, match="expected an Image layer, got Labels"):
        image_from_layer(napari.layers.Labels(np.zeros((4, 4), int)))  # type: ignore[arg-type]


def test_one_plane_keeps_channels() -> None:
    data = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    cut = one_plane(Image(data, "TCYX"), (1,))
    assert cut.axes == "CYX"
    np.testing.assert_array_equal(cut.data, data[1])
    assert one_plane(Image(data, "TCYX", coarse=data[..., ::2, ::2]), (1,)).coarse is None
    flat = Image(data[0, 0], "YX")
    assert one_plane(flat, ()) is flat
