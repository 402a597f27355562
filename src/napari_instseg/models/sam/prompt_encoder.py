"""Segment Anything's prompt encoder: points, boxes and masks to what the decoder attends to.

Names in the state dict, and numbers, are those of ``segment_anything`` 1.0, for any width and
any grid.

References
----------
Kirillov et al., "Segment Anything", ICCV 2023.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

#: What a point can be: its row in the table of learned embeddings.
PADDING, OFF, ON, FIRST_CORNER, LAST_CORNER = -1, 0, 1, 2, 3


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of (B, C, H, W)."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        mean = x.mean(1, keepdim=True)
        centred = x - mean
        scale = torch.rsqrt(centred.square().mean(1, keepdim=True) + self.eps)
        return centred * scale * self.weight[:, None, None] + self.bias[:, None, None]


class RandomFrequencies(nn.Module):
    """Sines and cosines of fixed random waves over the picture (Tancik et al., 2020).

    Parameters
    ----------
    count : int
        Waves; the encoding has twice as many channels.
    """

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, count))

    def forward(self, xy: Tensor) -> Tensor:
        """Encode (..., 2) columns and rows in [0, 1] as (..., 2 * count)."""
        phase = 2 * math.pi * ((2 * xy - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([phase.sin(), phase.cos()], dim=-1)

    def grid(self, height: int, width: int) -> Tensor:
        """Encode the centres of a grid's cells as (2 * count, height, width)."""
        like = self.positional_encoding_gaussian_matrix
        rows = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height
        columns = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        encoded: Tensor = self(torch.stack([x, y], dim=-1))
        return encoded.permute(2, 0, 1)


class PromptEncoder(nn.Module):
    """Encode prompts.

    Parameters
    ----------
    embed_dim : int
        Channels of the image embedding.
    embedding_size : int
        Side of the image embedding's grid, cells.
    input_size : int
        Side of the padded picture, px.
    mask_channels : int
        Width of the small network that takes a mask.
    """

    def __init__(
        self, embed_dim: int, embedding_size: int, input_size: int, mask_channels: int = 16
    ) -> None:
        super().__init__()
        self.embedding_size = embedding_size
        self.input_size = input_size
        self.mask_size = 4 * embedding_size
        self.pe_layer = RandomFrequencies(embed_dim // 2)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, embed_dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, embed_dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_channels // 4, 2, 2),
            LayerNorm2d(mask_channels // 4),
            nn.GELU(),
            nn.Conv2d(mask_channels // 4, mask_channels, 2, 2),
            LayerNorm2d(mask_channels),
            nn.GELU(),
            nn.Conv2d(mask_channels, embed_dim, 1),
        )
        self.no_mask_embed = nn.Embedding(1, embed_dim)

    def dense_positions(self) -> Tensor:
        """Encode where the embedding's cells lie: (1, embed_dim, grid, grid)."""
        return self.pe_layer.grid(self.embedding_size, self.embedding_size)[None]

    def sparse(self, points: Tensor, labels: Tensor, boxes: Tensor | None = None) -> Tensor:
        """Encode points and boxes.

        Parameters
        ----------
        points : (N, P, 2) Tensor
            Column and row in px of the padded picture; a pixel's centre is at whole numbers.
        labels : (N, P) Tensor
            `ON`, `OFF`, or `PADDING` for a point that is not there.
        boxes : (N, 4) Tensor, optional
            Column and row of the first, then of the last corner, like points.

        Returns
        -------
        (N, T, embed_dim) Tensor
            T = P + 2 with a box, else P + 1 where P is not 0: the reference ends points
            without a box by one that is not there.
        """
        count = len(points)
        if boxes is not None:
            points = torch.cat([points, boxes.reshape(count, 2, 2)], dim=1)
            corners = torch.tensor([FIRST_CORNER, LAST_CORNER], device=points.device)
            labels = torch.cat([labels, corners.expand(count, 2).to(labels.dtype)], dim=1)
        elif points.shape[1]:
            points = torch.cat([points, points.new_zeros(count, 1, 2)], dim=1)
            labels = torch.cat([labels, labels.new_full((count, 1), PADDING)], dim=1)
        table = [self.not_a_point_embed, *self.point_embeddings]
        kinds = torch.cat([self._row(module) for module in table])
        there = (labels != PADDING).unsqueeze(-1)
        positions = self.pe_layer((points + 0.5) / self.input_size)
        return torch.where(there, positions, 0) + kinds[labels.long() + 1]

    def dense(self, masks: Tensor | None) -> Tensor:
        """Encode (N, 1, mask_size, mask_size) logits, or none.

        Returns
        -------
        (N, embed_dim, grid, grid) Tensor
            (1, embed_dim, 1, 1) for none: the same everywhere.
        """
        if masks is None:
            return self._row(self.no_mask_embed).reshape(1, -1, 1, 1)
        encoded: Tensor = self.mask_downscaling(masks)
        return encoded

    @staticmethod
    def _row(module: nn.Module) -> Tensor:
        weight = module.weight
        if not isinstance(weight, Tensor):
            raise TypeError(f"expected an embedding, got {type(module).__name__}")
        return weight
