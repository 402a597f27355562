from __future__ import annotations

from typing import Any

import napari
import numpy as np
import pytest
from gui.fakes import FakeModel, squares
from npe2 import PluginManager
from qtpy.QtWidgets import QMenu

from napari_instseg.gui.batch_widget import BatchWidget
from napari_instseg.gui.commands import segment_active
from napari_instseg.gui.evaluate_widget import EvaluateWidget
from napari_instseg.gui.everything_widget import EverythingWidget
from napari_instseg.gui.models_widget import ModelsWidget
from napari_instseg.gui.prompt.widget import PromptWidget
from napari_instseg.gui.review.widget import ReviewWidget
from napari_instseg.gui.samples import fluorescence, histology
from napari_instseg.gui.segment_widget import SegmentWidget
from napari_instseg.gui.worker import ModelHolder
from napari_instseg.segmenter import InputError

TITLE = "Segment (Instance Segmentation)"
PROMPT = "Prompt (Segment Anything) (Instance Segmentation)"
EVERYTHING = "Segment everything (Instance Segmentation)"
BATCH = "Batch (Instance Segmentation)"
REVIEW = "Review (Instance Segmentation)"
EVALUATE = "Evaluate (Instance Segmentation)"
MODELS = "Models (Instance Segmentation)"
ACTIVE = "Segment active layer (Instance Segmentation)"


def entries(menu: QMenu) -> dict[str, Any]:
    """The entries of a menu that has been opened."""
    menu.aboutToShow.emit()
    return {action.text().replace("&", ""): action for action in menu.actions()}


def test_entries_of_the_real_menus(viewer: napari.Viewer, model: FakeModel, qtbot: Any) -> None:
    window = viewer.window
    plugins = entries(entries(window.plugins_menu)["Instance Segmentation"].menu())
    assert list(plugins) == [TITLE, PROMPT, EVERYTHING, BATCH, REVIEW, EVALUATE, MODELS]
    segment = entries(entries(window.layers_menu)["Segment"].menu())
    # Other plugins may have entries there, too; the order is napari's.
    ours = sorted(text for text in segment if text.endswith("(Instance Segmentation)"))
    assert ours == [BATCH, PROMPT, REVIEW, TITLE, ACTIVE, EVERYTHING]
    samples = entries(entries(window.file_menu)["Open Sample"].menu())
    pictures = entries(samples["Instance Segmentation"].menu())
    assert list(pictures) == ["Fluorescence nuclei", "Histology (HE)"]

    command = segment[ACTIVE]
    assert not command.isEnabled()
    viewer.add_labels(squares().astype(int))
    assert not entries(entries(window.layers_menu)["Segment"].menu())[ACTIVE].isEnabled()
    layer = viewer.add_image(squares(), name="cells")
    assert entries(entries(window.layers_menu)["Segment"].menu())[ACTIVE].isEnabled()

    plugins[MODELS].trigger()
    assert isinstance(window.dock_widgets[MODELS], ModelsWidget)
    window.remove_dock_widget(window.dock_widgets[MODELS])
    plugins[PROMPT].trigger()
    assert isinstance(window.dock_widgets[PROMPT], PromptWidget)
    window.remove_dock_widget(window.dock_widgets[PROMPT])
    plugins[EVERYTHING].trigger()
    assert isinstance(window.dock_widgets[EVERYTHING], EverythingWidget)
    window.remove_dock_widget(window.dock_widgets[EVERYTHING])
    plugins[BATCH].trigger()
    assert isinstance(window.dock_widgets[BATCH], BatchWidget)
    window.remove_dock_widget(window.dock_widgets[BATCH])
    plugins[REVIEW].trigger()
    assert isinstance(window.dock_widgets[REVIEW], ReviewWidget)
    window.remove_dock_widget(window.dock_widgets[REVIEW])
    plugins[EVALUATE].trigger()
    assert isinstance(window.dock_widgets[EVALUATE], EvaluateWidget)
    window.remove_dock_widget(window.dock_widgets[EVALUATE])
    plugins[TITLE].trigger()
    widget = window.dock_widgets[TITLE]
    assert isinstance(widget, SegmentWidget)
    assert widget.form.layer() is layer
    widget.models = ModelHolder(model.load)
    command.trigger()
    qtbot.waitUntil(lambda: "cells instances" in viewer.layers, timeout=60_000)
    qtbot.waitUntil(lambda: widget.worker is None, timeout=60_000)
    assert list(window.dock_widgets) == [TITLE]


