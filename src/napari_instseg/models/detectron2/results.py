"""From Detectron2's raw detections to boxes and crops in the tile's own pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...instances import Mask
from ..pasting import paste_masks


def read_detections(
    result: Any, shape: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], list[Mask] | None]:
    """Bring detections of a resized picture back to the tile.

    Parameters
    ----------
    result : detectron2.structures.Instances
        With ``pred_boxes``, ``scores``, ``pred_classes`` and, from models with masks,
        ``pred_masks``: (N, 1, m, m) probabilities over the boxes.
    shape : (int, int)
        Height and width of the tile, px.

    Returns
    -------
    boxes : (N, 4) float32
        XYXY, px of the tile; empty ones are left out.
    scores : (N,) float32
    classes : (N,) int64
        From 0.
    masks : list of N Mask, or None
        Crops.

    References
    ----------
    Detectron2 ``modeling/postprocessing.py``, ``detector_postprocess``, without its N x H x W.
    """
    height, width = shape
    boxes = result.pred_boxes.clone()
    boxes.scale(width / result.image_size[1], height / result.image_size[0])
    boxes.clip(shape)
    kept = boxes.nonempty()
    tensor: Tensor = boxes.tensor[kept].float()
    masks = None
    if result.has("pred_masks"):
        raw = result.pred_masks
        # A box model's and PointRend's heads wrap theirs in ROIMasks in newer versions.
        probabilities: Tensor = raw.tensor if hasattr(raw, "tensor") else raw[:, 0]
        masks = paste_masks(probabilities[kept], tensor, shape)
    return (
        tensor.cpu().numpy(),
        result.scores[kept].float().clamp(0, 1).cpu().numpy(),
        result.pred_classes[kept].long().cpu().numpy(),
        masks,
    )


def full_boxes(boxes: NDArray[np.float32], shape: tuple[int, int]) -> list[Mask]:
    """Fill each box: the pixels whose centres it holds, at least one."""
    limits = np.array([shape[1], shape[0]])
    first = np.minimum(np.rint(boxes[:, :2]).astype(int), limits - 1).clip(0)
    last = np.clip(np.rint(boxes[:, 2:]).astype(int), first + 1, limits)
    return [
        Mask((int(top), int(left)), np.ones((int(bottom - top), int(right - left)), bool))
        for (left, top), (right, bottom) in zip(first, last, strict=True)
    ]


def crops_of(masks: NDArray[np.bool_]) -> list[Mask]:
    """Crop (N, H, W) masks to their pixels; an empty one becomes an empty crop."""
    empty = Mask((0, 0), np.zeros((0, 0), bool))
    return [Mask((0, 0), pixels.astype(bool)).tight() or empty for pixels in masks]
