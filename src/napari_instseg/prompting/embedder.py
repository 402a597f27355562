"""Embeddings of views: from memory, from the disk, or made."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from threading import Lock

from ..io.embeddings import EmbeddingCache
from ..models.prompters import LoadedPrompter
from ..progress import Progress, how_many
from ..promptable import Embedding
from .pictures import Pictures
from .views import View

#: Most bytes of embeddings that stay in memory.
MEMORY = 256_000_000


class Embedder:
    """Gives the embedding of any view; made once, kept as long as there is room.

    Safe to use from several threads: one of them encodes at a time, and whoever needs no
    encoding waits for none.

    Parameters
    ----------
    pictures : Pictures
    loaded : LoadedPrompter
    precision : str
        Number format of the network, as in `Settings`: "float32" takes no other's embeddings.
    cache : EmbeddingCache, optional
        On disk.
    memory : int
        Most bytes that stay in memory; the last embedding stays, whatever its size.
    """

    def __init__(
        self,
        pictures: Pictures,
        loaded: LoadedPrompter,
        precision: str,
        cache: EmbeddingCache | None,
        memory: int = MEMORY,
    ) -> None:
        self.cache = cache
        self._pictures, self._loaded, self._precision = pictures, loaded, precision
        self._memory = memory
        self._state, self._encoding = Lock(), Lock()
        self._keys: dict[View, str] = {}
        self._kept: OrderedDict[str, Embedding] = OrderedDict()

    def get(self, view: View, *, keep: bool = True) -> Embedding:
        """Return the embedding of a view's picture, as float16.

        With ``keep`` false, a new one does not stay in memory.
        """
        key = self._keys.get(view)
        found = None if key is None else self._recall(key)
        if found is not None:
            return found
        pixels, picture = self._pictures.look(view)
        key = self._key(pixels)
        found = self._find(key, keep=keep)
        if found is None:
            with self._encoding:
                # Another thread may have made it meanwhile.
                found = self._recall(key)
                made = found is None
                if found is None:
                    # Rounded here, so that one from the disk gives the same masks.
                    found = self._loaded.prompter.encode([picture()])[0].half()
                    if keep:
                        self._keep(key, found)
            if made and self.cache is not None:
                self.cache.put(key, found)
        with self._state:
            self._keys[view] = key
        return found

    def has(self, view: View) -> bool:
        """Whether `get` answers at once; False, too, for what was never looked at."""
        key = self._keys.get(view)
        if key is None:
            return False
        return key in self._kept or (self.cache is not None and key in self.cache)

    def prepare(self, views: Iterable[View]) -> Iterator[Progress]:
        """Make the embeddings of several views, one a step."""
        wanted = list(dict.fromkeys(views))
        for done, view in enumerate(wanted):
            yield Progress(done, len(wanted), f"encoding tile {done + 1} of {len(wanted)}")
            self.get(view)
        yield Progress(len(wanted), len(wanted), f"{how_many(len(wanted), 'tile')} encoded")

    def forget(self) -> None:
        """Look at the pixels again; they may have changed."""
        with self._state:
            self._keys.clear()

    def _key(self, pixels: str) -> str:
        terms = f"{pixels} {self._loaded.sha256} {self._precision}"
        return hashlib.sha256(terms.encode()).hexdigest()

    def _find(self, key: str, *, keep: bool) -> Embedding | None:
        found = self._recall(key)
        if found is None and self.cache is not None:
            found = self.cache.get(key)
            if found is not None and keep:
                self._keep(key, found)
        return found

    def _recall(self, key: str) -> Embedding | None:
        with self._state:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def _keep(self, key: str, embedding: Embedding) -> None:
        with self._state:
            self._kept[key] = embedding
            used = sum(kept.nbytes for kept in self._kept.values())
            while used > self._memory and len(self._kept) > 1:
                used -= self._kept.popitem(last=False)[1].nbytes
