"""Attention between a few tokens and thousands of cells, with the products in another order.

The numbers are those of `mask_decoder.Attention`. A prompt has about 7 tokens and the picture
4,096 cells, so what `Attention` spends its time on is projecting the cells, 4,096 x 256 x 128
products each time. Here the projection is applied to the tokens instead, a head at a time:

    (K W) q = K (W q),    (sum_i a_i V_i) W = sum_i a_i (V_i W)

and what the cells' positions add, which is the same for every picture, is projected once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .mask_decoder import Attention


@dataclass(frozen=True, slots=True, eq=False)
class SharedCells:
    """The cells of one picture, projected once for all its prompts.

    Parameters
    ----------
    cells : (T, C) Tensor
    keys, values, queries : (heads, d, T), (heads, T, d), (heads, d, T) Tensor
        Of the first block, with positions in the first and the last.
    """

    cells: Tensor
    keys: Tensor
    values: Tensor
    queries: Tensor


def _heads(x: Tensor, heads: int) -> Tensor:
    """(B, n, heads * d) to (heads, B * n, d)."""
    split: Tensor = x.flatten(0, 1).unflatten(1, (heads, -1))
    return split.transpose(0, 1)


class _Reordered:
    """What both directions share.

    Parameters
    ----------
    attention : Attention
    positions : (T, C) Tensor
        Of the cells.
    """

    def __init__(self, attention: Attention, positions: Tensor) -> None:
        self.attention = attention
        self.positions = positions
        self.heads = attention.num_heads
        inner, width = attention.k_proj.weight.shape
        self.scale = float(inner // self.heads) ** -0.5
        # Beyond that number of tokens the usual order has fewer products.
        self.most = inner * width // (self.heads * width - inner)

    def split(self, weight: Tensor) -> Tensor:
        """(heads * d, ...) to (heads, d, ...)."""
        split: Tensor = weight.unflatten(0, (self.heads, -1))
        return split


class TokensToCells(_Reordered):
    """Tokens attend to the cells."""

    def __init__(self, attention: Attention, positions: Tensor) -> None:
        super().__init__(attention, positions)
        key, value = attention.k_proj, attention.v_proj
        self._keys = self.split(key.weight * self.scale)
        self._placed = self.split(key(positions).T * self.scale).contiguous()
        self._values = self.split(value.weight).transpose(1, 2)

    def project(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Keys (heads, d, T), scaled and with positions, and values (heads, T, d)."""
        keys = self._placed + self._keys @ cells.T
        values = self.split(self.attention.v_proj(cells).T).transpose(1, 2).contiguous()
        return keys, values

    def shared(self, tokens: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """(B, n, C) tokens to what they see, of the same shape, in cells that they share."""
        queries = _heads(self.attention.q_proj(tokens), self.heads)
        mixed = (queries @ keys).softmax(-1) @ values
        return self._out(mixed, tokens.shape)

    def __call__(self, tokens: Tensor, cells: Tensor) -> Tensor:
        """(B, n, C) tokens to what they see, of the same shape, in (B, T, C) cells."""
        count, each, _ = tokens.shape
        if each > self.most:
            seen: Tensor = self.attention(tokens, cells + self.positions, cells)
            return seen
        queries = _heads(self.attention.q_proj(tokens), self.heads)
        folded = _by_prompt(queries @ self._keys, count)
        scores = _by_prompt(queries @ self._placed, count)
        weights = torch.baddbmm(scores, folded, cells.transpose(1, 2)).softmax(-1)
        mixed = (weights @ cells).unflatten(1, (self.heads, each)).transpose(0, 1)
        mixed = mixed.flatten(1, 2) @ self._values
        return self._out(mixed + self.split(self.attention.v_proj.bias)[:, None], tokens.shape)

    def _out(self, mixed: Tensor, shape: torch.Size) -> Tensor:
        out: Tensor = self.attention.out_proj(mixed.transpose(0, 1).reshape(*shape[:2], -1))
        return out


class CellsToTokens(_Reordered):
    """The cells attend to the tokens, and are added to what they see."""

    def __init__(self, attention: Attention, positions: Tensor) -> None:
        super().__init__(attention, positions)
        query, out = attention.q_proj, attention.out_proj
        self._queries = self.split(query.weight * self.scale)
        self._placed = self.split(query(positions).T * self.scale).contiguous()
        self._out = self.split(out.weight.T).contiguous()
        # A cell's weights are 1 in sum for each head.
        self._bias = out.bias / self.heads

    def project(self, cells: Tensor) -> Tensor:
        """Queries (heads, d, T), scaled and with positions."""
        return self._placed + self._queries @ cells.T

    def shared(self, at: Tensor, tokens: Tensor, cells: Tensor, queries: Tensor) -> Tensor:
        """See `__call__`, with cells (T, C) that the prompts share."""
        keys = _heads(self.attention.k_proj(at), self.heads)
        scores = _by_prompt(keys @ queries, len(tokens))
        return self._add(scores, tokens, cells.expand(len(tokens), -1, -1))

    def __call__(self, at: Tensor, tokens: Tensor, cells: Tensor) -> Tensor:
        """Add to (B, T, C) cells what they see in (B, n, C) tokens that are placed ``at``."""
        if tokens.shape[1] > self.most:
            told: Tensor = self.attention(cells + self.positions, at, tokens)
            return cells + told
        keys = _heads(self.attention.k_proj(at), self.heads)
        folded = _by_prompt(keys @ self._queries, len(tokens))
        scores = _by_prompt(keys @ self._placed, len(tokens))
        scores = torch.baddbmm(scores, folded, cells.transpose(1, 2))
        return self._add(scores, tokens, cells)

    def _add(self, scores: Tensor, tokens: Tensor, cells: Tensor) -> Tensor:
        """Take the (B, heads * n, T) scores' mean of the values, projected beforehand."""
        count, each, _ = tokens.shape
        weights = scores.unflatten(1, (self.heads, each)).softmax(2).flatten(1, 2)
        values = _heads(self.attention.v_proj(tokens), self.heads) @ self._out + self._bias
        return torch.baddbmm(cells, weights.transpose(1, 2), _by_prompt(values, count))


def _by_prompt(x: Tensor, count: int) -> Tensor:
    """(heads, B * n, k) to (B, heads * n, k)."""
    split: Tensor = x.unflatten(1, (count, -1))
    return split.transpose(0, 1).flatten(1, 2)
