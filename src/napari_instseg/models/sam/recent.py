"""Keep what was made of the pictures that were asked about last."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from ...promptable import Embedding

#: Number of pictures.
KEPT = 2

T = TypeVar("T")


class Recent(Generic[T]):
    """What was made of a few embeddings; each is known by being the same object.

    Threads may share it.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[Embedding, T]] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, embedding: Embedding, make: Callable[[Embedding], T]) -> T:
        """Return what is kept of an embedding, or make it and forget the oldest."""
        with self._lock:
            for i, (known, made) in enumerate(self._kept):
                if known is embedding:
                    self._kept.append(self._kept.pop(i))
                    return made
        made = make(embedding)
        with self._lock:
            self._kept = [*self._kept[1 - KEPT :], (embedding, made)]
        return made
