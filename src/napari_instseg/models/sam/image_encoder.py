"""Segment Anything's image encoder, a plain vision transformer, with less memory traffic.

Names in the state dict, and numbers, are those of ``segment_anything`` 1.0. What differs: the
fused attention of torch takes the position bias as a mask, a few heads or windows at a time; no
token of a window's padding is projected; and the wide layer of each block is made in pieces
that fit the cache.

References
----------
Li et al., "Exploring Plain Vision Transformer Backbones for Object Detection", ECCV 2022.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .mask_decoder import MLPBlock
from .neck import Neck
from .windows import cut, join

#: Tokens at a time in the wide layer of a block, on a CPU.
ROWS = 512
#: Bytes of position bias at a time, on a CPU and elsewhere.
BIAS_BYTES = {"cpu": 8 << 20}
OTHER_BIAS_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class ViTArchitecture:
    """A vision transformer's sizes.

    Parameters
    ----------
    width, depth, heads : int
    look_around : tuple of int
        Blocks whose attention is over the whole picture; the others' is in windows.
    window : int
        Side of a window, tokens.
    patch : int
        Side of a token's patch, px.
    grid : int
        Side of the picture, tokens.
    hidden : int
        Channels inside a block's MLP.
    outputs : int
        Channels of the embedding.
    """

    width: int
    depth: int
    heads: int
    look_around: tuple[int, ...]
    window: int = 14
    patch: int = 16
    grid: int = 64
    hidden: int = 0
    outputs: int = 256


VIT_B = ViTArchitecture(768, 12, 12, (2, 5, 8, 11))
VIT_L = ViTArchitecture(1024, 24, 16, (5, 11, 17, 23))
VIT_H = ViTArchitecture(1280, 32, 16, (7, 15, 23, 31))


class PatchEmbed(nn.Module):
    """One token from each square of pixels."""

    def __init__(self, arch: ViTArchitecture) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, arch.width, arch.patch, arch.patch)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, h, w, width)."""
        out: Tensor = self.proj(x).permute(0, 2, 3, 1)
        return out


class Attention(nn.Module):
    """Attention among the tokens of a square, with what their distance in each axis adds.

    Parameters
    ----------
    width, heads : int
    side : int
        Of the square, tokens.
    """

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads, self.side = heads, side
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, width // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, width // heads))

    def attend(self, qkv: Tensor) -> Tensor:
        """(N, side, side, 3 * width) squares, projected, to (N, side, side, width)."""
        count, side = len(qkv), self.side
        tokens = qkv.view(count, side * side, 3, self.heads, -1)
        mixed = torch.empty_like(tokens[:, :, 0])
        limit = BIAS_BYTES.get(qkv.device.type, OTHER_BIAS_BYTES)
        each = 4 * side**4
        heads = max(1, min(self.heads, limit // each))
        squares = max(1, limit // (each * heads)) if heads == self.heads else 1
        for i in range(0, count, squares):
            for h in range(0, self.heads, heads):
                part = tokens[i : i + squares, :, :, h : h + heads].permute(2, 0, 3, 1, 4)
                out = self._part(*part.unbind(0))
                mixed[i : i + squares, :, h : h + heads] = out.transpose(1, 2)
        return mixed.view(count, side, side, -1)

    def _part(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend in a few squares and heads, (N, heads, tokens, d) each."""
        down, across = self._biases(q)
        length = q.shape[2]
        limit = BIAS_BYTES.get(q.device.type, OTHER_BIAS_BYTES)
        rows = max(1, limit // (4 * length * self.side * q.shape[0] * q.shape[1]))
        out = []
        for r in range(0, self.side, rows):
            bias = down[:, :, r : r + rows, :, :, None] + across[:, :, r : r + rows, :, None, :]
            part = q[:, :, r * self.side : (r + rows) * self.side]
            bias = bias.flatten(4, 5).flatten(2, 3)
            out.append(F.scaled_dot_product_attention(part, k, v, bias.to(q.dtype)))
        return out[0] if len(out) == 1 else torch.cat(out, dim=2)

    def _biases(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """What each query adds for each row, and for each column: (N, heads, row, col, side)."""
        side = self.side
        places = torch.arange(side, device=q.device)
        distance = places[:, None] - places + side - 1
        q = q.unflatten(2, (side, side))
        down = q @ self.rel_pos_h[distance].transpose(1, 2)
        across = q.transpose(2, 3) @ self.rel_pos_w[distance].transpose(1, 2)
        return down, across.transpose(2, 3)


class Block(nn.Module):
    """Attention and an MLP, each beside the identity.

    Parameters
    ----------
    arch : ViTArchitecture
    window : int
        Side of the windows, tokens; 0 for none.
    """

    def __init__(self, arch: ViTArchitecture, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(arch.width, eps=1e-6)
        self.attn = Attention(arch.width, arch.heads, window or arch.grid)
        self.norm2 = nn.LayerNorm(arch.width, eps=1e-6)
        self.mlp = MLPBlock(arch.width, arch.hidden or 4 * arch.width, F.gelu)

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, width) to the same."""
        qkv = self.attn.qkv(self.norm1(x))
        if self.window:
            squares = cut(qkv, self.window, self.attn.qkv.bias.to(qkv.dtype))
            mixed = join(self.attn.attend(squares), x.shape, self.window)
        else:
            mixed = self.attn.attend(qkv)
        x = x + self.attn.proj(mixed)
        tokens = x.view(-1, x.shape[-1])
        step = ROWS if x.device.type == "cpu" else len(tokens)
        for begin in range(0, len(tokens), step):
            part = tokens[begin : begin + step]
            part += self.mlp(self.norm2(part))
        return x


class ImageEncoder(nn.Module):
    """Encode pictures.

    Parameters
    ----------
    arch : ViTArchitecture
    """

    def __init__(self, arch: ViTArchitecture) -> None:
        super().__init__()
        self.img_size = arch.patch * arch.grid
        self.grid, self.outputs = arch.grid, arch.outputs
        self.patch_embed = PatchEmbed(arch)
        self.pos_embed = nn.Parameter(torch.zeros(1, arch.grid, arch.grid, arch.width))
        self.blocks = nn.ModuleList(
            Block(arch, 0 if i in arch.look_around else arch.window) for i in range(arch.depth)
        )
        self.neck = Neck(arch.width, arch.outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S), normalised and padded, to (B, outputs, grid, grid)."""
        # The channels innermost; where the convolution leaves them, all that follows would.
        x = (self.patch_embed(x) + self.pos_embed).contiguous()
        for block in self.blocks:
            x = block(x)
        return self.neck.in_float32(x.permute(0, 3, 1, 2))
