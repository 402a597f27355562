"""Import Detectron2 0.6 (2021) beside today's libraries, with or without its extension.

What it needs and no longer finds is lent to it while it is imported. A newer or a compiled
Detectron2 finds all that by itself, and nothing is changed then.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from ...segmenter import ModelError

INSTALL = "napari-instseg install detectron2"
MODULES = (
    "detectron2.config",
    "detectron2.modeling",
    "detectron2.checkpoint",
    "detectron2.data",
    "detectron2.structures",
    "detectron2.model_zoo",
    "detectron2.projects.point_rend",
    "detectron2.projects.deeplab",
    "detectron2.projects.panoptic_deeplab",
)
_lock = threading.Lock()


def load() -> ModuleType:
    """Import Detectron2 and the parts of it that models need; the second time does nothing.

    Returns
    -------
    module
        ``detectron2``.

    Raises
    ------
    ModelError
        If it is missing or cannot be imported; says what to do.
    """
    with _lock:
        if importlib.util.find_spec("detectron2") is None:
            raise ModelError(f"Detectron2 is not installed: run '{INSTALL}'")
        with ExitStack() as lent:
            for bridge in (
                _old_habits,
                _pillow_linear,
                _compiled_extension,
                _package_resources,
                _training_of_projects,
            ):
                lent.enter_context(bridge())
            try:
                for name in MODULES:
                    importlib.import_module(name)
            except (ImportError, AttributeError) as error:
                raise ModelError(
                    f"Detectron2 is installed but cannot be imported ({error}): run "
                    f"'napari-instseg doctor', or 'pip uninstall detectron2' and '{INSTALL}'"
                ) from error
        return sys.modules["detectron2"]


@contextmanager
def _old_habits() -> Iterator[None]:
    """For 0.6 and fvcore with torch >= 2.13, which warns of ``torch.jit.script``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@contextmanager
def _pillow_linear() -> Iterator[None]:
    """For 0.6 with Pillow >= 10: ``Image.LINEAR`` is a default argument in a class body."""
    from PIL import Image

    if hasattr(Image, "LINEAR"):
        yield
        return
    Image.LINEAR = Image.Resampling.BILINEAR  # type: ignore[attr-defined]
    try:
        yield
    finally:
        del Image.LINEAR  # type: ignore[attr-defined]


class _NoExtension(ModuleType):
    """Stands where the compiled extension would be, and says so when it is needed."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ModelError(
            f"this model needs {name!r} of Detectron2's compiled extension (rotated boxes, "
            "deformable convolution), which this installation has not: build Detectron2 from "
            "source with a C++ compiler, or choose a model without them"
        )


@contextmanager
def _compiled_extension() -> Iterator[None]:
    """For installations without a compiler: an extension that says that it is missing."""
    name = "detectron2._C"
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        sys.modules[name] = stub = _NoExtension(name)
        sys.modules["detectron2"]._C = stub  # type: ignore[attr-defined]
    yield


@contextmanager
def _package_resources() -> Iterator[None]:
    """For 0.6 with setuptools >= 82, which has no ``pkg_resources`` any more."""
    name = "pkg_resources"
    if name in sys.modules or importlib.util.find_spec(name) is not None:
        yield
        return

    def resource_filename(package: str, resource: str) -> str:
        module: Any = importlib.import_module(package)
        return str(Path(module.__file__).parent / resource)

    sys.modules[name] = stub = ModuleType(name)
    stub.resource_filename = resource_filename  # type: ignore[attr-defined]
    try:
        yield
    finally:
        del sys.modules[name]


@contextmanager
def _training_of_projects() -> Iterator[None]:
    """For any version without OpenCV or panopticapi, which two projects train with."""
    stubs = (
        ("cv2", "detectron2.projects.point_rend.color_augmentation", "ColorAugSSDTransform"),
        (
            "panopticapi",
            "detectron2.projects.panoptic_deeplab.dataset_mapper",
            "PanopticDeeplabDatasetMapper",
        ),
    )
    for needed, name, attribute in stubs:
        if name not in sys.modules and importlib.util.find_spec(needed) is None:
            sys.modules[name] = stub = ModuleType(name)
            setattr(stub, attribute, None)
    yield
