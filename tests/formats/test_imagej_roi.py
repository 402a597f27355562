"""ImageJ's ROIs: the very pixels, names, groups, places."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import roifile
import shapely
from formats.drawings import CATEGORIES, overlapping, same, shapes, stack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline
from numpy.typing import NDArray

from napari_instseg import InputError, LabelSet
from napari_instseg.io.formats import imagej_roi
from napari_instseg.io.formats.engine import read_sets
from napari_instseg.io.formats.imagej_roi import knows, read, write


def back(path: Path, **options: object) -> LabelSet:
    (found,) = read(path, **options)
    return found


def pixels(roi: roifile.ImagejRoi, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centres lie in a ROI, as ImageJ has it, by matplotlib: even-odd."""
    rows, cols = np.indices(shape) + 0.5
    centres = np.column_stack([cols.ravel(), rows.ravel()])
    odd = np.zeros(rows.size, bool)
    for ring in roi.coordinates(multi=True):
        odd ^= Outline(ring, closed=False).contains_points(centres)
    return odd.reshape(shape)


def test_each_roi_has_the_pixels_of_its_object(tmp_path: Path) -> None:
    label_set = shapes()
    path = tmp_path / "cells.zip"
    assert write(path, label_set) == []
    rois = roifile.roiread(path)
    labels = label_set.read("instances")
    assert [roi.properties["index"] for roi in rois] == label_set.table["index"].to_list()
    for roi in rois:
        mask = labels == roi.properties["index"]
        np.testing.assert_array_equal(pixels(roi, labels.shape), mask)
        rows, cols = np.nonzero(mask)
        # The bounds are those of the pixels: nothing shrinks or grows.
        edges = rows.min(), cols.min(), rows.max() + 1, cols.max() + 1
        assert (roi.top, roi.left, roi.bottom, roi.right) == edges
        assert roi.composite == (roi.properties["index"] in (1, 5))
        assert roi.roitype == (roifile.ROI_TYPE.RECT if roi.composite else roifile.ROI_TYPE.TRACED)
    assert [roi.group for roi in rois] == label_set.table["category_id"].to_list()
    assert rois[0].name == "0001 nucleus"
    # The library would cut names with signs of two pairs of bytes.
    assert rois[1].name == '0002 größe "⌀ 核\ufffd'
    with zipfile.ZipFile(path) as file:
        assert file.namelist()[:2] == ["0001 nucleus.roi", "0002 größe _⌀ 核😀.roi"]


@pytest.mark.parametrize(
    "label_set",
    [shapes(), stack("ZYX"), stack("TYX"), stack("PYX"), stack()],
    ids=lambda s: f"{s.name} {s.axes}",
)
def test_there_and_back(tmp_path: Path, label_set: LabelSet) -> None:
    path = tmp_path / "cells.zip"
    write(path, label_set)
    assert knows(path)
    found = back(path)
    same(label_set, found, "area", "row_min", "col_max", "touches_edge")
    assert found.raw is None
    assert set(found.table["source"]) == {"cells.zip"}


