"""A thin Mask R-CNN for small, dense objects, built from torchvision's parts.

References
----------
He et al., "Mask R-CNN", ICCV 2017; Lin et al., "Feature Pyramid Networks", CVPR 2017;
torchvision ``models/detection/mask_rcnn.py``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork

#: Strides of the feature maps, finest first. Proposals start at the second; boxes and masks
#: of small objects are pooled from the first, where a 16 px nucleus still spans 8 cells.
STRIDES = (2, 4, 8, 16, 32)
LEVELS = ("fine", "0", "1", "2", "3")


@dataclass(frozen=True, slots=True)
class Architecture:
    """What is needed to rebuild the network around its weights; kept in the weights file."""

    num_classes: int = 2
    stem_width: int = 32
    widths: tuple[int, ...] = (48, 96, 160, 256)
    depths: tuple[int, ...] = (2, 2, 2, 2)
    fpn_width: int = 64
    box_width: int = 256
    mask_layers: tuple[int, ...] = (64, 64, 64)
    anchor_sizes: tuple[tuple[float, ...], ...] = ((8, 13), (20, 32), (48, 76), (110, 160))
    anchor_ratios: tuple[float, ...] = (0.7, 1.4)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Architecture:
        """Rebuild from `to_dict`'s values, after a round trip through JSON."""
        return cls(**{k: _tuples(v) for k, v in values.items()})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, (list, tuple)) else value


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al., 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        return torch.relu(self.body(x) + self.shortcut(x))


class ThinResNetFPN(nn.Module):
    """A narrow residual network with a feature pyramid at strides 2 to 32."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, arch.stem_width, 3, 2, 1, bias=False),
            nn.BatchNorm2d(arch.stem_width),
            nn.ReLU(inplace=True),
            nn.Conv2d(arch.stem_width, arch.stem_width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(arch.stem_width),
            nn.ReLU(inplace=True),
        )
        self.stages = nn.ModuleList()
        width = arch.stem_width
        for outputs, depth in zip(arch.widths, arch.depths, strict=True):
            blocks = [BasicBlock(width, outputs, 2)]
            blocks += [BasicBlock(outputs, outputs, 1) for _ in range(depth - 1)]
            self.stages.append(nn.Sequential(*blocks))
            width = outputs
        self.fpn = FeaturePyramidNetwork(
            [arch.stem_width, *arch.widths], arch.fpn_width, norm_layer=nn.BatchNorm2d
        )
        self.out_channels = arch.fpn_width

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) to one (B, fpn_width, H / stride, W / stride) map for each level."""
        maps = {LEVELS[0]: self.stem(x)}
        for name, stage in zip(LEVELS[1:], self.stages, strict=True):
            maps[name] = stage(next(reversed(maps.values())))
        return dict(self.fpn(maps))


class _CoarseHead(nn.Module):
    """An RPN head that leaves out the finest map: half the work, and no anchor needs it."""

    def __init__(self, head: RPNHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        objectness, deltas = self.head(maps[1:])
        return objectness, deltas


class _CoarseAnchors(AnchorGenerator):
    """Anchors for all maps but the finest."""

    def forward(self, image_list: Any, feature_maps: list[Tensor]) -> list[Tensor]:
        anchors: list[Tensor] = super().forward(image_list, feature_maps[1:])
        return anchors


class _NativeTransform(GeneralizedRCNNTransform):
    """Normalise and pad, without resizing: torchvision can skip that in training only."""

    def resize(self, image: Tensor, target: Any = None) -> tuple[Tensor, Any]:
        return image, target


def build(arch: Architecture) -> MaskRCNN:
    """Build the network with random weights.

    Parameters
    ----------
    arch : Architecture

    Returns
    -------
    torchvision.models.detection.MaskRCNN
        Takes RGB in [0, 1] at its own size, and pads to a multiple of 32. Caps allow
        hundreds of objects per tile.
    """
    anchors = _CoarseAnchors(  # type: ignore[no-untyped-call]
        arch.anchor_sizes, (arch.anchor_ratios,) * len(arch.anchor_sizes)
    )
    pyramid = list(LEVELS[:-1])
    # An object of 28 px and more is pooled from stride 4, of 56 px and more from stride 8, ...
    levels = {"canonical_scale": 112, "canonical_level": 4}
    network = MaskRCNN(
        ThinResNetFPN(arch),
        rpn_anchor_generator=anchors,
        rpn_head=_CoarseHead(RPNHead(arch.fpn_width, anchors.num_anchors_per_location()[0])),
        rpn_pre_nms_top_n_train=1500,
        rpn_post_nms_top_n_train=800,
        rpn_pre_nms_top_n_test=3000,
        rpn_post_nms_top_n_test=2000,
        rpn_fg_iou_thresh=0.6,
        rpn_bg_iou_thresh=0.3,
        box_roi_pool=MultiScaleRoIAlign(pyramid, 7, 2, **levels),
        box_head=TwoMLPHead(arch.fpn_width * 49, arch.box_width),
        box_predictor=FastRCNNPredictor(arch.box_width, arch.num_classes),
        box_batch_size_per_image=192,
        box_positive_fraction=0.33,
        box_detections_per_img=1000,
        box_score_thresh=0.05,
        box_nms_thresh=0.4,
        mask_roi_pool=MultiScaleRoIAlign(pyramid, 14, 1, **levels),
        mask_head=MaskRCNNHeads(arch.fpn_width, arch.mask_layers, 1),
        mask_predictor=MaskRCNNPredictor(
            arch.mask_layers[-1], arch.mask_layers[-1], arch.num_classes
        ),
    )
    network.transform = _NativeTransform(1, 1, image_mean=[0.5] * 3, image_std=[0.25] * 3)
    return network
