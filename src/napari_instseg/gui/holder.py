"""Keeps the model that was used last, so that the next run need not load it."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar, cast
from weakref import WeakValueDictionary

from ..models import prompters
from ..models.entry import Report
from ..models.prompters import LoadedPrompter
from ..models.tracks import Track, VideoPrompter
from ..promptable import Candidates, Embedding, Prompts, PromptSegmenter
from ..segmenter import RGB, ModelError
from ..settings import Settings


class _Named(Protocol):
    @property
    def name(self) -> str:
        """Name of the model."""
        ...


ModelT = TypeVar("ModelT", bound=_Named)


class Holder(Generic[ModelT]):
    """Keeps one loaded model.

    Parameters
    ----------
    loader : callable
        Takes settings and a `Report`.
    """

    def __init__(self, loader: Callable[[Settings, Report | None], ModelT]) -> None:
        self._loader = loader
        self._lock = threading.Lock()
        self._key: tuple[str | None, ...] | None = None
        self._model: ModelT | None = None

    @property
    def name(self) -> str:
        """Name of the model that is kept, "" if there is none."""
        model = self._model
        return "" if model is None else model.name

    def get(self, settings: Settings, report: Report | None = None) -> ModelT:
        """Return the model that settings ask for, loaded if it is not the one used last."""
        with self._lock:
            if self._model is None or self._key != settings.model_key:
                # Let go of the old one first: both may not fit a device.
                self._model = self._key = None
                self._model = self._loader(settings, report)
                self._key = settings.model_key
            return self._model

    def holds(self, settings: Settings) -> bool:
        """Whether the model that settings ask for is loaded."""
        return self._model is not None and self._key == settings.model_key

    def release(self) -> None:
        """Free the memory of the model, also on a GPU.

        For the GUI's thread, between runs: it collects garbage, and Qt's objects must not be
        collected by another thread. Does nothing while a model is being loaded.
        """
        if not self._lock.acquire(blocking=False):
            return
        try:
            if not self.name:
                return
            self._drop()
        finally:
            self._lock.release()
        # Networks may hold themselves in circles, which only the collector finds.
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _drop(self) -> None:
        """Hold nothing any more."""
        self._model = self._key = None


class LentPrompter:
    """A promptable model that can be taken back; the next question to it loads it again.

    Sessions, and results that are kept to be filtered, have this one and not the network: so
    they do not keep its memory.

    Parameters
    ----------
    loaded : LoadedPrompter
    load : callable
        Loads it again.
    """

    def __init__(self, loaded: LoadedPrompter, load: Callable[[], LoadedPrompter]) -> None:
        prompter = loaded.prompter
        self.input_size, self.mask_size = prompter.input_size, prompter.mask_size
        self.habits, self.diameter = prompter.habits, prompter.diameter
        self.device, self.batch_size = prompter.device, prompter.batch_size
        self.name, self.sha256 = loaded.name, loaded.sha256
        self._load, self._loading = load, threading.Lock()
        self._prompter: PromptSegmenter | None = prompter

    @property
    def is_here(self) -> bool:
        """Whether the network is in memory."""
        return self._prompter is not None

    def put(self, prompter: PromptSegmenter) -> None:
        """Have the network again."""
        self._prompter = prompter

    def take_back(self) -> None:
        """Let go of the network; an answer under way comes to its end."""
        # Without the lock: the GUI's thread does not wait for a load.
        self._prompter = None

    def encode(self, pictures: Sequence[RGB]) -> list[Embedding]:
        """See `PromptSegmenter`."""
        return self._network().encode(pictures)

    def decode(self, embedding: Embedding, prompts: Prompts, **options: Any) -> Candidates:
        """See `PromptSegmenter`."""
        return self._network().decode(embedding, prompts, **options)

    def _network(self) -> PromptSegmenter:
        """Return the network, loaded again if it was taken back.

        Raises
        ------
        ModelError
            If it cannot be loaded, or has other weights by now.
        """
        with self._loading:
            prompter = self._prompter
            if prompter is None:
                loaded = self._load()
                if loaded.sha256 != self.sha256:
                    raise ModelError(
                        f"the weights of {self.name!r} were replaced meanwhile: start again"
                    )
                prompter = self._prompter = loaded.prompter
            return prompter


class LentVideoPrompter(LentPrompter):
    """One that can follow objects through planes, too."""

    def start_track(self, length: int | None = None) -> Track:
        """See `VideoPrompter`."""
        return cast(VideoPrompter, self._network()).start_track(length)


class PrompterHolder(Holder[LoadedPrompter]):
    """Keeps the promptable model that was used last, and lends it.

    Parameters
    ----------
    loader : callable, optional
        See `Holder`; by default that of `models.prompters`.
    """

    def __init__(
        self, loader: Callable[[Settings, Report | None], LoadedPrompter] | None = None
    ) -> None:
        super().__init__(self._lend)
        self._load_anew = loader or _load
        self._lent: WeakValueDictionary[tuple[str | None, ...], LentPrompter]
        self._lent = WeakValueDictionary()

    @property
    def name(self) -> str:
        """Name of a model that is in memory, "" if there is none."""
        return next((lent.name for lent in list(self._lent.values()) if lent.is_here), "")

    def _lend(self, settings: Settings, report: Report | None) -> LoadedPrompter:
        self._take_back()
        key, loaded = settings.model_key, self._load_anew(settings, report)
        lent = self._lent.get(key)
        if lent is not None and lent.sha256 == loaded.sha256:
            # Whoever had it before goes on with the same one.
            lent.put(loaded.prompter)
        else:
            follows = isinstance(loaded.prompter, VideoPrompter)
            kind = LentVideoPrompter if follows else LentPrompter
            lent = self._lent[key] = kind(loaded, partial(self._load_anew, settings, None))
        return replace(loaded, prompter=lent)

    def _take_back(self) -> None:
        for lent in list(self._lent.values()):
            lent.take_back()

    def _drop(self) -> None:
        super()._drop()
        self._take_back()


def _load(settings: Settings, report: Report | None = None) -> LoadedPrompter:
    prepare_torchvision()
    return prompters.load(
        settings.model, settings.device, precision=settings.precision, report=report
    )


def prepare_torchvision() -> None:
    """Import Triton in a way that survives an open viewer.

    Builds of PyTorch for NVIDIA bring Triton, which torchvision imports and which has an LLVM
    of its own. Where OpenGL is Mesa's, the viewer has loaded another LLVM by then; Triton's
    calls are bound to that one, and the process dies (seen with Debian 12's LLVM 15).
    RTLD_DEEPBIND makes the library prefer its own symbols. Of the ways that work, this one
    neither needs torch before the viewer opens nor hides Triton from other plugins.
    """
    if not sys.platform.startswith("linux") or "triton._C.libtriton" in sys.modules:
        return
    if importlib.util.find_spec("triton") is None:
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(os.RTLD_NOW | os.RTLD_DEEPBIND)
    try:
        importlib.import_module("triton._C.libtriton")
    except ImportError:
        # A Triton of another make: torchvision does without it, or says what is wrong.
        return
    finally:
        sys.setdlopenflags(flags)