def test_places_in_a_stack(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write(path, stack("TYX"))
    places = [(roi.properties["index"], roi.position) for roi in roifile.roiread(path)]
    assert places == [(7, 1), (5, 2), (5, 3), (70_000, 3)]
    write(path, stack("TZYX"))
    found = {
        (roi.properties["index"], roi.t_position, roi.z_position) for roi in roifile.roiread(path)
    }
    assert found == {
        *((7, 1, 1), (7, 2, 1), (5, 1, 2), (5, 1, 3), (5, 2, 2), (5, 2, 3)),
        *((70_000, 1, 3), (70_000, 2, 3)),
    }
    with pytest.raises(InputError, match="ImageJ knows axes C, Z, T, got PTYX"):
        write(path, replace(stack(), axes="PTYX"))


def test_coordinates_beyond_those_of_16_bits(tmp_path: Path) -> None:
    labels = np.zeros((3, 70_000), np.uint8)
    labels[1:, 65_530:65_540] = 1
    label_set = LabelSet.from_labels(labels, "YX", name="wide")
    write(tmp_path / "a.zip", label_set)
    (roi,) = roifile.roiread(tmp_path / "a.zip")
    assert shapely.Polygon(roi.coordinates(multi=True)[0]).bounds == (65_530, 1, 65_540, 3)
    same(label_set, back(tmp_path / "a.zip"))


def test_rois_that_a_user_drew_in_imagej(tmp_path: Path) -> None:
    triangle = roifile.ImagejRoi.frompoints(
        np.array([(1.2, 1.1), (9.3, 1.4), (4.1, 7.9)]), name="T"
    )
    oval = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.OVAL, top=10, left=2, bottom=18, right=14)
    oval.group, oval.name = 4, "oval"
    box = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, top=3, left=20, bottom=5, right=24)
    line = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.LINE, x1=1, y1=1, x2=9, y2=9, name="line")
    roifile.roiwrite(tmp_path / "a.zip", [triangle, oval, box, line], name=["T", "O", "B", "L"])
    found = back(tmp_path / "a.zip")
    assert found.shape == (18, 24)
    assert found.table["category"].to_list() == ["object", "group 4", "object"]
    assert found.table["name"].to_list()[:2] == ["T", "oval"]
    labels = found.read("instances")
    np.testing.assert_array_equal(labels == 1, pixels(triangle, labels.shape))
    rows, cols = np.indices(labels.shape) + 0.5
    np.testing.assert_array_equal(labels == 2, ((rows - 14) / 4) ** 2 + ((cols - 8) / 6) ** 2 <= 1)
    assert (labels[3:5, 20:24] == 3).all()
    assert (labels == 3).sum() == 8
    assert back(tmp_path / "a.zip", shape="4x30x40").shape == (4, 30, 40)
    # Without a position it is in all planes.
    assert (back(tmp_path / "a.zip", shape=(4, 30, 40)).read("instances") == 3).sum() == 32


def test_edited_in_imagej(tmp_path: Path) -> None:
    """Its ROI Manager drops the comment, renames, deletes, copies and adds."""
    write(tmp_path / "a.zip", shapes())
    first, *_, last = roifile.roiread(tmp_path / "a.zip")
    first.name = "mine"
    added = roifile.ImagejRoi.frompoints(np.array([(0, 5), (3, 5), (3, 6), (0, 6)]))
    names = ["1", "2", "3", "4"]
    roifile.roiwrite(tmp_path / "b.zip", [first, last, last, added], name=names)
    found = back(tmp_path / "b.zip")
    assert found.table["index"].to_list() == [1, 7, 8, 9]
    assert found.table["category"].to_list() == ["nucleus", "nucleus", "nucleus", "object"]
    assert found.table["name"].to_list()[0] == "mine"
    # The copy, number 8, is under the first.
    assert found.table["area"].to_list() == [16, 1, 0, 3]


def test_a_single_roi(tmp_path: Path) -> None:
    box = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, top=3, left=20, bottom=5, right=24)
    box.tofile(tmp_path / "a.roi")
    assert knows(tmp_path / "a.roi")
    assert (back(tmp_path / "a.roi").read("instances") > 0).sum() == 8


def test_categories_without_a_group(tmp_path: Path) -> None:
    far = replace(CATEGORIES[0], id=300)
    label_set = replace(shapes(), categories=(far,))
    label_set = replace(label_set, table=label_set.table.assign(category_id=300, category=far.name))
    (note,) = write(tmp_path / "a.zip", label_set)
    assert "255" in note
    assert {roi.group for roi in roifile.roiread(tmp_path / "a.zip")} == {0}
    same(label_set, back(tmp_path / "a.zip"))


