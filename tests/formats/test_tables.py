"""Tables: types there and back, and text that no spreadsheet calculates."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from formats.drawings import many, shapes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_instseg import InputError, LabelSet
from napari_instseg.io.formats import excel, parquet, tables

NASTY = ["=1+1", "+a", "-b", "@SUM(A1)", "\tx", "'=y", "''-z", "'quoted", "größe 核😀", 'a,"b"\nc']
#: Category names that a reader might take for something else.
NUMBERLIKE = ["NA", "null", "7", "1e5", "True", "nan"]

WAYS: dict[str, tuple[Callable, Callable]] = {
    "a.csv": (tables.write, tables.read_csv),
    "a.parquet": (parquet.write, parquet.read_parquet),
    "a.xlsx": (excel.write, excel.read_excel),
}


def named(names: list[str]) -> LabelSet:
    labels = np.arange(1, len(names) + 1, dtype=np.int32)[np.newaxis]
    found = LabelSet.from_labels(labels, "YX")
    mean = np.where(np.arange(len(names)) % 2, np.nan, 1 / 3)
    table = found.table.assign(category=names, mean=mean, edited=labels[0] % 2 == 0)
    return replace(found, table=table)


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("label_set", [shapes(), named([*NASTY, *NUMBERLIKE]), named([])])
def test_there_and_back(tmp_path: Path, name: str, label_set: LabelSet) -> None:
    write, read = WAYS[name]
    assert write(tmp_path / name, label_set) == []
    found, table = read(tmp_path / name), label_set.table
    assert list(found.columns) == list(table.columns)
    for column in table.columns:
        np.testing.assert_array_equal(found[column], table[column], err_msg=column)
        if len(table):
            assert found[column].dtype.kind == table[column].dtype.kind, column


def test_no_cell_begins_like_a_formula(tmp_path: Path) -> None:
    label_set = named(NASTY)
    label_set = replace(label_set, table=label_set.table.rename(columns={"mean": "=mean"}))
    tables.write(tmp_path / "a.csv", label_set)
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
    assert "=mean" in tables.read_csv(tmp_path / "a.csv").columns
    excel.write(tmp_path / "a.xlsx", label_set)
    (sheet,) = openpyxl.load_workbook(tmp_path / "a.xlsx").worksheets
    kinds = {cell.value: cell.data_type for row in sheet.rows for cell in row}
    assert {kinds[text] for text in [*NASTY, "=mean"]} == {"s"}
    marked = [cell.value for row in sheet.rows for cell in row if cell.quotePrefix]
    assert set(marked) == {*NASTY[:7], "=mean"}


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
@given(st.lists(st.text(st.sampled_from("'=+-@\t\r\n ,\"aä1"), min_size=1), max_size=5))
def test_any_text(tmp_path: Path, names: list[str]) -> None:
    label_set = named(names)
    tables.write(tmp_path / "a.csv", label_set)
    assert tables.read_csv(tmp_path / "a.csv")["category"].to_list() == names


def test_signs_that_a_workbook_cannot_hold(tmp_path: Path) -> None:
    excel.write(tmp_path / "a.xlsx", named(["a\x00b\x1fc"]))
    assert excel.read_excel(tmp_path / "a.xlsx")["category"].to_list() == ["abc"]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_70_000_rows(tmp_path: Path, name: str) -> None:
    write, read = WAYS[name]
    label_set = many()
    write(tmp_path / name, label_set)
    pd.testing.assert_series_equal(
        read(tmp_path / name)["index"], label_set.table["index"], check_dtype=False
    )


def test_more_rows_than_a_sheet_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excel, "MOST_ROWS", 5)
    with pytest.raises(InputError, match="fewer than 5 rows for Excel, got 7"):
        excel.write(tmp_path / "a.xlsx", shapes())


@pytest.mark.parametrize("name", WAYS)
def test_damage_is_named(tmp_path: Path, name: str) -> None:
    write, read = WAYS[name]
    write(tmp_path / name, shapes())
    data = (tmp_path / name).read_bytes()
    for part in (
        b"",
        b"\xff\xfe\x00nothing",
        data[: len(data) // 2] if name != "a.csv" else b"a\n",
    ):
        (tmp_path / name).write_bytes(part)
        with pytest.raises(InputError, match=name):
            read(tmp_path / name)


def test_a_workbook_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as file:
        file.writestr("a", "b")
    with pytest.raises(InputError, match="workbook"):
        excel.read_excel(tmp_path / "a.xlsx")