def test_all_that_the_manifest_contributes() -> None:
    manifest = PluginManager.instance().get_manifest("napari-instseg")
    found = manifest.contributions
    commands = {command.id: command.title for command in found.commands or ()}
    assert commands == {
        "napari-instseg.segment_widget": "Segment",
        "napari-instseg.prompt_widget": "Prompt (Segment Anything)",
        "napari-instseg.everything_widget": "Segment everything",
        "napari-instseg.batch_widget": "Batch",
        "napari-instseg.review_widget": "Review",
        "napari-instseg.evaluate_widget": "Evaluate",
        "napari-instseg.models_widget": "Models",
        "napari-instseg.segment_active": "Segment active layer",
        "napari-instseg.sample_fluorescence": "Fluorescence nuclei",
        "napari-instseg.sample_histology": "Histology (H&E)",
        "napari-instseg.get_reader": "Label images (OME-Zarr)",
        "napari-instseg.get_objects_reader": "Objects (COCO, GeoJSON, ImageJ ROIs)",
        "napari-instseg.write_labels": "Save objects",
    }
    docks = [widget.command for widget in found.widgets or ()]
    assert docks == list(commands)[:7]
    assert [sample.command for sample in found.sample_data or ()] == list(commands)[8:10]  # type: ignore[union-attr]
    assert [reader.command for reader in found.readers or ()] == list(commands)[10:12]
    assert {writer.command for writer in found.writers or ()} == {*list(commands)[12:]}
    menus = {menu: [item.command for item in items] for menu, items in (found.menus or {}).items()}  # type: ignore[union-attr]
    assert menus == {
        "napari/layers/segment": [*list(commands)[:5], "napari-instseg.segment_active"],
        "napari/layers/measure": ["napari-instseg.evaluate_widget"],
    }


def test_the_command_opens_the_dock_that_the_menu_knows(
    viewer: napari.Viewer, model: FakeModel, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    monkeypatch.setattr("napari_instseg.gui.worker._load", model.load)
    layer = viewer.add_image(squares(), name="cells")
    segment_active(layer, viewer)
    (widget,) = viewer.window.dock_widgets.values()
    assert isinstance(widget, SegmentWidget)
    plugins = entries(entries(viewer.window.plugins_menu)["Instance Segmentation"].menu())
    assert plugins[TITLE].isChecked()
    qtbot.waitUntil(lambda: "cells instances" in viewer.layers, timeout=60_000)
    qtbot.waitUntil(lambda: widget.worker is None, timeout=60_000)


def test_samples_open(viewer: napari.Viewer) -> None:
    (grey,) = viewer.open_sample("napari-instseg", "fluorescence")
    (color,) = viewer.open_sample("napari-instseg", "histology")
    assert (grey.name, grey.rgb, grey.data.ndim) == ("fluorescence", False, 2)
    assert (color.name, color.rgb, color.data.shape[2]) == ("histology", True, 3)
    for sample in (fluorescence, histology):
        ((data, options, kind),) = sample()
        assert kind == "image"
        assert np.ptp(data) > 50
        assert min(data.shape[:2]) >= 200
        assert options["rgb"] == (data.ndim == 3)


def test_the_command_says_what_it_expects(viewer: napari.Viewer) -> None:
    with pytest.raises(InputError, match="expected an active Image layer: click one"):
        segment_active(None, viewer)
    labels = viewer.add_labels(squares().astype(int), name="nuclei")
    with pytest.raises(InputError, match="got the Labels layer 'nuclei'"):
        segment_active(labels, viewer)
