from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import napari
import napari.layers
import numpy as np
import pytest
from gui.clicks import WAIT
from gui.fakes import NUCLEUS, result_of
from gui.prompt.hands import Hands
from gui.review.objects import CELL, LABELS

from napari_instseg.gui.layers import add_segmentation, image_from_layer
from napari_instseg.gui.review.widget import ReviewWidget


@pytest.fixture
def review(viewer: napari.Viewer) -> Iterator[ReviewWidget]:
    viewer.window.resize(1400, 950)
    widget = ReviewWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Review", area="right")
    yield widget
    widget.close()


Add = Callable[..., list[napari.layers.Labels]]


@pytest.fixture
def add(viewer: napari.Viewer, review: ReviewWidget, qtbot: Any) -> Add:
    """Add an image and its result; wait until it is listed. Returns its Labels layers."""

    def show(
        labels: np.ndarray = LABELS,
        name: str = "cells",
        categories: Any = (NUCLEUS, CELL),
        **more: Any,
    ) -> list[napari.layers.Labels]:
        data = np.where(labels > 0, 200, 0).astype(np.uint8)
        axes = more.pop("axes", None)
        layer = viewer.add_image(data, name=name, **more)
        result = result_of(
            image_from_layer(layer, axes=axes), labels, threshold=0, categories=categories
        )
        layers = add_segmentation(viewer, result, layer)
        qtbot.waitUntil(
            lambda: review.session is not None and review.session.layer is layers[0], timeout=WAIT
        )
        # It is read again once it has its table, and the window is laid out.
        qtbot.wait(200)
        return layers

    return show


@pytest.fixture
def hands(viewer: napari.Viewer, qtbot: Any) -> Callable[[napari.layers.Layer], Hands]:
    return lambda layer: Hands(viewer, qtbot, layer)
