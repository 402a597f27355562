"""Which object is the current one: the number that is selected in the layer of objects."""

from __future__ import annotations

from collections.abc import Sequence

from ...prompting.painting import Accepted
from .drafts import Draft
from .objects import Objects


class CurrentObject:
    """Hands out numbers; that of the current object is the layer's selected label.

    After an object is accepted it stays the current one until the next is begun, so that it can be
    propagated, or taken up on another plane.

    Parameters
    ----------
    objects : Objects
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._is_done = False
        self._number = 0
        #: Give each object a number of its own; else all go into the current one.
        self.moves_on = True
        objects.layer.events.selected_label.connect(self._chosen)
        objects.layer.events.paint.connect(self._painted)
        self.choose(objects.next_number())

    def disconnect(self) -> None:
        """Follow the layer no more."""
        events = self._objects.layer.events
        events.selected_label.disconnect(self._chosen)
        events.paint.disconnect(self._painted)

    @property
    def number(self) -> int:
        """Number of the current object."""
        return int(self._objects.layer.selected_label)

    @property
    def is_done(self) -> bool:
        """Whether it is accepted, and the next prompt begins another one."""
        return self._is_done

    def choose(self, number: int) -> None:
        """Make another object the current one; prompts go on with it."""
        self._number, self._is_done = number, False
        self._objects.layer.selected_label = number

    def begin(self) -> None:
        """An object is begun: it gets a number of its own if the last one is accepted."""
        if self._is_done and self.moves_on:
            self.choose(self._objects.next_number())

    def accept(self, number: int) -> None:
        """The current object is accepted, or another one is, which is current from now on."""
        self.choose(number)
        self._is_done = True

    def numbered(self, drafts: Sequence[Draft]) -> list[Accepted]:
        """Give the first object the current number, the others those that follow."""
        found: list[Accepted] = []
        for draft in drafts:
            number = draft.edits or self.number
            if found and not draft.edits and self.moves_on:
                number = max(self._objects.next_number(), max(one.number for one in found) + 1)
            if draft.shown is not None:
                found.append(Accepted(number, draft.shown, bool(draft.edits)))
        return found

    def _chosen(self, event: object) -> None:
        # A user's choice, in the layer's controls or with its picker: go on with that one. napari
        # tells the same number again with new colours.
        if self.number != self._number:
            self._number, self._is_done = self.number, False

    def _painted(self, event: object) -> None:
        self._objects.take_number(self.number)
