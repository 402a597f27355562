"""Corrections of the chosen objects, as buttons and as things to draw."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ...editing import Change
from ...models.entry import Report
from ...ops.editing.cutting import KEEP_INSIDE, KEEP_OUTSIDE
from ...segmenter import InputError, InstsegError
from ..fields import Choice
from ..form_rows import text_label
from ..prompt.drawing import sample
from ..task_row import TaskRow, notify
from .open_editor import QUICK_PIXELS
from .pencil import CLICKS, LINE, REGION, Pencil
from .session import ReviewSession
from .sheet import Point

CHOSEN, ALL = "chosen", "all"
HINTS = {
    "": "Choose objects in the table or in the picture. napari's brush, bucket and eraser work, "
    "too.",
    LINE: "Draw a line across an object, from outside to outside. Esc leaves.",
    CLICKS: "Click into each part of an object, then press Enter or double-click. A right click "
    "takes the last one back, Esc leaves.",
    REGION: "Draw around a region: what is cut away goes. Esc leaves.",
}
#: Points of a line are looked at so far from each other to find what it crosses, px.
STEP = 0.5
#: Edits that may be of all objects; of more than `MANY`, they have a thread of their own.
OF_ALL = (
    *("fill_holes", "smooth", "grow", "shrink", "cut"),
    *("remove_edge", "renumber"),
)
MANY = 1000


class EditPanel(QWidget):
    """Buttons for edits.

    Attributes
    ----------
    buttons : dict of str to QPushButton
        By what they say.
    pencil : Pencil or None
        While something is drawn.
    """

    #: The mouse draws (True), or is as it was.
    drawing = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.session: ReviewSession | None = None
        self.pencil: Pencil | None = None
        self.buttons: dict[str, QPushButton] = {}
        self.scope = Choice([("Chosen objects", CHOSEN), ("All objects", ALL)])
        self.scope.setToolTip("Whose holes are filled, who is smoothed, grown, shrunk or cut")
        self.radius, self.distance = _number(2, 50), _number(1, 500)
        self.keep = Choice([("Keep inside", KEEP_INSIDE), ("Keep outside", KEEP_OUTSIDE)])
        self.through = QCheckBox("On all planes")
        self.through.setToolTip("Split and cut on all planes of an object, not on this one only")
        self.hint, self.task = text_label(), TaskRow()
        self._build()
        self.scope.currentIndexChanged.connect(self._show_state)
        self._show_state()

    def _build(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(6)
        top = QHBoxLayout()
        top.addWidget(self._button("Delete", self.delete, "The chosen objects (Del)"))
        top.addWidget(self._button("Merge", self.merge, "The chosen objects into the first (J)"))
        column.addLayout(top)
        column.addLayout(self._drawn())
        column.addWidget(self.hint)
        column.addLayout(self._shaped())
        below = QHBoxLayout()
        tip = "Objects that reach the border of a plane"
        below.addWidget(self._button("Remove at edges", partial(self._apply, "remove_edge"), tip))
        tip = "1, 2, 3, ... in the order that they are in; stuff follows"
        below.addWidget(self._button("Renumber", partial(self._apply, "renumber"), tip))
        column.addLayout(below)
        column.addWidget(self.task)
        column.addStretch(1)

    def _drawn(self) -> QGridLayout:
        grid = QGridLayout()
        for place, (text, kind, tip) in enumerate(
            (
                ("Split by line", LINE, "Draw a line across an object (L)"),
                ("Split by clicks", CLICKS, "Click into each part of an object (K)"),
                ("Cut", REGION, "Draw a region, keep what is inside or outside"),
            )
        ):
            button = self._button(text, partial(self.draw, kind), tip)
            button.setCheckable(True)
            grid.addWidget(button, 0, place)
        grid.addWidget(self.through, 1, 0)
        grid.addWidget(self.keep, 1, 1, 1, 2)
        return grid

    def _shaped(self) -> QGridLayout:
        grid = QGridLayout()
        of = partial(self._of_scope, "fill_holes")
        grid.addWidget(self.scope, 0, 0)
        grid.addWidget(self._button("Fill holes", of, "What others have stays theirs"), 0, 1)
        smooth = self._button(
            "Smooth",
            lambda: self._of_scope("smooth", radius=self.radius.value()),
            "Edges, by what most pixels around are",
        )
        grid.addWidget(smooth, 1, 1)
        grid.addWidget(self.radius, 1, 0)
        both = QHBoxLayout()
        for name, tip in (("Grow", "Into free pixels"), ("Shrink", "From the edge inwards")):
            apply = partial(self._by_distance, name.lower())
            both.addWidget(self._button(name, apply, tip))
        grid.addLayout(both, 2, 1)
        grid.addWidget(self.distance, 2, 0)
        return grid

    def _button(self, text: str, action: Callable[[], Any], tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.clicked.connect(lambda _: action())
        self.buttons[text] = button
        return button

    def set_session(self, session: ReviewSession | None) -> None:
        """Edit the objects of another session."""
        self.put_down()
        if self.session is not None:
            self.session.selected.disconnect(self._show_state)
        self.session = session
        if session is not None:
            session.selected.connect(self._show_state)
            self.through.setVisible(len(session.labels.shape) > 2)
        self._show_state()

    # --------------------------------------------------------------------------------- edits

    @property
    def _chosen(self) -> list[int]:
        """Objects that are chosen, no stuff."""
        if self.session is None:
            return []
        things = set(self.session.labels.things["index"])
        return [label for label in self.session.chosen if label in things]

    def _apply(self, name: str, **parameters: Any) -> None:
        """Make an edit; one of all of many objects in a thread of its own."""
        session = self.session
        if session is None or session.busy:
            return
        try:
            if parameters.get("ids") is None and name in OF_ALL and _takes_long(session):
                self._start(session, name, parameters)
            else:
                self._tell(session.apply(name, **parameters))
        except InstsegError as error:
            notify(error)

    def _start(self, session: ReviewSession, name: str, parameters: dict[str, Any]) -> None:
        made: list[Change] = []
        work = session.begin(name, **parameters)

        def end() -> None:
            self.task.ended.disconnect(end)
            session.end(name, made[0] if made else None)
            self._show_state()

        def run(report: Report) -> Change:
            return work(lambda step: report(step.done, step.total, step.message))

        self.task.ended.connect(end)
        self.task.start(f"{name.replace('_', ' ')}: all objects", run, made.append)
        self._show_state()

    def _tell(self, change: Change) -> None:
        if not change.ids:
            self.hint.setText("Nothing changed.")

    def delete(self) -> None:
        """Take the chosen objects away."""
        if self._chosen:
            self._apply("delete", ids=self._chosen)

    def merge(self) -> None:
        """Make one of the chosen objects."""
        if len(self._chosen) > 1:
            self._apply("merge", ids=self._chosen)

    def _of_scope(self, name: str, **parameters: Any) -> None:
        ids = None if self.scope.currentData() == ALL else self._chosen
        if ids != []:
            self._apply(name, ids=ids, **parameters)

    def _by_distance(self, name: str) -> None:
        self._of_scope(name, distance=self.distance.value())

    # --------------------------------------------------------------------------- what is drawn

    def draw(self, kind: str) -> None:
        """Take up a pencil of a kind; put it down if it is in use."""
        again = self.pencil is not None and self.pencil.kind == kind
        self.put_down()
        if self.session is not None and not again:
            drawn = {LINE: self._split_line, CLICKS: self._split_clicks, REGION: self._cut}[kind]
            self.pencil = Pencil(self.session, kind, drawn, self.put_down)
            self.pencil.attach()
            self.drawing.emit(True)
        self._show_state()

    def put_down(self) -> None:
        """Let the mouse be as it was."""
        if self.pencil is not None:
            self.pencil.detach()
            self.pencil = None
            self.drawing.emit(False)
        self._show_state()

    def _split_line(self, plane: tuple[int, ...], line: list[Point]) -> None:
        ids = self._crossed(plane, line)
        if not ids:
            notify(InputError("the line crosses no object: draw it across one"))
            return
        through = self._all_planes
        self._apply("split_line", id=ids[0], line=line, plane=plane, through=through)

    def _crossed(self, plane: tuple[int, ...], line: list[Point]) -> list[int]:
        """Objects under a line: chosen ones first, then the one with most of it."""
        if self.session is None:
            return []
        places = np.floor(sample(line, STEP)).astype(int)
        low = np.maximum(places.min(axis=0), 0)
        high = np.minimum(places.max(axis=0) + 1, self.session.labels.shape[-2:])
        if (low >= high).any():
            return []
        rows, cols = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        where = (*(slice(i, i + 1) for i in plane), rows, cols)
        part = self.session.labels.read("instances", where).reshape(high - low)
        places = places[((places >= low) & (places < high)).all(axis=1)] - low
        met = Counter(label for label in part[tuple(places.T)].tolist() if label)
        return sorted(met, key=lambda label: (label not in self._chosen, -met[label]))

    def _split_clicks(self, plane: tuple[int, ...], points: list[Point]) -> None:
        pixels = [(*plane, *(int(np.floor(i)) for i in point)) for point in points]
        if self.session is None:
            return
        where = tuple(slice(i, i + 1) for i in pixels[0])
        inside = all(0 <= i < n for i, n in zip(pixels[0], self.session.labels.shape, strict=True))
        label = int(self.session.labels.read("instances", where).item()) if inside else 0
        if not label:
            notify(InputError("the first click is not on an object: click into each of its parts"))
            return
        through = self._all_planes
        self._apply("split_points", id=label, points=pixels, through=through)

    def _cut(self, plane: tuple[int, ...], corners: list[Point]) -> None:
        parameters: dict[str, Any] = {"keep": self.keep.currentData(), "polygon": corners}
        if not self._all_planes:
            parameters["plane"] = plane
        self._of_scope("cut", **parameters)

    @property
    def _all_planes(self) -> bool:
        return self.through.isVisibleTo(self) and self.through.isChecked()

    def _show_state(self, chosen: object = None) -> None:
        session, count = self.session, len(self._chosen)
        there = session is not None and not session.busy
        some = there and (count > 0 or self.scope.currentData() == ALL)
        kind = "" if self.pencil is None else self.pencil.kind
        enabled = {"Delete": there and count > 0, "Merge": there and count > 1}
        enabled |= dict.fromkeys(("Fill holes", "Smooth", "Grow", "Shrink"), some)
        for text, button in self.buttons.items():
            button.setEnabled(enabled.get(text, there))
        for text, one in (("Split by line", LINE), ("Split by clicks", CLICKS), ("Cut", REGION)):
            self.buttons[text].setChecked(kind == one)
        self.hint.setText(HINTS[kind])


def _takes_long(session: ReviewSession) -> bool:
    """Whether an edit of all objects would hold up the window."""
    return len(session.labels.table) > MANY or math.prod(session.labels.shape) > QUICK_PIXELS


def _number(value: float, most: float) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(0.5, most)
    box.setDecimals(1)
    box.setSingleStep(0.5)
    box.setSuffix(" px")
    box.setValue(value)
    return box
