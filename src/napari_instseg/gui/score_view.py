"""A report as a small table: measure, value, interval."""

from __future__ import annotations

from collections.abc import Iterator

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from ..evaluation import Report, Score
from ..evaluation.text import number

#: Name, value, interval, tooltip of a row; one without a value is a heading.
Row = tuple[str, str, str, str]
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
#: Rows that are seen without scrolling, and the height of one, px.
SHOWN, HEIGHT = 9, 22
#: Qt's own largest, px.
ANY_HEIGHT = (1 << 24) - 1
#: More images than this are not listed one by one.
MOST_IMAGES = 2000

AP_TIP = "TP / (TP + FP + FN): right objects among all that are there or were found"
TIPS = {
    "map": f"Mean over IoU thresholds of AP = {AP_TIP}",
    "ap": AP_TIP,
    "precision": "TP / (TP + FP): how many of the found objects are right",
    "recall": "TP / (TP + FN): how many of the objects were found",
    "f1": "2 TP / (2 TP + FP + FN)",
    "pq": "Panoptic quality: F1 × mean IoU of the matches",
    "sq": "Mean IoU of the matches",
    "dice": "Dice of the foreground, whatever the object",
}


class ScoreView(QTableWidget):
    """Shows a `Report`."""

    def __init__(self) -> None:
        super().__init__(0, 3)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setShowGrid(False)
        self.setHorizontalHeaderLabels(["Measure", "Value", "Interval"])
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        if rows is not None and columns is not None:
            rows.hide()
            rows.setDefaultSectionSize(HEIGHT)
            columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            columns.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.setMinimumHeight(HEIGHT * (SHOWN + 1) + 6)

    def show_report(self, report: Report, *, alone: bool) -> None:
        """Fill the table; ``alone``, it takes all the room there is."""
        self.setMaximumHeight(ANY_HEIGHT if alone else self.minimumHeight())
        listed = list(rows_of(report))
        intervals = report.intervals
        heading = "Interval" if intervals is None else f"{intervals.level:.0%}"
        self.setHorizontalHeaderLabels(["Measure", "Value", heading])
        tip = "" if intervals is None else f"From {intervals.draws} draws of {intervals.drawn}"
        item = self.horizontalHeaderItem(2)
        if item is not None:
            item.setToolTip(tip)
        self.setRowCount(len(listed))
        for place, (name, value, interval, hint) in enumerate(listed):
            for column, text in enumerate((name, value, interval)):
                cell = QTableWidgetItem(text)
                cell.setToolTip(hint)
                cell.setTextAlignment(RIGHT if column else LEFT)
                if not value:
                    font = cell.font()
                    font.setBold(True)
                    cell.setFont(font)
                self.setItem(place, column, cell)

    def value_of(self, name: str) -> str:
        """Return the value beside a name; "" if it is not there."""
        for row in range(self.rowCount()):
            cells = self.item(row, 0), self.item(row, 1)
            if cells[0] is not None and cells[1] is not None and cells[0].text() == name:
                return cells[1].text()
        return ""


def _span(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else "–".join(f"{end:.2f}" for end in ends)


def rows_of(report: Report) -> Iterator[Row]:
    """List what is shown of a report."""
    score, intervals = report.pooled, report.intervals
    ends = {} if intervals is None else intervals.values
    first = f"{min(score.matches):g}"
    match = score.matches[min(score.matches)]
    named = {
        "map": ("Mean AP", score.mean_average_precision),
        "ap": (f"AP at IoU {first}", match.average_precision),
        "precision": ("Precision", match.precision),
        "recall": ("Recall", match.recall),
        "f1": ("F1", match.f1),
        "pq": ("PQ", match.panoptic_quality),
        "sq": ("SQ", match.segmentation_quality),
        "dice": ("Dice", score.dice),
    }
    if score.images > 1:
        yield "Images", str(score.images), "", "Frames of a time-lapse are images of their own"
    yield "Objects: truth, found", f"{score.truth_count}, {score.predicted_count}", "", ""
    for key, (name, value) in named.items():
        yield name, number(value), _span(ends.get(key)), TIPS[key]
    yield "Over-, under-segmented", f"{score.over_segmented}, {score.under_segmented}", "", ""
    if score.distances:
        tip = "Mean distance between the outlines of matched objects"
        yield "Boundary distance", f"{score.boundary_distance:.2f} {report.unit}", "", tip
    if report.coco is not None:
        coco = report.coco
        tip = "" if coco.has_scores else "All scores are equal"
        parts = {"AP": coco.ap, "AP50": coco.ap50, "AP75": coco.ap75}
        parts |= {f"AP {size}": value for size, value in coco.ap_by_size.items()}
        parts["AR"] = coco.ar
        of_coco = {} if coco.intervals is None else coco.intervals.values
        for name, value in parts.items():
            yield f"COCO {name}", number(value), _span(of_coco.get(name.lower())), tip
    if len(score.categories) > 1:
        yield from _categories(score)
    if 1 < len(report.images) <= MOST_IMAGES:
        yield f"Each image: AP at IoU {first}", "", "", ""
        for one in report.images:
            ap = one.matches[min(one.matches)].average_precision
            tip = f"{one.truth_count} there, {one.predicted_count} found"
            yield one.name, number(ap), "", tip


def _categories(score: Score) -> Iterator[Row]:
    yield "Categories: PQ, IoU", "", "", ""
    for one in score.categories:
        values = f"{number(one.panoptic.panoptic_quality)}, {number(one.iou)}"
        yield one.name, values, "", f"{one.truth_count} there, {one.predicted_count} found"
    means = f"{number(score.panoptic()['pq'])}, {number(score.mean_iou)}"
    yield "Mean", means, "", "PQ of all categories, and mIoU"
