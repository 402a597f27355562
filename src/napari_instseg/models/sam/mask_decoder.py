"""Segment Anything's mask decoder: a two-way transformer between prompts and the picture.

Names in the state dict, and numbers, are those of ``segment_anything`` 1.0, for any width.
This is the plain form, for training; `decoding` answers prompts from the same weights faster.

References
----------
Kirillov et al., "Segment Anything", ICCV 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .prompt_encoder import LayerNorm2d


class Attention(nn.Module):
    """Attention with a projection to fewer channels.

    Parameters
    ----------
    width, heads : int
    downsample : int
        How many times fewer channels it attends in.
    """

    def __init__(self, width: int, heads: int, downsample: int = 1) -> None:
        super().__init__()
        inner = width // downsample
        if inner % heads:
            raise ValueError(f"expected heads that divide {inner} channels, got {heads}")
        self.num_heads = heads
        self.q_proj = nn.Linear(width, inner)
        self.k_proj = nn.Linear(width, inner)
        self.v_proj = nn.Linear(width, inner)
        self.out_proj = nn.Linear(inner, width)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(B, T, width) queries, (B or 1, S, width) keys and values to (B, T, width)."""
        return self.attend(self.q_proj(q), self.k_proj(k), self.v_proj(v))

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend with what is projected already."""
        q, k, v = self._split(q), self._split(k), self._split(v)
        mixed = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        return heads


class MLPBlock(nn.Module):
    """Two linear layers with an activation between.

    Parameters
    ----------
    width, hidden : int
    activation : callable
    """

    def __init__(
        self, width: int, hidden: int, activation: Callable[[Tensor], Tensor] = torch.relu
    ) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, hidden)
        self.lin2 = nn.Linear(hidden, width)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        out: Tensor = self.lin2(self.activation(self.lin1(x)))
        return out


class MLP(nn.Module):
    """Linear layers with activations between.

    Parameters
    ----------
    inputs, hidden, outputs, layers : int
    activation : callable
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        layers: int,
        activation: Callable[[Tensor], Tensor] = torch.relu,
    ) -> None:
        super().__init__()
        widths = [inputs, *[hidden] * (layers - 1), outputs]
        self.layers = nn.ModuleList(nn.Linear(n, k) for n, k in pairwise(widths))
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        out: Tensor = self.layers[-1](x)
        return out


class TwoWayAttentionBlock(nn.Module):
    """Tokens attend to each other and to the picture, then the picture to the tokens."""

    def __init__(self, width: int, heads: int, hidden: int, downsample: int, first: bool) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = Attention(width, heads, downsample)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLPBlock(width, hidden)
        self.norm3 = nn.LayerNorm(width)
        self.norm4 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = Attention(width, heads, downsample)
        #: The first block's tokens are positions already.
        self.first = first

    def forward(
        self, tokens: Tensor, image: Tensor, token_positions: Tensor, image_positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, T, width) tokens and (B, cells, width) picture to the same.

        Positions have the shape of what they belong to, or 1 for B.
        """
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            at = tokens + token_positions
            tokens = tokens + self.self_attn(at, at, tokens)
        tokens = self.norm1(tokens)
        placed = image + image_positions
        seen = self.cross_attn_token_to_image(tokens + token_positions, placed, image)
        tokens = self.norm2(tokens + seen)
        tokens = self.norm3(tokens + self.mlp(tokens))
        told = self.cross_attn_image_to_token(placed, tokens + token_positions, tokens)
        return tokens, self.norm4(image + told)


class TwoWayTransformer(nn.Module):
    """Blocks, and a last look of the tokens at the picture.

    Parameters
    ----------
    depth, width, heads, hidden : int
        Number of blocks, channels, heads, channels inside the MLP.
    downsample : int
        Of attention between tokens and picture.
    """

    def __init__(
        self, depth: int, width: int, heads: int, hidden: int, downsample: int = 2
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayAttentionBlock(width, heads, hidden, downsample, first=i == 0)
            for i in range(depth)
        )
        self.final_attn_token_to_image = Attention(width, heads, downsample)
        self.norm_final_attn = nn.LayerNorm(width)

    def forward(self, image: Tensor, positions: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Let (B, T, width) points and a (B, cells, width) picture look at each other."""
        tokens = points
        for layer in self.layers:
            tokens, image = layer(tokens, image, points, positions)
        last = self.final_attn_token_to_image(tokens + points, image + positions, image)
        return self.norm_final_attn(tokens + last), image


