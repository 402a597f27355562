"""GeoJSON: the very pixels, valid polygons, and what QuPath reads beside them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
import shapely
from formats.drawings import CATEGORIES, same, shapes, stack
from shapely.geometry import shape as shape_of

from napari_instseg import InputError, LabelSet
from napari_instseg.io.formats.engine import write_sets
from napari_instseg.io.formats.geojson import write
from napari_instseg.io.formats.geojson_reading import knows, read


def back(path: Path, **options: object) -> LabelSet:
    (found,) = read(path, **options)
    return found


def test_each_feature_is_valid_and_has_the_pixels_of_its_object(tmp_path: Path) -> None:
    label_set = shapes()
    path = tmp_path / "cells.geojson"
    assert write(path, label_set) == []
    content = json.loads(path.read_text("utf-8"))
    labels = label_set.read("instances")
    rows, cols = np.indices(labels.shape) + 0.5
    for feature, (_, row) in zip(content["features"], label_set.table.iterrows(), strict=True):
        polygon = shape_of(feature["geometry"])
        assert polygon.is_valid
        inside = shapely.contains_xy(polygon, cols.ravel(), rows.ravel()).reshape(labels.shape)
        np.testing.assert_array_equal(inside, labels == row["index"])
        assert polygon.area == row["area"]
        for part in getattr(polygon, "geoms", [polygon]):
            assert part.exterior.is_ccw
            assert not any(hole.is_ccw for hole in part.interiors)
    kinds = [feature["geometry"]["type"] for feature in content["features"]]
    assert kinds == ["Polygon"] * 4 + ["MultiPolygon"] + ["Polygon"] * 2


def test_a_feature_as_qupath_has_it(tmp_path: Path) -> None:
    write(tmp_path / "a.geojson", shapes(), objects="annotation")
    content = json.loads((tmp_path / "a.geojson").read_text("utf-8"))
    assert content["type"] == "FeatureCollection"
    feature = content["features"][1]
    assert UUID(feature.pop("id")).version == 5
    assert feature == {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[[2, 2], [3, 2], [3, 3], [2, 3], [2, 2]]]},
        "properties": {
            "objectType": "annotation",
            "name": "2",
            "classification": {"name": CATEGORIES[1].name, "color": [0, 128, 255]},
            "measurements": {
                "index": 2,
                "score": 0.33333334,
                "area": 1,
                "row_min": 2,
                "col_min": 2,
                "row_max": 3,
                "col_max": 3,
            },
        },
    }
    before = (tmp_path / "a.geojson").read_bytes()
    write(tmp_path / "a.geojson", shapes(), objects="annotation")
    assert (tmp_path / "a.geojson").read_bytes() == before
    with pytest.raises(InputError, match="detection, annotation"):
        write(tmp_path / "a.geojson", shapes(), objects="cell")


@pytest.mark.parametrize(
    "label_set",
    [shapes(), stack("ZYX"), stack("TYX"), stack()],
    ids=lambda s: f"{s.name} {s.axes}",
)
def test_there_and_back(tmp_path: Path, label_set: LabelSet) -> None:
    table = label_set.table.assign(mean=0.25, count=7)
    label_set = replace(label_set, table=table)
    path = tmp_path / "cells.geojson"
    write(path, label_set)
    assert knows(path)
    found = back(path)
    same(label_set, found, "area", "row_min", "col_max", "touches_edge", "mean", "count")
    assert found.table["count"].dtype == np.int64
    assert found.raw is None


def test_places_in_a_stack(tmp_path: Path) -> None:
    write(tmp_path / "a.geojson", stack("ZYX"))
    features = json.loads((tmp_path / "a.geojson").read_text("utf-8"))["features"]
    assert [f["geometry"]["plane"] for f in features] == [
        {"c": -1, "z": z, "t": 0} for z in (0, 1, 2, 2)
    ]
    assert len({f["id"] for f in features}) == 4
    with pytest.raises(InputError, match="QuPath knows axes C, Z, T beside Y, X, got PYX"):
        write(tmp_path / "a.geojson", stack("PYX"))


QUPATH = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": "PathCellObject",
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[1, 1], [6.2, 1], [6.2, 4.6], [1, 4.6], [1, 1]]],
                "plane": {"c": -1, "z": 2, "t": 0},
            },
            "nucleusGeometry": {"type": "Polygon", "coordinates": [[[2, 2], [3, 2], [3, 3]]]},
            "properties": {
                "objectType": "cell",
                "classification": {"name": "Tumor", "colorRGB": -3670016},
                "measurements": [{"name": "Cell: Area", "value": 18.7}],
            },
        },
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[[8, 0], [9, 0], [9, 9], [8, 9]]]},
            "properties": {
                "name": "mine",
                "classification": {"names": ["Immune", "CD3"], "color": [1, 2, 3]},
                "measurements": {"score": 7.5, "index": 2.5},
            },
        },
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 1]}},
        {"type": "Feature", "geometry": None, "properties": None},
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[[0, 8], [2, 8], [2, 9], [0, 9]]]},
        },
    ],
}


@pytest.mark.parametrize("content", [QUPATH, QUPATH["features"]])
def test_features_of_other_programs(tmp_path: Path, content: object) -> None:
    path = tmp_path / "slide.json"
    path.write_text(json.dumps(content))
    assert knows(path)
    found = back(path)
    assert (found.name, found.axes, found.shape) == ("slide", "ZYX", (3, 9, 9))
    assert found.table["category"].to_list() == ["Tumor", "Immune: CD3", "object"]
    assert [tuple(round(255 * v) for v in c.color) for c in found.categories[:2]] == [
        (200, 0, 0),
        (1, 2, 3),
    ]
    labels = found.read("instances")
    assert (labels[2, 1:5, 1:6] == 1).all()
    assert [(labels == i).sum() for i in (1, 2, 3)] == [20, 9, 2]
    assert found.table["score"].to_list() == [1, 1, 1]
    assert found.table["Cell: Area"].to_list()[0] == 18.7
    assert found.table["name"].to_list()[1] == "mine"
    assert back(path, shape="5x10x12").shape == (5, 10, 12)


def polygon(ring: str, more: str = "") -> str:
    return (
        '{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": ['
        + ring
        + "]"
        + more
        + "}}"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "JSON"),
        ('{"type": "FeatureCollection", "features": [', "JSON"),
        ('{"type": "FeatureCollection", "features": {}}', "features: expected"),
        ('{"type": "FeatureCollection", "features": [7]}', "feature 0"),
        ('{"type": "Topology"}', "Topology"),
        ("[" * 100_000, "nested"),
        (polygon("[" * 500 + "1" + "]" * 500), "positions"),
        (polygon("[[0, 0], [NaN, 1], [2, 2]]"), "NaN"),
        (polygon("[[0, 0], [1e999, 1], [2, 2]]"), "coordinates below"),
        (polygon("[[0, 0], [1e300, 1], [2, 2]]"), "coordinates below"),
        (polygon("[[0, 0], [1e8, 1e8], [2, 2]]"), "2\\^30 pixels"),
        (polygon("[[0, 0], [1]]"), "positions"),
        (polygon('[[0, 0], ["a", "b"]]'), "positions"),
        (polygon("7"), "positions"),
        (polygon("[[0, 0], [9, 0], [9, 9]]", ', "plane": {"z": 2000000000}'), "2\\^30 pixels"),
        (polygon("[[0, 0], [9, 0], [9, 9]]", ', "plane": {"z": 5000000}'), "100000 planes"),
        (polygon("[[0, 0], [9, 0], [9, 9]]", ', "plane": {"z": -5}'), "whole number"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.geojson").write_text(text)
    with pytest.raises(InputError, match=said):
        back(tmp_path / "a.geojson")


def test_our_own_member_is_checked(tmp_path: Path) -> None:
    write(tmp_path / "a.geojson", shapes())
    content = json.loads((tmp_path / "a.geojson").read_text("utf-8"))
    for key, value in (
        *(("shape", [2**20, 2**20]), ("shape", [-1, 5]), ("shape", "8"), ("axes", "XY")),
        *(("axes", 7), ("spacing_um", {"X": "a"}), ("categories", [{"id": 0}]), ("name", None)),
    ):
        changed = {**content, "napari_instseg": {**content["napari_instseg"], key: value}}
        (tmp_path / "b.geojson").write_text(json.dumps(changed))
        with pytest.raises(InputError):
            back(tmp_path / "b.geojson")


def test_missing_numbers_are_left_out(tmp_path: Path) -> None:
    label_set = shapes()
    sizes = pd.array([1, *[None] * (len(label_set.table) - 1)], "Int64")
    write(tmp_path / "a.geojson", replace(label_set, table=label_set.table.assign(size=sizes)))
    features = json.loads((tmp_path / "a.geojson").read_text("utf-8"))["features"]
    told = [feature["properties"]["measurements"].get("size") for feature in features]
    assert told == [1, *[None] * (len(features) - 1)]


def test_names_that_are_no_unicode_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="UTF-8"):
        write_sets([replace(shapes(), name="a\udce4")], tmp_path / "a.geojson")
    assert not list(tmp_path.iterdir())
