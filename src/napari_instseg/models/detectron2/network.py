"""Build the network that a config describes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from ...segmenter import ModelError
from . import bridges
from .categories import Categories

#: Bytes of a network's weights; the zoo's largest has 0.5 GB.
LARGEST = 8_000_000_000
#: Where PointRend's heads are defined.
POINTS = "detectron2.projects.point_rend"
#: What Detectron2 and torch raise when parts of a network do not fit each other.
BUILD_ERRORS = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError),
    *(MemoryError, RuntimeError, TypeError, ValueError),
)


def build(cfg: Any, categories: Categories | None = None) -> nn.Module:
    """Build a config's network with random weights, on the CPU.

    Parameters
    ----------
    cfg : detectron2.config.CfgNode
    categories : Categories, optional
        What Panoptic-DeepLab groups pixels by, where Detectron2 does not know the data set.

    Raises
    ------
    ModelError
        If the config names parts that the installed Detectron2 has not, that do not fit, or
        that are larger than `LARGEST`.
    """
    bridges.load()
    from detectron2.modeling import build_model

    cfg = cfg.clone()
    if not cfg.DATASETS.TRAIN:
        cfg.DATASETS.TRAIN = ("unknown",)
    try:
        # First without memory: a stranger's config may ask for any amount of it.
        cfg.MODEL.DEVICE = "meta"
        with torch.device("meta"):
            size = sum(p.numel() * p.element_size() for p in build_model(cfg).parameters())
        if size > LARGEST:
            raise ModelError(
                f"the network that the config describes would take {size / 1e9:.0f} GB: expected "
                f"at most {LARGEST / 1e9:.0f} GB"
            )
        cfg.MODEL.DEVICE = "cpu"
        model: Any = build_model(cfg)
    except BUILD_ERRORS as error:
        raise ModelError(
            f"Detectron2 cannot build the network that the config describes: {error!r}"
        ) from error
    meta = getattr(model, "meta", None)
    if meta is not None and categories and not hasattr(meta, "thing_dataset_id_to_contiguous_id"):
        things = {number: number for number in categories.thing_classes}
        model.meta = SimpleNamespace(thing_dataset_id_to_contiguous_id=things, label_divisor=1000)
    network: nn.Module = model
    for module in network.modules():
        if type(module).__module__.startswith(POINTS):
            module.forward = _in_float32(module.forward)
    return network


def _in_float32(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Leave half precision: PointRend writes points' logits into maps that are float32."""

    @wraps(forward)
    def full(*args: Any, **kwargs: Any) -> Any:
        with ExitStack() as stack:
            for device in ("cpu", "cuda", "mps"):
                stack.enter_context(torch.autocast(device, enabled=False))
            return forward(*args, **kwargs)

    return full
