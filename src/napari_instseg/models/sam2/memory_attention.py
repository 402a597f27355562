"""Let a picture's features attend to what is remembered of other planes.

References
----------
Ravi et al., "SAM 2: Segment Anything in Images and Videos", 2024; Heo et al., "Rotary Position
Embedding for Vision Transformer", ECCV 2024; ``sam2`` 1.1, ``modeling/memory_attention.py``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .architecture import MEMORY_WIDTH, WIDTH
from .memory_encoder import TEMPERATURE

LAYERS, HIDDEN = 4, 2048
#: How much of the positions is added to the features at first.
SHARE = 0.1


class RotaryAttention(nn.Module):
    """Attention of one head whose queries and keys are turned by where they are.

    Parameters
    ----------
    remembered : int
        Channels of keys and values.
    """

    def __init__(self, remembered: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, WIDTH)
        self.k_proj = nn.Linear(remembered, WIDTH)
        self.v_proj = nn.Linear(remembered, WIDTH)
        self.out_proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, turns: Tensor, plain: int = 0) -> Tensor:
        """Attend.

        Parameters
        ----------
        q : (cells, WIDTH) Tensor
        k, v : (planes * cells + plain, remembered) Tensor
        turns : (cells, WIDTH / 2, 2) Tensor
            See `rotations`.
        plain : int
            Number of keys, the last ones, that lie nowhere in the picture.
        """
        q, k, v = self.q_proj(q), self.k_proj(k), self.v_proj(v)
        placed = len(k) - plain
        k = torch.cat([turned(k[:placed], turns), k[placed:]])
        # Four dimensions, or torch takes the attention that keeps all scores.
        q, k, v = (x[None, None] for x in (turned(q, turns), k, v))
        out: Tensor = self.out_proj(F.scaled_dot_product_attention(q, k, v)[0, 0])
        return out


def rotations(side: int) -> Tensor:
    """Cosine and sine, (side * side, WIDTH / 2, 2), by which pairs of channels are turned.

    The first half of the pairs tells the column, the second the row.
    """
    count = WIDTH // 4
    speed = TEMPERATURE ** -(torch.arange(count, dtype=torch.float32) * 4 / WIDTH)
    phase = torch.arange(side, dtype=torch.float32)[:, None] * speed
    columns = phase[None].expand(side, side, count)
    rows = phase[:, None].expand(side, side, count)
    phases = torch.cat([columns, rows], dim=2).flatten(0, 1)
    return torch.stack([phases.cos(), phases.sin()], dim=2)


def turned(x: Tensor, turns: Tensor) -> Tensor:
    """Turn pairs of channels of (n * cells, C), the same in each of n planes."""
    pairs = x.unflatten(0, (-1, len(turns))).unflatten(2, (-1, 2))
    a, b = pairs.unbind(-1)
    cos, sin = turns.unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(2).flatten(0, 1)


class MemoryAttentionLayer(nn.Module):
    """Attention to the picture itself, to the memory, and a feed-forward network."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = RotaryAttention(WIDTH)
        self.cross_attn_image = RotaryAttention(MEMORY_WIDTH)
        self.linear1 = nn.Linear(WIDTH, HIDDEN)
        self.linear2 = nn.Linear(HIDDEN, WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.norm3 = nn.LayerNorm(WIDTH)

    def forward(
        self, x: Tensor, memory: Tensor, positions: Tensor, turns: Tensor, plain: int
    ) -> Tensor:
        """(cells, WIDTH) to the same; see `MemoryAttention`."""
        normed = self.norm1(x)
        x = x + self.self_attn(normed, normed, normed, turns)
        x = x + self.cross_attn_image(self.norm2(x), memory + positions, memory, turns, plain)
        out: Tensor = x + self.linear2(torch.relu(self.linear1(self.norm3(x))))
        return out


class MemoryAttention(nn.Module):
    """All layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(MemoryAttentionLayer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(
        self,
        features: Tensor,
        feature_positions: Tensor,
        memory: Tensor,
        positions: Tensor,
        turns: Tensor,
        plain: int,
    ) -> Tensor:
        """Condition features on a memory.

        Parameters
        ----------
        features, feature_positions : (cells, WIDTH) Tensor
        memory, positions : (n * cells + plain, MEMORY_WIDTH) Tensor
            The cells of n planes, then what lies nowhere in the picture.
        turns : Tensor
            See `rotations`.
        plain : int

        Returns
        -------
        (cells, WIDTH) Tensor
        """
        x = features + SHARE * feature_positions
        for layer in self.layers:
            x = layer(x, memory, positions, turns, plain)
        out: Tensor = self.norm(x)
        return out
