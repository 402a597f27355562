"""Detectron2's families and SAM's encoders on a real GPU, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from networks import excite, needs_detectron2, panoptic_deeplab, picture, pointrend, small

from napari_instseg.models.detectron2.categories import categories_of
from napari_instseg.models.detectron2.network import build
from napari_instseg.models.detectron2.segmenter import Detectron2Segmenter

FAMILIES: dict[str, Callable[[], Any]] = {
    "Mask R-CNN": lambda: small("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x"),
    "Cascade": lambda: small("Misc/cascade_mask_rcnn_R_50_FPN_1x"),
    "PointRend": pointrend,
    "Faster R-CNN": lambda: small("COCO-Detection/faster_rcnn_R_50_FPN_1x"),
    "RetinaNet": lambda: small("COCO-Detection/retinanet_R_50_FPN_1x"),
    "Semantic FPN": lambda: small("Misc/semantic_R_50_FPN_1x"),
    "Panoptic FPN": lambda: small("COCO-PanopticSegmentation/panoptic_fpn_R_50_1x"),
    "Panoptic-DeepLab": panoptic_deeplab,
}


@needs_detectron2
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("precision", ["float32", "half"])
def test_families_find_what_they_find_on_the_cpu(family: str, precision: str) -> None:
    cfg = FAMILIES[family]()
    network, categories = excite(build(cfg)), categories_of(cfg, None)
    pixels = picture().astype(np.float32) / 255
    found = []
    for device, how in (("cpu", "float32"), ("cuda", precision)):
        segmenter = Detectron2Segmenter(network, cfg, categories, torch.device(device), how)
        found.append(segmenter.as_trained().segment([pixels, pixels])[1])
    cpu, gpu = found
    if cpu.semantic is not None:
        assert gpu.semantic is not None
        assert np.mean(cpu.semantic == gpu.semantic) >= (0.99 if precision == "float32" else 0.9)
    boxes = [torch.from_numpy(one.instances.boxes) for one in found]
    if len(boxes[0]):
        overlaps = box_iou(*boxes)
        share = float((overlaps.amax(dim=1) > 0.9).float().mean())
        assert share >= (0.95 if precision == "float32" else 0.6)


def box_iou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    from torchvision.ops import box_iou as of_boxes

    return of_boxes(first.float(), second.float())
