"""The command that measures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import draw

import napari_instseg as nis
from napari_instseg.cli import main
from napari_instseg.io.formats.result import write_one
from napari_instseg.io.labels import write_labels

LABELS = draw("AA..\nAABB")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    write_labels(tmp_path / "labels.tif", LABELS, "YX", {"Y": 0.5, "X": 0.5})
    np.save(tmp_path / "a.npy", np.arange(8, dtype=np.uint16).reshape(2, 4))
    np.save(tmp_path / "b.npy", np.full((2, 4), 0.5, np.float32))
    return tmp_path


def test_a_table_of_labels_and_two_images(files: Path, capsys: pytest.CaptureFixture) -> None:
    images = ["--image", str(files / "a.npy"), "--image", str(files / "b.npy")]
    output = files / "new" / "table.csv"
    assert main(["measure", str(files / "labels.tif"), *images, "-o", str(output), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    table = pd.read_csv(output)
    wanted = nis.measure(files / "labels.tif", [files / "a.npy", files / "b.npy"])
    assert (told["rows"], told["columns"], told["notes"]) == (2, [*table.columns], [])
    pd.testing.assert_frame_equal(table, wanted, check_dtype=False)
    assert table["a_sum"].tolist() == [0 + 1 + 4 + 5, 6 + 7]
    assert table["area_um2"].tolist() == [1, 0.5]


def test_options(files: Path) -> None:
    stack = files / "stack.npy"
    np.save(stack, np.stack([LABELS, LABELS]))
    output = str(files / "t.csv")
    size = ["--pixel-size", "2", "--z-step", "3", "--columns", "volume,area"]
    assert main(["measure", str(stack), "-o", output, *size, "--columns", "bbox"]) == 0
    table = pd.read_csv(output)
    assert table["volume_um3"].tolist() == [4 * 2 * 12, 2 * 2 * 12]
    assert "major_axis" not in table
    assert main(["measure", str(stack), "-o", output, *size, "--no-through-z"]) == 0
    table = pd.read_csv(output)
    assert table["z"].tolist() == [0, 1, 0, 1]
    assert table["area_um2"].tolist() == [16, 16, 8, 8]
    assert main(["measure", str(stack), "-o", output, "--axes", "TYX"]) == 0
    assert pd.read_csv(output)["t"].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("ending", "read"), [(".parquet", pd.read_parquet), (".xlsx", pd.read_excel)]
)
def test_other_kinds_of_tables(files: Path, ending: str, read: Any) -> None:
    output = files / f"table{ending}"
    image = ["--image", str(files / "a.npy")]
    assert main(["measure", str(files / "labels.tif"), *image, "-o", str(output)]) == 0
    wanted = nis.measure(files / "labels.tif", files / "a.npy")
    pd.testing.assert_frame_equal(read(output), wanted, check_dtype=False)


def test_what_cannot_be_used_is_said(files: Path, capsys: pytest.CaptureFixture) -> None:
    labels = str(files / "labels.tif")
    with pytest.raises(SystemExit, match="2"):
        main(["measure", labels, "-o", "table.doc"])
    assert "expected a table that ends in one of .csv, .parquet, .xlsx" in capsys.readouterr().err
    np.save(files / "wide.npy", np.ones((2, 5)))
    wide = ["--image", str(files / "wide.npy")]
    assert main(["measure", labels, *wide, "-o", str(files / "t.csv")]) == 1
    error = capsys.readouterr().err
    assert "wide: expected an image on the grid of the labels, (2, 4) (YX), got (2, 5)" in error
    assert not (files / "t.csv").exists()
    assert main(["measure", str(files / "b.npy"), "-o", str(files / "t.csv")]) == 1
    assert "b.npy" in capsys.readouterr().err
    assert main(["measure", labels, "-o", str(files / "t.csv"), "--columns", "ara"]) == 1
    assert "columns: expected some of area" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a_segments.csv", "segments.csv"])
def test_the_table_of_a_result_is_not_replaced(
    files: Path, capsys: pytest.CaptureFixture, name: str
) -> None:
    stem = name.removesuffix("segments.csv").removesuffix("_")
    write_one(nis.LabelSet.from_labels(LABELS, "YX"), files, stem)
    before = (files / name).read_bytes()
    with pytest.raises(SystemExit, match="2"):
        main(["measure", str(files / stem), "-o", str(files / name)])
    labels = str(files / "labels.tif")
    assert main(["evaluate", labels, labels, "-o", str(files / name)]) == 1
    assert capsys.readouterr().err.count(f"{name} is a part of a result: choose another") == 2
    assert (files / name).read_bytes() == before