class MaskDecoder(nn.Module):
    """Decode masks and what each is worth.

    Parameters
    ----------
    width : int
        Channels of the image embedding.
    depth, heads, hidden, downsample : int
        Of the transformer.
    outputs : int
        Masks a prompt: one for a clear prompt, the others for an ambiguous one.
    iou_depth, iou_hidden : int
        Layers, and channels inside, of what predicts the IoU.
    """

    def __init__(
        self,
        width: int,
        *,
        depth: int = 2,
        heads: int = 8,
        hidden: int = 2048,
        downsample: int = 2,
        outputs: int = 4,
        iou_depth: int = 3,
        iou_hidden: int = 256,
    ) -> None:
        super().__init__()
        self.num_mask_tokens = outputs
        self.transformer = TwoWayTransformer(depth, width, heads, hidden, downsample)
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(outputs, width)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(width, width // 4, 2, 2),
            LayerNorm2d(width // 4),
            nn.GELU(),
            nn.ConvTranspose2d(width // 4, width // 8, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(width, width, width // 8, 3) for _ in range(outputs)
        )
        self.iou_prediction_head = MLP(width, iou_hidden, outputs, iou_depth)

    def forward(
        self, images: Tensor, positions: Tensor, sparse: Tensor, dense: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Decode.

        Parameters
        ----------
        images : (B, width, h, w) Tensor
            Embeddings of B pictures.
        positions : (1, width, h, w) Tensor
            `PromptEncoder.dense_positions`.
        sparse : (B * N, T, width) Tensor
            N prompts of each picture, picture by picture.
        dense : (B * N, width, h, w) or (1, width, 1, 1) Tensor

        Returns
        -------
        logits : (B * N, outputs, 4 h, 4 w) Tensor
        iou : (B * N, outputs) Tensor
            Predicted.
        """
        each = len(sparse) // len(images)
        height, width = images.shape[-2:]
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own.expand(len(sparse), -1, -1), sparse], dim=1)
        image = images.repeat_interleave(each, 0) + dense
        tokens, image = self.transformer(
            image.flatten(2).transpose(1, 2), positions.flatten(2).transpose(1, 2), tokens
        )
        weights = torch.stack(
            [mlp(tokens[:, 1 + i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1
        )
        logits = self._upscale(image) @ weights.transpose(1, 2)
        # Cells, then the halves of each step down, then their quarters.
        grid = logits.unflatten(1, (height, width, 2, 2, 2, 2))
        masks = grid.permute(0, 7, 1, 3, 5, 2, 4, 6).flatten(5, 7).flatten(2, 4)
        return masks, self.iou_prediction_head(tokens[:, 0])

    def _upscale(self, image: Tensor) -> Tensor:
        """`output_upscaling` on (B, cells, width): its convolutions are matrix products.

        Returns
        -------
        (B, cells * 16, width / 8) Tensor
            The 16 parts of a cell side by side: row and column of the half, then of the
            quarter in it.
        """
        first, norm, _, second, _ = self.output_upscaling
        halves = F.gelu(channels_norm(_up(image, first), norm))
        return F.gelu(_up(halves, second))


def _up(x: Tensor, layer: nn.Module) -> Tensor:
    """A transposed convolution of size and stride 2: (B, n, in) to (B, n * 4, out)."""
    halves: Tensor = F.linear(x, *as_matrix(layer)).unflatten(2, (4, -1)).flatten(1, 2)
    return halves


def as_matrix(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weights (4 * out, in) and bias of a transposed convolution of size and stride 2."""
    if not isinstance(layer, nn.ConvTranspose2d) or layer.bias is None:
        raise TypeError(f"expected a transposed convolution, got {type(layer).__name__}")
    return layer.weight.permute(2, 3, 1, 0).flatten(0, 2), layer.bias.repeat(4)


def channels_norm(x: Tensor, layer: nn.Module) -> Tensor:
    """Normalise (..., C) with a `LayerNorm2d`."""
    if not isinstance(layer, LayerNorm2d):
        raise TypeError(f"expected a norm over channels, got {type(layer).__name__}")
    return F.layer_norm(x, x.shape[-1:], layer.weight, layer.bias, layer.eps)
