"""The image encoder: Hiera, a vision transformer in stages, and the neck above it.

References
----------
Ryali et al., "Hiera: A Hierarchical Vision Transformer without the Bells-and-Whistles", ICML
2023; Ravi et al., "SAM 2: Segment Anything in Images and Videos", 2024; ``sam2`` 1.1,
``modeling/backbones``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..sam.mask_decoder import MLP
from ..sam.windows import cut, join
from .architecture import WIDTH, Architecture

#: Epsilon of the blocks' layer norms.
EPSILON = 1e-6


class MultiScaleAttention(nn.Module):
    """Attention within windows; where ``pool`` is set, its queries are pooled 2 x 2."""

    def __init__(self, width: int, out: int, heads: int, pool: bool) -> None:
        super().__init__()
        self.num_heads, self.pool = heads, pool
        self.qkv = nn.Linear(width, 3 * out)
        self.proj = nn.Linear(out, out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, width) to (B, H, W, out), or half of H and W."""
        height, width = x.shape[1:3]
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        if self.pool:
            q, height, width = pooled(q), height // 2, width // 2
        mixed = F.scaled_dot_product_attention(self._split(q), self._split(k), self._split(v))
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(len(x), height, width, -1))
        return out

    def _split(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, heads, H * W, C / heads)."""
        heads: Tensor = x.flatten(1, 2).unflatten(-1, (self.num_heads, -1))
        return heads.transpose(1, 2)


class MultiScaleBlock(nn.Module):
    """Attention and a feed-forward network, each with a shortcut.

    Parameters
    ----------
    width, out, heads : int
        Channels before and after, and attention heads.
    window : int
        Side of the windows, tokens; 0 for the whole picture.
    pool : bool
        Halve the picture's height and width.
    """

    def __init__(self, width: int, out: int, heads: int, window: int, pool: bool) -> None:
        super().__init__()
        self.window, self.pool = window, pool
        self.norm1 = nn.LayerNorm(width, EPSILON)
        self.attn = MultiScaleAttention(width, out, heads, pool)
        self.norm2 = nn.LayerNorm(out, EPSILON)
        self.mlp = MLP(out, 4 * out, out, 2, F.gelu)
        self.proj = nn.Linear(width, out) if width != out else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, width) to (B, H, W, out), or half of H and W."""
        normed = self.norm1(x)
        if self.proj is not None:
            x = self.proj(normed)
            x = pooled(x) if self.pool else x
        if self.window:
            # The reference pads what is normed already with zeros.
            windows = cut(normed, self.window, normed.new_zeros(normed.shape[-1]))
            side = self.window // 2 if self.pool else self.window
            x = x + join(self.attn(windows), x.shape, side)
        else:
            x = x + self.attn(normed)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


def pooled(x: Tensor) -> Tensor:
    """Take the largest of each 2 x 2 tokens: (B, H, W, C) to (B, H / 2, W / 2, C)."""
    # A maximum instead of max_pool2d, which is wrong for strided tensors on some MPS versions.
    squares: Tensor = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))
    return squares.amax((2, 4))


class PatchEmbed(nn.Module):
    """The first convolution: a token for each 4 x 4 px."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, 7, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, H / 4, W / 4, width)."""
        out: Tensor = self.proj(x)
        return out.permute(0, 2, 3, 1)


class Hiera(nn.Module):
    """The transformer.

    Parameters
    ----------
    arch : Architecture
    """

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(arch.width)
        side = arch.background
        self.pos_embed = nn.Parameter(torch.zeros(1, arch.width, side, side))
        window = arch.windows[0]
        self.pos_embed_window = nn.Parameter(torch.zeros(1, arch.width, window, window))
        self.blocks = nn.ModuleList()
        #: Blocks after which a stage ends.
        self.ends: list[int] = []
        width = arch.width
        for stage, count in enumerate(arch.stages):
            for i in range(count):
                start = stage > 0 and i == 0
                # A stage's first block pools, in the windows of the stage before.
                side = arch.windows[stage - 1 if start else stage]
                side = 0 if len(self.blocks) in arch.global_blocks else side
                out = arch.widths[stage]
                block = MultiScaleBlock(width, out, arch.heads << stage, side, pool=start)
                self.blocks.append(block)
                width = out
            self.ends.append(len(self.blocks) - 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to a (B, C, h, w) map of each stage, the finest first."""
        x = self.patch_embed(x)
        x = x + self._positions(x.shape[1], x.shape[2])
        maps = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.ends:
                maps.append(x.permute(0, 3, 1, 2))
        return maps

    def _positions(self, height: int, width: int) -> Tensor:
        stretched = F.interpolate(self.pos_embed, size=(height, width), mode="bicubic")
        window = self.pos_embed_window
        tiled = window.repeat(1, 1, height // window.shape[2], width // window.shape[3])
        return (stretched + tiled).permute(0, 2, 3, 1)


class Lateral(nn.Module):
    """The neck's convolution of one map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) to (B, WIDTH, h, w)."""
        out: Tensor = self.conv(x)
        return out


class FpnNeck(nn.Module):
    """Maps of the stages to maps of one width; only the second coarsest is told of the coarsest.

    Parameters
    ----------
    widths : tuple of int
        Channels of the stages, the finest first.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(Lateral(width) for width in reversed(widths))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Give all but the coarsest map, the finest first."""
        coarsest, coarse, *fine = (
            conv(x) for conv, x in zip(self.convs, reversed(maps), strict=True)
        )
        coarse = coarse + F.interpolate(coarsest.float(), scale_factor=2.0, mode="nearest")
        return [*reversed(fine), coarse]


class ImageEncoder(nn.Module):
    """The transformer and the neck.

    Parameters
    ----------
    arch : Architecture
    """

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.trunk = Hiera(arch)
        self.neck = FpnNeck(arch.widths)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to maps at strides 4, 8 and 16, each of WIDTH channels."""
        maps: list[Tensor] = self.neck(self.trunk(x))
        return maps
