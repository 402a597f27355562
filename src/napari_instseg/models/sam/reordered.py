"""Attention between a few tokens and thousands of cells, with the products in another order.

The numbers are those of `mask_decoder.Attention`. A prompt has about 7 tokens and the picture
4,096 cells, so what `Attention` spends its time on is projecting the cells, 4,096 x 256 x 128
products each time. Here the projection is applied to the tokens instead, a head at a time:

    (K W) q = K (W q),    (sum_i a_i V_i) W = sum_i a_i (V_i W)

and what the cells' positions add, which is the same for every picture, is projected once.

What is as large as the cells is made for a few prompts at a time, so that it stays in the
processor's cache; and where it must be kept, it goes into memory that was used before: fresh
memory costs more than the products.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .mask_decoder import Attention

#: Bytes of cells at a time on a CPU; all at once elsewhere.
CACHED = 512 << 10


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

    def parts(self, count: int) -> Iterator[slice]:
        """As many of the prompts at a time as the cache has room for."""
        step = count
        if self.positions.device.type == "cpu":
            step = max(1, CACHED // (4 * self.positions.numel()))
        for begin in range(0, count, step):
            yield slice(begin, min(begin + step, count))

    def _own(self, x: Tensor, count: int) -> Iterator[tuple[slice, Tensor]]:
        """Of (heads, B * n, d), what belongs to some prompts at a time: (heads, b, n, d)."""
        by_prompt = x.unflatten(1, (count, -1))
        return ((part, by_prompt[:, part]) for part in self.parts(count))

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
        mixed = [
            (own.flatten(1, 2) @ keys).softmax(-1) @ values
            for _, own in self._own(queries, len(tokens))
        ]
        return self._out(_joined(mixed, 1), tokens.shape)

    def __call__(self, tokens: Tensor, cells: Tensor) -> Tensor:
        """(B, n, C) tokens to what they see, of the same shape, in (B, T, C) cells."""
        count, each, _ = tokens.shape
        if each > self.most:
            seen: Tensor = self.attention(tokens, cells + self.positions, cells)
            return seen
        queries = _heads(self.attention.q_proj(tokens), self.heads)
        folded = _by_prompt(queries @ self._keys, count)
        found = []
        for part, own in self._own(queries, count):
            scores = _by_prompt(own.flatten(1, 2) @ self._placed, own.shape[1])
            weights = torch.baddbmm(scores, folded[part], cells[part].transpose(1, 2)).softmax(-1)
            found.append(weights @ cells[part])
        mixed = _joined(found, 0).unflatten(1, (self.heads, each)).transpose(0, 1)
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

    def shared(
        self, at: Tensor, tokens: Tensor, cells: SharedCells, norm: nn.Module, out: Tensor | None
    ) -> Tensor:
        """See `__call__`, with cells that the prompts share."""
        keys = _heads(self.attention.k_proj(at), self.heads)
        scores = (
            _by_prompt(own.flatten(1, 2) @ cells.queries, own.shape[1])
            for _, own in self._own(keys, len(tokens))
        )
        return self._add(scores, tokens, cells.cells.expand(len(tokens), -1, -1), norm, out)

    def __call__(
        self, at: Tensor, tokens: Tensor, cells: Tensor, norm: nn.Module, out: Tensor | None
    ) -> Tensor:
        """Add to (B, T, C) cells what they see in (B, n, C) tokens that are placed ``at``.

        The sum is normalised, and goes into ``out`` if that is given, which may be ``cells``.
        """
        count, each, _ = tokens.shape
        if each > self.most:
            told: Tensor = norm(cells + self.attention(cells + self.positions, at, tokens))
            return told if out is None else out.copy_(told)
        keys = _heads(self.attention.k_proj(at), self.heads)
        folded = _by_prompt(keys @ self._queries, count)
        scores = (
            torch.baddbmm(
                _by_prompt(own.flatten(1, 2) @ self._placed, own.shape[1]),
                folded[part],
                cells[part].transpose(1, 2),
            )
            for part, own in self._own(keys, count)
        )
        return self._add(scores, tokens, cells, norm, out)

    def _add(
        self,
        scores: Iterable[Tensor],
        tokens: Tensor,
        cells: Tensor,
        norm: nn.Module,
        out: Tensor | None,
    ) -> Tensor:
        """Take the scores' mean of the values, which are projected beforehand."""
        count, each, _ = tokens.shape
        values = _heads(self.attention.v_proj(tokens), self.heads) @ self._out + self._bias
        values = _by_prompt(values, count)
        found = []
        for part, mine in zip(self.parts(count), scores, strict=True):
            weights = mine.unflatten(1, (self.heads, each)).softmax(2).flatten(1, 2)
            told = norm(torch.baddbmm(cells[part], weights.transpose(1, 2), values[part]))
            found.append(told if out is None else out[part].copy_(told))
        return _joined(found, 0) if out is None else out


def _joined(parts: Sequence[Tensor], axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), axis)


def _by_prompt(x: Tensor, count: int) -> Tensor:
    """(heads, B * n, k) to (B, heads * n, k)."""
    split: Tensor = x.unflatten(1, (count, -1))
    return split.transpose(0, 1).flatten(1, 2)
