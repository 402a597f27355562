"""The review table's columns, order and filters, without a viewer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from gui.clicks import LEFT
from gui.review.objects import table
from hypothesis import given, settings
from hypothesis import strategies as st
from qtpy.QtCore import QPoint, Qt

from napari_instseg.gui.review.columns import columns_of
from napari_instseg.gui.review.filters import Filters
from napari_instseg.gui.review.table_model import SegmentModel, sort_order
from napari_instseg.gui.review.table_view import SegmentView

MANY = 50_000
UP, DOWN = Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder


class Counting(SegmentModel):
    """Counts how often Qt asks for a cell."""

    asked = 0

    def data(self, index: Any, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        self.asked += 1
        return super().data(index, role)


def model_of(rows: pd.DataFrame, kind: type[SegmentModel] = SegmentModel) -> SegmentModel:
    model = kind()
    model.set_columns(columns_of(rows, {}))
    return model


def place(model: SegmentModel, name: str) -> int:
    return [column.name for column in model.columns].index(name)


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("name", ["index", "score", "area"])
def test_the_order_is_that_of_pandas(name: str, falling: bool) -> None:
    rows = table(500)
    model = model_of(rows)
    model.sort(place(model, name), DOWN if falling else UP)
    wanted = rows.sort_values(name, kind="stable", ascending=not falling)
    assert model.shown_labels().tolist() == wanted["index"].tolist()
    model.sort(-1)
    assert model.shown_labels().tolist() == rows["index"].tolist()


def test_texts_are_in_the_order_of_the_alphabet() -> None:
    rows = table(60)
    model = model_of(rows)
    column = place(model, "category")
    model.sort(column, UP)
    texts = [model.data(model.index(row, column)) for row in range(model.rowCount())]
    assert texts == sorted(texts, key=str.casefold)
    assert set(texts) == {"Cell", "debris", "nucleus"}


@given(st.lists(st.one_of(st.floats(-5, 5), st.just(float("nan")))), st.booleans())
def test_what_has_no_value_comes_last(values: list[float], falling: bool) -> None:
    ranks = np.array(values, float)
    found = ranks[sort_order(ranks, falling=falling)]
    known = found[~np.isnan(found)]
    assert np.isnan(found[len(known) :]).all()
    assert known.tolist() == sorted(known.tolist(), reverse=falling)


@settings(max_examples=40)
@given(
    st.floats(0, 1), st.floats(0, 1), st.integers(0, 600), st.sampled_from(["", "CELL", "e", "7"])
)
def test_a_filter_keeps_what_pandas_would(low: float, high: float, area: int, text: str) -> None:
    rows = table(300)
    rows.loc[::7, "score"] = np.nan
    filters, columns = Filters(), columns_of(rows, {})
    filters.ranges = {"score": (low, high), "area": (area, np.inf)}
    filters.text = text
    score = rows["score"].astype(float)
    wanted = ~((score < low) | (score > high)) & (rows["area"] >= area)
    if text == "7":
        wanted &= rows["index"] == 7
    elif text:
        hits = [rows[name].str.contains(text, case=False) for name in ("category", "source")]
        wanted &= hits[0] | hits[1]
    assert filters.kept(columns).tolist() == wanted.tolist()


def test_a_filtered_table_stays_sorted_and_the_other_way_round() -> None:
    rows = table(200)
    model = model_of(rows)
    model.keep((rows["area"] > 250).to_numpy())
    model.sort(place(model, "score"), DOWN)
    wanted = rows[rows["area"] > 250].sort_values("score", kind="stable", ascending=False)
    assert model.shown_labels().tolist() == wanted["index"].tolist()
    model.keep(np.ones(200, bool))
    assert model.rowCount() == 200
    assert np.array_equal(np.sort(model.shown_labels()), rows["index"])
    # Other values of the same columns are sorted as these were.
    model.set_columns(columns_of(rows.head(50), {}))
    wanted = rows.head(50).sort_values("score", kind="stable", ascending=False)
    assert model.shown_labels().tolist() == wanted["index"].tolist()


def test_areas_are_known_in_um_where_pixels_are() -> None:
    rows = table(5)
    (area,) = [c for c in columns_of(rows, {"Y": 0.5, "X": 0.2}) if c.name == "area_um2"]
    np.testing.assert_allclose(area.values, rows["area"] * 0.1)
    assert "area_um2" not in [c.name for c in columns_of(rows, {"Z": 1.0})]


def test_of_50000_rows_qt_asks_for_those_it_shows(qtbot: Any) -> None:
    model = model_of(table(MANY), Counting)
    assert isinstance(model, Counting)
    view = SegmentView(model)
    qtbot.addWidget(view)
    view.resize(400, 300)
    view.show()
    qtbot.waitExposed(view)
    cells = (view.height() // 24 + 2) * model.columnCount()
    header = view.horizontalHeader()
    model.asked = 0
    at = header.sectionViewportPosition(place(model, "area")) + 10
    qtbot.mouseClick(header.viewport(), LEFT, pos=QPoint(at, 8))
    qtbot.wait(50)
    assert model.sorted_by == ("area", UP)
    kept = np.zeros(MANY, bool)
    kept[::2] = True
    model.keep(kept)
    view.mark(model.shown_labels()[12_000:12_500].tolist())
    view.mark(model.shown_labels()[::3].tolist())
    assert len(view.marked_labels()) == len(range(0, MANY // 2, 3))
    view.scrollToBottom()
    qtbot.wait(50)
    # A few roles a cell, and a few paintings; every row even once would be 25,000.
    assert 0 < model.asked < 100 * cells < MANY


def test_marking_tells_nothing_and_scrolls_there(qtbot: Any) -> None:
    model = model_of(table(1000))
    view = SegmentView(model)
    qtbot.addWidget(view)
    view.resize(400, 300)
    view.show()
    qtbot.waitExposed(view)
    told: list[list[int]] = []
    view.marked.connect(told.append)
    view.mark([700, 5, 6])
    assert view.marked_labels() == [700, 5, 6]
    assert told == []
    top, bottom = view.rowAt(0), view.rowAt(view.viewport().height() - 1)
    assert top <= 699 <= bottom
    row = view.visualRect(model.index(705, 0)).center()
    qtbot.mouseClick(view.viewport(), LEFT, pos=row)
    assert told == [[706]]


def test_columns_that_come_do_not_unhide_others(qtbot: Any) -> None:
    rows = table(10)
    model = SegmentModel()
    view = SegmentView(model)
    qtbot.addWidget(view)
    model.set_columns(columns_of(rows, {}))

    def seen() -> list[str]:
        return [c.name for i, c in enumerate(model.columns) if not view.isColumnHidden(i)]

    assert seen() == ["index", "category", "score", "area"]
    (action,) = [a for a in view.columns_menu().actions() if a.text() == "Category"]
    action.trigger()
    model.sort(place(model, "area"), DOWN)
    model.set_columns(columns_of(rows.assign(solidity=0.5, edited=False, nice=1.0), {}))
    assert seen() == ["index", "score", "area", "edited", "solidity", "nice"]
    assert view.horizontalHeader().sortIndicatorSection() == place(model, "area")
    assert view.horizontalHeader().sortIndicatorOrder() == DOWN
