"""Keeps the model that was used last, so that the next run need not load it."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from ..models import prompters
from ..models.entry import Report
from ..models.prompters import LoadedPrompter
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
            if self._model is None:
                return
            self._model = self._key = None
        finally:
            self._lock.release()
        # Networks may hold themselves in circles, which only the collector finds.
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()


class PrompterHolder(Holder[LoadedPrompter]):
    """Keeps the promptable model that was used last.

    Parameters
    ----------
    loader : callable, optional
        See `Holder`; by default that of `models.prompters`.
    """

    def __init__(
        self, loader: Callable[[Settings, Report | None], LoadedPrompter] | None = None
    ) -> None:
        super().__init__(loader or _load)


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
