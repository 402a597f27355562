"""Who does a run's work: this process, or others that are told what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Hands(Protocol):
    """Do many pieces of work of one kind.

    What is done, its items and its results must stand being pickled; what is to last goes into
    files.
    """

    @property
    def capacity(self) -> int:
        """Number of pieces that keep all of them busy."""
        ...

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Do a function for each item, some at a time; results come in the items' order."""
        ...

    def combine(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        join: Callable[[Sequence[R]], R],
    ) -> R:
        """Do a function for each item, and put the results together.

        ``join`` takes results that follow each other, and what it gave for earlier ones.
        """
        ...


class OwnHands:
    """`Hands` of this thread: one piece after the other."""

    capacity = 1

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """See `Hands`."""
        return map(function, items)

    def combine(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        join: Callable[[Sequence[R]], R],
    ) -> R:
        """See `Hands`."""
        return join([function(item) for item in items])


OWN_HANDS = OwnHands()
