"""The built-in promptable network: a thin pyramid instead of a vision transformer.

Everything after the image encoder is Segment Anything's, with fewer channels.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork

from .. import thin_mask_rcnn
from .mask_decoder import MaskDecoder
from .neck import Neck
from .preprocessing import normalised
from .prompt_encoder import PromptEncoder

#: Cells of the embedding a side is divided into; coarser maps are resized to it, finer ones
#: folded into it.
STRIDE = 8
#: What a prompt's waves spread over, in turns across half a picture: slow ones tell where,
#: fast ones tell neighbours of 10 px apart.
FREQUENCIES = (0.75, 4.0)
FORMAT = "napari-instseg/sam/1"


@dataclass(frozen=True, slots=True)
class Architecture:
    """What is needed to rebuild the network around its weights; kept in the weights file."""

    input_size: int = 256
    embed_dim: int = 128
    stem_width: int = 32
    widths: tuple[int, ...] = (48, 96, 160, 256)
    depths: tuple[int, ...] = (2, 2, 2, 2)
    fpn_width: int = 64
    fusion_blocks: int = 1
    decoder_depth: int = 2
    decoder_heads: int = 4
    decoder_hidden: int = 512
    decoder_downsample: int = 2
    outputs: int = 4
    iou_depth: int = 3
    iou_hidden: int = 128
    mask_channels: int = 16
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    deviation: tuple[float, ...] = (0.25, 0.25, 0.25)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Architecture:
        """Rebuild from `to_dict`'s values, after a round trip through JSON."""
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**plain)


class Pyramid(thin_mask_rcnn.ThinResNetFPN):
    """The Mask R-CNN's backbone without the top of its pyramid, whose work is half of all.

    Parameters
    ----------
    arch : Architecture
    """

    def __init__(self, arch: Architecture) -> None:
        super().__init__(
            thin_mask_rcnn.Architecture(
                stem_width=arch.stem_width,
                widths=arch.widths,
                depths=arch.depths,
                fpn_width=arch.fpn_width,
            )
        )
        self.fpn = FeaturePyramidNetwork(
            list(arch.widths), arch.fpn_width, norm_layer=nn.BatchNorm2d
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) to the stem's map at stride 2 and the pyramid's at 4, 8, ..."""
        stem = self.stem(x)
        maps = [stem]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        names = thin_mask_rcnn.LEVELS[1:]
        coarse: dict[str, Tensor] = self.fpn(dict(zip(names, maps[1:], strict=True)))
        return {thin_mask_rcnn.LEVELS[0]: stem, **coarse}


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        inner = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(x + self.norm2(self.conv2(inner)))


class CompactEncoder(nn.Module):
    """Encode pictures into one map at stride 8.

    Parameters
    ----------
    arch : Architecture
    """

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.img_size = arch.input_size
        self.pyramid = Pyramid(arch)
        fine, middle = arch.stem_width * 16, arch.fpn_width * 4
        inputs = [fine, middle, *[arch.fpn_width] * (len(arch.widths) - 1)]
        width = arch.embed_dim
        self.fuse = nn.ModuleList(nn.Conv2d(n, width, 1, bias=False) for n in inputs)
        self.norm = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(arch.fusion_blocks)))
        self.neck = Neck(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S), normalised and padded, to (B, embed_dim, S / 8, S / 8)."""
        maps = list(self.pyramid(x).values())
        size = maps[2].shape[-2:]
        fused = self.fuse[0](F.pixel_unshuffle(maps[0], 4))
        fused = fused + self.fuse[1](F.pixel_unshuffle(maps[1], 2))
        fused = fused + self.fuse[2](maps[2])
        for convolution, level in zip(self.fuse[3:], maps[3:], strict=True):
            # Before it is made larger: a quarter of the work, the same numbers.
            part = convolution(level)
            fused = fused + F.interpolate(part, size, mode="bilinear", align_corners=False)
        out: Tensor = self.neck(self.blocks(torch.relu(self.norm(fused))))
        return out


class PromptNetwork(nn.Module):
    """Image encoder, prompt encoder and mask decoder, with Segment Anything's names.

    Parameters
    ----------
    arch : Architecture
    """

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.arch = arch
        self.image_encoder = CompactEncoder(arch)
        self.prompt_encoder = PromptEncoder(
            arch.embed_dim, arch.input_size // STRIDE, arch.input_size, arch.mask_channels
        )
        self.mask_decoder = MaskDecoder(
            arch.embed_dim,
            depth=arch.decoder_depth,
            heads=arch.decoder_heads,
            hidden=arch.decoder_hidden,
            downsample=arch.decoder_downsample,
            outputs=arch.outputs,
            iou_depth=arch.iou_depth,
            iou_hidden=arch.iou_hidden,
        )
        waves = self.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
        low, high = FREQUENCIES
        waves.mul_(low * (high / low) ** torch.linspace(0, 1, waves.shape[1]))

    def preprocess(self, pictures: Tensor) -> Tensor:
        """Normalise (B, 3, h, w) RGB in [0, 1] and pad it at the bottom and right."""
        return normalised(pictures, self.arch.mean, self.arch.deviation, self.arch.input_size)


def build(arch: Architecture) -> PromptNetwork:
    """Build the network with random weights."""
    return PromptNetwork(arch)


def fill_pyramid(pyramid: Pyramid, tensors: dict[str, Tensor]) -> None:
    """Take over the backbone of a thin Mask R-CNN with the same widths.

    Parameters
    ----------
    pyramid : Pyramid
    tensors : dict
        Weights of the whole Mask R-CNN by name.
    """
    shifted = {}
    for name, value in tensors.items():
        area, _, rest = name.partition(".")
        if area != "backbone":
            continue
        parts = rest.split(".")
        if parts[0] == "fpn":
            # There, level 0 is the finest, which this pyramid has not.
            parts[2] = str(int(parts[2]) - 1)
            if parts[2] == "-1":
                continue
        shifted[".".join(parts)] = value
    missing, unknown = pyramid.load_state_dict(shifted, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unknown:
        raise ValueError(f"not this pyramid's weights: missing {missing}, unknown {unknown}")
