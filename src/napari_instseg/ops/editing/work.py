"""All label images before and after an edit, part by part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from ...segmenter import InputError
from ...settings import OUTPUTS
from ..axes import ArrayLike
from .base import Edit
from .categorizing import Categorize
from .numbering import Renumber, new_numbers, renumbered
from .parts import Part
from .patches import Patch
from .scene import Box, Reader, Region, Scene, slices
from .stuff import shown
from .tally import Tally

INSTANCES, SEMANTIC, PANOPTIC = OUTPUTS


class Work:
    """Compares the label images before and after an edit, part by part.

    Parameters
    ----------
    edit : Edit
    scene : Scene
        As it was before.
    readers : mapping of str to callable
        Reads a box, for each label image that there is; "instances" always is.
    ground : integer array, optional
        See `LabelSet`.
    largest : int
        The label images hold no larger labels.
    """

    def __init__(
        self,
        edit: Edit,
        scene: Scene,
        readers: Mapping[str, Reader],
        ground: ArrayLike | None,
        largest: int,
    ) -> None:
        self._edit, self._scene, self._readers = edit, scene, readers
        self._ground, self._largest = ground, largest
        self.objects, self.stuff = Tally(), Tally()
        #: Category of segments of stuff that come back, by their new number.
        self.new_stuff: dict[int, int] = {}
        table = scene.table
        pairs = zip(table["index"].tolist(), table["category_id"].tolist(), strict=True)
        self._category_of: dict[int, int] = dict(pairs)
        self._stuff_ids = set(scene.stuff_ids.tolist())
        self._segment_of = {self._category_of[i]: i for i in self._stuff_ids}
        if isinstance(edit, Categorize):
            self._category_of |= dict.fromkeys(edit.ids, edit.category_id)
        self._numbers = new_numbers(scene) if isinstance(edit, Renumber) else None

    def look(self, part: Part) -> list[tuple[str, Patch]]:
        """Find what becomes of a part, in all label images."""
        scene, origin = self._scene, part.write[0]
        region = Region(self._readers[INSTANCES](part.read), part.read[0], scene)
        inner = slices(part.write, part.read[0])
        before, after = region.labels[inner], self._edit.change(region, part.ids)[inner]
        self._check(int(after.max(initial=0)))
        if self._numbers is None:
            self.objects.note(before, after, origin)
        found = [(INSTANCES, Patch.between(before, after, origin))]
        for output in (SEMANTIC, PANOPTIC):
            if output in self._readers:
                old = self._readers[output](part.write)
                new = self._derived(output, old, before, after, part.write)
                found.append((output, Patch.between(old, new, origin)))
        return [(output, patch) for output, patch in found if patch is not None]

    def _check(self, largest: int) -> None:
        if largest > self._largest:
            raise InputError(
                f"the label image holds numbers up to {self._largest}, got {largest}: convert it "
                "to int32 first"
            )

    def _derived(
        self,
        output: str,
        old: NDArray[np.int32],
        before: NDArray[np.int32],
        after: NDArray[np.int32],
        box: Box,
    ) -> NDArray[np.int32]:
        if self._numbers is not None:
            return renumbered(old, self._numbers) if output == PANOPTIC else old
        changed = before != after
        if isinstance(self._edit, Categorize):
            changed |= np.isin(after, self._edit.ids)
        below = np.zeros_like(after)
        if self._ground is not None:
            below = np.array(self._ground[slices(box)], np.int32)
        if output == SEMANTIC:
            return np.where(changed, shown(after, self._categories(after), below), old)
        revealed = np.unique(below[changed & (after == 0)]).tolist()
        self._name_stuff(revealed, after)
        new = np.where(changed, shown(after, {}, renumbered(below, self._segment_of)), old)
        stuff = [*self._stuff_ids]
        was, now = (np.where(np.isin(a, stuff), a, np.int32(0)) for a in (old, new))
        self.stuff.note(was, now, box[0])
        return new

    def _categories(self, labels: NDArray[np.int32]) -> dict[int, int]:
        """Category of each object; of new ones that of their origin."""
        parent = self._edit.parent()
        default = self._category_of[parent] if parent else self._edit.new_category()
        found = np.unique(labels[labels > 0]).tolist()
        return {number: self._category_of.get(number, default) for number in found}

    def _name_stuff(self, categories: Iterable[int], after: NDArray[np.int32]) -> None:
        """Give numbers to stuff that comes to light and has none."""
        for category in categories:
            if category and category not in self._segment_of:
                largest = max(self._scene.next_id - 1, int(after.max()), *self.new_stuff, 0)
                self._segment_of[category] = largest + 1
                self._stuff_ids.add(largest + 1)
                self.new_stuff[largest + 1] = category
