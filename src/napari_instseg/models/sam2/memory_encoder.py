"""From a picture's features and an object's mask to what is remembered of both.

References
----------
Ravi et al., "SAM 2: Segment Anything in Images and Videos", 2024; ``sam2`` 1.1,
``modeling/memory_encoder.py``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..sam.prompt_encoder import LayerNorm2d
from .architecture import MEMORY_WIDTH, WIDTH

#: What is remembered is not the mask's probability p but SCALE * p + BIAS.
SCALE, BIAS = 20.0, -10.0
#: Of the slowest wave that tells where in a picture a cell lies.
TEMPERATURE = 10_000


class MaskDownSampler(nn.Module):
    """Four convolutions of stride 2 on a mask, each with four times the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential()
        for step in range(4):
            inputs, outputs = 4**step, 4 ** (step + 1)
            self.encoder.append(nn.Conv2d(inputs, outputs, 3, 2, 1))
            self.encoder.append(LayerNorm2d(outputs))
            self.encoder.append(nn.GELU())
        self.encoder.append(nn.Conv2d(4**4, WIDTH, 1))

    def forward(self, masks: Tensor) -> Tensor:
        """(B, 1, H, W) to (B, WIDTH, H / 16, W / 16)."""
        out: Tensor = self.encoder(masks)
        return out


class CXBlock(nn.Module):
    """A block of ConvNeXt (Liu et al., 2022)."""

    def __init__(self) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(WIDTH, WIDTH, 7, padding=3, groups=WIDTH)
        self.norm = LayerNorm2d(WIDTH)
        self.pwconv1 = nn.Linear(WIDTH, 4 * WIDTH)
        self.pwconv2 = nn.Linear(4 * WIDTH, WIDTH)
        self.gamma = nn.Parameter(torch.zeros(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """(B, WIDTH, h, w) to the same."""
        normed = self.norm(self.dwconv(x)).permute(0, 2, 3, 1)
        inner: Tensor = self.gamma * self.pwconv2(F.gelu(self.pwconv1(normed)))
        return x + inner.permute(0, 3, 1, 2)


class Fuser(nn.Module):
    """Two blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CXBlock() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, WIDTH, h, w) to the same."""
        for layer in self.layers:
            x = layer(x)
        return x


class MemoryEncoder(nn.Module):
    """Fuse a mask with the features of the picture that it lies in."""

    def __init__(self) -> None:
        super().__init__()
        self.mask_downsampler = MaskDownSampler()
        self.pix_feat_proj = nn.Conv2d(WIDTH, WIDTH, 1)
        self.fuser = Fuser()
        self.out_proj = nn.Conv2d(WIDTH, MEMORY_WIDTH, 1)

    def forward(self, features: Tensor, masks: Tensor) -> Tensor:
        """Encode.

        Parameters
        ----------
        features : (B, WIDTH, h, w) Tensor
        masks : (B, 1, 16 h, 16 w) Tensor
            Probabilities in [0, 1].

        Returns
        -------
        (B, MEMORY_WIDTH, h, w) Tensor
        """
        masks = self.mask_downsampler(masks * SCALE + BIAS)
        out: Tensor = self.out_proj(self.fuser(self.pix_feat_proj(features) + masks))
        return out


def sine_grid(channels: int, side: int) -> Tensor:
    """Encode rows and columns of a square grid's cells as (side * side, channels) waves."""
    at = torch.arange(1, side + 1, dtype=torch.float32)
    waves = _waves(at / (side + 1e-6) * 2 * math.pi, channels // 2)
    waves = torch.stack([waves[:, 0::2].sin(), waves[:, 1::2].cos()], dim=2).flatten(1)
    rows = waves[:, None].expand(side, side, -1)
    columns = waves[None].expand(side, side, -1)
    return torch.cat([rows, columns], dim=2).flatten(0, 1)


def sine_line(places: Tensor, channels: int) -> Tensor:
    """Encode (N,) places on a line as (N, channels) waves."""
    waves = _waves(places, channels // 2)
    return torch.cat([waves.sin(), waves.cos()], dim=1)


def _waves(places: Tensor, count: int) -> Tensor:
    """Phases (N, count), the same for two neighbours."""
    order = torch.arange(count, dtype=torch.float32, device=places.device)
    return places[:, None] / TEMPERATURE ** (2 * (order // 2) / count)
