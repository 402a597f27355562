"""Instance, semantic and panoptic segmentation of microscopy images, in napari and without."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import models
    from .api import load_model, segment, segment_to
    from .editing import Editor
    from .evaluation import evaluate
    from .exporting import export, read_labels
    from .instances import Instances, Mask
    from .label_set import LabelSet
    from .measuring import measure
    from .ops.axes import Image
    from .prompting.session import PromptSession
    from .replaying import replay
    from .saved import read_result
    from .segmentation import Segmentation
    from .segmenter import Category, InputError, InstsegError, ModelError
    from .settings import Settings

__version__ = "0.1.0"

_HOMES = {
    "Category": "segmenter",
    "Editor": "editing",
    "Image": "ops.axes",
    "InputError": "segmenter",
    "Instances": "instances",
    "InstsegError": "segmenter",
    "LabelSet": "label_set",
    "Mask": "instances",
    "ModelError": "segmenter",
    "PromptSession": "prompting.session",
    "Segmentation": "segmentation",
    "Settings": "settings",
    "export": "exporting",
    "evaluate": "evaluation",
    "load_model": "api",
    "measure": "measuring",
    "read_labels": "exporting",
    "read_result": "saved",
    "replay": "replaying",
    "segment": "api",
    "segment_to": "api",
}

__all__ = [
    "Category",
    "Editor",
    "Image",
    "InputError",
    "Instances",
    "InstsegError",
    "LabelSet",
    "Mask",
    "ModelError",
    "PromptSession",
    "Segmentation",
    "Settings",
    "evaluate",
    "export",
    "load_model",
    "measure",
    "models",
    "read_labels",
    "read_result",
    "replay",
    "segment",
    "segment_to",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name == "models":
        return importlib.import_module(".models", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
