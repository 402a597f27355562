"""The Review dock's table, and hiding objects, until they are painted.

The table's peer is the usual way: a model over a pandas table, sorted and filtered by a
`QSortFilterProxyModel`, which asks Python for each row. Objects are hidden by their colours here;
the peers write the labels anew, or give napari a colour for each label that is seen.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from ._common import Result, Row, command
from ._processes import Measured, Meter, display, measure

ROWS, SIZE, OBJECTS = 50_000, 2048, 5_000
ACTIONS = ("open", "sort", "filter")
OURS, PEER = "napari-instseg", "QSortFilterProxyModel over pandas"
WAYS = {
    "colours": OURS,
    "isin": "np.isin, layer.data =",
    "table": "labels in place, through a table",
    "direct": "DirectLabelColormap of those seen",
}


def run(options: argparse.Namespace) -> list[Result]:
    """Measure all contenders."""
    wrapper, failure = display()
    size = min(options.size or SIZE, SIZE)
    share = (size / SIZE) ** 2
    rows, objects = round(ROWS * share), round(OBJECTS * share)
    common: dict[str, Any] = {"repeats": options.repeats or 5, "wrapper": wrapper}
    results = []
    for action in ACTIONS:
        found = [
            Measured(failure=failure)
            if failure
            else measure(use_table, ours=ours, action=action, rows=rows, **common)
            for ours in (True, False)
        ]
        named = [Row.of(OURS, found[0], reference=True), Row.of(PEER, found[1])]
        results.append(Result(f"a table of {rows:,} objects: {action}", named))
    hidden = []
    for way, name in WAYS.items():
        ran = (
            Measured(failure=failure)
            if failure
            else measure(hide, way=way, size=size, count=objects, **common)
        )
        note = "the labels stay" if way in ("colours", "direct") else "hidden ones are deleted"
        hidden.append(Row.of(name, ran, note, reference=way == "colours"))
    return [*results, Result(f"half of {objects:,} objects hidden on {size}²", hidden)]


# ---------------------------------------------------------------------------------- contenders


def use_table(meter: Meter, ours: bool, action: str, rows: int, repeats: int) -> None:
    """Open, sort or filter a table in a window; the time is until that is painted."""
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QApplication

    application = QApplication.instance() or QApplication([])
    table = _objects(rows)
    make = _our_view if ours else _peer_view
    random = np.random.default_rng(0)
    view, keep = make(table)
    for turn in range(repeats):
        kept = random.random(rows) < 0.5
        if action == "open":
            view.close()
        with meter.work():
            if action == "open":
                view, keep = make(table)
            elif action == "sort":
                view.sortByColumn(3, Qt.SortOrder(turn % 2))
            else:
                keep(kept)
            view.viewport().repaint()
            application.processEvents()


def _objects(rows: int) -> Any:
    import pandas as pd

    random = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "index": np.arange(1, rows + 1),
            "category": random.choice(["nucleus", "debris"], rows),
            "score": random.random(rows),
            "area": random.integers(10, 2000, rows),
            "source": "benchmark",
        }
    )


def _our_view(table: Any) -> tuple[Any, Any]:
    from napari_instseg.gui.review.columns import columns_of
    from napari_instseg.gui.review.table_model import SegmentModel
    from napari_instseg.gui.review.table_view import SegmentView

    model = SegmentModel()
    model.set_columns(columns_of(table, {}))
    view = SegmentView(model)
    view.resize(460, 480)
    view.show()
    return view, model.keep


def _peer_view(table: Any) -> tuple[Any, Any]:
    from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt
    from qtpy.QtWidgets import QTableView

    class Model(QAbstractTableModel):
        def rowCount(self, parent: Any = QModelIndex()) -> int:  # noqa: B008, N802
            return len(table)

        def columnCount(self, parent: Any = QModelIndex()) -> int:  # noqa: B008, N802
            return table.shape[1]

        def data(self, index: Any, role: Any = Qt.ItemDataRole.DisplayRole) -> Any:
            if role == Qt.ItemDataRole.DisplayRole:
                value = table.iat[index.row(), index.column()]
                return value.item() if hasattr(value, "item") else value
            return None

    class Proxy(QSortFilterProxyModel):
        kept = np.ones(len(table), bool)

        def filterAcceptsRow(self, row: int, parent: Any) -> bool:  # noqa: N802
            return bool(self.kept[row])

    view = QTableView()
    model, proxy = Model(view), Proxy(view)
    proxy.setSourceModel(model)
    view.setModel(proxy)
    view.setSortingEnabled(True)
    view.resize(460, 480)
    view.show()

    def keep(kept: Any) -> None:
        proxy.kept = kept
        proxy.invalidateFilter()

    return view, keep


def hide(meter: Meter, way: str, size: int, count: int, repeats: int) -> None:
    """Show another half of the objects of a layer each time, until it is painted."""
    import napari
    from napari.utils.colormaps import DirectLabelColormap
    from qtpy.QtWidgets import QApplication

    from napari_instseg.gui.review.hiding import Hider

    labels = _squares(size, count)
    viewer = napari.Viewer(show=True)
    layer = viewer.add_labels(labels.copy())
    colors = layer.colormap
    hider = Hider(layer)
    random = np.random.default_rng(2)
    QApplication.processEvents()
    # The first time, code is compiled and textures are made.
    for turn in range(repeats + 1):
        order = random.permutation(count) + 1
        hidden, kept = np.sort(order[: count // 2]), np.sort(order[count // 2 :])

        def show(hidden: Any = hidden, kept: Any = kept) -> None:
            if way == "colours":
                hider.hide(hidden, count)
            elif way == "isin":
                layer.data = np.where(np.isin(labels, kept), labels, 0)
            elif way == "table":
                table = np.zeros(count + 1, np.int32)
                table[kept] = kept
                np.take(table, labels, out=layer.data)
                layer.refresh(extent=False, thumbnail=False)
            else:
                seen = dict(zip(kept.tolist(), colors.map(kept), strict=True))
                layer.colormap = DirectLabelColormap(
                    color_dict={None: np.zeros(4), 0: np.zeros(4), **seen}
                )
            QApplication.processEvents()

        if turn == 0:
            show()
            continue
        with meter.work():
            show()
    viewer.close()


def _squares(size: int, count: int) -> Any:
    side = int(np.ceil(count**0.5))
    pitch = size // side
    row, col = np.mgrid[:size, :size]
    label = np.minimum(row // pitch, side - 1) * side + np.minimum(col // pitch, side - 1) + 1
    inside = (row % pitch > 2) & (col % pitch > 2) & (label <= count)
    return np.where(inside, label, 0).astype(np.int32)


if __name__ == "__main__":
    command(run, __doc__)
