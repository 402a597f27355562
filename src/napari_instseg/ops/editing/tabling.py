"""The rows that an edit takes out of the table and puts into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .base import Edit
from .categorizing import Categorize
from .merging import Merge
from .numbering import Renumber, new_numbers
from .parts import gather
from .renaming import Rename
from .reviewing import Review
from .rows import EDGES, EDITED, REVIEWED, Measured, Swap, blank, describe, measure, rows_by_index
from .scene import Box, Reader, Scene, union
from .stuff import edges_of, stuff_row
from .tally import Tally

PARENT = "parent"


class Tabling:
    """Makes the table after an edit.

    Parameters
    ----------
    scene : Scene
        As it was before.
    edit : Edit
    spacing : mapping of str to float
        µm per pixel by axis letter.
    by_hand : str
        What ``source`` says of objects that were changed.
    """

    def __init__(
        self, scene: Scene, edit: Edit, spacing: Mapping[str, float], by_hand: str
    ) -> None:
        self._scene, self._edit, self._spacing = scene, edit, spacing
        self._mark = {EDITED: True, "source": by_hand}
        #: Of the segments that change.
        self._rows: dict[int, dict[str, Any]] = {}
        self._names = {category.id: category.name for category in scene.categories}

    def make(
        self,
        objects: Tally,
        stuff: Tally,
        new_stuff: Mapping[int, int],
        readers: Mapping[str, Reader],
    ) -> tuple[Swap, dict[int, Box | None]]:
        """Measure what changed.

        Parameters
        ----------
        objects, stuff : Tally
            Pixels that came and went.
        new_stuff : mapping of int to int
            Category of segments of stuff that were not there before.
        readers : mapping of str to callable
            Read a box of "instances", and of "panoptic", as they are now.

        Returns
        -------
        swap : Swap
        boxes : dict of int to Box or None
            Of objects that came, went or changed.
        """
        if isinstance(self._edit, Renumber):
            return self._renumbered()
        concerned = {*objects.labels, *stuff.labels, self._edit.parent()}
        self._rows = self._read(concerned, "index")
        found = self._measured(objects, readers["instances"])
        boxes: dict[int, Box | None] = dict.fromkeys(objects.labels)
        rows: dict[int, dict[str, Any]] = {}
        for number, measured in found.items():
            boxes[number] = measured.box
            row = self._rows.get(number) or self._new_row(number)
            rows[number] = describe(row, measured, self._scene, self._spacing) | self._mark
        if isinstance(self._edit, Categorize):
            rows |= self._categorized(self._edit)
            boxes |= {i: self._scene.boxes[i] for i in rows}
        if isinstance(self._edit, Review):
            rows |= self._reviewed(self._edit)
            boxes |= {i: self._scene.boxes[i] for i in rows}
        if isinstance(self._edit, Rename):
            rows |= self._renamed(self._edit)
            boxes |= {i: self._scene.boxes[i] for i in rows if i in self._scene.boxes}
        gone = {number for number, box in boxes.items() if box is None}
        for number, row in self._orphans(gone).items():
            rows[number] = rows.get(number, row) | {PARENT: row[PARENT]}
        if "panoptic" in readers:
            rows |= self._ground(stuff, new_stuff, readers["panoptic"])
        out = {*gone, *rows, *stuff.labels}
        return Swap.of(self._scene.table, out, [*rows.values()]), boxes

    def _read(self, values: set[Any], column: str) -> dict[int, dict[str, Any]]:
        """Rows with some values in a column."""
        table = self._scene.table
        return rows_by_index(table[table[column].isin([*values])])

    def _measured(self, tally: Tally, read: Reader) -> dict[int, Measured]:
        """Measure objects that changed and are still there."""
        scene = self._scene
        left = [
            number
            for number in sorted(tally.labels)
            if number in tally.gained or tally.lost[number] != self._rows[number]["area"]
        ]
        boxes = {
            number: union(
                [*tally.boxes[number], *([scene.boxes[number]] if number in scene.boxes else [])]
            )
            for number in left
        }
        found: dict[int, Measured] = {}
        for ids in gather(left, boxes):
            around = union([boxes[i] for i in ids])
            found |= measure(read(around), ids, around[0])
        return found

    def _new_row(self, number: int) -> dict[str, Any]:
        parent = self._edit.parent()
        if parent is not None:
            return self._rows[parent] | {"index": number}
        category = self._edit.new_category()
        return blank(self._scene.table) | {
            "index": number,
            "category_id": category,
            "category": self._names.get(category, ""),
            "is_thing": True,
            "score": 1.0,
        }

    def _categorized(self, edit: Categorize) -> dict[int, dict[str, Any]]:
        name = self._names.get(edit.category_id, edit.name)
        new = {"category_id": edit.category_id, "category": name}
        return {
            number: row | new | self._mark
            for number, row in self._read({*edit.ids}, "index").items()
            if row["category_id"] != edit.category_id
        }

    def _reviewed(self, edit: Review) -> dict[int, dict[str, Any]]:
        return {
            number: row | {REVIEWED: edit.reviewed}
            for number, row in self._read({*edit.ids}, "index").items()
            if bool(row[REVIEWED]) != edit.reviewed
        }

    def _renamed(self, edit: Rename) -> dict[int, dict[str, Any]]:
        return {
            number: row | {"category": edit.name}
            for number, row in self._read({edit.category_id}, "category_id").items()
            if row["category"] != edit.name
        }

    def _orphans(self, gone: set[int]) -> dict[int, dict[str, Any]]:
        """Rows whose parent is no more, with the one that it was merged into, or none."""
        if PARENT not in self._scene.table:
            return {}
        heir = self._edit.ids[0] if isinstance(self._edit, Merge) else 0
        return {
            number: row | {PARENT: heir if heir != number else 0}
            for number, row in self._read(gone, PARENT).items()
            if number not in gone
        }

    def _ground(
        self, tally: Tally, new: Mapping[int, int], read: Reader
    ) -> dict[int, dict[str, Any]]:
        """Rows of the stuff that gained or lost pixels and has some."""
        rows = {}
        for number in sorted(tally.labels):
            row = self._rows.get(number) or self._new_stuff(number, new[number])
            area = int(row["area"]) + tally.gained[number] - tally.lost[number]
            if area == 0:
                continue
            edges = [(*start[-2:], *stop[-2:]) for start, stop in tally.boxes[number]]
            if number in self._rows:
                edges.append(tuple(int(row[name]) for name in EDGES))
            around = [
                pick(ends)
                for pick, ends in zip((min, min, max, max), zip(*edges, strict=True), strict=True)
            ]
            rows[number] = stuff_row(
                row, area, edges_of(number, read, around, self._scene), self._scene
            )
        return rows

    def _new_stuff(self, number: int, category: int) -> dict[str, Any]:
        unknown = dict.fromkeys(self._scene.table.columns, -1)
        return unknown | {
            **{name: value for name, value in blank(self._scene.table).items() if value == ""},
            "index": number,
            "category_id": category,
            "category": self._names.get(category, f"category {category}"),
            "is_thing": False,
            "score": 1.0,
            "area": 0,
            **{name: 0 for name in ("hidden_area",) if name in self._scene.table},
            **{name: False for name in ("is_box",) if name in self._scene.table},
            **self._mark,
        }

    def _renumbered(self) -> tuple[Swap, dict[int, Box | None]]:
        numbers, scene = new_numbers(self._scene), self._scene
        rows = {}
        for number, row in rows_by_index(scene.table).items():
            now = row | {"index": numbers[number]}
            if PARENT in row:
                now[PARENT] = numbers.get(row[PARENT], 0)
            if now != row:
                rows[number] = now
        moved = [i for i in scene.boxes if numbers[i] != i]
        boxes: dict[int, Box | None] = dict.fromkeys(moved)
        boxes |= {numbers[i]: scene.boxes[i] for i in moved}
        return Swap.of(scene.table, [*rows], [*rows.values()]), boxes