def entry(change: object) -> bytes:
    data = bytearray(roifile.ImagejRoi.frompoints(np.array([(1, 1), (5, 1), (5, 5)])).tobytes())
    return bytes(change(data))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "too short"),
        (entry(lambda d: d[:66]), "whole"),
        # Of claimed corners, there are 3.
        (entry(lambda d: d[:16] + b"\xff\xff" + d[18:]), "whole"),
        # A path of claimed 2^31 - 1 numbers.
        (entry(lambda d: d[:6] + b"\x01" + d[7:36] + b"\x7f\xff\xff\xff" + d[40:]), "whole"),
        # A position far beyond any stack.
        (entry(lambda d: d[:56] + b"\x7f\xff\xff\xff" + d[60:]), "pixels"),
    ],
)
def test_damage_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("1.roi", data)
    with pytest.raises(InputError, match=said):
        back(tmp_path / "a.zip")


def test_truncated_anywhere(tmp_path: Path) -> None:
    write(tmp_path / "a.zip", shapes())
    data = (tmp_path / "a.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        end = len(data) - len(file.comment)
    for size in range(0, end, 97):
        (tmp_path / "b.zip").write_bytes(data[:size])
        with pytest.raises(InputError):
            back(tmp_path / "b.zip")


def test_bombs_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for i in range(4):
            file.writestr(f"{i}.roi", bytes(100_000))
    monkeypatch.setattr(imagej_roi, "LARGEST_FILE", 300_000)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(InputError, match="at most"):
        back(tmp_path / "a.zip")
    monkeypatch.setattr(imagej_roi, "LARGEST_ROI", 90_000)
    with pytest.raises(InputError, match="at most 90000 B"):
        back(tmp_path / "a.zip")


def test_points_only(tmp_path: Path) -> None:
    roifile.ImagejRoi(roitype=roifile.ROI_TYPE.LINE, x1=1, y1=1, x2=9, y2=9).tofile(
        tmp_path / "a.roi"
    )
    with pytest.raises(InputError, match="enclose"):
        back(tmp_path / "a.roi")


def _written() -> list[bytes]:
    """A traced polygon, a path, an ellipse and a polygon with fractions, as files."""
    corners = np.array([(1.2, 1.1), (9.3, 1.4), (4.1, 7.9)])
    oval = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.OVAL, top=10, left=2, bottom=18, right=14)
    with TemporaryDirectory() as folder:
        write(Path(folder, "a.zip"), shapes())
        traced, path = roifile.roiread(Path(folder, "a.zip"))[1::-1]
    return [roi.tobytes() for roi in (traced, path, oval, roifile.ImagejRoi.frompoints(corners))]


ROIS = _written()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(ROIS),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_any_bytes_are_read_or_refused(
    tmp_path: Path, data: bytes, changes: list[tuple[float, int]]
) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[min(int(place * len(data)), len(data) - 1)] = value
    (tmp_path / "a.roi").write_bytes(damaged)
    try:
        (found,) = read_sets(tmp_path / "a.roi")
    except InputError:
        return
    assert found.read("instances").ndim >= 2


def test_a_roi_without_a_position_is_in_all_planes_of_the_others(tmp_path: Path) -> None:
    square = np.array([(0, 0), (2, 0), (2, 2), (0, 2)])
    rois = [roifile.ImagejRoi.frompoints(square + 4 * i) for i in range(2)]
    for roi in rois:
        roi.roitype = roifile.ROI_TYPE.POLYGON
    rois[1].position = 3
    roifile.roiwrite(tmp_path / "a.zip", rois)
    found = back(tmp_path / "a.zip").read("instances")
    assert found.shape == (3, 6, 6)
    assert [np.unique(plane).tolist() for plane in found] == [[0, 1], [0, 1], [0, 1, 2]]


def test_too_many_planes_are_refused_before_they_are_listed(tmp_path: Path) -> None:
    write(tmp_path / "a.zip", shapes())
    with pytest.raises(InputError, match="at most 100000 planes"):
        back(tmp_path / "a.zip", shape="1000000000x1x1")


def test_what_is_hidden_in_part_is_a_whole_roi(tmp_path: Path) -> None:
    write(tmp_path / "a.zip", overlapping())
    rois = roifile.roiread(tmp_path / "a.zip")
    assert [pixels(roi, (6, 8)).sum() for roi in rois] == [16, 12]
