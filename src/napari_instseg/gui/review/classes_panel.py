"""The classes that objects may have, and the keys that give them."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from ...ops.editing.categorizing import Categorize
from ...ops.editing.renaming import Rename
from ...segmenter import Category, InstsegError
from ..form_rows import text_label
from ..prompt.classes import ClassTable
from ..task_row import notify
from .session import ReviewSession

HINT = (
    "Choose objects in the table or in the picture; then press the key of a class. "
    "Double-click a name to change it."
)


class ClassesPanel(QWidget):
    """Lists classes; a key, or the button, gives one to the chosen objects."""

    def __init__(self) -> None:
        super().__init__()
        self.session: ReviewSession | None = None
        self.classes = ClassTable()
        # Objects may have it; a class without objects is not kept anyway.
        self.classes.remove_button.hide()
        self.classes.table.setToolTip("Keys 1 to 9 give these to the chosen objects")
        self.give_button = QPushButton()
        self.give_button.clicked.connect(lambda: self._give(self.classes.current().id))
        hint = text_label()
        hint.setText(HINT)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(6)
        for part in (hint, self.classes, self.give_button):
            column.addWidget(part)
        column.addStretch(1)
        self.classes.chosen.connect(self._show_state)
        self.classes.edited.connect(self._rename)

    def set_session(self, session: ReviewSession | None) -> None:
        """Show the classes of another session."""
        if self.session is not None:
            self.session.selected.disconnect(self._show_state)
            self.session.changed.disconnect(self._list)
        self.session = session
        if session is not None:
            self._show(self._known(session))
            session.selected.connect(self._show_state)
            session.changed.connect(self._list)
        self._show_state()

    def _known(self, session: ReviewSession) -> list[Category]:
        """Categories of objects that the session has."""
        return [category for category in session.labels.categories if category.is_thing]

    def _show(self, classes: list[Category]) -> None:
        with QSignalBlocker(self.classes):
            current = self.classes.current().id
            self.classes.set_classes(classes)
            self.classes.choose(current)

    def _list(self, change: object = None) -> None:
        """Follow the session's classes, which an edit may have changed; keep those added here."""
        if self.session is None:
            return
        listed, known = self.classes.classes(), self._known(self.session)
        there = {one.id: one for one in known}
        new = [one for one in listed if one.id not in there]
        if {one.id: one for one in listed} != there | {one.id: one for one in new}:
            self._show([*known, *new])

    def _rename(self) -> None:
        """Take over a name that was typed for a class that the session has."""
        session = self.session
        if session is not None:
            names = {one.id: one.name for one in self._known(session)}
            for one in self.classes.classes():
                if names.get(one.id, one.name) != one.name:
                    self._apply(Rename.NAME, category_id=one.id, name=one.name)
        self._show_state()

    def press(self, key: str) -> None:
        """Give the class of a number key to the chosen objects; nothing if there is none."""
        category = self.classes.class_of(key)
        if category is not None:
            self.classes.choose(category.id)
            self._give(category.id)

    def _give(self, number: int) -> None:
        session = self.session
        if session is None or not session.chosen:
            return
        things = set(session.labels.things["index"])
        ids = [label for label in session.chosen if label in things]
        name = next(one.name for one in self.classes.classes() if one.id == number)
        self._apply(Categorize.NAME, ids=ids, category_id=number, name=name)

    def _apply(self, edit: str, /, **parameters: Any) -> None:
        if self.session is not None:
            try:
                self.session.apply(edit, **parameters)
            except InstsegError as error:
                notify(error)
                self._list()

    def _show_state(self, chosen: object = None) -> None:
        count = 0 if self.session is None else len(self.session.chosen)
        self.give_button.setText(f"Give “{self.classes.current().name}” to the chosen objects")
        self.give_button.setEnabled(count > 0)
