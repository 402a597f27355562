"""Import Detectron2 0.6 (2021) beside today's libraries, with or without its extension.

What it needs and no longer finds is lent to it while it is imported. A newer or a compiled
Detectron2 finds most of that by itself, and what it finds is left alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
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
#: Those of them that use names which NumPy has no more.
OLD_NUMPY = (
    "detectron2.data.build",
    "detectron2.data.datasets.pascal_voc",
    "detectron2.structures.masks",
)
OLD_NAMES = {"bool": bool, "float": float, "int": int, "object": object, "str": str}
#: What an import raises where packages do not fit each other.
FAILURES = (
    ImportError,
    AssertionError,
    AttributeError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
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
        if not all(name in sys.modules for name in MODULES):
            _import()
        return sys.modules["detectron2"]


def _import() -> None:
    spec = _spec("detectron2")
    # A folder without __init__.py, such as a clone's parent, is found too, and is not it.
    if spec is None or spec.origin is None:
        raise ModelError(f"Detectron2 is not installed: run '{INSTALL}'")
    try:
        with ExitStack() as lent:
            for bridge in BRIDGES:
                lent.enter_context(bridge())
            for name in MODULES:
                importlib.import_module(name)
        # 0.6 makes its anchors in a way that torch >= 1.10 warns of, at each run.
        warnings.filterwarnings("ignore", "torch.meshgrid", UserWarning)
    except FAILURES as error:
        raise ModelError(
            f"Detectron2 is installed ({Path(spec.origin).parent}) but cannot be imported "
            f"({error}). If it was compiled for another torch, compile it again; or run "
            f"'{sys.executable} -m pip uninstall detectron2', then '{INSTALL}'"
        ) from error


def _spec(name: str) -> Any:
    try:
        return importlib.util.find_spec(name)
    except ValueError:
        # In sys.modules without a spec: someone's own stub.
        return None


def _works(name: str) -> bool:
    """Tell whether an optional package can be imported: OpenCV is often there and broken."""
    try:
        importlib.import_module(name)
    except FAILURES:
        return False
    return True


@contextmanager
def _old_habits() -> Iterator[None]:
    """For 0.6, fvcore and iopath: with ``-W error`` their old habits would stop the import.

    torch >= 2.13 warns of ``torch.jit.script``, setuptools 67 to 81 of ``pkg_resources``, Python
    >= 3.12 of backslashes in their strings.
    """
    with warnings.catch_warnings():
        for category in (FutureWarning, DeprecationWarning, SyntaxWarning):
            warnings.simplefilter("ignore", category)
        warnings.filterwarnings("ignore", ".*pkg_resources", UserWarning)
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


@contextmanager
def _broken_opencv() -> Iterator[None]:
    """For any version beside an OpenCV that cannot be imported, as without libGL on a server.

    Detectron2 does without OpenCV if it is missing, but not if it is broken.
    """
    name = "cv2"
    if name in sys.modules or _spec(name) is None or _works(name):
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


@contextmanager
def _numpy_names() -> Iterator[None]:
    """For 0.6 with NumPy >= 1.24: ``np.int`` and the like, in functions that training calls."""
    import numpy as np

    yield
    gone = {name: value for name, value in OLD_NAMES.items() if not hasattr(np, name)}
    for name in OLD_NUMPY:
        module = sys.modules.get(name)
        if gone and getattr(module, "np", None) is np:
            module.np = _with(np, gone)  # type: ignore[union-attr]


def _with(module: ModuleType, names: dict[str, Any]) -> ModuleType:
    """Return a module that has more names than another, and else is the same."""
    wider = ModuleType(module.__name__)
    wider.__dict__.update(names)
    wider.__dict__["__getattr__"] = lambda name: getattr(module, name)
    return wider


class _NoExtension(ModuleType):
    """Stands where the compiled extension would be, and says so when it is needed."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        _no_extension(name)


def _no_extension(name: str, *_: Any) -> NoReturn:
    raise ModelError(
        f"this model needs {name!r} of Detectron2's compiled extension (rotated boxes, "
        "deformable convolution), which this installation does not have: build Detectron2 from "
        "source with a C++ compiler, or choose a model without them"
    )


@contextmanager
def _compiled_extension() -> Iterator[None]:
    """For installations without a compiler: an extension that says that it is missing."""
    name = "detectron2._C"
    # Looking for it imports detectron2, which imports torch.
    if name in sys.modules or importlib.util.find_spec(name) is not None:
        yield
        return
    sys.modules[name] = stub = _NoExtension(name)
    # Its own report of the environment (collect_env), written when a training starts, asks these.
    stub.get_compiler_version = lambda: "no extension"  # type: ignore[attr-defined]
    stub.get_cuda_version = lambda: "no extension"  # type: ignore[attr-defined]
    stub.has_cuda = lambda: False  # type: ignore[attr-defined]
    package = sys.modules["detectron2"]
    package._C = stub  # type: ignore[attr-defined]
    try:
        yield
    except BaseException:
        del sys.modules[name], package._C
        raise
    # This one is reached through torch.ops, not through the extension's module.
    nms = importlib.import_module("detectron2.layers.nms")
    layers = sys.modules["detectron2.layers"]
    nms.nms_rotated = layers.nms_rotated = _nms_rotated  # type: ignore[attr-defined]


def _nms_rotated(*_: Any) -> NoReturn:
    _no_extension("nms_rotated")


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
        if name not in sys.modules and not _works(needed):
            sys.modules[name] = stub = ModuleType(name)
            setattr(stub, attribute, _missing(attribute, needed))
    yield


def _missing(name: str, needed: str) -> Callable[..., NoReturn]:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise ModelError(f"{name} needs the package {needed}, which cannot be imported here")

    return refuse


BRIDGES = (
    _old_habits,
    _pillow_linear,
    _broken_opencv,
    _compiled_extension,
    _package_resources,
    _training_of_projects,
    _numpy_names,
)
