"""Detectron2 networks with random weights that find many objects: they test the code path,
not the accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_instseg.models.detectron2 import bridges
from napari_instseg.models.detectron2.config import zoo_config
from napari_instseg.models.detectron2.install import state

needs_detectron2 = pytest.mark.skipif(
    not state().installed, reason="needs Detectron2: napari-instseg install detectron2"
)

#: Shortest edge that pictures are resized to here: the zoo's 800 px would take minutes.
EDGE = 160
#: Least score of an object: of 80 classes at random, and of RetinaNet's, each yes or no.
SCORE, DENSE_SCORE = 0.12, 0.96
#: How far the answers of layers that move boxes spread; others by 1.
MOVES = 0.3


def small(name: str, **changes: Any) -> Any:
    """A config of the zoo that works on small pictures, with some values changed."""
    cfg = zoo_config(name)
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = EDGE, 2 * EDGE
    cfg.TEST.DETECTIONS_PER_IMAGE = 1000
    cfg.MODEL.RPN.POST_NMS_TOPK_TEST = 100
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = SCORE
    cfg.MODEL.RETINANET.SCORE_THRESH_TEST = DENSE_SCORE
    cfg.MODEL.PANOPTIC_FPN.COMBINE.INSTANCES_CONFIDENCE_THRESH = SCORE
    cfg.MODEL.PANOPTIC_FPN.COMBINE.STUFF_AREA_LIMIT = 100
    cfg.merge_from_list([part for pair in changes.items() for part in pair])
    return cfg


def pointrend(name: str = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x") -> Any:
    """PointRend: its configs are not in the package, and change these of Mask R-CNN's."""
    cfg = small(name)
    from detectron2.projects.point_rend import add_pointrend_config

    add_pointrend_config(cfg)
    cfg.MODEL.ROI_HEADS.NAME = "StandardROIHeads"
    cfg.MODEL.ROI_MASK_HEAD.NAME = "PointRendMaskHead"
    cfg.MODEL.ROI_MASK_HEAD.FC_DIM = 256
    cfg.MODEL.ROI_MASK_HEAD.NUM_FC = 2
    cfg.MODEL.ROI_MASK_HEAD.POINT_HEAD_ON = True
    cfg.MODEL.ROI_MASK_HEAD.POOLER_TYPE = ""
    cfg.MODEL.POINT_HEAD.SUBDIVISION_STEPS = 3
    return cfg


def panoptic_deeplab() -> Any:
    """Panoptic-DeepLab on Cityscapes' categories, with a small body."""
    bridges.load()
    from detectron2.config import get_cfg
    from detectron2.projects.panoptic_deeplab import add_panoptic_deeplab_config

    cfg = get_cfg()
    add_panoptic_deeplab_config(cfg)
    cfg.merge_from_list(
        [
            *("MODEL.META_ARCHITECTURE", "PanopticDeepLab"),
            *("MODEL.BACKBONE.NAME", "build_resnet_deeplab_backbone"),
            *("MODEL.BACKBONE.FREEZE_AT", 0),
            *("MODEL.RESNETS.OUT_FEATURES", ["res2", "res3", "res5"]),
            *("MODEL.RESNETS.RES5_DILATION", 2),
            *("MODEL.RESNETS.STEM_TYPE", "basic"),
            *("MODEL.SEM_SEG_HEAD.NAME", "PanopticDeepLabSemSegHead"),
            *("MODEL.SEM_SEG_HEAD.IN_FEATURES", ["res2", "res3", "res5"]),
            *("MODEL.SEM_SEG_HEAD.PROJECT_FEATURES", ["res2", "res3"]),
            *("MODEL.SEM_SEG_HEAD.PROJECT_CHANNELS", [32, 64]),
            *("MODEL.SEM_SEG_HEAD.NUM_CLASSES", 19),
            *("MODEL.SEM_SEG_HEAD.NORM", "BN"),
            *("MODEL.SEM_SEG_HEAD.COMMON_STRIDE", 4),
            *("MODEL.INS_EMBED_HEAD.NORM", "BN"),
            *("MODEL.PANOPTIC_DEEPLAB.STUFF_AREA", 50),
            *("DATASETS.TRAIN", ("cityscapes_fine_panoptic_train",)),
            *("DATASETS.TEST", ("cityscapes_fine_panoptic_val",)),
            *("INPUT.MIN_SIZE_TEST", EDGE),
            *("INPUT.MAX_SIZE_TEST", 2 * EDGE),
        ]
    )
    return cfg


def picture(height: int = 120, width: int = 150, seed: int = 0) -> NDArray[np.uint8]:
    """An RGB picture of soft blobs, 8 bit."""
    from scipy import ndimage

    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    soft = ndimage.gaussian_filter(noise, (3, 3, 0)) + ndimage.gaussian_filter(noise, (9, 9, 0)) * 3
    soft = (soft - soft.min()) / (soft.max() - soft.min())
    return (soft * 255).astype(np.uint8)


def excite(model: nn.Module, seed: int = 0) -> nn.Module:
    """Draw weights with which each layer's answers spread by 1, so that many objects are found.

    Random weights as Detectron2 draws them explode or fade within the network, and give 0 to
    5 objects (layer-sequential unit variance: Mishkin and Matas, ICLR 2016).
    """
    generator = torch.Generator().manual_seed(seed)
    names = {module: name for name, module in model.named_modules()}
    done: set[nn.Module] = set()

    def spread(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        if module in done or output.numel() == 0:
            return output
        done.add(module)
        wanted = MOVES if names[module].endswith(("bbox_pred", "anchor_deltas")) else 1.0
        scale = wanted / float(output.std().clamp(min=1e-6))
        module.weight.data *= scale
        return output * scale

    layers = (nn.Conv2d, nn.Linear, nn.ConvTranspose2d)
    hooks = []
    for module in model.modules():
        if isinstance(module, layers):
            drawn = torch.randn(module.weight.shape, generator=generator)
            if module.bias is not None:
                module.bias.data.zero_()
            module.weight.data = drawn / module.weight[0].numel() ** 0.5
            hooks.append(module.register_forward_hook(spread))
    model.eval()
    pixels = picture(EDGE, EDGE, seed + 1).transpose(2, 0, 1).astype(np.float32)
    with torch.inference_mode():
        # The second time, heads that saw no object at first have some.
        for _ in range(2):
            model([{"image": torch.from_numpy(pixels.copy()), "height": EDGE, "width": EDGE}])
    for hook in hooks:
        hook.remove()
    return model
