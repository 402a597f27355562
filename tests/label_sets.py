"""Label sets for tests, and what must hold of one: said with NumPy only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from helpers import draw
from numpy.typing import NDArray

from napari_instseg import Category, LabelSet

CELL, NUCLEUS = Category(1, "cell"), Category(2, "nucleus")
TISSUE, WATER = Category(5, "tissue", is_thing=False), Category(6, "water", is_thing=False)
CATEGORIES = (CELL, NUCLEUS, TISSUE, WATER)


def with_stuff(
    labels: NDArray[np.int32], ground: NDArray[np.int32] | None, axes: str = "YX", **more: Any
) -> LabelSet:
    """Objects, odd ones cells and even ones nuclei, on stuff (5, 6, or 0: void)."""
    found = LabelSet.from_labels(labels, axes, **more)
    table = found.table
    ids = np.where(table["index"] % 2, 1, 2)
    table = table.assign(category_id=ids, category=[CATEGORIES[i - 1].name for i in ids])
    if ground is None:
        return LabelSet(labels, axes, table, CATEGORIES, spacing=found.spacing)
    stuff = np.where(labels == 0, ground, 0)
    panoptic = labels.copy()
    rows = []
    for category in (TISSUE, WATER):
        places = np.nonzero(stuff == category.id)
        if not len(places[0]):
            continue
        number = max(int(labels.max()) + 1, *(row["index"] + 1 for row in rows), 1)
        panoptic[places] = number
        row = dict.fromkeys(table.columns, -1)
        (top, bottom), (left, right) = ((int(p.min()), int(p.max()) + 1) for p in places[-2:])
        height, width = labels.shape[-2:]
        rows.append(
            row
            | {"index": number, "category_id": category.id, "category": category.name}
            | {"is_thing": False, "score": 1.0, "area": len(places[0]), "source": "model"}
            | {"row_min": top, "col_min": left, "row_max": bottom, "col_max": right}
            | {"touches_edge": min(top, left) == 0 or bottom == height or right == width}
        )
    if rows:
        whole = [table, pd.DataFrame(rows, columns=table.columns)]
        table = pd.concat([part for part in whole if len(part)], ignore_index=True)
    semantic = np.where(labels > 0, np.where(labels % 2, 1, 2), stuff).astype(np.int32)
    return LabelSet(
        *(labels, axes, table, CATEGORIES),
        spacing=found.spacing,
        semantic=semantic,
        panoptic=panoptic,
        ground=ground,
    )


def drawn(picture: str, **more: Any) -> LabelSet:
    return LabelSet.from_labels(draw(picture), "YX", **more)


def check_consistent(labels: LabelSet) -> None:
    """Whether label images, table and ground say the same of each pixel and segment."""
    instances = np.asarray(labels.instances)
    semantic, panoptic = labels.read("semantic"), labels.read("panoptic")
    table = labels.table
    assert list(table["index"]) == sorted(set(table["index"]))
    assert set(table["index"]) == set(np.unique(panoptic)) - {0}
    things = table["is_thing"].astype(bool)
    assert set(table["index"][things]) == set(np.unique(instances)) - {0}
    np.testing.assert_array_equal(panoptic[instances > 0], instances[instances > 0])
    assert not np.isin(panoptic[instances == 0], table["index"][things]).any()
    names = {category.id: category for category in labels.categories}
    expected = np.zeros_like(semantic)
    for row in table.to_dict("records"):
        own = panoptic == row["index"]
        expected[own] = row["category_id"]
        assert names[row["category_id"]].name == row["category"]
        assert names[row["category_id"]].is_thing == row["is_thing"]
        check_row(row, own, labels.axes)
    np.testing.assert_array_equal(semantic, expected)


def check_row(row: dict[Any, Any], own: NDArray[np.bool_], axes: str) -> None:
    """Whether a row tells of these pixels."""
    *planes, rows, cols = np.nonzero(own)
    box = int(rows.min()), int(cols.min()), int(rows.max()) + 1, int(cols.max()) + 1
    assert row["area"] == len(rows)
    assert (row["row_min"], row["col_min"], row["row_max"], row["col_max"]) == box, row["index"]
    height, width = own.shape[-2:]
    assert row["touches_edge"] == (min(box[:2]) == 0 or box[2] == height or box[3] == width)
    for axis, along in zip(axes.lower(), planes, strict=False):
        if row["is_thing"]:
            ends = row[axis], row[f"{axis}_first"], row[f"{axis}_last"]
            assert ends == (along.min(), along.min(), along.max())


def same(a: LabelSet, b: LabelSet) -> bool:
    """Whether all label images and tables are equal, bit by bit."""
    pairs = [(getattr(a, name), getattr(b, name)) for name in ("instances", "semantic", "panoptic")]
    images = all(
        x is y is None or (x is not None and y is not None and np.array_equal(x, y))
        for x, y in pairs
    )
    pd.testing.assert_frame_equal(a.table, b.table)
    return images and a.categories == b.categories
