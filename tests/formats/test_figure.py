"""Figures: the very pixels, a scale bar of the right length, text as text."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from formats.drawings import CATEGORIES, shapes, stack
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow

from napari_instseg import Category, InputError, LabelSet
from napari_instseg.io.figures.scene import bar_length, length_text
from napari_instseg.io.formats.engine import write_sets
from napari_instseg.io.formats.figure import write
from napari_instseg.ops.axes import Image
from napari_instseg.ops.filling import fill

RED, BLUE = (230, 26, 26), (0, 128, 255)
SVG = "{http://www.w3.org/2000/svg}"


def drawn(path: Path) -> NDArray[np.uint8]:
    with Pillow.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_objects_are_filled_exactly(tmp_path: Path) -> None:
    options = {"style": "filled", "legend": False, "scale_bar": False, "zoom": 3}
    assert write(tmp_path / "a.png", shapes(), **options) == []
    labels = np.kron(shapes().read("instances"), np.ones((3, 3), np.int32))
    picture = drawn(tmp_path / "a.png")
    assert picture.shape == (24, 36, 3)
    # A third of the colour, the rest is white paper.
    mixed = [np.round(0.65 * 255 + 0.35 * np.array(color)) for color in (RED, BLUE)]
    for label in range(1, 8):
        assert (picture[labels == label] == mixed[(label - 1) % 2]).all()
    assert (picture[labels == 0] == 255).all()


def test_outlines_run_along_the_edges_of_pixels(tmp_path: Path) -> None:
    labels = np.zeros((6, 6), np.int32)
    labels[2:4, 1:5] = 1
    label_set = LabelSet.from_labels(labels, "YX", category=Category(1, "a", color=(1, 0, 0)))
    write(tmp_path / "a.png", label_set, style="outlines", legend=False, zoom=10)
    red = (drawn(tmp_path / "a.png") == (255, 0, 0)).all(axis=2)
    # A line of one dot, just below and right of the edge.
    rows, cols = np.nonzero(red)
    assert (rows.min(), cols.min(), rows.max(), cols.max()) == (20, 10, 40, 50)
    assert red.sum() == 2 * (41 + 21) - 4


def paths(path: Path) -> dict[int, NDArray[np.bool_]]:
    """Pixels inside each object's path in an SVG."""
    found = {}
    for element in ElementTree.parse(path).iter(f"{SVG}path"):
        rings, row, col = [], 0, 0
        for command, values in re.findall(r"([MHVZ])([\d ]*)", element.get("d", "")):
            if command == "M":
                col, row = map(int, values.split())
                rings.append([(row, col)])
            elif command == "H":
                col = int(values)
            elif command == "V":
                row = int(values)
            if command in "HV":
                rings[-1].append((row, col))
        mask = fill(rings, (8, 12))
        assert mask is not None
        canvas = np.zeros((8, 12), bool)
        canvas[mask.slices] = mask.pixels
        found[int(element.get("id", "").removeprefix("object-"))] = canvas
    return found


def test_svg_has_each_object_as_a_path_and_text_as_text(tmp_path: Path) -> None:
    name = 'a<b> & "c"\x00'
    label_set = replace(shapes(), name=name)
    done = write_sets([label_set], tmp_path / "a.svg", zoom=10)
    assert done.notes == ()
    found = paths(tmp_path / "a.svg")
    labels = label_set.read("instances")
    assert set(found) == set(range(1, 8))
    for label, mask in found.items():
        np.testing.assert_array_equal(mask, labels == label)
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert texts == ["nucleus (4)", f"{CATEGORIES[1].name} (3)", "500 nm", "500 nm"]
    assert root.findtext(f"{SVG}title") == 'a<b> & "c"'
    # 120 dots at 300 dots an inch.
    assert root.get("width") is not None
    assert root.get("viewBox", "").split()[2] >= "120"


