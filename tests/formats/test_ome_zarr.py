"""Label images in OME-Zarr: alone and in an image, ours and others'; as other readers see them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaozarrs
import zarr
from formats.drawings import many, same, shapes, stack
from numpy.typing import NDArray

from napari_instseg import InputError, LabelSet
from napari_instseg.io.formats.engine import read_sets, write_sets
from napari_instseg.io.formats.ome_zarr import knows, read, write


def image_at(path: Path, data: NDArray, axes: str = "zyx") -> Path:
    """Write an OME-Zarr 0.5 image."""
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    group.create_array("0", data=data, dimension_names=list(axes))
    kinds = {"t": "time", "c": "channel"}
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [
            {
                "axes": [{"name": a, "type": kinds.get(a, "space")} for a in axes],
                "datasets": [
                    {
                        "path": "0",
                        "coordinateTransformations": [{"type": "scale", "scale": [1] * len(axes)}],
                    }
                ],
            }
        ],
    }
    return path


@pytest.mark.parametrize("label_set", [shapes(), stack("ZYX"), stack()], ids=lambda s: s.axes)
def test_there_and_back(tmp_path: Path, label_set: LabelSet) -> None:
    path = tmp_path / f"{label_set.name}.zarr"
    done = write_sets([label_set], path)
    assert (done.paths, done.notes) == ((path,), ())
    assert knows(path)
    (found,) = read_sets(path)
    colors = {c.id: c.color for c in label_set.categories}
    found = replace(
        found, categories=tuple(replace(c, color=colors[c.id]) for c in found.categories)
    )
    same(label_set, found, "area", "row_min", "touches_edge", "source")
    # They stay on disk until they are looked at.
    assert isinstance(found.instances, zarr.Array)


def test_in_an_image(tmp_path: Path) -> None:
    pixels = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    image = image_at(tmp_path / "image.zarr", pixels)
    assert not knows(image)
    label_set = stack("ZYX")
    assert write(image, label_set) == []
    other = replace(label_set, instances=np.asarray(label_set.instances) * 2)
    write(image, other, name="twice")
    write(image, label_set, name="twice")
    np.testing.assert_array_equal(zarr.open_group(str(image), mode="r")["0"], pixels)
    assert knows(image)
    assert [one.name for one in read_sets(image)] == ["instances", "twice"]
    assert [one.name for one in read_sets(image / "labels")] == ["instances", "twice"]
    for one in read_sets(image):
        np.testing.assert_array_equal(one.read("instances"), label_set.read("instances"))
        assert one.table["score"].to_list() == label_set.table["score"].to_list()
    group = yaozarrs.validate_zarr_store(str(image))
    assert group is None or group
    label = json.loads((image / "labels" / "twice" / "zarr.json").read_text())
    about = label["attributes"]["ome"]["image-label"]
    assert about["source"] == {"image": "../.."}
    assert {row["label-value"] for row in about["properties"]} == {5, 7, 70_000}


def test_yaozarrs_finds_nothing_wrong(tmp_path: Path) -> None:
    image = image_at(tmp_path / "image.zarr", np.zeros((8, 12), np.uint8), "yx")
    write(image, shapes())
    yaozarrs.validate_zarr_store(str(image))
    labels = yaozarrs.validate_ome_uri(str(image / "labels")).attributes.ome
    assert labels.labels == ["instances"]
    label = yaozarrs.validate_ome_uri(str(image / "labels" / "instances")).attributes.ome
    assert [row.label_value for row in label.image_label.properties] == list(range(1, 8))


def test_foreign_labels_with_properties(tmp_path: Path) -> None:
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    group.create_array("0", data=np.array([[0, 4, 4], [9, 9, 0]], np.uint8))
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}],
            "datasets": [{"path": "0"}],
        }
    ]
    group.attrs["image-label"] = {
        "version": "0.4",
        "properties": [{"label-value": 9, "class": "bright"}, {"label-value": 11, "class": "no"}],
    }
    (found,) = read_sets(tmp_path / "a.zarr")
    assert found.table["index"].to_list() == [4, 9]
    assert found.table["area"].to_list() == [2, 2]
    assert found.table["class"].to_list()[1] == "bright"
    with pytest.raises(InputError, match=r"0\.5"):
        write(image_v4(tmp_path / "b.zarr"), shapes())


def image_v4(path: Path) -> Path:
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    group.create_array("0", data=np.zeros((8, 12), np.uint8))
    group.attrs["multiscales"] = [
        {"version": "0.4", "axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}]}
    ]
    return path


def test_nothing_that_is_there_is_lost(tmp_path: Path) -> None:
    image = image_at(tmp_path / "image.zarr", np.ones((8, 13), np.uint8), "yx")
    with pytest.raises(InputError, match=r"image\.zarr: expected labels of the image's shape"):
        write_sets([shapes()], image)
    assert not (image / "labels").exists()
    folder = tmp_path / "folder.zarr"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="something else"):
        write_sets([shapes()], folder)
    array = tmp_path / "array.zarr"
    zarr.save_array(str(array), np.ones(5))
    with pytest.raises(InputError, match=r"array\.zarr"):
        write_sets([shapes()], array)
    assert (zarr.open_array(str(array), mode="r")[:] == 1).all()


def test_names_do_not_lead_out_of_the_image(tmp_path: Path) -> None:
    image = image_at(tmp_path / "image.zarr", np.zeros((8, 12), np.uint8), "yx")
    write(image, shapes(), name="../../x")
    assert [path.name for path in tmp_path.iterdir()] == ["image.zarr"]
    group = zarr.open_group(str(image / "labels"), mode="a")
    for name in ("../../other", "/etc", "missing"):
        group.attrs["ome"] = {"version": "0.5", "labels": [name]}
        with pytest.raises(InputError, match="expected"):
            list(read(image))


def test_very_many_and_none(tmp_path: Path) -> None:
    label_set = many()
    (note,) = write(tmp_path / "a.zarr", label_set)
    assert "10000" in note
    (found,) = read(tmp_path / "a.zarr")
    assert found.table["index"].to_list() == label_set.table["index"].to_list()
    empty = LabelSet.from_labels(np.zeros((4, 5), np.uint8), "YX")
    write(tmp_path / "b.zarr", empty)
    (found,) = read(tmp_path / "b.zarr")
    assert found.table.empty


def test_numbers_that_json_has_not_are_left_out(tmp_path: Path) -> None:
    label_set = shapes()
    table = label_set.table.assign(mean=[np.nan, np.inf, *range(5)])
    write(tmp_path / "a.zarr", replace(label_set, table=table))
    text = (tmp_path / "a.zarr" / "zarr.json").read_text()
    json.loads(text, parse_constant=pytest.fail)
    (found,) = read(tmp_path / "a.zarr")
    assert found.table["mean"].to_list()[2:] == list(range(5))
