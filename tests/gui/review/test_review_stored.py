"""Label images in OME-Zarr, read lazily, reviewed and corrected where they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import napari
import numpy as np
import pandas as pd
import pytest
from gui.clicks import WAIT, Heard
from gui.fakes import result_of, squares
from gui.prompt.hands import Hands
from helpers import fill
from scipy import ndimage

from napari_instseg.gui.links import FILE_KEY
from napari_instseg.gui.reader import read_layers
from napari_instseg.gui.review.widget import ReviewWidget
from napari_instseg.io.records import TABLE, read_table
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


def test_on_a_full_disk_all_is_as_before_and_the_user_is_told(
    viewer: napari.Viewer, review: ReviewWidget, disk: Path, qtbot: Any
) -> None:
    image = Image(np.zeros((64, 80), np.uint8), "YX", {}, "slide")
    labels = LABELS[:64, :80]
    result_of(image, labels, threshold=0).save(disk, format="zarr")
    path = disk / "instances.zarr"
    layer = viewer.add_labels(
        da.from_zarr(path / "0"), metadata={FILE_KEY: str(path)}, features=read_table(disk / TABLE)
    )
    qtbot.waitUntil(lambda: review.session is not None, timeout=WAIT)
    review.session.apply("delete", ids=[3])
    fill(disk)
    before = layer.features.copy()
    with Heard() as heard:
        review.session.select([7])
        review.edit.delete()
        review.undo()
    assert len(heard) == 2
    assert all("No space left on device" in text for text in heard)
    np.testing.assert_array_equal(np.asarray(layer.data), np.where(labels == 3, 0, labels))
    pd.testing.assert_frame_equal(layer.features, before)
    assert review.session.labels.recipe["edits"] == [{"edit": "delete", "ids": [3]}]
    (disk / "filler").unlink()
    review.undo()
    np.testing.assert_array_equal(np.asarray(layer.data), labels)
