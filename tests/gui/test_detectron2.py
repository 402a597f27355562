"""Detectron2's own models in the dock: the trained one of the tests, and one of the zoo.

The zoo's has random weights: that tests the way of the file and of the boxes, not the accuracy.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from gui.clicks import click
from gui.fakes import squares

import napari_instseg as nis
from napari_instseg.evaluation import match_labels
from napari_instseg.gui.segment_widget import SegmentWidget
from napari_instseg.gui.worker import prepare_torchvision
from napari_instseg.io.images import read_image
from napari_instseg.models import zoo
from napari_instseg.models.detectron2.install import state

TRAINED = Path(__file__).parents[1] / "data" / "detectron2_nuclei"
CONFIG, WEIGHTS, NAMES = (TRAINED / n for n in ("config.yaml", "model.pth", "categories.txt"))
#: Of the held-out part of BBBC038v1.
IMAGE = Path(nis.__file__).parent / "data" / "fluorescence.png"
RETINANET = "COCO-Detection/retinanet_R_50_FPN_1x"
#: ms; a whole network is read and run on a CPU that may be busy.
LONG = 300_000

pytestmark = pytest.mark.skipif(
    not state().installed, reason="needs Detectron2: napari-instseg install detectron2"
)


@pytest.fixture
def real(viewer: napari.Viewer, qtbot: Any) -> SegmentWidget:
    """The dock as a user has it."""
    dock = SegmentWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Segment", area="right")
    qtbot.waitUntil(dock.isVisible, timeout=LONG)
    dock.form.more.device.choose("cpu")
    return dock


def run(dock: SegmentWidget, qtbot: Any) -> None:
    click(qtbot, dock.run_button)
    qtbot.waitUntil(lambda: dock.worker is None, timeout=LONG)


@pytest.mark.skipif(not WEIGHTS.is_file(), reason=f"needs {WEIGHTS}: scripts/train_detectron2.py")
def test_a_trained_model_from_two_files(
    viewer: napari.Viewer, real: SegmentWidget, qtbot: Any
) -> None:
    layer = viewer.add_image(read_image(IMAGE).data, name="cells")
    real.form.model.open_config(str(CONFIG), str(WEIGHTS), str(NAMES))
    assert real.form.model.info.text().startswith("instances · 6.7 MB, here")
    run(real, qtbot)
    assert real.status.text().split(" · ")[0].endswith(" nuclei")
    labels = viewer.layers["cells instances"]
    assert labels.data.shape == layer.data.shape
    theirs = nis.segment(IMAGE, device="cpu").instances
    assert match_labels(theirs, labels.data, (0.5,)).matches[0.5].f1 > 0.8
    recipe = labels.metadata["napari_instseg"]
    assert recipe["settings"]["model"] == str(CONFIG)
    assert recipe["settings"]["weights"] == str(WEIGHTS)
    assert set(labels.features["category"]) == {"nucleus"}

    # Resized to the size of its training, it is another run of the same, still loaded model.
    kept = real.models.get(real.form.settings())
    real.form.more.diameter.choose("as trained")
    run(real, qtbot)
    assert labels.metadata["napari_instseg"]["settings"]["diameter"] == "as trained"
    assert real.models.get(real.form.settings()) is kept
    assert labels.data.max() > 20

    click(qtbot, real.form.more.toggleButton())
    click(qtbot, real.form.more.free_button)
    assert real.models.name == ""
    assert not real.form.more.free_button.isEnabled()


def random_weights(name: str) -> dict[str, np.ndarray]:
    """Weights of a model of the zoo with which it finds something."""
    # A viewer may be open already.
    prepare_torchvision()
    from models.detectron2.networks import excite

    from napari_instseg.models.detectron2.config import zoo_config
    from napari_instseg.models.detectron2.network import build

    model = excite(build(zoo_config(name)))
    return {key: value.numpy() for key, value in model.state_dict().items()}


@pytest.mark.slow
def test_a_model_of_the_zoo_that_finds_boxes(
    viewer: napari.Viewer, real: SegmentWidget, qtbot: Any
) -> None:
    entry = zoo.find(RETINANET)
    entry.path.parent.mkdir(parents=True)
    content = {"model": random_weights(RETINANET), "__author__": "tests"}
    entry.path.write_bytes(pickle.dumps(content, protocol=4))
    viewer.add_image(np.stack([squares(8, 8)] * 3, axis=-1), rgb=True, name="street")
    real.form.model.choose(RETINANET)
    assert ", here · " in real.form.model.info.text()
    real.form.threshold.setValue(0)
    run(real, qtbot)
    boxes, labels = viewer.layers["street boxes"], viewer.layers["street instances"]
    assert len(boxes.data) == len(labels.features) > 5
    assert labels.features["is_box"].all()
    corners = np.array(boxes.data)
    assert corners.min() >= -0.5
    assert corners.max() <= 128 - 0.5
    assert len(set(boxes.features["category"])) > 1
    assert set(boxes.features["category"]) <= {
        c.name for c in real.shown.get(real.form.layer()).segmentation.categories
    }
    threshold = float(np.median(boxes.features["score"]))
    real.form.threshold.setValue(threshold)
    qtbot.waitUntil(lambda: len(boxes.data) < len(corners), timeout=LONG)
    assert boxes.features["score"].min() >= round(threshold, 2)