def test_the_scale_bar_is_as_long_as_it_says(tmp_path: Path) -> None:
    labels = np.zeros((200, 300), np.uint8)
    label_set = LabelSet.from_labels(labels, "YX", spacing={"Y": 0.4, "X": 0.4})
    dark = Image(np.zeros((200, 300), np.uint8), "YX")
    # 300 px of 0.4 µm are 120 µm: a quarter is 30 µm, so 20 µm, which are 50 px of 4 dots.
    for name, options, length in (
        ("a.png", {"image": dark}, 200),
        ("b.png", {"image": dark, "scale_bar": 10}, 100),
        ("c.png", {}, 200),
    ):
        write(tmp_path / name, label_set, **options)
        picture = drawn(tmp_path / name)
        color = (255, 255, 255) if options else (34, 34, 34)
        bar = (picture[800 - picture.shape[1] // 45 - 3] == color).all(axis=1)
        assert bar.sum() == length
    assert drawn(tmp_path / "a.png").shape == (800, 1200, 3)


@given(st.floats(1e-4, 1e7))
def test_lengths_of_scale_bars(most: float) -> None:
    length = bar_length(most)
    assert most / 2.5 * (1 - 1e-6) <= length <= most * (1 + 1e-6)
    digits = f"{length:e}".partition("e")[0]
    assert float(digits) in (1, 2, 5)
    number, unit = length_text(length).split()
    factor = {"nm": 1e-3, "µm": 1, "mm": 1e3}[unit]
    assert float(number) * factor == pytest.approx(length)


def test_planes_and_notes(tmp_path: Path) -> None:
    options = {"color": "object", "style": "filled", "zoom": 1}
    (note,) = write(tmp_path / "a.png", stack("ZYX"), plane=0, **options)
    assert "no scale bar" in note
    assert (drawn(tmp_path / "a.png")[3, 2:] != 255).any(axis=1).all()
    write(tmp_path / "b.png", stack(), plane="1,2", **options)
    assert (drawn(tmp_path / "b.png")[2:, 4] != 255).any(axis=1).all()
    uneven = replace(shapes(), spacing={"Y": 1.0, "X": 0.25})
    (note,) = write(tmp_path / "c.png", uneven)
    assert "0.25 x 1 µm" in note


def test_stuff_is_filled_under_objects(tmp_path: Path) -> None:
    label_set = shapes()
    panoptic = np.where(label_set.read("instances") == 0, 8, label_set.read("instances"))
    glass = Category(9, "glass", is_thing=False, color=(0.0, 1.0, 0.0))
    row = label_set.table.iloc[0].to_dict() | {
        "index": 8,
        "category_id": 9,
        "category": "glass",
        "is_thing": False,
    }
    table = label_set.table.copy()
    table.loc[len(table)] = row
    label_set = replace(
        label_set, table=table, panoptic=panoptic, categories=(*CATEGORIES, glass), semantic=None
    )
    write(tmp_path / "a.png", label_set, style="outlines", scale_bar=False, zoom=8)
    picture = drawn(tmp_path / "a.png")
    assert picture[60, 80].tolist() == [166, 255, 166]
    write(tmp_path / "a.svg", label_set, style="outlines", scale_bar=False)
    first, *rest = ElementTree.parse(tmp_path / "a.svg").iter(f"{SVG}path")
    assert (first.get("id"), first.get("stroke"), first.get("fill-opacity")) == (
        *("object-8", "none", "0.35"),
    )
    assert {path.get("fill-opacity") for path in rest} == {"0"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"style": "nice"}, "style: expected one of outlines, filled, both"),
        ({"color": "red"}, "color: expected one of category, object"),
        ({"zoom": 0}, "zoom"),
        ({"zoom": 2.5}, "zoom"),
        ({"plane": 3}, "plane"),
        ({"plane": "a"}, "plane"),
        ({"scale_bar": -1}, "scale_bar"),
        ({"scale_bar": "long"}, "scale_bar"),
        ({"scale_bar": 3.1}, "scale_bar: expected at most the picture's width, 3 µm, got 3.1 µm"),
        ({"image": Image(np.zeros((5, 5)), "YX")}, "image: expected one of the labels' size"),
        ({"image": "none.tif"}, "no such file"),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, options: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        write_sets([shapes()], tmp_path / "a.png", **options)
    assert list(tmp_path.iterdir()) == []


def test_nothing_at_all(tmp_path: Path) -> None:
    empty = LabelSet.from_labels(np.zeros((4, 5), np.uint8), "YX", spacing={"X": 1, "Y": 1})
    for name in ("a.png", "a.svg"):
        write(tmp_path / name, empty)
    assert drawn(tmp_path / "a.png").shape[1] == 1200
