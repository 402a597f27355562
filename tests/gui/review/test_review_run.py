"""A run ends while the Review dock is open: its layers come one by one."""

from __future__ import annotations

from typing import Any

import napari
import numpy as np
import pytest
from gui.clicks import WAIT, click
from gui.fakes import squares

from napari_instseg.gui.review import open_editor
from napari_instseg.gui.review.widget import ReviewWidget
from napari_instseg.gui.segment_widget import SegmentWidget
from napari_instseg.settings import OUTPUTS


@pytest.mark.parametrize("quick", [True, False], ids=["at once", "listed in a thread"])
def test_a_result_that_arrives_is_listed_whole(
    viewer: napari.Viewer,
    dock: SegmentWidget,
    review: ReviewWidget,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
    quick: bool,
) -> None:
    if not quick:
        monkeypatch.setattr(open_editor, "QUICK_PIXELS", 0)
    image = squares()
    viewer.add_image(image, name="cells")
    dock.form.threshold.setValue(0.3)
    click(qtbot, dock.run_button)
    qtbot.waitUntil(lambda: "cells instances" in viewer.layers, timeout=WAIT)
    layers = {output: viewer.layers[f"cells {output}"] for output in OUTPUTS}

    def whole() -> bool:
        session = review.session
        return session is not None and session.layers == layers and review.listing.worker is None

    qtbot.waitUntil(whole, timeout=WAIT)
    # Later than anything that is read again.
    qtbot.wait(300)
    qtbot.waitUntil(whole, timeout=WAIT)
    session = review.session
    rows = layers["instances"].features["index"].tolist()
    assert len(rows) > 10
    assert session.table["index"].tolist() == rows
    assert "score" in session.table
    assert review.sessions._by_layer == {layers["instances"].unique_id: session}

    # What is corrected now is corrected in all of them.
    session.select([rows[0]])
    click(qtbot, review.edit.buttons["Delete"])
    for layer in layers.values():
        assert np.count_nonzero(layer.data) == 64 * (len(rows) - 1)
    assert session.table["index"].tolist() == rows[1:]
