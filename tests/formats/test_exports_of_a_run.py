"""A real run's result, with nuclei that overlap, in every format there and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import roifile
import shapely
from shapely.geometry import shape as shape_of

import napari_instseg as nis
from napari_instseg.demo import DATA
from napari_instseg.io.formats.excel import read_excel
from napari_instseg.io.formats.parquet import read_parquet
from napari_instseg.io.formats.planes import PlaneReader, hides
from napari_instseg.io.formats.tables import read_csv


@pytest.fixture(scope="module")
def label_set() -> nis.LabelSet:
    """Some 125 nuclei."""
    result = nis.segment(DATA / "fluorescence.png", device="cpu")
    assert result.count > 100
    assert hides(result.label_set)
    return result.label_set


@pytest.mark.parametrize(
    ("name", "format", "overlaps"),
    [
        ("a.zip", None, True),
        ("a.geojson", None, True),
        ("a", "masks", True),
        ("a.zarr", None, False),
        ("a.tif", None, False),
    ],
)
def test_labels_come_back(
    tmp_path: Path, label_set: nis.LabelSet, name: str, format: str | None, overlaps: bool
) -> None:
    done = nis.export(label_set, tmp_path / name, format)
    assert any("overlap" in note for note in done.notes) != overlaps
    found = nis.read_labels(tmp_path / name)
    np.testing.assert_array_equal(found.read("instances"), label_set.read("instances"))
    if name == "a.tif":
        return
    for column in ("index", "category", "score", "area", "row_min", "col_max"):
        one, other = (s.table.sort_values("index")[column].to_numpy() for s in (found, label_set))
        np.testing.assert_array_equal(one, other, err_msg=column)
    if overlaps:
        wanted, got = (PlaneReader(s, whole=True).read(()) for s in (label_set, found))
        areas = {one.label: one.mask.area for one in wanted}
        assert {one.label: one.mask.area for one in got} == areas
        assert sum(areas.values()) > (label_set.read("instances") > 0).sum()


def test_every_polygon_is_valid(tmp_path: Path, label_set: nis.LabelSet) -> None:
    nis.export(label_set, tmp_path / "a.geojson")
    features = json.loads((tmp_path / "a.geojson").read_text("utf-8"))["features"]
    polygons = [shape_of(feature["geometry"]) for feature in features]
    assert all(shapely.is_valid(polygons))
    nis.export(label_set, tmp_path / "a.zip")
    areas = [_area(roi) for roi in roifile.roiread(tmp_path / "a.zip")]
    assert areas == [polygon.area for polygon in polygons]


def _area(roi: roifile.ImagejRoi) -> float:
    """Signed area of all outlines: holes count against."""
    rings = (shapely.LinearRing(ring) for ring in roi.coordinates(multi=True))
    areas = ((1 if ring.is_ccw else -1) * shapely.Polygon(ring).area for ring in rings)
    return float(sum(areas))


@pytest.mark.parametrize(
    ("name", "read"),
    [("a.csv", read_csv), ("a.parquet", read_parquet), ("a.xlsx", read_excel)],
)
def test_tables_come_back(tmp_path: Path, label_set: nis.LabelSet, name: str, read) -> None:
    nis.export(label_set, tmp_path / name)
    found = read(tmp_path / name)
    for column, values in label_set.table.items():
        np.testing.assert_array_equal(found[column], values)
        assert found[column].dtype.kind == values.dtype.kind


def test_figures(tmp_path: Path, label_set: nis.LabelSet) -> None:
    for name in ("a.png", "a.svg"):
        done = nis.export(label_set, tmp_path / name, image=str(DATA / "fluorescence.png"))
        assert done.paths == (tmp_path / name,)
        assert "no scale bar" in done.notes[-1]
