"""Objects hidden by colours, beside labels that are really gone."""

from __future__ import annotations

import numpy as np
import pytest
from gui.review.objects import LABELS
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Labels

from napari_instseg.gui.label_colors import direct_colors
from napari_instseg.gui.review import hiding
from napari_instseg.gui.review.hiding import Hider

KINDS = (np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)


def seen(layer: Labels) -> np.ndarray:
    """What goes to the graphics card."""
    return np.array(layer._slice.image.view)


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8)
@given(hidden=st.sets(st.integers(1, 20)), chosen=st.integers(0, 3))
def test_hidden_ones_look_like_nothing_and_others_as_before(
    kind: type, direct: bool, hidden: set[int], chosen: int
) -> None:
    colors = direct_colors((i, (i / 20, 0.5, 1 - i / 20, 1)) for i in range(1, 21))
    options = {"colormap": colors} if direct else {}
    data = LABELS.astype(kind)
    layer = Labels(data.copy(), **options)
    wanted = Labels(np.where(np.isin(data, list(hidden)), 0, data).astype(kind), **options)
    for one in (layer, wanted):
        if chosen:
            one.selected_label, one.show_selected_label = chosen, True
    Hider(layer).hide(np.array(sorted(hidden), np.int64), 20)
    np.testing.assert_array_equal(seen(layer), seen(wanted))
    np.testing.assert_array_equal(layer.data, data)


def test_sparse_labels_need_no_table_as_long_as_the_largest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hiding, "DENSE", 100)
    far = 10**9
    data = np.array([[0, 1, far], [far - 1, far, 2]], np.int64)
    layer, wanted = Labels(data), Labels(np.where(data == far, 0, data))
    Hider(layer).hide(np.array([far]), far)
    np.testing.assert_array_equal(seen(layer), seen(wanted))


def test_what_is_painted_new_is_seen_and_other_colours_keep_hiding() -> None:
    layer = Labels(LABELS.copy())
    hider = Hider(layer)
    hider.hide(np.array([1, 2]), 20)
    layer.data_setitem((np.array([0]), np.array([0])), 25)
    assert seen(layer)[0, 0] != 0
    layer.new_colormap(3)
    assert (seen(layer)[LABELS == 1] == 0).all()
    assert (seen(layer)[LABELS == 3] != 0).all()
    hider.hide(np.zeros(0, np.int64), 20)
    assert (seen(layer)[LABELS == 1] != 0).all()
    hider.hide(np.array([7]), 20)
    hider.close()
    assert (seen(layer)[LABELS > 0] != 0).all()
    assert "Hiding" not in type(layer.colormap).__name__
