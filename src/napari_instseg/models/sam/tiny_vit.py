"""MobileSAM's image encoder: TinyViT, without timm.

Names in the state dict, and numbers, are those of ``mobile_sam`` (without the classifier, which
nothing uses).

References
----------
Wu et al., "TinyViT: Fast Pretraining Distillation for Small Vision Transformers", ECCV 2022.
Zhang et al., "Faster Segment Anything: Towards Lightweight SAM for Mobile Applications", 2023.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .neck import Neck
from .windows import cut, join

WIDTHS = (64, 128, 160, 320)
DEPTHS = (2, 2, 6, 2)
HEADS = (2, 4, 5, 10)
WINDOWS = (7, 7, 14, 7)
#: How many times smaller the map is after each stage but the last.
STRIDES = (2, 2, 1)
#: How many times wider an inverted bottleneck or an MLP is inside.
EXPANSION = 4
OUTPUTS, STRIDE = 256, 16


class ConvNorm(nn.Module):
    """A convolution and a batch normalisation, which `fold` makes one."""

    def __init__(
        self, inputs: int, outputs: int, size: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        padding = size // 2
        self.c = nn.Conv2d(inputs, outputs, size, stride, padding, groups=groups, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        out: Tensor = self.bn(self.c(x))
        return out

    def fold(self) -> None:
        """Put the normalisation's statistics into the convolution, for good."""
        if isinstance(self.bn, nn.BatchNorm2d):
            self.c = fuse_conv_bn_eval(self.c, self.bn)
            self.bn = nn.Identity()


class PatchEmbed(nn.Module):
    """Two convolutions of stride 2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(
            ConvNorm(3, width // 2, 3, 2), nn.GELU(), ConvNorm(width // 2, width, 3, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, width, H / 4, W / 4)."""
        out: Tensor = self.seq(x)
        return out


class MBConv(nn.Module):
    """An inverted bottleneck beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = EXPANSION * width
        self.conv1 = ConvNorm(width, inner)
        self.conv2 = ConvNorm(inner, inner, 3, groups=inner)
        self.conv3 = ConvNorm(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        inner = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        return F.gelu(x + self.conv3(inner))


class PatchMerging(nn.Module):
    """What leads to the next stage."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs)
        self.conv2 = ConvNorm(outputs, outputs, 3, stride, groups=outputs)
        self.conv3 = ConvNorm(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        out: Tensor = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return out


class Attention(nn.Module):
    """Attention in a window, with what two tokens' distance adds.

    Parameters
    ----------
    width, heads : int
    side : int
        Of the window, tokens.
    """

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads, self.side = heads, side
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, side * side))

    def attend(self, qkv: Tensor) -> Tensor:
        """(N, side, side, 3 * width) windows, projected, to (N, side, side, width)."""
        tokens = qkv.flatten(1, 2).unflatten(-1, (self.heads, 3, -1)).permute(3, 0, 2, 1, 4)
        bias = self.attention_biases[:, self._distances()].to(qkv.dtype)
        mixed = F.scaled_dot_product_attention(tokens[0], tokens[1], tokens[2], bias[None])
        return mixed.transpose(1, 2).flatten(2).view(*qkv.shape[:3], -1)

    def _distances(self) -> Tensor:
        """Index of each two tokens' distance: (side * side, side * side)."""
        places = torch.arange(self.side**2, device=self.attention_biases.device)
        rows, cols = places // self.side, places % self.side
        return (rows[:, None] - rows).abs() * self.side + (cols[:, None] - cols).abs()


class Mlp(nn.Module):
    """Two linear layers after a normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, EXPANSION * width)
        self.fc2 = nn.Linear(EXPANSION * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        out: Tensor = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return out


class TinyViTBlock(nn.Module):
    """Attention in windows, a convolution, and an MLP."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = Attention(width, heads, window)
        self.local_conv = ConvNorm(width, width, 3, groups=width)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) to the same; in memory the channels are the innermost axis."""
        attn = self.attn
        tokens = x.permute(0, 2, 3, 1)
        squares = cut(attn.qkv(attn.norm(tokens)), self.window, attn.qkv(attn.norm.bias))
        tokens = tokens + attn.proj(join(attn.attend(squares), tokens.shape, self.window))
        tokens = self.local_conv(tokens.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        out: Tensor = tokens + self.mlp(tokens)
        return out.permute(0, 3, 1, 2)


class Stage(nn.Module):
    """Blocks at one resolution, and what leads to the next."""

    def __init__(self, blocks: list[nn.Module], downsample: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same of the next stage."""
        for block in self.blocks:
            x = block(x)
        out: Tensor = x if self.downsample is None else self.downsample(x)
        return out


class TinyViT(nn.Module):
    """Encode pictures.

    Parameters
    ----------
    img_size : int
        Side of the padded picture, px.
    """

    def __init__(self, img_size: int = 1024) -> None:
        super().__init__()
        self.img_size = img_size
        self.grid, self.outputs = img_size // STRIDE, OUTPUTS
        self.patch_embed = PatchEmbed(WIDTHS[0])
        self.layers = nn.ModuleList(_stage(i) for i in range(len(WIDTHS)))
        self.neck = Neck(WIDTHS[-1], OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S), normalised and padded, to (B, 256, S / 16, S / 16)."""
        x = self.patch_embed(x.contiguous(memory_format=torch.channels_last))
        for layer in self.layers:
            x = layer(x)
        return self.neck.in_float32(x)

    def fold(self) -> None:
        """Put all batch normalisations into their convolutions, for good."""
        for module in self.modules():
            if isinstance(module, ConvNorm):
                module.fold()


def _stage(number: int) -> Stage:
    width = WIDTHS[number]
    blocks: list[nn.Module] = [
        TinyViTBlock(width, HEADS[number], WINDOWS[number]) if number else MBConv(width)
        for _ in range(DEPTHS[number])
    ]
    last = number == len(WIDTHS) - 1
    after = None if last else PatchMerging(width, WIDTHS[number + 1], STRIDES[number])
    return Stage(blocks, after)
