"""Label images in OME-Zarr, read lazily, reviewed and corrected where they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from gui.clicks import WAIT
from gui.fakes import result_of, squares
from gui.prompt.hands import Hands
from scipy import ndimage

from napari_instseg.gui.reader import read_layers
from napari_instseg.gui.review.widget import ReviewWidget
from napari_instseg.io.zarr import read_label_pyramid
from napari_instseg.ops.axes import Image
from napari_instseg.segmenter import InputError

LABELS = np.pad(ndimage.label(squares())[0], ((0, 1200), (0, 1200))).astype(np.int32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    image = Image(np.zeros(LABELS.shape, np.uint8), "YX", {}, "slide")
    result_of(image, LABELS, threshold=0).save(tmp_path, format="zarr")
    return next(tmp_path.glob("*instances.zarr"))


def test_a_lazy_layer_is_picked_hidden_and_edited(
    viewer: napari.Viewer,
    review: ReviewWidget,
    folder: Path,
    hands: Callable[[Any], Hands],
    qtbot: Any,
) -> None:
    (layer,) = viewer.open(folder, plugin="napari-instseg")
    assert layer.multiscale
    qtbot.waitUntil(lambda: review.session is not None, timeout=WAIT)
    qtbot.wait(200)
    assert review.rows.model.rowCount() == 20
    full = np.asarray(layer.data[0])
    review.session.select([7], look=True)
    qtbot.wait(50)
    user = hands(layer)
    other = np.argwhere(full == 6).mean(axis=0)
    user.click(*other)
    assert review.session.chosen == (6,)
    review.rows.search.setText("7")
    user.click(*other)
    assert review.session.chosen == ()
    review.rows.search.clear()
    review.session.apply("delete", ids=[7])
    wanted = np.where(full == 7, 0, full)
    np.testing.assert_array_equal(np.asarray(layer.data[0]), wanted)
    shown = np.array(layer._slice.image.raw)
    assert 7 not in shown
    pyramid = read_label_pyramid(folder)
    assert pyramid is not None
    np.testing.assert_array_equal(pyramid.levels[0][...], wanted)
    assert 7 not in np.asarray(pyramid.levels[1][...])
    review.session.undo()
    np.testing.assert_array_equal(np.asarray(layer.data[0]), full)
    np.testing.assert_array_equal(read_label_pyramid(folder).levels[0][...], full)  # type: ignore[union-attr]


def test_lazy_labels_without_a_file_can_be_looked_at_only(
    viewer: napari.Viewer, review: ReviewWidget, folder: Path, qtbot: Any
) -> None:
    ((data, options, _),) = read_layers(str(folder))
    layer = viewer.add_labels(data, **options)
    qtbot.waitUntil(lambda: review.session is not None, timeout=WAIT)
    review.session.select([3], look=True)
    assert layer.selected_label == 3
    with pytest.raises(InputError, match="can only be read"):
        review.session.apply("delete", ids=[3])
