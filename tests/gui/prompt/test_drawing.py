from __future__ import annotations

import numpy as np

from napari_instseg.gui.prompt.drawing import (
    EDGE,
    HOVER,
    INSIDE,
    LINE,
    OFF_DOT,
    ON_DOT,
    RING,
    Raster,
    Shade,
    draw,
    sample,
)
from napari_instseg.instances import Mask
from napari_instseg.promptable import OFF, ON


def test_masks_have_edges_of_one_width_whatever_the_zoom() -> None:
    mask = Mask((12, 13), np.ones((6, 6), bool))
    for fineness, size, inner in ((1, 1.0, 2), (4, 4.0, 20), (1, 0.5, 0)):
        raster = Raster.empty((10, 10), (20, 20), fineness)
        draw(raster, size, [Shade(mask)], [], [])
        area = (6 * fineness) ** 2
        assert np.count_nonzero(raster.pixels == INSIDE) == inner**2
        assert np.count_nonzero(raster.pixels == EDGE) == area - inner**2
        top, left = np.argwhere(raster.pixels).min(axis=0)
        assert (top, left) == (2 * fineness, 3 * fineness)
    draw(raster, 1.0, [Shade(mask, hover=True)], [], [])
    assert np.count_nonzero(raster.pixels == HOVER) == 4


def test_dots_lie_at_their_points_with_a_ring() -> None:
    raster = Raster.empty((0, 0), (20, 20), 4)
    draw(raster, 4.0, [], [((5.0, 5.0), ON), ((5.0, 15.0), OFF)], [])
    for value, col in ((ON_DOT, 5.0), (OFF_DOT, 15.0)):
        at = np.argwhere(raster.pixels == value)
        np.testing.assert_allclose((at.mean(axis=0) + 0.5) / 4, (5.0, col))
        # A disk of 4 px of the canvas.
        assert 40 < len(at) < 60
    assert (raster.pixels == RING).any()


def test_lines_are_closed_and_stay_inside() -> None:
    raster = Raster.empty((0, 0), (8, 8), 2)
    draw(raster, 2.0, [], [], [((1.0, 1.0), (1.0, 20.0))])
    assert (raster.pixels[:, 2:] == LINE).any(axis=0).all()
    spots = sample([(0, 0), (0, 3), (4, 3)], 0.5)
    assert np.hypot(*np.diff(spots, axis=0).T).max() <= 0.5
    np.testing.assert_array_equal(spots[[0, -1]], [(0, 0), (4, 3)])
