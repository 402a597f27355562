"""The list of models: grouped, searched by typing, filtered by task."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QHelpEvent, QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ..models.entry import GROUPS, ZOO, ModelEntry
from .fields import Choice
from .model_text import DETECTRON2, GROUP_TITLES, TASKS, does, mark, megabytes, task, tooltip

COLUMNS = ("Model", "Task", "Trained on", "MB", "Here")
HEADER_TIPS = {
    "MB": "Size of the file with the weights",
    "Here": "✓ on this machine   ↓ is downloaded when it is first used   ✗ its file is missing",
}
ALIGNMENT = {"MB": Qt.AlignmentFlag.AlignRight, "Here": Qt.AlignmentFlag.AlignHCenter}
#: Order of the tasks in the zoo.
SECTIONS = ("instances", "panoptic", "semantic", "boxes", "")
#: Keys that move in the list, also while one types in the search field, and by how many rows.
MOVES = {
    Qt.Key.Key_Up: -1,
    Qt.Key.Key_Down: 1,
    Qt.Key.Key_PageUp: -12,
    Qt.Key.Key_PageDown: 12,
}


class ModelTree(QWidget):
    """Search field, task filter and tree.

    Parameters
    ----------
    columns : sequence of str
        Of `COLUMNS`, those to show.
    actions : sequence of (str, str)
        Text and key of what the group "More" offers; none, no such group.
    """

    #: A `ModelEntry`, or the key of an action, was chosen with Enter or a click.
    chosen = Signal(object)
    #: The current row changed.
    moved = Signal()

    def __init__(
        self, columns: Sequence[str] = COLUMNS, actions: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__()
        self._actions = actions
        self._rows: list[_Row] = []
        self._headings: list[_Heading] = []
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search")
        self.search.setClearButtonEnabled(True)
        self.search.setToolTip("Words of the name, data set, licence or description")
        self.search.textChanged.connect(lambda _: self._filter())
        self.search.installEventFilter(self)
        self.task = Choice()
        self.task.setToolTip("Show the models for one task only")
        self.task.currentIndexChanged.connect(lambda _: self._filter())
        self.tree = _Tree()
        self.tree.currentItemChanged.connect(lambda *_: self.moved.emit())
        self.tree.itemClicked.connect(lambda *_: self._choose())
        self.tree.installEventFilter(self)
        self._set_columns(columns)
        self.nothing = QLabel("No model has all these words.")
        self.nothing.hide()
        line = QHBoxLayout()
        line.addWidget(self.search, 2)
        line.addWidget(self.task, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(line)
        column.addWidget(self.tree, 1)
        column.addWidget(self.nothing)

    def fill(self, entries: Sequence[ModelEntry], current: str = "") -> None:
        """Show these models; the one with the name ``current`` becomes the current row."""
        tree = self.tree
        self._offer_tasks({name for name in TASKS if any(does(e, name) for e in entries)})
        tree.setUpdatesEnabled(False)
        tree.clear()
        self._headings.clear()
        self._rows = []
        for group in GROUPS:
            members = [entry for entry in entries if entry.group == group]
            if members:
                self._add_group(group, members)
        if self._actions:
            more = _Heading(tree, "More")
            self._rows += [_Row(more, key, [text]) for text, key in self._actions]
            self._headings.append(more)
        self._filter()
        self.select(current)
        tree.setUpdatesEnabled(True)

    def value(self) -> ModelEntry | str | None:
        """Return the model, or the key of the action, of the current row."""
        item = self.tree.currentItem()
        return item.value if isinstance(item, _Row) and not item.isHidden() else None

    def entry(self) -> ModelEntry | None:
        """Return the model of the current row."""
        value = self.value()
        return value if isinstance(value, ModelEntry) else None

    def shown(self) -> list[ModelEntry]:
        """List the models that are not filtered out."""
        values = [row.value for row in self._rows if not row.isHidden()]
        return [value for value in values if isinstance(value, ModelEntry)]

    def select(self, name: str) -> None:
        """Make the row of a model the current one, if it is there."""
        for row in self._rows:
            value = row.value
            if isinstance(value, ModelEntry) and value.name == name and not row.isHidden():
                self.tree.setCurrentItem(row)
                self.tree.scrollToItem(row, QAbstractItemView.ScrollHint.PositionAtCenter)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Let arrows and Enter reach the tree from the search field, and letters the field."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            key = Qt.Key(event.key())
            if key in MOVES:
                self._move(MOVES[key])
                return True
            if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._choose()
                return True
            if watched is self.tree and event.text().isprintable() and event.text().strip():
                self.search.setFocus()
                self.search.insert(event.text())
                return True
        return super().eventFilter(watched, event)

    def _move(self, steps: int) -> None:
        """Go up or down so many rows, past headings."""
        rows = [row for row in self._rows if not row.isHidden()]
        current = self.tree.currentItem()
        here = next((i for i, row in enumerate(rows) if row is current), -1)
        if rows:
            self.tree.setCurrentItem(rows[min(max(here + steps, 0), len(rows) - 1)])

    def _offer_tasks(self, tasks: set[str]) -> None:
        """Offer to show one of the tasks that there are; one alone needs no choice."""
        named = [(name.capitalize(), name) for name in sorted(tasks)]
        self.task.set_options([("All tasks", ""), *named])
        self.task.setVisible(len(named) > 1)

    def _set_columns(self, columns: Sequence[str]) -> None:
        tree = self.tree
        titles, header = tree.headerItem(), tree.header()
        if titles is None or header is None:
            return
        for i, name in enumerate(COLUMNS):
            tree.setColumnHidden(i, name not in columns)
            titles.setToolTip(i, HEADER_TIPS.get(name, ""))
            titles.setTextAlignment(i, ALIGNMENT.get(name, Qt.AlignmentFlag.AlignLeft))
            header.setSectionResizeMode(i, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setStretchLastSection(False)
        header.setMinimumSectionSize(20)

    def _add_group(self, group: str, members: Sequence[ModelEntry]) -> None:
        top = _Heading(self.tree, GROUP_TITLES[group])
        self._headings.append(top)
        if group != ZOO:
            self._rows += [_model_row(top, entry) for entry in members]
            return
        if DETECTRON2 in members[0].absent_modules():
            top.setText(0, f"{top.text(0)} – not installed yet")
        sections: dict[str, _Heading] = {}
        for entry in sorted(members, key=lambda entry: SECTIONS.index(task(entry))):
            title = f"{task(entry).capitalize()} · {entry.dataset}"
            if title not in sections:
                sections[title] = _Heading(top, title)
            self._rows.append(_model_row(sections[title], entry))
        # Those inside first: whether they are empty decides on the outer one.
        self._headings[-1:] = [*sections.values(), top]

    def _filter(self) -> None:
        """Hide what does not match, and make the first match the current row."""
        words, wanted = self.search.text().lower().split(), str(self.task.currentData())
        for row in self._rows:
            if isinstance(row.value, ModelEntry):
                found = does(row.value, wanted) and all(word in row.words for word in words)
                row.setHidden(not found)
        for heading in self._headings:
            children = [heading.child(i) for i in range(heading.childCount())]
            heading.setHidden(all(child is None or child.isHidden() for child in children))
        models = [r for r in self._rows if isinstance(r.value, ModelEntry) and not r.isHidden()]
        self.nothing.setVisible(not models)
        current = self.tree.currentItem()
        if current is None or current.isHidden():
            self.tree.setCurrentItem(models[0] if models else None)
        self.moved.emit()

    def _choose(self) -> None:
        value = self.value()
        if value is not None:
            self.chosen.emit(value)


class _Row(QTreeWidgetItem):
    """A model, or the key of an action; ``words`` are what it is searched by."""

    def __init__(
        self, parent: QTreeWidgetItem, value: ModelEntry | str, texts: list[str], words: str = ""
    ) -> None:
        super().__init__(parent, texts)
        self.value, self.words = value, words


class _Heading(QTreeWidgetItem):
    """The title of a group, open."""

    def __init__(self, parent: QTreeWidgetItem | QTreeWidget, text: str) -> None:
        # Two calls, since types of the arguments choose between two constructors.
        if isinstance(parent, QTreeWidget):
            super().__init__(parent, [text])
        else:
            super().__init__(parent, [text])
        self.setFlags(Qt.ItemFlag.ItemIsEnabled)
        self.setFirstColumnSpanned(True)
        self.setExpanded(True)
        font = self.font(0)
        font.setBold(True)
        self.setFont(0, font)


def _model_row(parent: QTreeWidgetItem, entry: ModelEntry) -> _Row:
    texts = [entry.title, task(entry), entry.dataset, megabytes(entry), mark(entry)]
    known = (entry.name, entry.title, entry.dataset, entry.license, entry.description)
    row = _Row(parent, entry, texts, " ".join((*known, *entry.outputs)).lower())
    for name, alignment in ALIGNMENT.items():
        row.setTextAlignment(COLUMNS.index(name), alignment)
    return row


class _Tree(QTreeWidget):
    """A tree that looks up its models' tooltips when they are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.setHeaderLabels(list(COLUMNS))
        self.setRootIsDecorated(True)
        self.setUniformRowHeights(True)
        self.setIndentation(10)
        self.setAllColumnsShowFocus(True)
        self.setStyleSheet("QTreeView::item { padding: 2px 0px; }")
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def viewportEvent(self, event: QEvent | None) -> bool:  # noqa: N802
        """Find out what a model lacks only when someone wants to know: it takes a while."""
        if isinstance(event, QHelpEvent):
            item = self.itemAt(event.pos())
            if isinstance(item, _Row) and isinstance(item.value, ModelEntry):
                for i in range(len(COLUMNS)):
                    item.setToolTip(i, tooltip(item.value))
        return super().viewportEvent(event)
