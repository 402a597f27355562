"""What tables with fixed columns tell Qt of these."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, ClassVar

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
Index = QModelIndex | QPersistentModelIndex
Role = Qt.ItemDataRole


class ColumnModel(QAbstractTableModel):
    """A table whose columns are always the same; rows are its subclass's."""

    #: Titles.
    TITLES: ClassVar[Sequence[str]]
    #: Places of columns with numbers, which stand on the right.
    NUMBERS: ClassVar[Collection[int]]

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008, N802
        """Number of columns."""
        return 0 if parent.isValid() else len(self.TITLES)

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Role.DisplayRole
    ) -> Any:
        """Names of columns."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Role.TextAlignmentRole:
            return RIGHT if section in self.NUMBERS else LEFT
        return self.TITLES[section] if role == Role.DisplayRole else None
