"""Labels layers saved and opened by napari itself, in formats of other programs."""

from __future__ import annotations

import json
from pathlib import Path

import napari.layers
import numpy as np
import pytest
import roifile
from formats.drawings import shapes
from formats.label_sets import with_stuff
from napari.components import ViewerModel
from npe2 import PluginManager, PluginManifest

import napari_instseg
from napari_instseg.gui import label_files
from napari_instseg.gui.label_files import get_reader, read_layers, write_layer
from napari_instseg.io.formats.engine import read_sets, write_sets

PLUGIN = "napari-instseg"


@pytest.fixture(autouse=True)
def plugins() -> None:
    """Napari's own plugins and this one."""
    PluginManager.instance().discover()


def layer_in(viewer: ViewerModel) -> napari.layers.Labels:
    label_set = shapes()
    return viewer.add_labels(
        np.asarray(label_set.instances),
        name="cells",
        features=label_set.table,
        scale=[0.25, 0.25],
        units="um",
    )


@pytest.mark.parametrize("name", ["a.json", "a.zip", "a.geojson"])
def test_saved_and_opened_by_napari(tmp_path: Path, name: str) -> None:
    viewer = ViewerModel()
    layer = layer_in(viewer)
    path = tmp_path / name
    assert viewer.layers.save(str(path), selected=True) == [str(path)]
    (opened,) = viewer.open(str(path), plugin=PLUGIN)
    assert isinstance(opened, napari.layers.Labels)
    np.testing.assert_array_equal(opened.data, layer.data)
    columns = ["index", "category", "category_id", "area"]
    wanted = layer.features[columns].to_dict("list")
    assert opened.features[columns].to_dict("list") == wanted
    np.testing.assert_allclose(opened.features["score"], layer.features["score"], rtol=1e-6)
    if name != "a.json":
        assert opened.scale.tolist() == [0.25, 0.25]
        assert opened.name == "cells [1]"


@pytest.mark.parametrize("name", ["a.zarr", "a.csv", "a.xlsx", "a.parquet"])
def test_saved_by_napari(tmp_path: Path, name: str) -> None:
    viewer = ViewerModel()
    layer_in(viewer)
    assert viewer.layers.save(str(tmp_path / name), plugin=PLUGIN) == [str(tmp_path / name)]
    if name == "a.zarr":
        (layer,) = viewer.open(str(tmp_path / name), plugin=PLUGIN)
        assert layer.features["category"].to_list()[0] == "nucleus"


def test_drawn_labels_and_what_was_painted(tmp_path: Path) -> None:
    viewer = ViewerModel()
    labels = np.zeros((3, 9, 9), np.uint16)
    labels[1:, 2:5, 3:6] = 4
    layer = viewer.add_labels(labels)
    layer.data[0, 8, 8] = 9
    viewer.layers.save(str(tmp_path / "a.zip"))
    rois = roifile.roiread(tmp_path / "a.zip")
    assert [(roi.properties["index"], roi.position) for roi in rois] == [(9, 1), (4, 2), (4, 3)]


def test_what_other_plugins_open_and_save_stays_theirs(tmp_path: Path) -> None:
    viewer = ViewerModel()
    layer_in(viewer)
    viewer.layers.save(str(tmp_path / "a.tif"))
    writer, _ = PluginManager.instance().get_writer("a.tif", ["labels"])
    assert writer.plugin_name == "napari"
    for name, content in (
        ("a.json", '{"some": "settings"}'),
        ("b.json", ""),
        ("c.json", '{"annotations": 7'),
        ("a.zip", "no zip"),
        ("a.geojson", "nothing"),
    ):
        (tmp_path / name).write_text(content)
        assert get_reader(str(tmp_path / name)) is None, name
    assert get_reader(str(tmp_path / "none.json")) is None
    assert get_reader(str(tmp_path)) is None
    assert get_reader([str(tmp_path / "a.json")]) is None


def test_other_json_is_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text('{"some": "settings"}')
    monkeypatch.setattr(json, "loads", lambda *_, **__: pytest.fail("parsed"))
    assert get_reader(str(tmp_path / "a.json")) is None


def test_several_images_of_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [*read_sets(_geojson(tmp_path)), *read_sets(_geojson(tmp_path))]
    write_sets(sets, tmp_path / "a.json")
    assert len(read_layers(str(tmp_path / "a.json"))) == 2
    monkeypatch.setattr(label_files, "MOST_LAYERS", 1)
    with pytest.raises(napari_instseg.InputError, match="at most 1 images"):
        read_layers(str(tmp_path / "a.json"))


def test_what_is_lost_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(label_files, "show_warning", said.append)
    write_sets([with_stuff()], tmp_path / "a.geojson")
    read_layers(str(tmp_path / "a.geojson"))
    assert said == [
        "stack: stuff is left out (größeres Gewebe), since the layer holds objects only"
    ]
    said.clear()
    layer = ViewerModel().add_labels(np.ones((2, 3, 4), np.uint8), name="planes")
    data, attributes, _ = layer.as_layer_data_tuple()
    write_layer(str(tmp_path / "b.json"), data, attributes)
    assert said == ["planes: axes ZYX: one image a plane"]


def _geojson(folder: Path) -> Path:
    write_sets([shapes()], folder / "a.geojson")
    return folder / "a.geojson"


def test_the_manifest_is_whole() -> None:
    manifest = PluginManifest.from_file(Path(napari_instseg.__file__).with_name("napari.yaml"))
    manifest.validate_imports()
    contributions = manifest.contributions
    endings = {e for w in contributions.writers for e in w.filename_extensions}
    assert endings == {".json", ".zip", ".geojson", ".zarr", ".csv", ".parquet", ".xlsx"}
    names = [w.display_name for w in contributions.writers]
    assert len(set(names)) == len(names)
