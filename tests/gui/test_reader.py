"""Label images in OME-Zarr in napari: layers, features, and which chunks are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dask.array as da
import napari
import numpy as np
import pytest
import zarr
from napari.components import ViewerModel
from npe2 import PluginManager
from zarr.storage import LocalStore

from napari_instseg.gui.links import RECIPE_KEY
from napari_instseg.gui.reader import get_reader, read_layers
from napari_instseg.instances import Instances
from napari_instseg.io import label_zarr
from napari_instseg.ops.axes import Image
from napari_instseg.segmentation import Segmentation
from napari_instseg.segmenter import Category, InputError
from napari_instseg.settings import Settings

CATEGORIES = (
    Category(1, "nucleus", color=(1.0, 0.5, 0.0)),
    Category(7, "glass", is_thing=False, color=(0.0, 0.0, 1.0)),
)


def result_of(height: int, width: int) -> Segmentation:
    """Two planes of squares of 30 px, 50 px apart; glass in the first 20 columns."""
    rows, cols = np.mgrid[:height, :width]
    number = (rows // 50) * -(-width // 50) + cols // 50 + 1
    labels = np.where((rows % 50 > 19) & (cols % 50 > 19), number, 0)
    stuff = np.zeros((2, height, width), np.int32)
    stuff[..., :20] = 7
    return Segmentation(
        (Instances.from_labels(labels), Instances.from_labels(labels)),
        Image(np.zeros((2, height, width), np.uint8), "ZYX", {"Z": 2.0, "Y": 0.5, "X": 0.25}, "a"),
        CATEGORIES,
        Settings(),
        {"model": {"name": "x"}},
        stuff,
    )


@pytest.fixture
def paths(tmp_path, monkeypatch) -> list[Path]:
    """Instances, semantic and panoptic of a result, on four levels."""
    monkeypatch.setattr(label_zarr, "CHUNK", 40)
    return result_of(300, 200).save(tmp_path, "a.b", "zarr")[:3]


def test_layers(paths):
    viewer = ViewerModel()
    result = result_of(300, 200)
    for path in paths:
        ((data, options, kind),) = get_reader(str(path))(str(path))
        assert kind == "labels"
        assert all(isinstance(level, da.Array) for level in data)
        layer = viewer.add_labels(data, **options)
        output = path.stem.rpartition("_")[2]
        assert (layer.name, layer.multiscale, len(layer.data)) == (f"a.b {output}", True, 4)
        assert not layer.editable
        np.testing.assert_array_equal(layer.data[0], getattr(result, output))
        assert layer.scale.tolist() == [2.0, 0.5, 0.25]
        assert {str(unit) for unit in layer.units} == {"micrometer"}
        assert layer.axis_labels == ("z", "y", "x")
        assert layer.metadata[RECIPE_KEY]["model"] == {"name": "x"}
    instances, semantic, panoptic = viewer.layers
    assert instances.features["index"].tolist() == list(range(1, 49))
    assert panoptic.features["index"].tolist() == list(range(1, 50))
    assert semantic.features["category"].tolist() == ["nucleus", "glass"]
    np.testing.assert_allclose(semantic.get_color(1), (1, 128 / 255, 0, 1), atol=1e-6)
    np.testing.assert_allclose(panoptic.get_color(49), (0, 0, 1, 1), atol=1e-6)
    assert panoptic.get_color(0) is None
    # What the status bar says under the mouse.
    assert "category: glass" in semantic.get_status((0, 50 * 0.5, 5 * 0.25))["coordinates"]


def test_without_files_beside_it(paths):
    for path in paths[0].parent.glob("*.[cj]s*"):
        path.unlink()
    ((_, options, _),) = read_layers(str(paths[2]))
    assert options["metadata"] == {}
    assert options["features"]["index"].tolist() == list(range(1, 50))
    assert options["features"]["category"].tolist()[-1] == "glass"


def test_small_ones_can_be_painted_on(tmp_path):
    path = result_of(120, 100).save(tmp_path, "", "zarr")[0]
    ((data, options, _),) = read_layers(str(path))
    layer = ViewerModel().add_labels(data, **options)
    assert (layer.name, layer.multiscale, layer.editable) == ("instances", False, True)
    layer.fill((0, 0, 0), 1000)
    assert layer.data[0, 0, 0] == 1000
    assert layer.get_color(1000)[3] > 0


def test_what_is_left_to_other_readers(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=np.zeros((3, 4)))
    (tmp_path / "folder").mkdir()
    for name in ("a.zarr", "folder", "no-such.zarr"):
        assert get_reader(str(tmp_path / name)) is None
    assert get_reader([str(tmp_path / "a.zarr")]) is None


def test_a_damaged_table_is_named(paths):
    paths[0].with_name("a.b_segments.csv").write_text("nonsense")
    with pytest.raises(InputError, match=r"a\.b_segments\.csv: expected a table"):
        read_layers(str(paths[0]))


def test_only_what_is_seen_is_read(viewer: napari.Viewer, tmp_path, monkeypatch, qtbot):
    """In the real window, through napari's own search for readers."""
    monkeypatch.setattr(label_zarr, "CHUNK", 256)
    path = result_of(3000, 2500).save(tmp_path, "a", "zarr")[0]
    read: list[str] = []
    get = LocalStore.get

    async def watched(self, key, *args, **kwargs):
        if "/c/" in key:
            read.append(key)
        return await get(self, key, *args, **kwargs)

    monkeypatch.setattr(LocalStore, "get", watched)
    assert "napari-instseg" in {
        reader.plugin_name for reader in PluginManager.instance().iter_compatible_readers(str(path))
    }
    viewer.window.resize(1000, 800)
    (layer,) = viewer.open(path, plugin="napari-instseg")
    qtbot.waitUntil(lambda: layer.data_level in (1, 2, 3), timeout=10_000)
    # One plane of the two; of the finest level no more than the window has room for.
    assert planes_of(read) == {0}
    assert len({key for key in read if key.startswith("0/")}) < 12 * 10 / 2

    def changes(how: Callable[[], object]) -> list[str]:
        read.clear()
        how()
        qtbot.wait(200)
        return read

    # The other plane, as a whole: a coarse level is enough.
    seen = changes(lambda: viewer.dims.set_current_step(0, 1))
    assert planes_of(seen) == {1}
    assert not any(key.startswith("0/") for key in seen)
    # A small part of it: the chunks under it.
    camera = viewer.scene.camera
    camera.center = (0, 1500 * 0.5, 1250 * 0.25)
    seen = changes(lambda: setattr(camera, "zoom", 12))
    assert layer.data_level == 0
    assert planes_of(seen) == {1}
    assert 0 < len({key for key in seen if key.startswith("0/")}) < 12


def planes_of(keys: list[str]) -> set[int]:
    """Of keys such as 2/c/1/0/0, which are level, c, plane, row and column."""
    return {int(key.split("/")[2]) for key in keys}
